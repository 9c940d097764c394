//! A flush that does not return: noticed, told, new writes refused at once, reads go on; and in the end the
//! daemon is told that the disk is lost.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use tests::disk::FaultyDisk;
use vault::audit::Audit;
use vault::disk::diskkey::DiskKey;
use vault::disk::keyring::Keyring;
use vault::disk::log::LogKey;
use vault::disk::watch::{DiskState, Patience};
use vault::keys::Keys;
use vault::raft::{Consensus, ProposeError, Start};
use vault::tls::Dialer;
use vault_core::command::{Action, Command};
use vault_core::id::ClusterId;
use vault_core::seal::Epoch;
use vault_core::time::Timestamp;

const PATIENCE: Duration = Duration::from_secs(20);
const HANGS_AFTER: Duration = Duration::from_millis(200);
const LOST_AFTER: Duration = Duration::from_millis(600);

/// A lone manager whose log lies on this disk, and what it says of a lost disk.
async fn manager(disk: &FaultyDisk) -> (Arc<Consensus>, Receiver<(&'static str, Duration)>) {
    let disk_key = Arc::new(DiskKey::filled(|bytes| bytes.fill(1)).unwrap());
    let ring = Keyring::first(|key| key.fill(3)).unwrap();
    let other = Arc::new(FaultyDisk::default());
    let keys = Keys::new(ring, other.clone(), Arc::clone(&disk_key), Vec::new());
    let (told, lost) = mpsc::channel();
    let consensus = Consensus::start(Start {
        cluster: ClusterId::from_entropy([1; 17]),
        raft_id: 1,
        recovery_epoch: 1,
        dialer: Arc::new(Dialer::nowhere()),
        keys: Arc::new(keys),
        log_key: LogKey { context: b"node".to_vec(), disk_key },
        log_place: Arc::new(disk.clone()).into(),
        log_options: crate::model::OPTIONS,
        snapshot_folder: other,
        audit: Audit::none(),
        fault: Box::new(|fault| panic!("{fault}")),
        patience: Patience { hangs_after: HANGS_AFTER, lost_after: LOST_AFTER },
        lost: Box::new(move |files, took| told.send((files, took)).unwrap_or_default()),
    });
    let consensus = consensus.await.unwrap();
    consensus.found("node", "127.0.0.1:1").await.unwrap();
    consensus.lead().await.unwrap();
    (Arc::new(consensus), lost)
}

/// Something that goes through the log.
fn command() -> Command {
    let action = Action::UseEpoch(Epoch(1).into());
    Command { at: Timestamp::from_nanos(1), request: None, actor: None, action }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_flush_hangs_new_writes_are_refused_at_once_and_reads_go_on() {
    let disk = FaultyDisk::default();
    let (manager, lost) = manager(&disk).await;
    manager.propose(command()).await.unwrap();
    let mut states = manager.disk().states();
    disk.hang(true);
    let under_way = tokio::spawn({
        let manager = Arc::clone(&manager);
        async move { manager.propose(command()).await }
    });
    let hangs = |state: &DiskState| matches!(state, DiskState::Hangs { .. });
    tokio::time::timeout(PATIENCE, states.wait_for(hangs)).await.unwrap().unwrap();
    assert!(matches!(manager.propose(command()).await, Err(ProposeError::DiskHangs { .. })));
    manager.read().await.unwrap();
    let (files, took) = lost.recv_timeout(PATIENCE).unwrap();
    assert!(files == "log" && took >= LOST_AFTER, "{files}: {took:?}");
    assert!(!under_way.is_finished(), "acknowledged while its flush hangs");

    disk.hang(false);
    under_way.await.unwrap().unwrap();
    let answers = |state: &DiskState| *state == DiskState::Answers;
    tokio::time::timeout(PATIENCE, states.wait_for(answers)).await.unwrap().unwrap();
    manager.propose(command()).await.unwrap();
    assert!(lost.try_recv().is_err(), "told twice");
    manager.stop().await;
}
