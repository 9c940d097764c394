//! openraft's own storage suite over our log and our snapshots.

use std::io;
use std::sync::Arc;

use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{ErrorSubject, ErrorVerb, StorageError};
use vault_core::id::ClusterId;

use super::machine::{Machine, Shelf};
use super::store::LogStore;
use super::types::Types;
use crate::audit::Audit;
use crate::disk::diskkey::DiskKey;
use crate::disk::folder::{Folder, RealFolder};
use crate::disk::keyring::Keyring;
use crate::disk::log::{self, LogKey};
use crate::entropy;
use crate::keys::Keys;
use crate::testing::{self, TestFolder};

/// Makes an empty log and state machine in a folder of its own.
struct Fresh;

impl StoreBuilder<Types, LogStore, Machine, TestFolder> for Fresh {
    async fn build(&self) -> Result<(TestFolder, LogStore, Machine), StorageError<Types>> {
        let folder = testing::folder();
        let (log, machine) = stores(&folder).map_err(|error| {
            StorageError::from_io_error(ErrorSubject::Store, ErrorVerb::Read, error)
        })?;
        Ok((folder, log, machine))
    }
}

fn stores(folder: &TestFolder) -> io::Result<(LogStore, Machine)> {
    let home: Arc<dyn Folder> = Arc::new(RealFolder::open(folder.path())?);
    let key = LogKey {
        context: b"suite".to_vec(),
        disk_key: Arc::new(DiskKey::filled(entropy::fill).map_err(io::Error::other)?),
    };
    let options =
        log::Options { segment_bytes: 256 << 10, batch_bytes: 64 << 10, keep_bytes: 4 << 10 };
    let fault = Box::new(|fault: log::Fault| panic!("{fault}"));
    let mark = log::MarkFile { folder: Arc::clone(&home), name: "mark".into() };
    let place = log::Place { folder: home.folder("log")?, mark };
    let opened = log::open(place, key, options, Box::new(entropy::random), fault);
    let (recovered, writer) = opened.map_err(io::Error::other)?;
    let ring = Keyring::first(|key| key.fill(1)).map_err(io::Error::other)?;
    let disk_key = Arc::new(DiskKey::filled(entropy::fill).map_err(io::Error::other)?);
    let shelf = Shelf {
        folder: home.folder("snapshots")?,
        audit: Audit::none(),
        keys: Arc::new(Keys::new(ring, home, disk_key, Vec::new())),
        // One cluster: the suite carries a snapshot from one manager to another.
        cluster: ClusterId::from_entropy([1; 17]),
    };
    // Nothing that was flushed stays in memory: what is asked for comes from the disk.
    let log = LogStore::with_cache(recovered, writer, 0).map_err(io::Error::other)?;
    Ok((log, Machine::restore(shelf).map_err(io::Error::other)?))
}

#[test]
fn openrafts_storage_suite_passes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(Suite::test_all(Fresh)).unwrap();
}
