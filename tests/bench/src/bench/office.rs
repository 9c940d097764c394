//! A cluster whose leader can be found, ended and started again: managers, or etcd.

use std::io;
use std::time::{Duration, Instant};

use crate::wire::Wire;
use proto::v1::ListNodesRequest;
use proto::v1::nodes_client::NodesClient;
use rustix::process::Signal;
use tonic::Status;

use crate::creates::Creator;
use crate::daemon::Daemon;
use crate::etcd::{Etcd, Getter, Putter};

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes of a value that is written.
const SIZE: usize = 1024;

/// Writes one value after the other.
pub enum Writer {
    Coffer(Creator),
    Etcd(Putter),
}

impl Writer {
    pub async fn write(&mut self) -> Result<(), Status> {
        match self {
            Self::Coffer(creator) => creator.create().await,
            Self::Etcd(putter) => putter.put().await,
        }
    }
}

/// What a change of leaders needs of a cluster.
pub trait Office {
    fn count(&self) -> usize;

    /// Which node leads.
    async fn leader(&self) -> io::Result<usize>;

    /// A connection to a node that runs.
    async fn connect(&self, node: usize) -> io::Result<Wire>;

    fn writer(&self, channel: Wire, prefix: String) -> Writer;

    /// A read that reflects all that was acknowledged: a node that is behind answers late.
    async fn read(&self, channel: Wire) -> Result<(), Status>;

    /// Ends a node and waits for its end.
    fn end(&mut self, node: usize, signal: Signal) -> io::Result<()>;

    async fn start_again(&mut self, node: usize) -> io::Result<()>;
}

/// Which node leads, once one does.
pub async fn leader(nodes: &impl Office) -> io::Result<usize> {
    let asked = Instant::now();
    loop {
        match nodes.leader().await {
            Err(_) if asked.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            found => return found,
        }
    }
}

impl Office for Vec<Daemon> {
    fn count(&self) -> usize {
        self.len()
    }

    async fn leader(&self) -> io::Result<usize> {
        let mut nodes = NodesClient::new(self[0].connect().await?);
        let list = nodes.list(ListNodesRequest {}).await.map_err(io::Error::other)?.into_inner();
        let leads = |node: &&proto::v1::Node| node.manager.as_ref().is_some_and(|m| m.leader);
        let addr = list.nodes.iter().find(leads).and_then(|node| node.manager.as_ref());
        let addr = addr.map(|manager| manager.addr.clone()).unwrap_or_default();
        let found = self.iter().position(|daemon| daemon.addr() == addr);
        found.ok_or_else(|| io::Error::other("no manager leads"))
    }

    async fn connect(&self, node: usize) -> io::Result<Wire> {
        self[node].connect().await
    }

    fn writer(&self, channel: Wire, prefix: String) -> Writer {
        Writer::Coffer(Creator::new(channel, prefix, 1, SIZE))
    }

    async fn read(&self, channel: Wire) -> Result<(), Status> {
        NodesClient::new(channel).list(ListNodesRequest {}).await.map(drop)
    }

    fn end(&mut self, node: usize, signal: Signal) -> io::Result<()> {
        self[node].signal(signal)
    }

    async fn start_again(&mut self, node: usize) -> io::Result<()> {
        self[node].start_again()
    }
}

impl Office for Etcd {
    fn count(&self) -> usize {
        self.pids().len()
    }

    async fn leader(&self) -> io::Result<usize> {
        self.find_leader().await
    }

    async fn connect(&self, node: usize) -> io::Result<Wire> {
        self.connect_to(node).await
    }

    fn writer(&self, channel: Wire, prefix: String) -> Writer {
        Writer::Etcd(Putter::new(channel, prefix, SIZE))
    }

    async fn read(&self, channel: Wire) -> Result<(), Status> {
        Getter::new(channel, "none").get().await
    }

    fn end(&mut self, node: usize, signal: Signal) -> io::Result<()> {
        self.signal(node, signal)
    }

    async fn start_again(&mut self, node: usize) -> io::Result<()> {
        self.restart(node)
    }
}
