//! Hands proposals that come together to Raft together: its core then writes them as one, and is woken
//! once. A lone proposal does not wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openraft::Raft;
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use tokio::sync::mpsc;
use tokio::task::yield_now;

use super::machine::Machine;
use super::types::{Proposal, Types};

/// Proposals that may wait to be handed over; past it, callers wait.
const QUEUE_MAX: usize = 4_096;
/// Proposals that are taken from the queue at once.
const TOGETHER_MAX: usize = 1_024;

/// Raft has ended.
pub(super) struct Ended;

type Written = ClientWriteResult<Types>;

struct Ask {
    proposal: Proposal,
    responder: ProgressResponder<Types, Written>,
}

/// Where proposals are gathered.
pub(super) struct Gather {
    queue: mpsc::Sender<Ask>,
    /// Proposals that have no answer yet.
    open: Arc<AtomicUsize>,
}

/// One open proposal, also if its caller goes away.
struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gather {
    /// Gathers for this Raft, until it ends.
    pub(super) fn start(raft: Raft<Types, Machine>) -> Self {
        let (queue, asks) = mpsc::channel(QUEUE_MAX);
        let open = Arc::new(AtomicUsize::new(0));
        tokio::spawn(hand_over(raft, asks, Arc::clone(&open)));
        Self { queue, open }
    }

    /// Returns once the proposal was applied, or refused.
    pub(super) async fn write(&self, proposal: Proposal) -> Result<Written, Ended> {
        self.open.fetch_add(1, Ordering::Relaxed);
        let _open = Open(&self.open);
        let (responder, written) = ProgressResponder::complete_only();
        self.queue.send(Ask { proposal, responder }).await.map_err(|_| Ended)?;
        written.await.map_err(|_| Ended)
    }
}

async fn hand_over(
    raft: Raft<Types, Machine>,
    mut asks: mpsc::Receiver<Ask>,
    open: Arc<AtomicUsize>,
) {
    let mut together = Vec::new();
    while asks.recv_many(&mut together, TOGETHER_MAX).await > 0 {
        if open.load(Ordering::Relaxed) > together.len() {
            // Whoever is about to ask, too, does so first.
            yield_now().await;
            while let Ok(ask) = asks.try_recv() {
                together.push(ask);
            }
        }
        for Ask { proposal, responder } in together.drain(..) {
            // Who waits for an answer learns of the end by its responder, which goes with this.
            if raft.client_write_ff(proposal, Some(responder)).await.is_err() {
                return;
            }
        }
    }
}
