//! The daemon of this node: in no cluster at first, a manager from `swarm init` on.

mod backup;
mod leave;
mod locked;
mod nodes;
mod working;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use pki::token::{JoinToken, RootDigest, TokenSecret};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use vault_core::cluster::Cluster;
use vault_core::command::ManagerPlace;
use vault_core::feature::Level;
use vault_core::id::NodeId;
use vault_core::limits::HOST_BYTES_MAX;
use vault_core::node::{Availability, Role};
use vault_core::seal::Kind;
use vault_core::unlock::UnlockKey;
use zeroize::Zeroizing;

use crate::address::{self, AddressError};
use crate::agent::{self, Delivery, Logs, Setup};
use crate::disk::diskkey::DiskKeyError;
use crate::join::{self, JoinError, Joined, Joining};
use crate::manager::{
    self, FoundError, Founding, Limits, LockingError, Manager, ManagerError, RestoreError,
    ValueError,
};
use crate::meters::Meters;
use crate::raft::{Freshness, View};
use crate::rpc::NodePort;
use crate::worker::{Word, Worker};
use crate::{
    clocks, duty, level, lock, moved, renewal, roster, rotation, scheduler, sessions, trust,
};

/// How long a join waits for its vote. Swarm's time.
const JOIN_PATIENCE: Duration = Duration::from_secs(20);

/// How long what reads from a manager that ends has time to see that.
const LET_GO_PATIENCE: Duration = Duration::from_secs(5);

