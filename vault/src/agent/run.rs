//! The life of one task on this node: files, namespaces, command, output, end.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusefs::{File, FileName, FileNameError};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use vault_core::id::TaskId;
use vault_core::service::{Grant, Service};
use vault_core::task::{Held, Task, TaskState};
use vault_core::versioned::Class;

use super::Setup;
use super::delivery::{Delivered, DeliveryError};
use super::logs::Logs;
use super::reports::Reports;
use crate::manager::{Manager, ValueError};
use crate::raft::View;
use crate::runner::output::Stream;
use crate::runner::{self, LaunchError, LaunchSpec, RunningTask, TaskExit, TaskUser};

/// How long a task may take to end after it was told to. Docker's default.
const STOP_GRACE: Duration = Duration::from_secs(10);
const SIGTERM: i32 = 15;
/// Dynamic users: numbers that no distribution gives to people, services or containers.
const USERS_FIRST: u32 = 1_879_048_192;
const OUTPUT_CHUNK: usize = 16 << 10;

/// What a task is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Run,
    Stop,
}

/// The dynamic users of this node's tasks: no two running tasks share one.
#[derive(Clone, Default)]
pub(super) struct Users(Arc<Mutex<BTreeSet<u32>>>);

/// A user that is one task's, until this goes.
pub(super) struct LentUser {
    users: Users,
    uid: u32,
}

impl Users {
    pub(super) fn lend(&self) -> LentUser {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = (USERS_FIRST..u32::MAX).find(|uid| !taken.contains(uid));
        let uid = free.expect("a node runs far fewer tasks than there are user numbers");
        taken.insert(uid);
        LentUser { users: self.clone(), uid }
    }
}

impl Drop for LentUser {
    fn drop(&mut self) {
        self.users.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.uid);
    }
}

