//! What the other managers' clocks say: asked regularly, kept for a while, shown by `coffer status` and the
//! metrics. Nothing is decided by them here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use vault_core::clocks::Difference;
use vault_core::limits::{CLOCK_ASK_EVERY, CLOCK_KNOWN_FOR, DIAL_MS_MAX};
use vault_core::time::Timestamp;

use crate::clock;
use crate::manager::Manager;
use crate::raft::MemberStatus;
use crate::rpc;

/// The newest differences, by node ID.
#[derive(Default)]
pub struct Clocks(Mutex<BTreeMap<String, (Difference, Instant)>>);

impl Clocks {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Difference, Instant)>> {
        // A panic in between leaves entries that are each whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, node_id: &str, difference: Difference) {
        self.lock().insert(node_id.to_owned(), (difference, Instant::now()));
    }

    /// How far a node's clock is ahead of this one's, if that was heard lately.
    pub fn of(&self, node_id: &str) -> Option<Difference> {
        let (difference, at) = self.lock().get(node_id).copied()?;
        (at.elapsed() < CLOCK_KNOWN_FOR).then_some(difference)
    }
}

/// Runs until consensus ends.
pub(crate) async fn keep_clocks(manager: Arc<Manager>) {
    let mut ended = manager.consensus().leads();
    loop {
        tokio::select! {
            () = end_of(&mut ended) => return,
            () = ask_all(&manager) => {}
        }
        tokio::select! {
            () = end_of(&mut ended) => return,
            () = sleep(CLOCK_ASK_EVERY) => {}
        }
    }
}

/// Done once nobody tells who leads any more.
async fn end_of(leads: &mut watch::Receiver<bool>) {
    while leads.changed().await.is_ok() {}
}

async fn ask_all(manager: &Manager) {
    let own = manager.node_id().to_string();
    let members = manager.consensus().standing().members;
    let others = members.iter().filter(|member| member.node_id != own);
    let asked = others.map(|member| async {
        match ask(manager, member).await {
            Some(difference) => manager.meters().clocks.keep(&member.node_id, difference),
            None => tracing::debug!(node = member.node_id, "its clock is not known"),
        }
    });
    futures_util::future::join_all(asked).await;
}

async fn ask(manager: &Manager, member: &MemberStatus) -> Option<Difference> {
    // The first question may have to make the connection: its time says nothing of the way.
    question(manager, member).await?;
    question(manager, member).await
}

async fn question(manager: &Manager, member: &MemberStatus) -> Option<Difference> {
    let (sent, start) = (clock::now(), Instant::now());
    let call = rpc::peers::hello(manager.dialer(), &member.addr, &member.node_id);
    let answer = timeout(Duration::from_millis(DIAL_MS_MAX), call).await.ok()?.ok()?;
    let took_ns = u64::try_from(start.elapsed().as_nanos()).ok()?;
    Some(Difference::measured(sent, took_ns, Timestamp::from_nanos(answer.clock)))
}