/// What the daemon was started with.
pub struct Config {
    pub state_dir: PathBuf,
    pub run_dir: PathBuf,
    pub listen: SocketAddr,
    pub advertise: Option<SocketAddr>,
    /// Where other managers are, if not where their records say.
    pub managers: Vec<SocketAddr>,
    pub limits: Limits,
    pub is_rootless: bool,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error(
        "This node is not a swarm manager. Use \"coffer swarm init\" or \"coffer swarm join\" to connect this node to swarm and try again."
    )]
    NotInACluster,
    /// Swarm's text.
    #[error(
        "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"coffer swarm unlock\" to unlock it."
    )]
    Locked,
    /// Swarm's text.
    #[error(
        "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager."
    )]
    Worker,
    #[error(transparent)]
    Manager(#[from] manager::CallError),
    #[error("a value of the cluster does not open: {0}")]
    Value(#[from] ValueError),
}

/// Why no cluster was founded.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("already in a cluster")]
    Exists,
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("cannot listen on the node port")]
    Port(#[source] std::io::Error),
    #[error(transparent)]
    Found(#[from] FoundError),
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Locking(#[from] LockingError),
}

/// Why no new cluster was forced.
#[derive(Debug, thiserror::Error)]
pub enum ForceError {
    #[error("this node holds no cluster: there is nothing to make a new one of")]
    NotInACluster,
    #[error("{}", CallError::Locked)]
    Locked,
    #[error("cannot listen on the node port again")]
    Port(#[source] std::io::Error),
    #[error(transparent)]
    Alone(#[from] manager::AloneError),
    #[error(transparent)]
    Manager(#[from] ManagerError),
}

/// The standing join tokens, and where to use them.
pub struct Tokens {
    pub worker: Zeroizing<String>,
    pub manager: Zeroizing<String>,
    pub addr: String,
    pub index: u64,
}

/// A cluster that was just founded.
pub struct Founded {
    pub node_id: NodeId,
    pub tokens: Tokens,
    /// With autolock.
    pub unlock_key: Option<UnlockKey>,
}

/// Where this node stands in the cluster.
pub struct Own {
    pub node_id: NodeId,
    pub addr: String,
    pub index: u64,
}

pub use backup::Restored;
pub use leave::LeaveError;
pub use locked::UnlockError;
pub use nodes::NodeChange;

/// The daemon.
pub struct Daemon {
    /// Itself, for what goes on beside a call.
    own: Weak<Self>,
    config: Config,
    delivery: Arc<Delivery>,
    logs: Logs,
    manager: RwLock<Option<Arc<Manager>>>,
    worker: RwLock<Option<Arc<Worker>>>,
    locked: locked::LockedNode,
    /// What runs while this node is one of a cluster.
    running: Mutex<Option<Running>>,
    /// What runs while it is one of a cluster without managing it.
    working: Mutex<Option<working::Working>>,
    /// Held while a cluster is founded: the second caller waits and is then refused.
    founding: Mutex<()>,
}

/// What runs beside calls.
struct Running {
    stop: watch::Sender<bool>,
    agent: JoinHandle<()>,
    port: JoinHandle<()>,
}

impl Daemon {
    /// Takes up what this node belonged to.
    pub async fn start(config: Config, delivery: Delivery) -> Result<Arc<Self>, ManagerError> {
        if let Some(worker) = Worker::open(&config.state_dir)? {
            let daemon = Self::assemble(config, delivery, false);
            daemon.take_up_worker(worker).await;
            return Ok(daemon);
        }
        let (found, is_locked) = match Manager::open(&config.state_dir, config.limits.clone()).await
        {
            Err(ManagerError::DiskKey(DiskKeyError::Locked)) => (None, true),
            opened => (opened?, false),
        };
        if is_locked {
            tracing::warn!(
                "this manager is locked: it serves nothing but its unlocking. Use: coffer swarm unlock"
            );
        }
        let daemon = Self::assemble(config, delivery, is_locked);
        match found {
            Some(manager) => Ok(daemon.serving(manager).await?),
            None => Ok(daemon),
        }
    }

    /// The same with a manager that was opened already, on whatever disk.
    pub async fn start_with(
        config: Config,
        delivery: Delivery,
        manager: Manager,
    ) -> Result<Arc<Self>, ManagerError> {
        Self::assemble(config, delivery, false).serving(manager).await
    }

    fn assemble(config: Config, delivery: Delivery, is_locked: bool) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            config,
            delivery: Arc::new(delivery),
            logs: Logs::default(),
            manager: RwLock::new(None),
            worker: RwLock::new(None),
            working: Mutex::new(None),
            locked: locked::LockedNode::new(is_locked),
            founding: Mutex::new(()),
            running: Mutex::new(None),
        })
    }

    async fn serving(self: Arc<Self>, manager: Manager) -> Result<Arc<Self>, ManagerError> {
        let port = NodePort::bind(self.config.listen).await;
        let port = port.map_err(|source| ManagerError::Io { file: "node port", source })?;
        self.take_up_found(manager, port).await;
        Ok(self)
    }

    /// Takes up what was found on the disk.
    async fn take_up_found(&self, manager: Manager, port: NodePort) {
        if let Err(error) = manager.consensus().lead_if_alone().await {
            tracing::warn!(%error, "consensus is not there yet");
        }
        let addr = self.config.advertise.map(|addr| addr.to_string());
        if addr.is_none() {
            moved::warn_of_a_place_elsewhere(&manager);
        }
        self.take_up_at(Arc::new(manager), port, addr.unwrap_or_default()).await;
    }

    /// From here on this node is a manager, where its record says.
    async fn take_up(&self, manager: Arc<Manager>, port: NodePort) {
        self.take_up_at(manager, port, String::new()).await;
    }

    /// From here on this node is a manager: it serves, schedules and runs tasks. Reached at this address, if
    /// one is given.
    async fn take_up_at(&self, manager: Arc<Manager>, port: NodePort, addr: String) {
        let mut hide = vec![];
        if self.config.is_rootless {
            // There the task's user is the daemon's: it could read both.
            hide.extend([self.config.state_dir.clone(), self.config.run_dir.clone()]);
        }
        let setup = Setup {
            delivery: Arc::clone(&self.delivery),
            logs: self.logs.clone(),
            is_rootless: self.config.is_rootless,
            hide,
        };
        tokio::spawn(scheduler::schedule(Arc::clone(&manager)));
        tokio::spawn(level::follow_members(Arc::clone(&manager)));
        tokio::spawn(rotation::keep_keys(Arc::clone(&manager)));
        tokio::spawn(duty::keep_duties(Arc::clone(&manager)));
        tokio::spawn(lock::keep_lock(Arc::clone(&manager)));
        tokio::spawn(renewal::keep_certificate(Arc::clone(&manager)));
        tokio::spawn(trust::keep_trust(Arc::clone(&manager)));
        tokio::spawn(roster::keep_roster(Arc::clone(&manager)));
        tokio::spawn(crate::backup::keep_backups(Arc::clone(&manager)));
        tokio::spawn(clocks::keep_clocks(Arc::clone(&manager)));
        tokio::spawn(sessions::keep_sessions(Arc::clone(&manager)));
        let others = self.config.managers.clone();
        tokio::spawn(moved::announce(Arc::clone(&manager), own_place(addr), others));
        let stop = watch::Sender::new(false);
        let agent = tokio::spawn(agent::serve(Arc::clone(&manager), setup, stop.subscribe()));
        let (tls, door) = (Arc::clone(manager.tls()), manager.consensus().door());
        *self.manager.write().unwrap_or_else(PoisonError::into_inner) = Some(manager);
        let mut stopped = stop.subscribe();
        let Some(daemon) = self.own.upgrade() else { return };
        let serving = async move {
            let stopped = async move {
                // Without a sender the daemon is gone.
                stopped.wait_for(|stop| *stop).await.ok();
            };
            if let Err(error) = port.serve(tls, door, daemon, stopped).await {
                tracing::error!(%error, "the node port is not served any more");
            }
        };
        let port = tokio::spawn(serving);
        *self.running.lock().await = Some(Running { stop, agent, port });
    }

    /// The manager that this node is.
    pub fn manager(&self) -> Result<Arc<Manager>, CallError> {
        let manager = self.manager.read().unwrap_or_else(PoisonError::into_inner);
        manager.clone().ok_or_else(|| self.no_manager())
    }

    /// Refuses where there is a cluster already, be it locked.
    fn refuse_second(&self) -> Result<(), InitError> {
        match self.manager() {
            Ok(_) | Err(CallError::Worker) => Err(InitError::Exists),
            Err(CallError::Locked) => Err(CallError::Locked.into()),
            Err(_) => Ok(()),
        }
    }

    /// What is counted.
    pub fn meters(&self) -> &Meters {
        &self.config.limits.meters
    }

    /// A view that reflects everything acknowledged before this call.
    pub async fn view(&self) -> Result<(Arc<Manager>, View), CallError> {
        let manager = self.manager()?;
        let view = manager.read().await?;
        Ok((manager, view))
    }

    /// A view as new as a caller needs it.
    pub async fn view_as(&self, freshness: Freshness) -> Result<(Arc<Manager>, View), CallError> {
        let manager = self.manager()?;
        let view = manager.read_as(freshness).await?;
        Ok((manager, view))
    }

    /// What this node's tasks wrote.
    pub fn logs(&self) -> Logs {
        self.logs.clone()
    }

    /// Founds a cluster with this node as its first manager.
    pub async fn init(&self, advertise: &str, autolock: bool) -> Result<Founded, InitError> {
        let _alone = self.founding.lock().await;
        self.refuse_second()?;
        let (port, addr) = self.node_port(advertise).await?;
        let founding = Founding { hostname: hostname(), addr, autolock };
        let manager = Arc::new(
            manager::found(&self.config.state_dir, founding, self.config.limits.clone()).await?,
        );
        let node_id = manager.node_id();
        tracing::info!(node = %node_id, "cluster founded");
        self.take_up(Arc::clone(&manager), port).await;
        let unlock_key = manager.locked_under().await?.map(|locked| locked.key);
        Ok(Founded { node_id, tokens: self.join_tokens().await?, unlock_key })
    }

    /// Makes a cluster of what this manager holds. Without it the old one goes on as it was.
    pub async fn force_new_cluster(&self) -> Result<manager::Found, ForceError> {
        let _alone = self.founding.lock().await;
        let manager = self.manager().map_err(|error| match error {
            // Unlocking waits for nobody, so it can come first.
            CallError::Locked => ForceError::Locked,
            _ => ForceError::NotInACluster,
        })?;
        let unlock = manager.locking().disk_key.unlock_key();
        drop(manager);
        self.wind_down().await;
        let limits = || self.config.limits.clone();
        let forced = manager::stand_alone(&self.config.state_dir, unlock.as_ref(), limits()).await;
        let (manager, found) = match forced {
            Ok((manager, found)) => (manager, Ok(found)),
            Err(error) => {
                let again =
                    Manager::open_with(&self.config.state_dir, unlock.as_ref(), limits()).await?;
                (again.ok_or(ForceError::NotInACluster)?, Err(error.into()))
            }
        };
        let port = NodePort::bind(self.config.listen).await.map_err(ForceError::Port)?;
        self.take_up(Arc::new(manager), port).await;
        found
    }

    /// Joins a cluster as what the token is for. Done once this node has a vote or a session, or after a while,
    /// when it goes on by itself.
    pub async fn join(
        &self,
        remote: String,
        token: Zeroizing<String>,
        availability: Availability,
        advertise: &str,
    ) -> Result<(Role, bool), InitError> {
        let _alone = self.founding.lock().await;
        self.refuse_second()?;
        let (port, addr) = self.node_port(advertise).await?;
        let place = own_place(addr);
        let joining = Joining { remote, token, availability, place };
        let limits = self.config.limits.clone();
        match join::join(&self.config.state_dir, joining, limits).await? {
            Joined::Manager(manager) => {
                let manager = Arc::new(*manager);
                tracing::info!(node = %manager.node_id(), "joined as a manager");
                self.take_up(Arc::clone(&manager), port).await;
                let voting = timeout(JOIN_PATIENCE, manager.consensus().voting()).await;
                Ok((Role::Manager, voting.is_ok()))
            }
            Joined::Worker(worker) => {
                // Nobody calls a worker.
                drop(port);
                tracing::info!(node = %worker.node_id(), "joined as a worker");
                Ok((Role::Worker, self.work_at_once(*worker).await))
            }
        }
    }

    /// The node port, and where others reach it.
    async fn node_port(&self, advertise: &str) -> Result<(NodePort, String), InitError> {
        let port = NodePort::bind(self.config.listen).await.map_err(InitError::Port)?;
        let listen = port.local_addr().map_err(InitError::Port)?;
        let addr = address::advertised(advertise, self.config.advertise, listen)?;
        Ok((port, addr.to_string()))
    }

    /// The cluster, and where this node stands in it.
    pub async fn cluster(&self) -> Result<(Arc<Cluster>, Own), CallError> {
        let (manager, view) = self.view().await?;
        let node_id = manager.node_id();
        let addr = view.state.node(node_id).map_or_else(String::new, |node| node.addr.clone());
        let cluster = view.state.cluster().ok_or(CallError::NotInACluster)?;
        Ok((Arc::clone(cluster), Own { node_id, addr, index: view.state.index() }))
    }

    /// The standing join tokens.
    pub async fn join_tokens(&self) -> Result<Tokens, CallError> {
        let manager = self.manager()?;
        // What is shown must not be worth nothing a moment later.
        manager.settled().await?;
        let (cluster, own) = self.cluster().await?;
        let token = |kind| -> Result<_, CallError> {
            let secret = manager.open_own(&cluster, kind)?;
            let secret = secret.expose().try_into().map_err(|_| vault_core::seal::OpenError);
            let secret = TokenSecret::new(secret.map_err(ValueError::from)?);
            let root = RootDigest::of(&cluster.root_certificate);
            Ok(JoinToken { root, secret }.to_text())
        };
        Ok(Tokens {
            worker: token(Kind::WorkerToken)?,
            manager: token(Kind::ManagerToken)?,
            addr: own.addr,
            index: own.index,
        })
    }

    /// Ends the tasks, then consensus, then the delivery.
    pub async fn end(self: Arc<Self>) {
        self.stop_working(Word::End).await;
        self.wind_down().await;
        let delivery = Arc::into_inner(self).and_then(|daemon| Arc::into_inner(daemon.delivery));
        if let Some(delivery) = delivery {
            delivery.stop();
        }
    }

    /// Ends all that runs while this node is one of a cluster.
    async fn wind_down(&self) {
        let Some(running) = self.running.lock().await.take() else { return };
        if let Ok(manager) = self.manager()
            && !manager.consensus().is_alone()
        {
            // Before the office is left empty: nobody waits for an election then.
            manager.consensus().hand_over().await;
        }
        running.stop.send_replace(true);
        // A panic in them was reported where it happened.
        running.agent.await.ok();
        let manager = self.manager.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(manager) = &manager {
            manager.consensus().stop().await;
        }
        // Other managers hold connections that never end by themselves.
        running.port.abort();
        running.port.await.ok();
        if let Some(manager) = manager {
            let_go(manager).await;
        }
    }
}

/// Returns once nobody has the manager's files open any more: its audit is written until then.
async fn let_go(manager: Arc<Manager>) {
    let gone = async {
        while Arc::strong_count(&manager) > 1 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(LET_GO_PATIENCE, gone).await.is_err() {
        tracing::warn!("somebody still reads from this manager");
    }
}

/// What this node says of itself as a manager.
fn own_place(addr: String) -> ManagerPlace {
    let engine_version = env!("CARGO_PKG_VERSION").to_owned();
    ManagerPlace { addr, hostname: hostname(), engine_version, level: Level::known() }
}

/// The host's name as others take it: the kernel allows any bytes.
pub(crate) fn hostname() -> String {
    let own = rustix::system::uname();
    let plain = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '-' };
    let name: String = own.nodename().to_bytes().iter().take(HOST_BYTES_MAX).map(plain).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
