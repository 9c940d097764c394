//! The daemon of this node: in no cluster at first, a manager from `swarm init` on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use pki::token::{JoinToken, RootDigest, TokenSecret};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use vault_core::cluster::Cluster;
use vault_core::id::NodeId;
use vault_core::seal::Kind;
use zeroize::Zeroizing;

use crate::address::{self, AddressError};
use crate::agent::{self, Delivery, Logs, Setup};
use crate::manager::{self, FoundError, Founding, Limits, Manager, ManagerError, ValueError};
use crate::raft::View;
use crate::{level, rotation, scheduler};

/// What the daemon was started with.
pub struct Config {
    pub state_dir: PathBuf,
    pub run_dir: PathBuf,
    pub listen: SocketAddr,
    pub advertise: Option<SocketAddr>,
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
    #[error(transparent)]
    Found(#[from] FoundError),
    #[error(transparent)]
    Call(#[from] CallError),
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
}

/// Where this node stands in the cluster.
pub struct Own {
    pub node_id: NodeId,
    pub addr: String,
    pub index: u64,
}

/// The daemon.
pub struct Daemon {
    config: Config,
    delivery: Arc<Delivery>,
    logs: Logs,
    manager: RwLock<Option<Arc<Manager>>>,
    /// Held while a cluster is founded: the second caller waits and is then refused.
    founding: Mutex<()>,
    stop: watch::Sender<bool>,
    agent: Mutex<Option<JoinHandle<()>>>,
}

impl Daemon {
    /// Takes up what this node belonged to.
    pub async fn start(config: Config, delivery: Delivery) -> Result<Arc<Self>, ManagerError> {
        let found = Manager::open(&config.state_dir, config.limits.clone()).await?;
        let daemon = Self {
            config,
            delivery: Arc::new(delivery),
            logs: Logs::default(),
            manager: RwLock::new(None),
            founding: Mutex::new(()),
            stop: watch::Sender::new(false),
            agent: Mutex::new(None),
        };
        let daemon = Arc::new(daemon);
        if let Some(manager) = found {
            if let Err(error) = manager.consensus().lead().await {
                tracing::warn!(%error, "consensus is not there yet");
            }
            daemon.take_up(Arc::new(manager)).await;
        }
        Ok(daemon)
    }

    /// From here on this node is a manager: it serves, schedules and runs tasks.
    async fn take_up(&self, manager: Arc<Manager>) {
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
        let rotation = manager.rotation();
        tokio::spawn(rotation::rotate_when_asked(Arc::clone(&manager), rotation));
        let agent = agent::serve(Arc::clone(&manager), setup, self.stop.subscribe());
        *self.agent.lock().await = Some(tokio::spawn(agent));
        *self.manager.write().unwrap_or_else(PoisonError::into_inner) = Some(manager);
    }

    /// The manager that this node is.
    pub fn manager(&self) -> Result<Arc<Manager>, CallError> {
        let manager = self.manager.read().unwrap_or_else(PoisonError::into_inner);
        manager.clone().ok_or(CallError::NotInACluster)
    }

    /// A view that reflects everything acknowledged before this call.
    pub async fn view(&self) -> Result<(Arc<Manager>, View), CallError> {
        let manager = self.manager()?;
        let view = manager.read().await?;
        Ok((manager, view))
    }

    /// What this node's tasks wrote.
    pub fn logs(&self) -> Logs {
        self.logs.clone()
    }

    /// Founds a cluster with this node as its first manager.
    pub async fn init(&self, advertise: &str) -> Result<Founded, InitError> {
        let _alone = self.founding.lock().await;
        if self.manager().is_ok() {
            return Err(InitError::Exists);
        }
        let addr =
            address::advertised(advertise, self.config.advertise, self.config.listen)?.to_string();
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let founding = Founding { hostname, addr };
        let manager = Arc::new(
            manager::found(&self.config.state_dir, founding, self.config.limits.clone()).await?,
        );
        let node_id = manager.node_id();
        tracing::info!(node = %node_id, "cluster founded");
        self.take_up(manager).await;
        Ok(Founded { node_id, tokens: self.join_tokens().await? })
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
        let (cluster, own) = self.cluster().await?;
        let manager = self.manager()?;
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
        self.stop.send_replace(true);
        if let Some(agent) = self.agent.lock().await.take() {
            // A panic in it was reported where it happened.
            agent.await.ok();
        }
        if let Ok(manager) = self.manager() {
            manager.consensus().stop().await;
        }
        let delivery = Arc::into_inner(self).and_then(|daemon| Arc::into_inner(daemon.delivery));
        if let Some(delivery) = delivery {
            delivery.stop();
        }
    }
}
