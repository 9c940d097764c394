//! The handle on consensus: propose a command, read a view that is no older than the question.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::error::{ClientWriteError, InitializeError, RaftError};
use openraft::{Config, Raft, ReadPolicy, SnapshotPolicy};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use vault_core::command::{Command, Outcome};
use vault_core::feature::Level;
use vault_core::id::ClusterId;
use vault_core::limits::LEADER_SILENT_MS;
#[cfg(planted)]
use vault_core::planted::{self, Bug};
use vault_core::request::RequestId;
use vault_core::time::Timestamp;

use super::deadline::{PATIENCE, end};
use super::gather::{Ended, Gather};
use super::housekeeping::{House, keep_house};
use super::machine::{Machine, RestoreError, Shelf, View};
use super::members::{self, MemberChangeError, MemberStatus, Standing};
use super::network::{Door, Envelope, ForwardError, Heard, Network, Peers};
use super::office::{follow_office, yield_office};
use super::reads::{Distance, Freshness, Reads};
use super::store::{EntryError, LogStore, entry_from};
use super::types::{Member, Proposal, ServerMetrics, Types};
use crate::audit::Audit;
use crate::clock::Stamps;
use crate::disk::folder::Folder;
use crate::disk::log::{self, Chance, Fault, LogError, LogKey, LogReader, Renewal, TornTail};
use crate::disk::watch::{DiskState, DiskWatch, Patience};
use crate::entropy;
use crate::events::Events;
use crate::keys::Keys;
use crate::tls::Dialer;

/// Between two tries while there is no leader.
const RETRY: Duration = Duration::from_millis(20);
/// Milliseconds since its last answer within which a manager is asked to take the office: some heartbeats.
const ANSWERED_LATELY_MS: u64 = 400;
/// How long a leader waits for another one to take the office.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(2);

/// All that consensus starts with.
pub struct Start {
    pub cluster: ClusterId,
    pub raft_id: u64,
    pub recovery_epoch: u32,
    /// The way to other managers.
    pub dialer: Arc<Dialer>,
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
    #[error("what is left cannot be read or written")]
    Remains(#[source] io::Error),
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
    #[error(
        "no answer from the managers in {} s; whether it was done is not known. Look before you ask again, and at: coffer status",
        PATIENCE.as_secs()
    )]
    Unknown,
    #[error("this manager is stopping")]
    Stopped,
    #[error(
        "this manager's disk has not answered for {millis} ms: nothing was changed. Reads go on; writes do again once it answers"
    )]
    DiskHangs { millis: u128 },
    #[error(
        "this manager has followed the log to index {index}, not to {wanted}, in {} s: ask another manager, or see why with coffer status",
        PATIENCE.as_secs()
    )]
    Behind { index: u64, wanted: u64 },
}

/// Why one try gave nothing.
enum TryError {
    /// Nothing was done.
    NotTaken,
    /// It may have been done.
    Unknown,
    Stopped,
}

/// Which disk keys the log is under.
struct LogKeys {
    reader: LogReader,
    renewal: Renewal,
}

/// Consensus of this manager.
pub struct Consensus {
    raft: Raft<Types, Machine>,
    gather: Gather,
    peers: Peers,
    door: Door,
    reads: Reads,
    stamps: Arc<Stamps>,
    leads: watch::Receiver<bool>,
    views: watch::Receiver<View>,
    events: Events,
    torn: Option<TornTail>,
    disk: DiskWatch,
    log: LogKeys,
}

