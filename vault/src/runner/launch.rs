//! `cofferd launch`: the single-threaded processes between the daemon and a task. The outer one
//! makes the namespaces and watches; the inner one (`launch init`) is the first process of the
//! task's PID namespace. Neither ever sees a secret value, and neither keeps a descriptor that it
//! does not need.

mod init;
mod mounts;
mod outer;
mod privilege;

use std::ffi::{CStr, OsStr};
use std::io::Stdin;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

use rustix::io::Errno;

use super::channel::{self, Message, Wait};
use super::control::{Report, Request};
use super::error::{At, Failure, Step};

/// The first argument of the helper's command line.
pub(super) const LAUNCH: &str = "launch";
/// The second one, of the first process in the namespace.
const INIT: &str = "init";
/// What both are called in a list of processes, wherever the file lies.
pub(super) const NAME: &str = "cofferd";
/// The running program, even when the file was replaced meanwhile.
pub(super) const SELF: &str = "/proc/self/exe";

/// Runs a helper process. To be called before any thread is started, when the first argument is
/// `launch`.
pub fn main() -> ExitCode {
    let role = std::env::args_os().nth(2);
    match role.as_deref() {
        None => named(c"cofferd-launch", outer::run),
        Some(role) if role == OsStr::new(INIT) => named(c"cofferd-init", init::run),
        Some(_) => ExitCode::from(2),
    }
}

/// Runs under a name of its own; without one the kernel would show that of the link it was started
/// by.
fn named(name: &CStr, role: fn() -> ExitCode) -> ExitCode {
    rustix::thread::set_name(name).ok();
    role()
}

/// The socket to whoever started this process: its standard input.
fn upstream() -> Stdin {
    std::io::stdin()
}

fn report(report: &Report, descriptors: &[BorrowedFd<'_>]) -> Result<(), Failure> {
    channel::send(upstream(), &report.encode(), descriptors, Wait::Yes).at(Step::Message, "upwards")
}

/// Waits for the next message; none when the other side is gone.
fn next(socket: impl AsFd, wait: Wait) -> Result<Option<Message>, Failure> {
    channel::receive(socket, wait).at(Step::Message, "receiving")
}

fn request(message: &Message) -> Result<Request, Failure> {
    Request::decode(&message.bytes)
        .map_err(|_| Failure::new(Step::Message, "request", Errno::BADMSG))
}
