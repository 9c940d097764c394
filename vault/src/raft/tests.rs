//! openraft's own storage suite over our log and our snapshots; how entries are applied and proposals
//! gathered.

use std::io;
use std::sync::Arc;

use openraft::entry::RaftEntry;
use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{ErrorSubject, ErrorVerb, StorageError};
use vault_core::command::{Action, Command, NewObject, Outcome};
use vault_core::id::{ClusterId, ObjectId};
use vault_core::labels::Labels;
use vault_core::name::SecretName;
use vault_core::seal::Epoch;
use vault_core::time::Timestamp;
use vault_core::versioned::{Class, VersionLimit};

use super::adopt::{ViewReader, adopt};
use super::codec::tests::{create_cluster, sealed};
use super::consensus::{Consensus, ProposeError, Start};
use super::machine::{Done, Machine, Shelf, SnapshotFile};
use super::store::LogStore;
use super::types::{Entry, Payload, Proposal, Types, log_id};
use crate::audit::Audit;
use crate::disk::diskkey::DiskKey;
use crate::disk::folder::{Folder, RealFolder};
use crate::disk::keyring::Keyring;
use crate::disk::log::{self, LogKey, Position};
use crate::disk::watch::Patience;
use crate::entropy;
use crate::keys::Keys;
use crate::testing::{self, TestFolder};
use crate::tls::Dialer;

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

fn command(action: Action) -> Command {
    Command { at: Timestamp::default(), request: None, actor: None, action }
}

fn entry(index: u64, action: Action) -> Entry {
    let id = log_id(Position { term: 1, node: 1, index });
    Entry::new(id, Payload::Normal(Proposal(Arc::new(command(action)))))
}

#[test]
fn who_watches_is_woken_for_what_runs_and_everybody_sees_all() {
    let folder = testing::folder();
    let (_log, machine) = stores(&folder).unwrap();
    let mut views = machine.views();
    let mut done = Done::default();
    machine.apply_one(entry(1, Action::CreateCluster(Box::new(create_cluster()))), &mut done);
    assert!(views.has_changed().unwrap());
    let held = views.borrow_and_update().clone();
    let secret = NewObject {
        id: ObjectId::from_entropy([1; 17]),
        name: SecretName::parse("a").unwrap(),
        labels: Labels::default(),
        limit: VersionLimit::default(),
        sealed: sealed(1),
    };
    machine.apply_one(entry(2, Action::Create(Class::Secret, vec![secret])), &mut done);
    assert!(!views.has_changed().unwrap(), "a new secret changes nothing that runs");
    assert_eq!(views.borrow().state.secrets().len(), 1);
    assert_eq!(held.state.secrets().len(), 0, "a view that is held stays as it is");
}

#[test]
fn a_snapshot_that_came_from_another_manager_under_a_drafts_name_is_taken_up() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (one, other) = (testing::folder(), testing::folder());
        let (_log, mut machine) = stores(&one).unwrap();
        let create = Action::CreateCluster(Box::new(create_cluster()));
        machine.apply_one(entry(1, create), &mut Done::default());
        let built = machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
        let folder = Arc::clone(&built.snapshot.folder);
        folder.rename(&built.snapshot.name, "incoming.new").unwrap();
        let incoming =
            SnapshotFile { folder, name: "incoming.new".into(), draft: None, read: None };
        let (_log, mut second) = stores(&other).unwrap();
        second.install_snapshot(&built.meta, incoming).await.unwrap();
        assert_eq!(second.applied_index(), Some(1));
        let current = second.get_current_snapshot().await.unwrap().unwrap();
        assert_eq!(current.meta, built.meta);
        let SnapshotFile { folder, name, .. } = current.snapshot;
        assert_eq!(folder.names().unwrap(), [name], "under its own name, in its own folder");
    });
}

async fn consensus(folder: &TestFolder) -> Consensus {
    consensus_of(folder, 1).await
}

