//! The first process of a task's PID namespace. It furnishes the namespaces, becomes the task's
//! user for good, starts the command, and buries everything that dies; with its own end the kernel
//! ends the rest.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, ExitCode, Stdio};

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, WaitStatus,
};
use vault_memory::sys;

use super::super::channel::Wait;
use super::super::control::{Report, Request, TaskEnd};
use super::super::error::{At, Failure, Step};
use super::super::limits::{NAMESPACED_IDS, SPEC_BYTES_MAX};
use super::super::spec::{CheckedSpec, TaskUser};
use super::{mounts, next, privilege, report, request, upstream};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_HOME: &str = "/";

/// Runs the first process; its exit code is the command's, or 128 and the signal.
pub(super) fn run() -> ExitCode {
    match furnish_and_start() {
        Ok(Some(command)) => serve(command),
        // The helper was gone before it said to start.
        Ok(None) => ExitCode::FAILURE,
        Err(failure) => {
            report(&Report::Failed(failure), &[]).ok();
            ExitCode::FAILURE
        }
    }
}

fn furnish_and_start() -> Result<Option<Pid>, Failure> {
    forget_the_daemon()?;
    let Some((spec, secrets)) = described()? else { return Ok(None) };
    mounts::furnish(spec.hide(), secrets)?;
    if !enter_user_namespace(spec.user())? {
        return Ok(None);
    }
    privilege::give_up(spec.user())?;
    tie_to_helper()?;
    let workdir = spec.workdir();
    std::env::set_current_dir(workdir).at(Step::WorkingDirectory, &workdir.to_string_lossy())?;
    // The helper knows the number of this process; from inside it is always one.
    report(&Report::Ready { init_pid: 1 }, &[])?;
    match next(upstream(), Wait::Yes)?.as_ref().map(request).transpose()? {
        Some(Request::Go) => start(&spec).map(Some),
        Some(_) => Err(Failure::new(Step::Message, "order of requests", Errno::PROTO)),
        None => Ok(None),
    }
}

/// Drops what a child inherits without being asked: signals, session, keyring, umask, core dumps.
fn forget_the_daemon() -> Result<(), Failure> {
    sys::default_signals().at(Step::Signals, "sigprocmask")?;
    rustix::process::setsid().at(Step::Session, "setsid")?;
    sys::new_session_keyring().at(Step::Session, "keyctl")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).at(Step::Session, "setrlimit")
}

/// Receives what to start, and the mount of its secrets.
fn described() -> Result<Option<(CheckedSpec, OwnedFd)>, Failure> {
    let refused = |what, errno| Failure::new(Step::Message, what, errno);
    let Some(message) = next(upstream(), Wait::Yes)? else { return Ok(None) };
    let is_begin = request(&message)? == Request::Begin;
    let mut descriptors = message.descriptors.into_iter();
    let (true, Some(spec), Some(secrets)) = (is_begin, descriptors.next(), descriptors.next())
    else {
        return Err(refused("begin", Errno::PROTO));
    };
    let bound = u64::try_from(SPEC_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::from(spec).take(bound).read_to_end(&mut bytes).at(Step::Message, "description")?;
    let spec = CheckedSpec::decode(&bytes).map_err(|_| refused("description", Errno::BADMSG))?;
    Ok(Some((spec, secrets)))
}

/// Enters a user namespace if the user asks for one; false when the helper is gone.
///
/// It comes after the mounts, which so belong to the namespace above: not even a root with every
/// capability in the new one can take them away.
fn enter_user_namespace(user: TaskUser) -> Result<bool, Failure> {
    let (first, count) = match user {
        TaskUser::Dynamic { .. } => return Ok(true),
        TaskUser::NamespacedRoot { base } => (base, NAMESPACED_IDS),
        TaskUser::Rootless => (0, 1),
    };
    sys::unshare_user().at(Step::UserNamespace, "unshare")?;
    report(&Report::MapIds { first, count }, &[])?;
    match next(upstream(), Wait::Yes)?.as_ref().map(request).transpose()? {
        Some(Request::Mapped) => Ok(true),
        Some(_) => Err(Failure::new(Step::Message, "order of requests", Errno::PROTO)),
        None => Ok(false),
    }
}

/// Makes sure that this process ends with the helper. A change of user clears the tie, hence so
/// late; a helper that died before it is seen by its socket, which is read once more before the
/// command starts.
fn tie_to_helper() -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .at(Step::Session, "parent's end")?;
    // The task runs as the same user; without this it could trace its own first process.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .at(Step::Session, "dumpable")
}

fn start(spec: &CheckedSpec) -> Result<Pid, Failure> {
    let child = Command::new(spec.program())
        .args(spec.arguments())
        .env_clear()
        .env("PATH", DEFAULT_PATH)
        .env("HOME", DEFAULT_HOME)
        .envs(spec.env())
        .stdin(Stdio::null())
        .spawn()
        .at(Step::Command, spec.program())?;
    let command = Pid::from_child(&child);
    let process = rustix::process::pidfd_open(command, PidfdFlags::empty())
        .at(Step::Command, spec.program())?;
    report(&Report::Started, &[process.as_fd()])?;
    Ok(command)
}

/// Buries every process that ends in the namespace, until the command does.
fn serve(command: Pid) -> ExitCode {
    let end = loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == command => break ended(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return ExitCode::FAILURE,
        }
    };
    report(&Report::Ended(end), &[]).ok();
    let code = match end {
        TaskEnd::Exited(code) => code,
        TaskEnd::Signalled(signal) => signal.saturating_add(128),
    };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

fn ended(status: WaitStatus) -> TaskEnd {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => TaskEnd::Exited(code),
        (None, Some(signal)) => TaskEnd::Signalled(signal),
        (None, None) => TaskEnd::Exited(255),
    }
}
