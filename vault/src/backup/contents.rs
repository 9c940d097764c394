//! A backup as a whole: written from a view and its keys, and read back, every sealed value in it tried.

use std::io::{self, Read, Write};
use std::time::Duration;

use tokio::time::sleep;
use vault_core::cluster::Cluster;
use vault_core::seal::{self, Place, Sealed};
use vault_core::state::State;
use vault_core::versioned::Class;

use super::format::{FormatError, Header, Reader, Writer};
use super::lock::{Key, Lock, UnlockError};
use crate::clock;
use crate::disk::keyring::{Keyring, KeyringError};
use crate::manager::{CallError, Manager};
use crate::raft::{CodecError, IncompleteError, View, ViewReader};

/// While a data key is on its way to this manager, its keyring is behind the state for a moment.
const KEYS_TRIES: u32 = 50;
const KEYS_WAIT: Duration = Duration::from_millis(100);

/// Why there is nothing to be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(
        "this manager does not have the data keys that the values are sealed under: take the backup from another one"
    )]
    KeysMissing,
    #[error("there is no cluster yet")]
    NoCluster,
}

/// Why a backup is refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the backup is refused: {0}")]
    Unlock(#[from] UnlockError),
    #[error("the backup is refused: {0}")]
    Format(#[from] FormatError),
    #[error("the backup is refused: its keys do not read")]
    Keyring(#[from] KeyringError),
    #[error("the backup is refused: offset {offset}: a record does not read: {source}")]
    Record {
        offset: u64,
        #[source]
        source: CodecError,
    },
    #[error("the backup is refused: {0}")]
    Incomplete(#[from] IncompleteError),
    #[error("the backup is refused: its header does not fit what stands in it")]
    Header,
    #[error(
        "the backup is refused: a value under epoch {epoch} does not open with the keys that stand in it"
    )]
    Value { epoch: u32 },
}

/// All that a backup holds.
pub struct Contents {
    pub header: Header,
    pub keyring: Keyring,
    pub view: View,
    /// Sealed values that were opened to try their keys.
    pub values: u64,
}

/// A view of this manager, and the keys that open it.
pub async fn save(
    manager: &Manager,
    is_stale: bool,
) -> Result<(Header, View, std::sync::Arc<Keyring>), SaveError> {
    for _ in 0..KEYS_TRIES {
        let view = if is_stale { manager.consensus().view() } else { manager.read().await? };
        let ring = manager.keys().ring();
        // The view came first: a key that was destroyed since is missed here.
        let epochs = [view.state.oldest_epoch(), view.state.epoch()];
        if epochs.into_iter().all(|epoch| ring.key(epoch).is_some()) {
            let cluster = view.state.cluster().ok_or(SaveError::NoCluster)?;
            let header = Header {
                node: manager.node_id(),
                recovery_epoch: manager.membership().recovery_epoch,
                taken_at: clock::now(),
                ..header_of(cluster, &view.state)
            };
            return Ok((header, view, ring));
        }
        sleep(KEYS_WAIT).await;
    }
    Err(SaveError::KeysMissing)
}

/// What a header says of a state; who took it and when is not in the state.
fn header_of(cluster: &Cluster, state: &State) -> Header {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Header {
        cluster: cluster.id,
        node: vault_core::id::NodeId::from_entropy([0; 17]),
        recovery_epoch: 0,
        index: state.index(),
        taken_at: state.clock(),
        secrets: count(state.of_class(Class::Secret).len()),
        configs: count(state.of_class(Class::Config).len()),
        services: count(state.services().len()),
        nodes: count(state.nodes().count()),
    }
}

/// Writes a backup.
pub fn write(
    out: impl Write,
    lock: Lock,
    header: Header,
    view: &View,
    ring: &Keyring,
) -> io::Result<()> {
    let mut writer = Writer::start(lock.seal(out)?, header, &ring.danger_to_body())?;
    view.push_records(|record| writer.record(record))?;
    writer.finish()?.finish()?.flush()
}

/// Reads the header alone: the rest may be damaged or not be there.
pub fn read_header(file: impl Read, key: Key) -> Result<Header, OpenError> {
    Ok(Reader::start(key.open(file)?)?.1)
}

/// Reads all of a backup and opens every value in it.
pub fn open(file: impl Read, key: Key) -> Result<Contents, OpenError> {
    let (mut reader, header) = Reader::start(key.open(file)?)?;
    let keyring = Keyring::from_body(&reader.keyring()?)?;
    let mut parts = ViewReader::default();
    loop {
        let offset = reader.offset();
        let Some(record) = reader.record()? else { break };
        parts.take(&record).map_err(|source| OpenError::Record { offset, source })?;
    }
    let view = parts.finish()?;
    let cluster = view.state.cluster().ok_or(OpenError::Header)?;
    let (node, recovery_epoch, taken_at) = (header.node, header.recovery_epoch, header.taken_at);
    let found = Header { node, recovery_epoch, taken_at, ..header_of(cluster, &view.state) };
    if found != header {
        return Err(OpenError::Header);
    }
    let values = open_all(cluster, &view.state, &keyring)?;
    Ok(Contents { header, keyring, view, values })
}

/// Opens every sealed value once. Returns how many there are.
fn open_all(cluster: &Cluster, state: &State, keyring: &Keyring) -> Result<u64, OpenError> {
    let mut values = 0;
    let mut open = |place: &Place, sealed: &Sealed| {
        let refused = || OpenError::Value { epoch: sealed.epoch.0 };
        let key = keyring.key(sealed.epoch).ok_or_else(refused)?;
        seal::open(key, place, sealed).map_err(|_| refused())?;
        values += 1;
        Ok::<_, OpenError>(())
    };
    for (_, place, sealed) in cluster.own() {
        open(&place, sealed)?;
    }
    for class in [Class::Secret, Class::Config] {
        for object in state.of_class(class).iter() {
            for version in &object.versions {
                let (kind, number) = (class.value_kind(), version.number);
                let place = Place { cluster: cluster.id, kind, object: object.id, version: number };
                open(&place, &version.sealed)?;
            }
        }
    }
    Ok(values)
}