impl Consensus {
    /// Opens log and snapshots, and takes part.
    pub async fn start(start: Start) -> Result<Self, StartError> {
        let keys = start.keys;
        let shelf = Shelf {
            folder: start.snapshot_folder,
            keys: Arc::clone(&keys),
            audit: start.audit.clone(),
            cluster: start.cluster,
        };
        let mut watched: Vec<_> =
            start.audit.pulse().map(|pulse| ("audit", pulse)).into_iter().collect();
        let snapshots = Arc::clone(&shelf.folder);
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
        let log_keys = LogKeys { reader: writer.reader(), renewal: writer.renewal() };
        let log = LogStore::new(recovered, writer)?;
        if let Some(applied) = &views.borrow().applied {
            log.vote_at_least(applied);
        }
        watched.push(("log", log.pulse()));
        let disk = DiskWatch::start(watched, start.patience, start.lost);
        let disk = disk.map_err(StartError::Watch)?;
        let config = Arc::new(config(&start.cluster).map_err(StartError::Raft)?);
        let own = Envelope {
            cluster: start.cluster,
            recovery_epoch: start.recovery_epoch,
            raft_id: start.raft_id,
        };
        let peers = Peers { own, dialer: start.dialer };
        let network = Network(peers.clone());
        let raft = Raft::new(start.raft_id, config, network, log.clone(), machine).await;
        let raft = raft.map_err(|fatal| StartError::Raft(fatal.to_string()))?;
        members::show(&raft).await.map_err(|fatal| StartError::Raft(fatal.to_string()))?;
        let house =
            House { raft: raft.clone(), log, segment_bytes, unapplied, views: views.clone() };
        tokio::spawn(keep_house(house));
        vault_memory::sys::release_free_memory();
        let gather = Gather::start(raft.clone());
        let stamps = Arc::new(Stamps::default());
        let door = Door {
            raft: raft.clone(),
            own,
            snapshots,
            keys,
            stamps: Arc::clone(&stamps),
            views: views.clone(),
            heard: Heard::new(),
        };
        let reads = Reads::start(raft.clone(), peers.clone());
        tokio::spawn(yield_office(raft.clone(), disk.states()));
        let (leads, log) = (follow_office(&raft), log_keys);
        Ok(Self { raft, gather, peers, door, reads, stamps, leads, views, events, torn, disk, log })
    }

    /// What is known of this manager's disk. Whoever leads and is told that it hangs must hand over.
    pub fn disk(&self) -> &DiskWatch {
        &self.disk
    }

