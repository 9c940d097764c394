//! Sessions of nodes with the leader: each is told what its record says, who manages and what is believed, and again
//! when that changes; and whoever is not heard of is down.
//!
//! A session is a channel and no task. The log hears of a node only when something about it changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use vault_core::command::{Action, ObjectKind, Refusal};
use vault_core::id::{NodeId, ObjectId};
use vault_core::labels::Labels;
use vault_core::limits::MANAGERS_TOLD_MAX;
use vault_core::node::{Availability, Described, Node, NodeStatus, Role};
use vault_core::presence::{Presence, SessionsTooMany};
use vault_core::root::Step;
use vault_core::state::State;

use crate::entropy;
use crate::manager::{CallError, Manager};
use crate::raft::ProposeError;

/// How often the leader looks for who is silent.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("this manager does not lead: connect again, and whoever does is found")]
    NotLeader,
    #[error(transparent)]
    TooMany(#[from] SessionsTooMany),
    /// Swarm's text. The node begins another one.
    #[error("node not registered")]
    NotRegistered,
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A manager, as nodes are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub node_id: String,
    pub addr: String,
}

/// What a node is told of itself and of the managers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub role: Role,
    pub availability: Availability,
    pub labels: Labels,
    pub managers: Arc<[Peer]>,
    /// The bundle that it is to believe, in PEM.
    pub roots: Arc<str>,
    /// Whether it is to take a new certificate now.
    pub is_to_renew: bool,
}

/// A session that was begun.
pub struct Begun {
    pub session: ObjectId,
    /// Ends with the session.
    pub told: watch::Receiver<Told>,
}

/// All sessions with this manager.
pub struct Sessions {
    /// None while another manager leads.
    leading: Mutex<Option<Leading>>,
    start: Instant,
}

struct Leading {
    presence: Presence,
    live: BTreeMap<NodeId, Live>,
}

struct Live {
    session: ObjectId,
    told: watch::Sender<Told>,
}

impl Live {
    /// Tells a node, if that is news. Gives whether it still listens.
    fn tell(&self, told: Told) -> bool {
        self.told.send_if_modified(|before| {
            let is_news = *before != told;
            *before = told;
            is_news
        });
        self.told.receiver_count() > 0
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self { leading: Mutex::default(), start: Instant::now() }
    }
}

impl Sessions {
    fn leading(&self) -> MutexGuard<'_, Option<Leading>> {
        self.leading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// A node is heard.
    pub fn beat(&self, id: NodeId, session: ObjectId) -> Result<(), SessionError> {
        let now = self.now();
        let mut leading = self.leading();
        let leading = leading.as_mut().ok_or(SessionError::NotLeader)?;
        let is_heard = leading.presence.beat(id, session, now);
        if is_heard { Ok(()) } else { Err(SessionError::NotRegistered) }
    }

    /// What a node's session is told; ends with it.
    pub fn of(&self, id: NodeId, session: ObjectId) -> Result<watch::Receiver<Told>, SessionError> {
        let leading = self.leading();
        let live = leading.as_ref().ok_or(SessionError::NotLeader)?.live.get(&id);
        let live = live.filter(|live| live.session == session);
        live.map(|live| live.told.subscribe()).ok_or(SessionError::NotRegistered)
    }

    /// How many nodes have a session.
    pub fn count(&self) -> usize {
        self.leading().as_ref().map_or(0, |leading| leading.live.len())
    }

    /// Nobody is heard here any more.
    fn end_all(&self) {
        *self.leading() = None;
    }

    /// Tells those of whom something changed, and ends the sessions of nodes that went. Gives what is to be written.
    fn look(&self, state: &State) -> Vec<(NodeId, NodeStatus)> {
        let now = self.now();
        let (managers, roots) = (peers(state), trust_bundle(state));
        let mut leading = self.leading();
        let leading = leading.get_or_insert_with(|| Leading {
            presence: Presence::from(now),
            live: BTreeMap::new(),
        });
        leading.live.retain(|id, live| {
            let told = state.node(*id).map(|node| told(state, node, &managers, &roots));
            told.is_some_and(|told| live.tell(told))
        });
        leading.presence.keep(|id| state.node(id).is_some());
        let workers = state.nodes().filter(|node| node.role == Role::Worker);
        leading.presence.changes(workers.map(|node| (node.id, node.status)), now)
    }
}

/// The managers that can be reached.
fn peers(state: &State) -> Arc<[Peer]> {
    let managers = state.managers().filter(|node| !node.addr.is_empty());
    let peer = |node: &Arc<Node>| Peer { node_id: node.id.to_string(), addr: node.addr.clone() };
    managers.take(MANAGERS_TOLD_MAX).map(peer).collect()
}

