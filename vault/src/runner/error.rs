//! What can go wrong between a described task and a running one, told by the step that failed.

use rustix::io::Errno;
use thiserror::Error;

use super::limits::SUBJECT_BYTES_MAX;
use super::spec::SpecError;

/// Why a task was not started. Nothing of it is left when this is returned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LaunchError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("exec: {command:?}: {}", missing(.command))]
    CommandNotFound { command: String },
    #[error("exec: {command:?}: not an executable file, or out of the task's reach")]
    CommandNotExecutable { command: String },
    #[error("working directory {path:?}: {errno}")]
    WorkingDirectory { path: String, errno: Errno },
    #[error("{step}: {subject}: {errno}")]
    Step { step: Step, subject: String, errno: Errno },
    #[error("cannot start the helper process: {0}")]
    Helper(Errno),
    #[error("helper process ended without an answer")]
    HelperLost,
    #[error("helper process did not answer within {secs} s")]
    TimedOut { secs: u64 },
}

impl LaunchError {
    /// The code that a shell would give for the same failure: 127 not found, 126 not executable,
    /// else 125.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::CommandNotFound { .. } => 127,
            Self::CommandNotExecutable { .. } => 126,
            Self::Spec(_)
            | Self::WorkingDirectory { .. }
            | Self::Step { .. }
            | Self::Helper(_)
            | Self::HelperLost
            | Self::TimedOut { .. } => 125,
        }
    }
}

impl From<Failure> for LaunchError {
    fn from(failure: Failure) -> Self {
        let Failure { step, subject, errno } = failure;
        match (step, errno) {
            (Step::Command, Errno::NOENT | Errno::NOTDIR) => {
                Self::CommandNotFound { command: subject }
            }
            (Step::Command, Errno::ACCESS | Errno::NOEXEC | Errno::ISDIR) => {
                Self::CommandNotExecutable { command: subject }
            }
            (Step::WorkingDirectory, _) => Self::WorkingDirectory { path: subject, errno },
            _ => Self::Step { step, subject, errno },
        }
    }
}

fn missing(command: &str) -> &'static str {
    if command.contains('/') {
        "no such file, or its interpreter is missing"
    } else {
        "not found in the PATH of the task"
    }
}

/// What was being done for a task when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    Message,
    Descriptors,
    Namespaces,
    Init,
    Signals,
    Session,
    MountNamespace,
    Hide,
    Proc,
    Devices,
    Scratch,
    Run,
    Resolver,
    Secrets,
    UserNamespace,
    IdMap,
    User,
    Capabilities,
    WorkingDirectory,
    Command,
}

/// Every step with its words, in the order of its number.
const STEPS: [(Step, &str); 20] = [
    (Step::Message, "talking to the helper process"),
    (Step::Descriptors, "closing inherited descriptors"),
    (Step::Namespaces, "making PID and IPC namespaces"),
    (Step::Init, "starting the first process of the namespace"),
    (Step::Signals, "resetting signals"),
    (Step::Session, "leaving the daemon's session"),
    (Step::MountNamespace, "making a mount namespace"),
    (Step::Hide, "hiding a directory"),
    (Step::Proc, "mounting a fresh /proc"),
    (Step::Devices, "mounting fresh devices"),
    (Step::Scratch, "mounting a scratch directory"),
    (Step::Run, "mounting a fresh /run"),
    (Step::Resolver, "keeping the resolver's file"),
    (Step::Secrets, "mounting the secrets"),
    (Step::UserNamespace, "making a user namespace"),
    (Step::IdMap, "mapping users into the namespace"),
    (Step::User, "becoming the task's user"),
    (Step::Capabilities, "giving up capabilities"),
    (Step::WorkingDirectory, "entering the working directory"),
    (Step::Command, "starting the command"),
];

impl Step {
    pub(super) fn number(self) -> u8 {
        let at = STEPS.iter().position(|(step, _)| *step == self);
        at.and_then(|at| u8::try_from(at).ok()).expect("every step is in the table")
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        STEPS.get(usize::from(number)).map(|(step, _)| *step)
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(STEPS[usize::from(self.number())].1)
    }
}

/// A failed step on its way from a helper process to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: Step,
    /// The path, command or thing that the step was about.
    pub(super) subject: String,
    pub(super) errno: Errno,
}

impl Failure {
    pub(super) fn new(step: Step, subject: &str, errno: impl IntoErrno) -> Self {
        let end = subject.floor_char_boundary(SUBJECT_BYTES_MAX);
        let subject = subject.get(..end).unwrap_or_default().to_owned();
        Self { step, subject, errno: errno.into_errno() }
    }
}

/// Both faces of a failed system call.
pub(super) trait IntoErrno {
    fn into_errno(self) -> Errno;
}

impl IntoErrno for Errno {
    fn into_errno(self) -> Errno {
        self
    }
}

impl IntoErrno for std::io::Error {
    fn into_errno(self) -> Errno {
        Errno::from_io_error(&self).unwrap_or(Errno::INVAL)
    }
}

/// Names the step that a failed call belongs to.
pub(super) trait At<T> {
    fn at(self, step: Step, subject: &str) -> Result<T, Failure>;
}

impl<T, E: IntoErrno> At<T> for Result<T, E> {
    fn at(self, step: Step, subject: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step, subject, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_its_own_number() {
        for (at, (step, words)) in STEPS.into_iter().enumerate() {
            assert_eq!(usize::from(step.number()), at, "{words}");
            assert_eq!(Step::from_number(step.number()), Some(step), "{words}");
        }
        assert_eq!(Step::from_number(20), None);
    }

    #[test]
    fn a_command_that_cannot_run_is_told_as_a_shell_would() {
        let rows = [
            ("x", Errno::NOENT, 127, "exec: \"x\": not found in the PATH of the task"),
            ("/x", Errno::NOENT, 127, "exec: \"/x\": no such file, or its interpreter is missing"),
            (
                "/",
                Errno::ACCESS,
                126,
                "exec: \"/\": not an executable file, or out of the task's reach",
            ),
            (
                "x",
                Errno::NOMEM,
                125,
                "starting the command: x: Cannot allocate memory (os error 12)",
            ),
        ];
        for (command, errno, code, text) in rows {
            let error = LaunchError::from(Failure::new(Step::Command, command, errno));
            assert_eq!((error.exit_code(), error.to_string().as_str()), (code, text), "{command}");
        }
    }
}