async fn consensus_of(folder: &TestFolder, raft_id: u64) -> Consensus {
    let home: Arc<dyn Folder> = Arc::new(RealFolder::open(folder.path()).unwrap());
    let disk_key = Arc::new(DiskKey::filled(entropy::fill).unwrap());
    let ring = Keyring::first(|key| key.fill(1)).unwrap();
    let started = Consensus::start(Start {
        cluster: ClusterId::from_entropy([1; 17]),
        raft_id,
        recovery_epoch: 1,
        dialer: Arc::new(Dialer::nowhere()),
        log_key: LogKey { context: Vec::new(), disk_key: Arc::clone(&disk_key) },
        log_place: log::Place {
            folder: home.folder("log").unwrap(),
            mark: log::MarkFile { folder: Arc::clone(&home), name: "log.mark".into() },
        },
        log_options: log::Options {
            segment_bytes: 256 << 10,
            batch_bytes: 64 << 10,
            keep_bytes: 0,
        },
        snapshot_folder: home.folder("snapshots").unwrap(),
        keys: Arc::new(Keys::new(ring, home, disk_key, Vec::new())),
        audit: Audit::none(),
        fault: Box::new(|fault| panic!("{fault}")),
        patience: Patience::default(),
        lost: Box::new(|writer, _| panic!("{writer}")),
    });
    started.await.unwrap()
}

#[test]
fn proposals_that_come_together_are_all_answered_and_none_after_the_end() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = testing::folder();
        let consensus = Arc::new(consensus(&folder).await);
        consensus.found("node", "192.0.2.1:2377").await.unwrap();
        consensus.lead().await.unwrap();
        let propose = |_| {
            let consensus = Arc::clone(&consensus);
            let use_epoch = command(Action::UseEpoch(Epoch(1).into()));
            tokio::spawn(async move { consensus.propose(use_epoch).await.unwrap().0 })
        };
        let asked: Vec<_> = (0..300).map(propose).collect();
        let mut indexes = Vec::new();
        for asked in asked {
            indexes.push(asked.await.unwrap());
        }
        indexes.sort_unstable();
        indexes.dedup();
        assert_eq!(indexes.len(), 300, "each has an entry of its own");
        consensus.stop().await;
        let late = consensus.propose(command(Action::UseEpoch(Epoch(1).into()))).await;
        assert!(matches!(late, Err(ProposeError::Stopped)), "{late:?}");
    });
}

#[test]
fn a_view_that_is_adopted_goes_on_under_one_new_manager() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (folder, other) = (testing::folder(), testing::folder());
        let before = consensus(&folder).await;
        before.found("node", "192.0.2.1:2377").await.unwrap();
        before.lead().await.unwrap();
        let create = command(Action::CreateCluster(Box::new(create_cluster())));
        before.propose(create).await.unwrap();
        let (view, term) = (before.read().await.unwrap(), before.standing().term);
        before.stop().await;

        let raft_id = view.applied_index() + 1;
        let mut reader = ViewReader::default();
        view.push_records(|record| reader.take(record).map_err(io::Error::other)).unwrap();
        let adopted = adopt(reader.finish().unwrap(), raft_id, "other", "192.0.2.2:2377");
        let home = RealFolder::open(other.path()).unwrap();
        let ring = Keyring::first(|key| key.fill(1)).unwrap();
        let cluster = ClusterId::from_entropy([1; 17]);
        adopted.write_snapshot(home.folder("snapshots").unwrap(), ring.newest(), cluster).unwrap();
        let after = consensus_of(&other, raft_id).await;
        after.lead().await.unwrap();
        let members = after.standing().members;
        assert_eq!(members.len(), 1);
        assert_eq!((members[0].raft_id, members[0].node_id.as_str()), (raft_id, "other"));
        assert!(after.standing().term > term, "a later term than any before");
        let (index, outcome) =
            after.propose(command(Action::UseEpoch(Epoch(1).into()))).await.unwrap();
        assert!(index > raft_id);
        assert_eq!(outcome, Outcome::Done, "the state is there");
        after.stop().await;
    });
}
