//! A task as the rest of the daemon sees it: set up, told to go, watched, stopped. Dropping any
//! stage of it ends the task and all of its processes.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use thiserror::Error;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};

use super::control::{Report, Request};
use super::driver::{self, Helper};
use super::error::{IntoErrno, LaunchError};
use super::limits::HANDSHAKE_MAX;
use super::spec::{CheckedSpec, LaunchSpec};

/// Sets a task up to the point where only its command is missing. `secrets` is a detached mount; it
/// becomes the task's `/run/secrets`, read-only.
///
/// Needs a tokio runtime with I/O and time. Nothing is left behind when it fails or is cancelled.
pub async fn launch(spec: &LaunchSpec, secrets: OwnedFd) -> Result<Prepared, LaunchError> {
    let spec = CheckedSpec::parse(spec.clone())?;
    let mut helper = driver::start(&spec, secrets).map_err(LaunchError::Helper)?;
    match answer(&mut helper).await? {
        Report::Ready { init_pid } => Ok(Prepared { helper, init_pid }),
        other => Err(unexpected(other)),
    }
}

/// A task with everything but its command. Dropped without `go`, it is torn down.
pub struct Prepared {
    helper: Helper,
    init_pid: u32,
}

impl Prepared {
    /// The first process of the task's PID namespace, as this process sees it. It runs nothing of
    /// the task's, and lives as long as the task.
    pub fn init_pid(&self) -> u32 {
        self.init_pid
    }

    /// Starts the command.
    pub async fn go(self) -> Result<RunningTask, LaunchError> {
        let Self { mut helper, init_pid } = self;
        helper.requests.send(Request::Go).await.map_err(|_| LaunchError::HelperLost)?;
        match answer(&mut helper).await? {
            Report::Started => RunningTask::of(helper, init_pid),
            other => Err(unexpected(other)),
        }
    }
}

async fn answer(helper: &mut Helper) -> Result<Report, LaunchError> {
    let answered = tokio::time::timeout(HANDSHAKE_MAX, helper.reports.recv()).await;
    let late = |_| LaunchError::TimedOut { secs: HANDSHAKE_MAX.as_secs() };
    answered.map_err(late)?.ok_or(LaunchError::HelperLost)
}

fn unexpected(report: Report) -> LaunchError {
    match report {
        Report::Failed(failure) => failure.into(),
        Report::MapIds { .. } | Report::Ready { .. } | Report::Started | Report::Ended(_) => {
            LaunchError::Helper(Errno::PROTO)
        }
    }
}

/// What a task writes. Unread, it fills a pipe of the kernel's and the task waits; dropped, the
/// task is told by SIGPIPE when it writes.
#[derive(Debug)]
pub struct TaskOutput {
    pub stdout: pipe::Receiver,
    pub stderr: pipe::Receiver,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskExit {
    Exited(i32),
    Signalled(i32),
    /// Its helper died or failed first; the task died with it, and its own end is not known.
    Lost(String),
}

/// A task whose command was started. Dropped, it is killed.
pub struct RunningTask {
    requests: mpsc::Sender<Request>,
    exit: watch::Receiver<Option<TaskExit>>,
    init_pid: u32,
    output: Option<TaskOutput>,
}

impl RunningTask {
    fn of(helper: Helper, init_pid: u32) -> Result<Self, LaunchError> {
        let Helper { requests, exit, stdout, stderr, reports: _ } = helper;
        let reader = |pipe| {
            pipe::Receiver::from_owned_fd(pipe)
                .map_err(|error| LaunchError::Helper(error.into_errno()))
        };
        let output = TaskOutput { stdout: reader(stdout.into())?, stderr: reader(stderr.into())? };
        Ok(Self { requests, exit, init_pid, output: Some(output) })
    }

    /// The first process of the task's PID namespace, as this process sees it.
    pub fn init_pid(&self) -> u32 {
        self.init_pid
    }

    /// What the task writes; none the second time.
    pub fn take_output(&mut self) -> Option<TaskOutput> {
        self.output.take()
    }

    /// Waits for the end of the task; then no process of it or for it is left. May be asked again.
    pub async fn wait(&mut self) -> TaskExit {
        let exit = self.exit.wait_for(Option::is_some).await;
        let known = exit.ok().and_then(|exit| exit.clone());
        known.unwrap_or_else(|| TaskExit::Lost("daemon is ending".to_owned()))
    }

    /// Something to stop the task with, wherever the task itself is kept. It does not keep it
    /// alive.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { requests: self.requests.downgrade() }
    }
}

/// Why a signal was not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StopError {
    #[error("{0} is not the number of a signal")]
    NoSuchSignal(i32),
    #[error("task is over")]
    Ended,
}

/// Signals a task's command. Returns when the signal is on its way; the end itself is for `wait`.
#[derive(Debug, Clone)]
pub struct StopHandle {
    requests: mpsc::WeakSender<Request>,
}

impl StopHandle {
    /// Sends a signal, and SIGKILL to all of the task once `grace` is over. The shortest grace
    /// asked for holds.
    pub async fn stop(&self, signal: i32, grace: Duration) -> Result<(), StopError> {
        let signal = parse_signal(signal)?;
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.ask(Request::Stop { signal, grace_ms }).await
    }

    /// Sends a signal and nothing more.
    pub async fn signal(&self, signal: i32) -> Result<(), StopError> {
        let signal = parse_signal(signal)?;
        self.ask(Request::Signal { signal }).await
    }

    async fn ask(&self, request: Request) -> Result<(), StopError> {
        let requests = self.requests.upgrade().ok_or(StopError::Ended)?;
        requests.send(request).await.map_err(|_| StopError::Ended)
    }
}

/// Signals of Linux have the numbers 1 to 64; the C library keeps 32 and 33 for itself.
fn parse_signal(signal: i32) -> Result<i32, StopError> {
    match signal {
        1..=31 | 34..=64 => Ok(signal),
        _ => Err(StopError::NoSuchSignal(signal)),
    }
}
