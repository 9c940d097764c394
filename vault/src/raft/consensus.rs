//! The handle on consensus: propose a command, read a view that is no older than the question.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::error::{ClientWriteError, InitializeError, RaftError};
use openraft::{Config, Raft, ReadPolicy, SnapshotPolicy};
use tokio::sync::watch;
use tokio::time::timeout;
use vault_core::command::{Command, Outcome};
use vault_core::feature::Level;
use vault_core::id::ClusterId;
use vault_core::time::Timestamp;

use super::gather::{Ended, Gather};
use super::housekeeping::{House, keep_house};
use super::machine::{Machine, RestoreError, Shelf, View};
use super::network::Network;
use super::store::{EntryError, LogStore, entry_from};
use super::types::{Member, Proposal, Types};
use crate::audit::Audit;
use crate::disk::folder::Folder;
use crate::disk::log::{self, Chance, Fault, LogError, LogKey, TornTail};
use crate::disk::watch::{DiskState, DiskWatch, Patience};
use crate::entropy;
use crate::events::Events;
use crate::keys::Keys;

/// How long a call waits for consensus before it is told that the outcome is unknown.
const PATIENCE: Duration = Duration::from_secs(20);

/// All that consensus starts with.
pub struct Start {
    pub cluster: ClusterId,
    pub raft_id: u64,
    pub keys: Arc<Keys>,
    pub log_key: LogKey,
    pub log_place: log::Place,
    pub log_options: log::Options,
    pub snapshot_folder: Arc<dyn Folder>,
    /// Told of every applied command that somebody asked for.
    pub audit: Audit,
    /// Called once if the disk fails. Nothing is acknowledged after that.
    pub fault: Box<dyn FnOnce(Fault) + Send>,
    /// How long the disk may take.
    pub patience: Patience,
    /// Called once if a write or flush does not return in that time.
    pub lost: Box<dyn FnOnce(&'static str, Duration) + Send>,
}

/// Why consensus does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error("the disk cannot be watched")]
    Watch(#[source] io::Error),
    #[error("raft does not start: {0}")]
    Raft(String),
}

/// Why a command has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    #[error(
        "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online."
    )]
    NoLeader,
    #[error("no answer from the managers in {} s; whether it was done is not known", PATIENCE.as_secs())]
    Unknown,
    #[error("this manager is stopping")]
    Stopped,
    #[error(
        "this manager's disk has not answered for {millis} ms: nothing was changed. Reads go on; writes do again once it answers"
    )]
    DiskHangs { millis: u128 },
}

/// Consensus of this manager.
pub struct Consensus {
    raft: Raft<Types, Machine>,
    gather: Gather,
    views: watch::Receiver<View>,
    events: Events,
    torn: Option<TornTail>,
    disk: DiskWatch,
}

impl Consensus {
    /// Opens log and snapshots, and takes part.
    pub async fn start(start: Start) -> Result<Self, StartError> {
        let shelf = Shelf {
            folder: start.snapshot_folder,
            keys: start.keys,
            audit: start.audit.clone(),
            cluster: start.cluster,
        };
        let mut watched: Vec<_> =
            start.audit.pulse().map(|pulse| ("audit", pulse)).into_iter().collect();
        let machine = Machine::restore(shelf)?;
        let (views, events) = (machine.views(), machine.events());
        let chance = Chance { entropy: Box::new(entropy::random::<32>), fault: start.fault };
        let (applied, mut unapplied) = (machine.applied_index(), 0);
        let mut unreadable = None;
        // Behind the snapshot every entry must read: it is refused here, by name, rather than half-way.
        let mut visit = |at: log::Position, bytes: &[u8]| {
            if applied.is_none_or(|applied| at.index > applied) {
                unapplied += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                unreadable = unreadable.take().or_else(|| entry_from(at, bytes).err());
            }
        };
        let segment_bytes = start.log_options.segment_bytes;
        let (place, options) = (start.log_place, start.log_options);
        let opened = log::open_with(place, start.log_key, options, chance, &mut visit);
        let (mut recovered, writer) = opened?;
        if let Some(unreadable) = unreadable {
            return Err(unreadable.into());
        }
        let torn = recovered.torn.take();
        let log = LogStore::new(recovered, writer)?;
        watched.push(("log", log.pulse()));
        let disk = DiskWatch::start(watched, start.patience, start.lost);
        let disk = disk.map_err(StartError::Watch)?;
        let config = Arc::new(config(&start.cluster).map_err(StartError::Raft)?);
        let raft = Raft::new(start.raft_id, config, Network, log.clone(), machine).await;
        let raft = raft.map_err(|fatal| StartError::Raft(fatal.to_string()))?;
        let house =
            House { raft: raft.clone(), log, segment_bytes, unapplied, views: views.clone() };
        tokio::spawn(keep_house(house));
        vault_memory::sys::release_free_memory();
        let gather = Gather::start(raft.clone());
        Ok(Self { raft, gather, views, events, torn, disk })
    }