/// Why a task did not start.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("secret not found: {0}")]
    SecretMissing(String),
    #[error("secret {name}: {source}")]
    Value { name: String, source: ValueError },
    #[error("secret target {0}: {1}")]
    Target(String, FileNameError),
    #[error("starting the task failed: {0}")]
    Delivery(#[from] DeliveryError),
    #[error("starting the task failed: {0}")]
    Admit(std::io::Error),
    #[error("starting the task failed: {0}")]
    Launch(#[from] LaunchError),
}

/// One task to run.
pub(super) struct Job {
    pub task: Arc<Task>,
    pub service: Arc<Service>,
    pub manager: Arc<Manager>,
    pub setup: Arc<Setup>,
    pub reports: Reports,
    pub user: LentUser,
}

impl Job {
    /// Runs the task to its end. Holding `orders` tells the agent that it is not over.
    pub(super) async fn run(self, view: View, mut orders: watch::Receiver<Order>) {
        let id = self.task.id;
        let mut views = self.manager.consensus().views();
        let mut granted = Granted::default();
        let started = self.start(&view, &mut granted).await;
        drop(view);
        let (delivered, mut running) = match started {
            Ok(started) => started,
            Err(failed) => {
                let code = match &failed {
                    RunError::Launch(launch) => Some(launch.exit_code()),
                    _ => None,
                };
                tracing::info!(task = %id, error = %failed, "task did not start");
                self.reports.ended(id, TaskState::Rejected, &failed.to_string(), code);
                return;
            }
        };
        self.reports.running(id, granted.held(), granted.seen);
        let outputs = gather(&self.setup.logs, id, &mut running);
        let stop = running.stop_handle();
        let mut stopping = false;
        let exit = loop {
            tokio::select! {
                exit = running.wait() => break exit,
                view = next_delivery(&mut views, granted.seen) => {
                    self.deliver_again(&view, &delivered, &mut granted);
                }
                () = told_to_stop(&mut orders), if !stopping => {
                    stopping = true;
                    if let Err(error) = stop.stop(SIGTERM, STOP_GRACE).await {
                        tracing::debug!(task = %id, %error, "task ended before it was stopped");
                    }
                }
            }
        };
        outputs.await;
        drop(delivered);
        let (state, error, code) = ending(&exit, stopping);
        self.reports.ended(id, state, &error, code);
    }

    async fn start(
        &self,
        view: &View,
        granted: &mut Granted,
    ) -> Result<(Delivered, RunningTask), RunError> {
        let files = self.files(view, granted)?;
        let (delivered, mount) = self.setup.delivery.deliver(files)?;
        granted.arrived(&self.service.spec.grants);
        let spec = LaunchSpec {
            command: self.service.spec.command.clone(),
            env: self.service.spec.env.clone(),
            workdir: PathBuf::from("/"),
            user: if self.setup.is_rootless {
                TaskUser::Rootless
            } else {
                TaskUser::Dynamic { uid: self.user.uid, gid: self.user.uid }
            },
            hide: self.setup.hide.clone(),
        };
        let prepared = runner::launch(&spec, mount).await?;
        delivered.admit(prepared.init_pid()).map_err(RunError::Admit)?;
        Ok((delivered, prepared.go().await?))
    }

    /// All files of the task, as the state says now.
    fn files(&self, view: &View, granted: &mut Granted) -> Result<Vec<File>, RunError> {
        let grants = &self.service.spec.grants;
        granted.seen = view.state.delivery_index();
        granted.wanted = grants.iter().map(|grant| version_of(view, grant)).collect();
        grants.iter().map(|grant| self.file(view, grant)).collect()
    }

    /// Something was rotated: if it was granted to this task, its files change, all in one step.
    fn deliver_again(&self, view: &View, delivered: &Delivered, granted: &mut Granted) {
        let grants = self.service.spec.grants.iter();
        let now: Vec<_> = grants.map(|grant| version_of(view, grant)).collect();
        let before = std::mem::replace(&mut granted.seen, view.state.delivery_index());
        let id = self.task.id;
        if now == granted.wanted {
            // It may have been another one in between, which this node never had.
            if self.has_changed(view, before) {
                self.reports.running(id, granted.held(), granted.seen);
            }
            return;
        }
        let changed = self.files(view, granted).map_err(|error| error.to_string());
        let changed =
            changed.and_then(|files| delivered.replace(files).map_err(|error| error.to_string()));
        match changed {
            Ok(()) => {
                granted.arrived(&self.service.spec.grants);
                tracing::info!(task = %id, "the task's secrets changed");
            }
            Err(error) => {
                tracing::error!(task = %id, error, "the task keeps the secrets that it has");
            }
        }
        self.reports.running(id, granted.held(), granted.seen);
    }

    /// Whether something that was granted to the task changed after an index.
    fn has_changed(&self, view: &View, index: u64) -> bool {
        let granted = self.service.spec.grants.iter();
        let mut secrets = granted.filter_map(|grant| view.state.secrets().get(grant.secret));
        secrets.any(|secret| secret.meta.version_index > index)
    }

    /// The task's own user, whose number is also its group's.
    fn own_user(&self) -> u32 {
        if self.setup.is_rootless { 0 } else { self.user.uid }
    }

    fn file(&self, view: &View, grant: &Grant) -> Result<File, RunError> {
        let missing = || RunError::SecretMissing(grant.name.to_string());
        let secret = view.state.secrets().get(grant.secret).ok_or_else(missing)?;
        let version = secret.resolve(&grant.version).ok_or_else(missing)?;
        let value = self.manager.open_version(Class::Secret, secret.id, version);
        let target = grant.target.as_str();
        Ok(File {
            name: FileName::parse(target)
                .map_err(|source| RunError::Target(target.to_owned(), source))?,
            uid: grant.uid.unwrap_or_else(|| self.own_user()),
            gid: grant.gid.unwrap_or_else(|| self.own_user()),
            mode: grant.mode,
            object: secret.id.to_string(),
            version: u64::from(version.number),
            modified_ns: i64::try_from(version.created_at.nanos()).unwrap_or(i64::MAX),
            content: Arc::new(
                value.map_err(|source| RunError::Value { name: grant.name.to_string(), source })?,
            ),
        })
    }
}

/// Which versions a task is to have and has, and up to which change that is known.
#[derive(Default)]
struct Granted {
    seen: u64,
    /// What it was tried to give it last, in the order of the grants; `None` where there is no such version
    /// any more.
    wanted: Vec<Option<u32>>,
    /// What its files show, each once.
    held: BTreeSet<Held>,
}

impl Granted {
    /// What was tried has come to the task.
    fn arrived(&mut self, grants: &[Grant]) {
        let pairs = grants.iter().zip(&self.wanted);
        let held = pairs.filter_map(|(grant, version)| {
            Some(Held { object: grant.secret, version: (*version)? })
        });
        self.held = held.collect();
    }

    fn held(&self) -> Vec<Held> {
        self.held.iter().copied().collect()
    }
}

fn version_of(view: &View, grant: &Grant) -> Option<u32> {
    let secret = view.state.secrets().get(grant.secret)?;
    secret.resolve(&grant.version).map(|version| version.number)
}

/// The next view in which some value changed. Never done once consensus has ended.
async fn next_delivery(views: &mut watch::Receiver<View>, seen: u64) -> View {
    let changed = views.wait_for(|view| view.state.delivery_index() != seen).await;
    match changed.map(|view| view.clone()) {
        Ok(view) => view,
        Err(_) => std::future::pending().await,
    }
}

/// Done once the agent says so, or is gone.
async fn told_to_stop(orders: &mut watch::Receiver<Order>) {
    orders.wait_for(|order| *order == Order::Stop).await.map(drop).ok();
}

/// Reads a task's output into its ring until both streams have ended.
fn gather(logs: &Logs, id: TaskId, running: &mut RunningTask) -> impl Future<Output = ()> + use<> {
    let streams = running.take_output().map(|output| {
        let out = tokio::spawn(copy(logs.clone(), id, Stream::Stdout, output.stdout));
        let err = tokio::spawn(copy(logs.clone(), id, Stream::Stderr, output.stderr));
        (out, err)
    });
    async move {
        if let Some((out, err)) = streams {
            // Both end with the task's last process; a panic in them was reported where it happened.
            out.await.ok();
            err.await.ok();
        }
    }
}

async fn copy(logs: Logs, id: TaskId, stream: Stream, mut from: impl AsyncRead + Unpin) {
    let mut chunk = vec![0; OUTPUT_CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        logs.push(id, stream, &chunk[..length]);
    }
    logs.finish(id, stream);
}

/// How a task ended, in Swarm's terms.
fn ending(exit: &TaskExit, stopping: bool) -> (TaskState, String, Option<i32>) {
    let (failure, code) = match exit {
        TaskExit::Exited(0) => (None, Some(0)),
        TaskExit::Exited(code) => (Some(format!("task: non-zero exit ({code})")), Some(*code)),
        TaskExit::Signalled(signal) => {
            (Some(format!("task: ended by signal {signal}")), Some(128 + signal))
        }
        TaskExit::Lost(reason) => (Some(format!("task: lost: {reason}")), None),
    };
    match failure {
        _ if stopping => (TaskState::Shutdown, String::new(), code),
        None => (TaskState::Complete, String::new(), code),
        Some(error) => (TaskState::Failed, error, code),
    }
}
