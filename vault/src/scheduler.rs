//! Runs the scheduler on the leader: waits for a change, decides, proposes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use vault_core::command::Action;
use vault_core::id::TaskId;
use vault_core::schedule::plan;

use crate::manager::Manager;
use crate::{clock, entropy};

/// After a failed proposal, so that a cluster without a leader is not asked in a tight loop.
const RETRY: Duration = Duration::from_millis(200);

/// Runs until consensus ends.
pub(crate) async fn schedule(manager: Arc<Manager>) {
    let mut views = manager.consensus().views();
    let mut leads = manager.consensus().leads();
    let mut steady = clock::Steady::default();
    loop {
        if leads.wait_for(|leads| *leads).await.is_err() {
            return;
        }
        let view = views.borrow_and_update().clone();
        let mut fresh = || TaskId::from_entropy(entropy::random());
        let now = manager.now().max(steady.now(view.state.clock()));
        let plan = plan(&view.state, now, &mut fresh);
        if !plan.changes.is_empty() {
            if let Err(error) = manager.act(Action::ChangeTasks(plan.changes)).await {
                tracing::debug!(%error, "scheduling waits");
                sleep(RETRY).await;
            }
            continue;
        }
        let seen = view.state.workload_index();
        // A view that is held while waiting would keep all that it shows in memory.
        drop(view);
        let changed = views.wait_for(|view| view.state.workload_index() != seen);
        let due = plan.wake_at.map(|at| clock::between(now, at));
        tokio::select! {
            changed = changed => if changed.is_err() { return },
            () = sleep(due.unwrap_or(Duration::MAX)), if due.is_some() => {}
        }
    }
}