    /// What is known of this manager's disk. Whoever leads and is told that it hangs must hand over.
    pub fn disk(&self) -> &DiskWatch {
        &self.disk
    }

    /// A torn tail that was cut at start, to be reported.
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// Makes this manager the only voter of a new cluster.
    pub async fn found(&self, node_id: &str, addr: &str) -> Result<(), StartError> {
        let member = Member { node_id: node_id.to_owned(), addr: addr.to_owned() };
        let members = BTreeMap::from([(*self.raft.node_id(), member)]);
        match self.raft.initialize(members).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(refused) => Err(StartError::Raft(refused.to_string())),
        }
    }

    /// Returns once this manager leads and has applied all that was committed before.
    pub async fn lead(&self) -> Result<(), ProposeError> {
        // A lone voter need not wait for an election to time out.
        self.raft.trigger().elect(false).await.map_err(|_| ProposeError::Stopped)?;
        let led = async {
            let mut metrics = self.raft.metrics();
            while self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await.is_err()
                && metrics.changed().await.is_ok()
            {}
        };
        timeout(PATIENCE, led).await.map_err(|_| ProposeError::NoLeader)
    }

    /// Has a command committed and applied. Returns its index and what came of it.
    pub async fn propose(&self, command: Command) -> Result<(u64, Outcome), ProposeError> {
        // What is already under way waits; nothing more queues up behind it.
        if let DiskState::Hangs { since } = self.disk.state() {
            return Err(ProposeError::DiskHangs { millis: since.elapsed().as_millis() });
        }
        let written = self.gather.write(Proposal(Arc::new(command)));
        let written = timeout(PATIENCE, written).await.map_err(|_| ProposeError::Unknown)?;
        match written.map_err(|_: Ended| ProposeError::Stopped)? {
            Ok(response) => {
                let outcome = response.data.0.expect("a command has an outcome");
                Ok((response.log_id.index(), outcome))
            }
            Err(ClientWriteError::ForwardToLeader(_)) => Err(ProposeError::NoLeader),
            Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// A view that reflects everything acknowledged before this call.
    pub async fn read(&self) -> Result<View, ProposeError> {
        let read = timeout(PATIENCE, self.raft.ensure_linearizable(ReadPolicy::ReadIndex)).await;
        match read.map_err(|_| ProposeError::Unknown)? {
            Ok(_) => Ok(self.view()),
            Err(RaftError::APIError(_)) => Err(ProposeError::NoLeader),
            Err(RaftError::Fatal(_)) => Err(ProposeError::Stopped),
        }
    }

    /// The newest view on this manager, however old it is.
    pub fn view(&self) -> View {
        self.views.borrow().clone()
    }

    /// The feature level, as of the newest view.
    pub fn level(&self) -> Level {
        self.views.borrow().state.level()
    }

    /// The latest stamp that was applied here.
    pub fn clock(&self) -> Timestamp {
        self.views.borrow().state.clock()
    }

    /// About how many bytes secrets and configs take by now.
    pub fn memory_bytes(&self) -> u64 {
        self.views.borrow().state.memory_bytes()
    }

    /// Told of every view in which there is something else to run, or something else to read for what
    /// runs.
    pub fn views(&self) -> watch::Receiver<View> {
        self.views.clone()
    }

    /// What happens, for those who watch.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Returns once there is a snapshot of everything applied before this call.
    pub async fn snapshot_now(&self) -> Result<(), ProposeError> {
        let wanted = self.view().applied;
        self.raft.trigger().snapshot().await.map_err(|_| ProposeError::Stopped)?;
        let mut metrics = self.raft.metrics();
        while metrics.borrow_watched().snapshot < wanted {
            metrics.changed().await.map_err(|_| ProposeError::Stopped)?;
        }
        Ok(())
    }

    /// Ends taking part. What was acknowledged stays.
    pub async fn stop(&self) {
        if let Err(failed) = self.raft.shutdown().await {
            tracing::warn!(error = %failed, "raft did not end cleanly");
        }
    }
}

fn config(cluster: &ClusterId) -> Result<Config, String> {
    let config = Config {
        cluster_name: cluster.to_string(),
        heartbeat_interval: 100,
        election_timeout_min: 400,
        election_timeout_max: 800,
        install_snapshot_timeout: 120_000,
        enable_pre_vote: Some(true),
        snapshot_policy: SnapshotPolicy::Never,
        ..Config::default()
    };
    config.validate().map_err(|invalid| invalid.to_string())
}
