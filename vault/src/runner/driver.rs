//! The daemon's side of one helper process: its start, the messages to and from it, and its burial.
//! It goes on until the helper is reaped, even when nobody waits for the task any more.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::net::Shutdown;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use super::channel::{self, Message, Wait};
use super::control::{Report, Request, TaskEnd};
use super::error::IntoErrno;
use super::launch::{LAUNCH, NAME, SELF};
use super::limits::{REAP_MAX, REQUESTS_QUEUED_MAX};
use super::spec::CheckedSpec;
use super::task::TaskExit;

/// Reports that a caller may still have to read: ready, started, failed.
const REPORTS_QUEUED_MAX: usize = 4;

/// What the caller keeps of a started helper. Once it is dropped, the helper and its task end.
pub(super) struct Helper {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) reports: mpsc::Receiver<Report>,
    pub(super) exit: watch::Receiver<Option<TaskExit>>,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// Starts a helper and hands it what to start.
pub(super) fn start(spec: &CheckedSpec, secrets: OwnedFd) -> Result<Helper, Errno> {
    let description = described(spec)?;
    let (socket, theirs) = channel::pair()?;
    let begin = Request::Begin.encode();
    // Before there is a helper: the socket holds the message until it reads.
    channel::send(&socket, &begin, &[description.as_fd(), secrets.as_fd()], Wait::No)?;
    drop((description, secrets));
    let socket = registered(socket).map_err(IntoErrno::into_errno)?;
    let mut child = spawn(theirs).map_err(IntoErrno::into_errno)?;
    let stdout = child.stdout.take().expect("it was asked for as a pipe");
    let stderr = child.stderr.take().expect("it was asked for as a pipe");
    let (to_driver, requests) = mpsc::channel(REQUESTS_QUEUED_MAX);
    let (to_caller, reports) = mpsc::channel(REPORTS_QUEUED_MAX);
    let (exit, exit_seen) = watch::channel(None);
    let driver = Driver { socket, child, requests, reports: to_caller };
    tokio::spawn(async move {
        let end = driver.run().await;
        exit.send_replace(Some(end));
    });
    Ok(Helper { requests: to_driver, reports, exit: exit_seen, stdout, stderr })
}

/// The described task as a file without a name: it has no bound of a datagram.
fn described(spec: &CheckedSpec) -> Result<OwnedFd, Errno> {
    let descriptor = rustix::fs::memfd_create("task", MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(descriptor);
    file.write_all(&spec.encode()).map_err(IntoErrno::into_errno)?;
    io::Seek::rewind(&mut file).map_err(IntoErrno::into_errno)?;
    Ok(file.into())
}

fn spawn(socket: OwnedFd) -> io::Result<Child> {
    Command::new(SELF)
        .arg0(OsStr::new(NAME))
        .arg(LAUNCH)
        .env_clear()
        .stdin(Stdio::from(socket))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A signal from the daemon's terminal is the daemon's business.
        .process_group(0)
        .spawn()
}

/// The socket under tokio's eyes. It keeps messages whole, which a stream does not; the type lends
/// only its registration, and is never read or written as a stream.
fn registered(socket: OwnedFd) -> io::Result<UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

struct Driver {
    socket: UnixStream,
    child: Child,
    requests: mpsc::Receiver<Request>,
    reports: mpsc::Sender<Report>,
}

impl Driver {
    async fn run(mut self) -> TaskExit {
        let end = self.relay().await;
        let Self { socket, child, requests, reports } = self;
        drop((requests, reports));
        reap(child, &socket).await;
        match end {
            Ok(TaskEnd::Exited(code)) => TaskExit::Exited(code),
            Ok(TaskEnd::Signalled(signal)) => TaskExit::Signalled(signal),
            Err(reason) => TaskExit::Lost(reason),
        }
    }

    /// Carries messages until the task is over, the helper is lost, or nobody wants the task any
    /// more.
    async fn relay(&mut self) -> Result<TaskEnd, String> {
        let lost = |errno: Errno| format!("helper process cannot be heard: {errno}");
        loop {
            tokio::select! {
                request = self.requests.recv() => match request {
                    None => return Err("task was given up".to_owned()),
                    // A helper that is gone said why, and that is still to be read.
                    Some(request) => drop(send(&self.socket, &request).await),
                },
                message = receive(&self.socket) => match message.map_err(lost)? {
                    None => return Err("helper process ended before its task".to_owned()),
                    Some(message) => if let Some(end) = self.take(&message)? {
                        return Ok(end);
                    },
                },
            }
        }
    }

    fn take(&mut self, message: &Message) -> Result<Option<TaskEnd>, String> {
        match Report::decode(&message.bytes) {
            Ok(Report::Ended(end)) => Ok(Some(end)),
            Ok(report) => {
                let told = if let Report::Failed(failure) = &report {
                    Err(format!("{}: {}: {}", failure.step, failure.subject, failure.errno))
                } else {
                    Ok(None)
                };
                // A caller that no longer listens for it has the exit to look at.
                self.reports.try_send(report).ok();
                told
            }
            Err(error) => Err(format!("helper process sent an unreadable report: {error}")),
        }
    }
}

async fn send(socket: &UnixStream, request: &Request) -> Result<(), Errno> {
    let bytes = request.encode();
    let sent = socket.async_io(Interest::WRITABLE, || {
        channel::send(socket, &bytes, &[], Wait::No).map_err(io::Error::from)
    });
    sent.await.map_err(IntoErrno::into_errno)
}

async fn receive(socket: &UnixStream) -> Result<Option<Message>, Errno> {
    let received = socket.async_io(Interest::READABLE, || {
        channel::receive(socket, Wait::No).map_err(io::Error::from)
    });
    received.await.map_err(IntoErrno::into_errno)
}

/// Tells a helper that still lives to end, and waits until it has; hurries it when it takes too
/// long.
async fn reap(mut child: Child, socket: &UnixStream) {
    // To the helper this is the daemon's end. Its own end of the socket closes when it dies, not
    // before.
    rustix::net::shutdown(socket, Shutdown::Write).ok();
    let silence = async { while let Ok(Some(_)) = receive(socket).await {} };
    if tokio::time::timeout(REAP_MAX, silence).await.is_err() {
        tracing::warn!(pid = child.id(), "a task's helper process does not end and is killed");
        child.kill().ok();
    }
    // It is dying: this takes a moment, and takes it out of the kernel's table.
    let reaped = tokio::task::spawn_blocking(move || child.wait()).await;
    if !matches!(reaped, Ok(Ok(_))) {
        tracing::warn!("a task's helper process cannot be reaped");
    }
}