fn told(state: &State, node: &Node, managers: &Arc<[Peer]>, roots: &Arc<str>) -> Told {
    Told {
        role: node.role,
        availability: node.availability,
        labels: node.labels.clone(),
        managers: Arc::clone(managers),
        roots: Arc::clone(roots),
        is_to_renew: state.is_to_renew(node),
    }
}

/// What nodes are to believe.
fn trust_bundle(state: &State) -> Arc<str> {
    state.cluster().map_or_else(String::new, |cluster| cluster.bundle()).into()
}

impl Manager {
    /// A node begins a session with this manager, which leads, and says what it is.
    /// `trusted` is the bundle that it has.
    pub async fn begin_session(
        &self,
        id: NodeId,
        said: Described,
        trusted: &[u8],
    ) -> Result<Begun, SessionError> {
        if self.sessions().leading().is_none() {
            return Err(SessionError::NotLeader);
        }
        // No older view may speak for a node that was removed meanwhile.
        let view = self.read().await?;
        let node = view.state.node(id).ok_or_else(|| unknown(id))?;
        let session = ObjectId::from_entropy(entropy::random());
        let state = &view.state;
        let telling = told(state, node, &peers(state), &trust_bundle(state));
        let (told, receiver) = watch::channel(telling);
        let sessions = self.sessions();
        {
            let now = sessions.now();
            let mut leading = sessions.leading();
            let leading = leading.as_mut().ok_or(SessionError::NotLeader)?;
            leading.presence.begin(id, session, now)?;
            leading.live.insert(id, Live { session, told });
        }
        let is_known = node.status == NodeStatus::Ready && said.is_known_of(node);
        if node.role == Role::Worker && !is_known {
            tracing::info!(node = %id, hostname = said.hostname, "a worker is there");
            self.act(Action::DescribeNode(id, Box::new(said))).await?;
        }
        let trust = state.told(id).filter(|told| told.bundle.as_bytes() == trusted);
        if let Some(ack) = trust.and_then(|told| told.ack) {
            match self.act(Action::Root(Step::Acknowledge(id, ack))).await {
                // The rotation went on meanwhile: the node is told again.
                Ok(_) | Err(CallError::Refused(Refusal::Root(_))) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Begun { session, told: receiver })
    }

    /// A node says that it leaves the cluster: nobody waits for it any more.
    pub async fn end_session(&self, id: NodeId, session: ObjectId) -> Result<(), SessionError> {
        self.sessions().beat(id, session)?;
        if let Some(leading) = self.sessions().leading().as_mut() {
            leading.live.remove(&id);
            leading.presence.keep(|other| other != id);
        }
        tracing::info!(node = %id, "a worker leaves");
        self.act(Action::ReportNodes(vec![(id, NodeStatus::Down)])).await?;
        Ok(())
    }
}

fn unknown(id: NodeId) -> CallError {
    let refusal = Refusal::NotFound { kind: ObjectKind::Node, reference: id.to_string() };
    CallError::Refused(refusal)
}

/// Has it written whom the leader hears. An error once consensus has ended.
async fn report(manager: &Manager, changed: Vec<(NodeId, NodeStatus)>) -> Result<(), ProposeError> {
    if changed.is_empty() {
        return Ok(());
    }
    for (id, status) in &changed {
        tracing::info!(node = %id, ?status, "what is heard of a worker changed");
    }
    match manager.act(Action::ReportNodes(changed)).await {
        Err(CallError::Propose(ProposeError::Stopped)) => return Err(ProposeError::Stopped),
        Err(error) => tracing::debug!(%error, "what is heard of workers waits"),
        Ok(_) => {}
    }
    Ok(())
}

/// Runs until consensus ends.
pub(crate) async fn keep_sessions(manager: Arc<Manager>) {
    let mut views = manager.consensus().views();
    let mut leads = manager.consensus().leads();
    loop {
        let view = views.borrow_and_update().clone();
        let is_leader = *leads.borrow_and_update();
        if is_leader && view.state.cluster().is_some() {
            let changed = manager.sessions().look(&view.state);
            if report(&manager, changed).await.is_err() {
                break;
            }
        } else {
            manager.sessions().end_all();
        }
        let seen = view.state.workload_index();
        drop(view);
        let changed = views.wait_for(|view| view.state.workload_index() != seen);
        tokio::select! {
            changed = changed => if changed.is_err() { break },
            changed = leads.changed() => if changed.is_err() { break },
            () = sleep(LOOK_EVERY) => {}
        }
    }
    manager.sessions().end_all();
}