    /// Where other managers' calls come in.
    pub fn door(&self) -> Door {
        self.door.clone()
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

    /// Has a command committed and applied, by the leader wherever it is. Returns its index and what came
    /// of it.
    pub async fn propose(&self, mut command: Command) -> Result<(u64, Outcome), ProposeError> {
        if command.request.is_none() && self.has_peers() {
            // Asked again after a leader was lost, it must not be done twice.
            command.request = Some(RequestId(entropy::random()));
        }
        let command = Arc::new(command);
        // What is already under way waits; nothing more queues up behind it. A follower's disk is not in the
        // way of what the leader takes.
        if let DiskState::Hangs { since } = self.disk.state()
            && (self.is_alone() || self.standing().is_leader)
        {
            return Err(ProposeError::DiskHangs { millis: since.elapsed().as_millis() });
        }
        if self.is_alone() {
            // Nobody else could take it, so no copy is kept for another try.
            let tried = timeout_at(end(), self.propose_once(command)).await;
            return match tried {
                Ok(Ok(done)) => Ok(done),
                Ok(Err(TryError::Stopped)) => Err(ProposeError::Stopped),
                Ok(Err(TryError::NotTaken)) => Err(ProposeError::NoLeader),
                Ok(Err(TryError::Unknown)) | Err(_) => Err(ProposeError::Unknown),
            };
        }
        let deadline = end();
        let mut may_be_done = false;
        loop {
            match timeout_at(deadline, self.propose_once(Arc::clone(&command))).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(TryError::Stopped)) => return Err(ProposeError::Stopped),
                Ok(Err(TryError::NotTaken)) => {}
                Ok(Err(TryError::Unknown)) | Err(_) => may_be_done = true,
            }
            if may_be_done && command.request.is_none() || Instant::now() + RETRY > deadline {
                break;
            }
            self.pause().await;
        }
        Err(if may_be_done { ProposeError::Unknown } else { ProposeError::NoLeader })
    }

    /// Waits a moment before the next try: until somebody else leads, at best.
    async fn pause(&self) {
        let mut metrics = self.raft.server_metrics();
        let leader = metrics.borrow_watched().current_leader;
        let changed = metrics.wait_until(|now| now.current_leader != leader);
        timeout(RETRY, changed).await.ok();
    }

    async fn propose_once(&self, command: Arc<Command>) -> Result<(u64, Outcome), TryError> {
        if self.has_peers() && members::has_lost_quorum(&self.raft) {
            // What is taken now could be done much later, when nobody waits for it.
            return Err(TryError::NotTaken);
        }
        let again = (!self.is_alone()).then(|| Arc::clone(&command));
        let written = self.gather.write(Proposal(command)).await;
        let leader = match written.map_err(|_: Ended| TryError::Stopped)? {
            Ok(response) => {
                let outcome = response.data.0.expect("a command has an outcome");
                return Ok((response.log_id.index(), outcome));
            }
            Err(ClientWriteError::ForwardToLeader(leader)) => leader,
            Err(_) => return Err(TryError::Unknown),
        };
        let Some((id, member)) = leader.leader_id.zip(leader.leader_node) else {
            // The office may have been lost with the command in the log already.
            return Err(TryError::Unknown);
        };
        let Some(command) = again else { return Err(TryError::NotTaken) };
        match self.peers.propose(id, &member, &command).await {
            Ok(done) => Ok(done),
            Err(ForwardError::NotTaken) => Err(TryError::NotTaken),
            Err(ForwardError::Unknown) => Err(TryError::Unknown),
        }
    }

    /// Returns once this manager leads, if nobody else takes part. Asked at a start, when nothing else
    /// knows yet who takes part.
    pub async fn lead_if_alone(&self) -> Result<(), ProposeError> {
        let count = self.raft.with_raft_state(|state| {
            state.membership_state.effective().membership().nodes().count()
        });
        match count.await {
            Ok(1) => self.lead().await,
            Ok(_) => Ok(()),
            Err(_) => Err(ProposeError::Stopped),
        }
    }

    /// Whether nobody else takes part.
    pub fn is_alone(&self) -> bool {
        !self.has_peers()
    }

    /// Returns once this manager has a vote.
    pub async fn voting(&self) {
        let own = *self.raft.node_id();
        let mut metrics = self.raft.server_metrics();
        let votes = |metrics: &ServerMetrics| {
            metrics.membership_config.membership().voter_ids().any(|id| id == own)
        };
        while !votes(&metrics.borrow_watched()) {
            if metrics.changed().await.is_err() {
                return;
            }
        }
    }

    fn has_peers(&self) -> bool {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().nodes().nth(1).is_some()
    }

    /// A view that reflects everything acknowledged before this call, by whichever manager.
    pub async fn read(&self) -> Result<View, ProposeError> {
        let deadline = end();
        loop {
            match timeout_at(deadline, self.read_once()).await {
                Ok(Ok(view)) => return Ok(view),
                Ok(Err(TryError::Stopped)) => return Err(ProposeError::Stopped),
                Ok(Err(_)) if Instant::now() + RETRY < deadline => self.pause().await,
                Ok(Err(_)) | Err(_) => return Err(ProposeError::NoLeader),
            }
        }
    }

    /// A view as new as somebody needs it.
    pub async fn read_as(&self, freshness: Freshness) -> Result<View, ProposeError> {
        let wanted = match freshness {
            Freshness::Newest => return self.read().await,
            Freshness::Own => return Ok(self.view()),
            Freshness::AtLeast(index) => index,
        };
        let mut applied = self.raft.watch_apply_progress();
        let reached = applied.wait_until(|id| id.is_some_and(|id| id.index() >= wanted));
        match timeout_at(end(), reached).await {
            Ok(Ok(_)) => Ok(self.view()),
            Ok(Err(_)) => Err(ProposeError::Stopped),
            Err(_) => Err(ProposeError::Behind { index: self.view().state.index(), wanted }),
        }
    }

    async fn read_once(&self) -> Result<View, TryError> {
        #[cfg(planted)]
        if planted::on(match self.standing().is_leader {
            true => Bug::StaleReadByOldLeader,
            false => Bug::StaleReadByFollower,
        }) {
            return Ok(self.view());
        }
        let index = match self.reads.distance().await {
            Distance::Here => return Ok(self.view()),
            Distance::Index(index) => index,
            Distance::Unknown => return Err(TryError::NotTaken),
            Distance::Stopped => return Err(TryError::Stopped),
        };
        let mut applied = self.raft.watch_apply_progress();
        let reached = applied.wait_until(|id| id.is_some_and(|id| id.index() >= index)).await;
        reached.map_err(|_| TryError::Stopped)?;
        Ok(self.view())
    }

    /// How Raft stands, as this manager sees it.
    pub fn standing(&self) -> Standing {
        let mut standing = members::standing(&self.raft);
        let silent = match (standing.is_leader, standing.members.len()) {
            (_, 0 | 1) => 0,
            (true, _) => standing.millis_since_quorum.unwrap_or(u64::MAX),
            (false, _) => self.door.heard.silence(),
        };
        // Raft itself keeps the name of a leader that is long gone.
        standing.leader = standing.leader.filter(|_| silent < LEADER_SILENT_MS);
        standing
    }

    /// Whether this manager leads: told of every change.
    pub fn leads(&self) -> watch::Receiver<bool> {
        self.leads.clone()
    }

    /// Has a manager follow the log without a vote.
    pub async fn add_learner(
        &self,
        raft_id: u64,
        node_id: &str,
        addr: &str,
    ) -> Result<(), MemberChangeError> {
        members::add_learner(&self.raft, raft_id, node_id, addr).await
    }

    /// Records that a member is reached elsewhere now.
    pub async fn move_member(
        &self,
        raft_id: u64,
        node_id: &str,
        addr: &str,
    ) -> Result<(), MemberChangeError> {
        members::move_member(&self.raft, raft_id, node_id, addr).await
    }

    /// Makes these the voters.
    pub async fn set_voters(&self, voters: BTreeSet<u64>) -> Result<(), MemberChangeError> {
        members::set_voters(&self.raft, voters).await
    }

    /// Takes members out that have no vote.
    pub async fn remove_learners(&self, learners: BTreeSet<u64>) -> Result<(), MemberChangeError> {
        members::remove_learners(&self.raft, learners).await
    }

    /// Has another voter take the office over. Returns whether somebody else leads then.
    pub async fn hand_over(&self) -> bool {
        hand_over(&self.raft).await
    }

    /// The newest view on this manager, however old it is.
    pub fn view(&self) -> View {
        self.views.borrow().clone()
    }

    /// The feature level, as of the newest view.
    pub fn level(&self) -> Level {
        self.views.borrow().state.level()
    }

    /// The time now, as a command is stamped with it.
    pub fn now(&self) -> Timestamp {
        self.stamps.next(self.clock())
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

    /// Drops what the newest snapshot covers from the log, but for its last entry.
    pub async fn purge_behind_snapshot(&self) -> Result<(), ProposeError> {
        let snapshot = self.raft.metrics().borrow_watched().snapshot.map(|id| id.index());
        let Some(upto) = snapshot.and_then(|index| index.checked_sub(1)) else { return Ok(()) };
        self.raft.trigger().purge_log(upto).await.map_err(|_| ProposeError::Stopped)
    }

    /// The way to have the log go on under the newest disk key.
    pub fn log_renewal(&self) -> &Renewal {
        &self.log.renewal
    }

    /// The oldest disk key that any of the log is under.
    pub fn oldest_disk_key(&self) -> Option<usize> {
        self.log.reader.oldest_generation()
    }

    /// Ends taking part. What was acknowledged stays.
    pub async fn stop(&self) {
        if let Err(failed) = self.raft.shutdown().await {
            tracing::warn!(error = %failed, "raft did not end cleanly");
        }
    }
}

