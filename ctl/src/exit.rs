//! What went wrong, and how it ends: the texts go to standard error, one match gives the exit code.

use std::io;
use std::process::ExitCode;

use clap::Command;
use clap::error::ErrorKind;

use crate::args;
use crate::client::CallError;
use crate::commands::audit::AuditError;
use crate::commands::backup::BackupError;
use crate::commands::ca::ChainBroken;
use crate::commands::dev::DevError;
use crate::commands::doctor::DoctorError;
use crate::commands::events::EventsError;
use crate::commands::lock::LockError;
use crate::commands::node::NodeError;
use crate::commands::root::RootError;
use crate::commands::status::StatusError;
use crate::commands::swarm::SwarmError;
use crate::commands::versioned::VersionedError;
use crate::folder::FolderError;
use crate::grant::DuplicateTarget;
use crate::host::HostError;
use crate::out;
use crate::plaintext::ReadError;
use crate::template::TemplateError;

const CODE_FAILURE: u8 = 1;
/// The cluster answers and is not healthy.
const CODE_UNHEALTHY: u8 = 2;
const CODE_USAGE: u8 = 125;

/// Everything that a command can end with but success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{}", join(.0))]
    Calls(Vec<CallError>),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Versioned(#[from] VersionedError),
    #[error(transparent)]
    Events(#[from] EventsError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Chain(#[from] ChainBroken),
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Status(#[from] StatusError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("cannot read standard input: {0}")]
    Stdin(io::Error),
    #[error(transparent)]
    Target(#[from] DuplicateTarget),
    #[error("secret not found: {0}")]
    SecretNotFound(String),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Dev(#[from] DevError),
    #[error(transparent)]
    Doctor(#[from] DoctorError),
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

/// An error without a name of its own came from writing the output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn join(errors: &[CallError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Errors of several calls as one failure; none is a success.
pub(crate) fn all(errors: Vec<CallError>) -> Result<(), Failure> {
    if errors.is_empty() { Ok(()) } else { Err(Failure::Calls(errors)) }
}

/// Prints what is to be said, and gives the exit code.
pub(crate) fn report(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    match &failure {
        // Whoever reads our output has seen enough.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        // What is wrong stands on the screen already.
        Failure::Status(StatusError::Unhealthy) => ExitCode::from(CODE_UNHEALTHY),
        Failure::Doctor(DoctorError::Bad) => ExitCode::from(CODE_FAILURE),
        Failure::Status(StatusError::Format(_))
        | Failure::Doctor(DoctorError::Format(_))
        | Failure::Node(_)
        | Failure::Stdin(_)
        | Failure::Host(_)
        | Failure::Call(_)
        | Failure::Calls(_)
        | Failure::Template(_)
        | Failure::Read(_)
        | Failure::Folder(_)
        | Failure::Versioned(_)
        | Failure::Events(_)
        | Failure::Audit(_)
        | Failure::Chain(_)
        | Failure::Swarm(_)
        | Failure::Root(_)
        | Failure::Lock(_)
        | Failure::Target(_)
        | Failure::SecretNotFound(_)
        | Failure::Backup(_)
        | Failure::Dev(_)
        | Failure::Output(_)
        | Failure::Runtime(_) => {
            out::error_line(&failure);
            ExitCode::from(CODE_FAILURE)
        }
    }
}

/// Help and version are a success, and so is a group of commands that is named alone, which shows
/// what is in it; what does not parse is shown with its usage.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return show(text),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            return show(typed_command().render_help().to_string());
        }
        _ => {}
    }
    out::error_line(text.trim_end());
    if !text.contains("Usage:") {
        out::error_line(format_args!("\n{}", typed_command().render_usage()));
    }
    ExitCode::from(CODE_USAGE)
}

fn show(text: String) -> ExitCode {
    report(out::text(text).map_err(Failure::Output))
}

/// The command that was meant, as far as its words can be told.
fn typed_command() -> Command {
    let mut command = args::command();
    command.build();
    for word in std::env::args_os().skip(1) {
        if let Some(meant) = command.find_subcommand(&word).cloned() {
            command = meant;
        }
    }
    command
}
