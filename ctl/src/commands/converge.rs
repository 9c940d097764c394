//! Waits until a service runs as it was asked to, and says how far it is.
//!
//! Interrupted, it leaves the service alone: the cluster goes on without an onlooker.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::sleep;

use crate::client::Client;
use crate::exit::Failure;
use crate::limits::POLL_EVERY;
use crate::limits::STABLE_SECS;
use crate::objects::Task;
use crate::objects::TaskState;
use crate::out;
use crate::signals::Signals;

/// Waits for the service, or for Ctrl-C.
pub(crate) async fn wait(
    client: &Client,
    service_id: &str,
    replicas: u64,
    quiet: bool,
) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::Runtime)?;
    tokio::select! {
        converged = watch(client, service_id, replicas, quiet) => converged,
        () = signals.next() => {
            out::error_line(format_args!(
                "Operation continuing in background.\n\
                 Use `coffer service ps {service_id}` to check progress."
            ));
            Ok(())
        }
    }
}

async fn watch(
    client: &Client,
    service_id: &str,
    replicas: u64,
    quiet: bool,
) -> Result<(), Failure> {
    let mut progress = Progress::new(replicas);
    let mut since = None;
    loop {
        let tasks = client.tasks(service_id).await?.tasks;
        for line in progress.observe(&tasks).into_iter().filter(|_| !quiet) {
            out::line(line)?;
        }
        if !progress.is_complete() {
            since = None;
        } else if since.get_or_insert_with(Instant::now).elapsed()
            >= Duration::from_secs(STABLE_SECS)
        {
            break;
        }
        sleep(POLL_EVERY).await;
    }
    if quiet {
        Ok(())
    } else {
        Ok(out::line(format_args!("verify: Service {service_id} converged"))?)
    }
}

/// What was said last, so that nothing is said twice.
struct Progress {
    replicas: u64,
    running: Option<u64>,
    errors: BTreeMap<u64, String>,
}

impl Progress {
    fn new(replicas: u64) -> Self {
        Self { replicas, running: None, errors: BTreeMap::new() }
    }

    fn is_complete(&self) -> bool {
        self.running == Some(self.replicas)
    }

    /// Takes in the tasks as they are, and gives the lines that are new.
    fn observe(&mut self, tasks: &[Task]) -> Vec<String> {
        let mut lines = Vec::new();
        for (slot, error) in latest_errors(tasks) {
            let is_new = self.errors.insert(slot, error.clone()).as_ref() != Some(&error);
            lines.extend(is_new.then(|| format!("{slot}/{}: {error}", self.replicas)));
        }
        let is_up =
            |task: &&Task| task.state == TaskState::Running && task.desired == TaskState::Running;
        let count = tasks.iter().filter(is_up).count();
        let running = u64::try_from(count).unwrap_or(u64::MAX).min(self.replicas);
        if self.running.replace(running) == Some(running) {
            return lines;
        }
        lines.push(format!("overall progress: {running} out of {} tasks", self.replicas));
        if self.is_complete() {
            lines.push(format!(
                "verify: Waiting {STABLE_SECS} seconds to verify that tasks are stable..."
            ));
        }
        lines
    }
}

/// The last error of each slot that has one.
fn latest_errors(tasks: &[Task]) -> BTreeMap<u64, String> {
    let mut failed: Vec<_> = tasks.iter().filter(|task| is_failure(task)).collect();
    failed.sort_by_key(|task| task.status_at);
    failed.into_iter().map(|task| (task.slot, describe(task))).collect()
}

fn is_failure(task: &Task) -> bool {
    task.state.is_over() && (!task.error.is_empty() || task.exit_code.is_some())
}

fn describe(task: &Task) -> String {
    match (task.error.as_str(), task.exit_code) {
        ("", Some(code)) => format!("task: the command ended with exit code {code}"),
        (error, _) => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(slot: u64, state: TaskState, error: &str) -> Task {
        Task {
            id: "t".to_owned(),
            slot,
            node_hostname: String::new(),
            state,
            desired: TaskState::Running,
            status_at: 0,
            error: error.to_owned(),
            exit_code: None,
            command: String::new(),
        }
    }

    #[test]
    fn progress_is_said_once_for_each_change() {
        let mut progress = Progress::new(2);
        let [starting, running, failed] =
            [TaskState::Starting, TaskState::Running, TaskState::Failed];
        let boom = "1/2: task: non-zero exit (1)";
        let verify = "verify: Waiting 5 seconds to verify that tasks are stable...";
        for (step, (tasks, expected)) in [
            (vec![], vec!["overall progress: 0 out of 2 tasks"]),
            (vec![task(1, starting, "")], vec![]),
            (vec![task(1, running, "")], vec!["overall progress: 1 out of 2 tasks"]),
            (
                vec![task(1, failed, "task: non-zero exit (1)")],
                vec![boom, "overall progress: 0 out of 2 tasks"],
            ),
            (vec![task(1, failed, "task: non-zero exit (1)")], vec![]),
            (
                vec![task(1, running, ""), task(2, running, "")],
                vec!["overall progress: 2 out of 2 tasks", verify],
            ),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(progress.observe(&tasks), expected, "step {step}");
        }
        assert!(progress.is_complete());
    }

    #[test]
    fn a_service_of_no_tasks_is_complete_at_once() {
        let mut progress = Progress::new(0);
        let lines = progress.observe(&[]);
        assert_eq!(lines.first().map(String::as_str), Some("overall progress: 0 out of 0 tasks"));
        assert!(progress.is_complete());
    }
}