/// Has another voter take the office over. Returns whether somebody else leads then.
pub(super) async fn hand_over(raft: &Raft<Types, Machine>) -> bool {
    let standing = members::standing(raft);
    if !standing.is_leader {
        return true;
    }
    let own = *raft.node_id();
    let others = standing.members.iter().filter(|one| one.is_voter && one.raft_id != own);
    // One that answers, and of these the one that is furthest: it takes the office soonest.
    let rank = |one: &&MemberStatus| {
        (one.silent_millis.is_some_and(|silent| silent < ANSWERED_LATELY_MS), one.matched)
    };
    let Some(next) = others.max_by_key(rank) else { return false };
    if raft.trigger().transfer_leader(next.raft_id).await.is_err() {
        return false;
    }
    let handed = async {
        let mut metrics = raft.server_metrics();
        while metrics.borrow_watched().current_leader.is_none_or(|leader| leader == own) {
            if metrics.changed().await.is_err() {
                return;
            }
        }
    };
    timeout(HAND_OVER_PATIENCE, handed).await.is_ok()
}

fn config(cluster: &ClusterId) -> Result<Config, String> {
    let config = Config {
        cluster_name: cluster.to_string(),
        heartbeat_interval: 100,
        // Raft counts this from the end of a leader's lease, which is the longer of the two: silence of 550
        // to 700 ms ends in an election.
        election_timeout_min: 200,
        election_timeout_max: 350,
        install_snapshot_timeout: 120_000,
        enable_pre_vote: Some(true),
        // A leader that starts again may have sent entries to others that its own disk does not have: in
        // the same term it would write others under their numbers.
        enable_leader_restore: Some(false),
        // Without it, one manager that is still reached keeps a leader without a majority alive for it.
        quorum_loss_probe_interval: Some(1_600),
        max_payload_entries: 4_096,
        snapshot_policy: SnapshotPolicy::Never,
        // Nor may Raft purge by itself, a thousand entries behind each snapshot: `housekeeping` keeps by bytes, and
        // a purge to below one that still waits is a panic.
        max_in_snapshot_log_to_keep: u64::MAX,
        ..Config::default()
    };
    config.validate().map_err(|invalid| invalid.to_string())
}
