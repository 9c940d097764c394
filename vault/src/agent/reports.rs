//! What this node says of its tasks: gathered, and proposed together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use vault_core::command::{Action, TaskReport};
use vault_core::id::TaskId;
use vault_core::limits::TASK_CHANGES_MAX;
use vault_core::task::{TaskState, TaskStatus};

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

    pub(super) fn running(&self, task: TaskId) {
        self.send(task, TaskState::Running, "", None);
    }

    pub(super) fn ended(&self, task: TaskId, state: TaskState, error: &str, code: Option<i32>) {
        self.send(task, state, error, code);
    }

    fn send(&self, task: TaskId, state: TaskState, error: &str, exit_code: Option<i32>) {
        let status = TaskStatus { state, at: clock::now(), error: error.to_owned(), exit_code };
        // The receiver goes only when the process does.
        self.0.send(Item::Report(TaskReport { task, status })).ok();
    }

    /// Returns once everything said so far was taken, or cannot be.
    pub(super) async fn flush(&self) {
        let (sender, flushed) = oneshot::channel();
        if self.0.send(Item::Flush(sender)).is_ok() {
            tokio::time::timeout(FLUSH_PATIENCE, flushed).await.ok();
        }
    }
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
        if !reports.is_empty() {
            propose(&manager, reports).await;
        }
        for done in flushes {
            done.send(()).ok();
        }
    }
}

/// A report is told until it is taken: nobody else knows it.
async fn propose(manager: &Manager, reports: Vec<TaskReport>) {
    let action = Action::ReportTasks(manager.node_id(), reports);
    while let Err(error) = manager.act(action.clone()).await {
        tracing::debug!(%error, "reports on tasks wait");
        sleep(RETRY).await;
    }
}
