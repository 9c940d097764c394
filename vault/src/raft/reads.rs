//! Reads: how new they are, and how far a view must have come for that. A leader asks the others whether it still
//! leads; a follower asks the leader. Reads that wait together share one question.

use openraft::async_runtime::WatchReceiver;
use openraft::error::RaftError;
use openraft::{Raft, ReadPolicy};
use tokio::sync::{mpsc, oneshot};

use super::machine::Machine;
use super::network::Peers;
use super::types::Types;

/// Readers that wait; more of them wait before they may ask.
const WAITING_MAX: usize = 4_096;

type Asker = oneshot::Sender<Distance>;

/// What was learned of how far a view must have come.
#[derive(Clone, Copy)]
pub(super) enum Distance {
    /// It is there.
    Here,
    /// To this index of the log.
    Index(u64),
    /// No leader says so.
    Unknown,
    /// Raft has ended.
    Stopped,
}

/// How new a view has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// It reflects everything acknowledged before the call.
    #[default]
    Newest,
    /// As this manager knows it: nobody else is asked, and it may be old.
    Own,
    /// It reflects the log up to this index at least: what its caller has seen before.
    AtLeast(u64),
}

/// The way to ask.
pub(super) struct Reads(mpsc::Sender<Asker>);

impl Reads {
    pub(super) fn start(raft: Raft<Types, Machine>, peers: Peers) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(answer(raft, peers, receiver));
        Self(sender)
    }

    /// How far a view must have come to reflect everything acknowledged before this call.
    pub(super) async fn distance(&self) -> Distance {
        let (sender, answer) = oneshot::channel();
        if self.0.send(sender).await.is_err() {
            return Distance::Stopped;
        }
        answer.await.unwrap_or(Distance::Stopped)
    }
}

/// One question at a time: whoever comes while it is asked is answered by the next one.
async fn answer(raft: Raft<Types, Machine>, peers: Peers, mut askers: mpsc::Receiver<Asker>) {
    let mut waiting = Vec::new();
    while askers.recv_many(&mut waiting, WAITING_MAX).await > 0 {
        let distance = ask(&raft, &peers).await;
        for asker in waiting.drain(..) {
            // Whoever has gone needs no answer.
            asker.send(distance).ok();
        }
    }
}

async fn ask(raft: &Raft<Types, Machine>, peers: &Peers) -> Distance {
    match raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
        Ok(_) => return Distance::Here,
        Err(RaftError::APIError(_)) => {}
        Err(RaftError::Fatal(_)) => return Distance::Stopped,
    }
    ask_leader(raft, peers).await.map_or(Distance::Unknown, Distance::Index)
}

async fn ask_leader(raft: &Raft<Types, Machine>, peers: &Peers) -> Option<u64> {
    let (leader, member) = {
        let metrics = raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let leader = metrics.current_leader?;
        (leader, metrics.membership_config.membership().get_node(&leader).cloned()?)
    };
    if leader == *raft.node_id() {
        return None;
    }
    peers.read_index(leader, &member).await.ok()
}
