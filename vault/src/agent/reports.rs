//! What this node says of its tasks: gathered, and proposed together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use vault_core::command::{Action, TaskReport};
use vault_core::id::TaskId;
use vault_core::limits::{HELD_REPORTED_MAX, TASK_CHANGES_MAX};
use vault_core::task::{Held, TaskState, TaskStatus};

use crate::clock;
use crate::manager::Manager;

/// Between two tries while there is no leader.
const RETRY: Duration = Duration::from_millis(200);
/// How long an ending daemon tries to say how its tasks ended.
const FLUSH_PATIENCE: Duration = Duration::from_secs(3);

enum Item {
    Report(TaskReport),
    Flush(oneshot::Sender<()>),
}

/// The way to report. Copies report to the same manager, in order.
#[derive(Clone)]
pub(super) struct Reports(mpsc::UnboundedSender<Item>);

impl Reports {
    pub(super) fn start(manager: Arc<Manager>) -> Self {
        // Bounded by the tasks of this node: each has a handful of states in its life.
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(forward(manager, receiver));
        Self(sender)
    }

    /// The task runs, and holds just these, as of the last change of values that was `seen`.
    pub(super) fn running(&self, task: TaskId, held: Vec<Held>, seen: u64) {
        let status = status(TaskState::Running, "", None);
        self.send(TaskReport { task, status, held: Some(held), seen });
    }

    pub(super) fn ended(&self, task: TaskId, state: TaskState, error: &str, code: Option<i32>) {
        self.send(TaskReport { task, status: status(state, error, code), held: None, seen: 0 });
    }

    fn send(&self, report: TaskReport) {
        // The receiver goes only when the process does.
        self.0.send(Item::Report(report)).ok();
    }

    /// Returns once everything said so far was taken, or cannot be.
    pub(super) async fn flush(&self) {
        let (sender, flushed) = oneshot::channel();
        if self.0.send(Item::Flush(sender)).is_ok() {
            tokio::time::timeout(FLUSH_PATIENCE, flushed).await.ok();
        }
    }
}

fn status(state: TaskState, error: &str, exit_code: Option<i32>) -> TaskStatus {
    TaskStatus { state, at: clock::now(), error: error.to_owned(), exit_code }
}

async fn forward(manager: Arc<Manager>, mut items: mpsc::UnboundedReceiver<Item>) {
    let mut waiting = Vec::new();
    while items.recv_many(&mut waiting, TASK_CHANGES_MAX).await > 0 {
        let mut reports = Vec::new();
        let mut flushes = Vec::new();
        for item in waiting.drain(..) {
            match item {
                Item::Report(report) => reports.push(report),
                Item::Flush(done) => flushes.push(done),
            }
        }
        for reports in bounded(reports) {
            propose(&manager, reports).await;
        }
        for done in flushes {
            done.send(()).ok();
        }
    }
}

/// Reports in their order, cut so that one command stays short whatever its tasks hold.
fn bounded(reports: Vec<TaskReport>) -> Vec<Vec<TaskReport>> {
    let mut parts: Vec<Vec<TaskReport>> = Vec::new();
    let mut room = 0_usize;
    for report in reports {
        let held = report.held.as_ref().map_or(0, Vec::len);
        match (parts.last_mut(), room.checked_sub(held)) {
            (Some(part), Some(left)) => {
                part.push(report);
                room = left;
            }
            (None, _) | (Some(_), None) => {
                parts.push(vec![report]);
                room = HELD_REPORTED_MAX.saturating_sub(held);
            }
        }
    }
    parts
}

/// A report is told until it is taken: nobody else knows it.
async fn propose(manager: &Manager, reports: Vec<TaskReport>) {
    let action = Action::ReportTasks(manager.node_id(), reports);
    while let Err(error) = manager.act(action.clone()).await {
        tracing::debug!(%error, "reports on tasks wait");
        sleep(RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault_core::id::ObjectId;

    #[test]
    fn reports_are_cut_by_what_they_say_is_held_and_keep_their_order() {
        let full = HELD_REPORTED_MAX;
        for (held, expected) in [
            (&[][..], &[][..]),
            (&[0, 1, 2], &[3]),
            (&[full, 1, 2], &[1, 2]),
            (&[full - 1, 1, 1], &[2, 1]),
            (&[full + 1, full + 1, 0], &[1, 2]),
        ] {
            let report = |(number, held): (u8, &usize)| {
                let one = Held { object: ObjectId::from_entropy([1; 17]), version: 1 };
                let (task, held) = (TaskId::from_entropy([number; 17]), Some(vec![one; *held]));
                let status = status(TaskState::Running, "", None);
                TaskReport { task, status, held, seen: 0 }
            };
            let reports: Vec<_> = (0..).zip(held).map(report).collect();
            let parts = bounded(reports.clone());
            assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{held:?}");
            assert_eq!(parts.concat(), reports, "{held:?}");
        }
    }
}
