//! Reads: how new they are; and on a follower, how far its view must have come, asked of the leader. Reads that wait together
//! share one question.

use openraft::Raft;
use openraft::async_runtime::WatchReceiver;
use tokio::sync::{mpsc, oneshot};

use super::machine::Machine;
use super::network::Peers;
use super::types::Types;

/// Readers that wait; more of them wait before they may ask.
const WAITING_MAX: usize = 4_096;

type Asker = oneshot::Sender<Option<u64>>;

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

    /// The index that a view must have reached to reflect everything acknowledged before this call; `None`
    /// if no leader says so.
    pub(super) async fn index(&self) -> Option<u64> {
        let (sender, answer) = oneshot::channel();
        self.0.send(sender).await.ok()?;
        answer.await.ok().flatten()
    }
}

/// One question at a time: whoever comes while it is asked is answered by the next one.
async fn answer(raft: Raft<Types, Machine>, peers: Peers, mut askers: mpsc::Receiver<Asker>) {
    let mut waiting = Vec::new();
    while askers.recv_many(&mut waiting, WAITING_MAX).await > 0 {
        let index = ask(&raft, &peers).await;
        for asker in waiting.drain(..) {
            // Whoever has gone needs no answer.
            asker.send(index).ok();
        }
    }
}

async fn ask(raft: &Raft<Types, Machine>, peers: &Peers) -> Option<u64> {
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
