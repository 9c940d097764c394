//! `coffer dev`: the main job in one command, on a throw-away cluster that leaves nothing behind.

mod daemon;
mod place;
mod show;

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::args::DevArgs;
use crate::client::CallError;
use crate::exit::Failure;
use crate::host::Host;
use crate::host::HostError;
use crate::out;
use crate::signals::Signals;
use daemon::Daemon;
use place::Place;

/// Why the show could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    #[error(
        "cofferd is neither beside coffer nor in PATH; build it with 'cargo build -p vault' in the \
         source tree, or put its folder into PATH"
    )]
    NoDaemon,
    #[error("cannot make a temporary directory in {}: {reason}", .parent.display())]
    Place { parent: PathBuf, reason: String },
    #[error("cannot start {}: {reason}", .binary.display())]
    Start { binary: PathBuf, reason: String },
    #[error("cofferd ended by itself ({status}); it said:\n{last_lines}")]
    Died { status: String, last_lines: String },
    #[error("cofferd does not answer after {secs} seconds: {reason}; it said:\n{last_lines}")]
    NotReady { secs: u64, reason: String, last_lines: String },
    #[error("cofferd could not be stopped: {0}")]
    Stop(String),
    #[error("the task does not run: {0}")]
    Task(String),
    #[error("the task {missed} within {secs} seconds; it is {state}")]
    NoOutput { missed: &'static str, secs: u64, state: String },
    #[error("cannot remove {}: {reason}; remove it by hand", .directory.display())]
    Remains { directory: PathBuf, reason: String },
    #[error(
        "the temporary directory's path is too long for a socket: {0}; set XDG_RUNTIME_DIR to a shorter one"
    )]
    Socket(HostError),
}

/// Runs the show and cleans up, whatever came of it.
pub(crate) async fn run(args: &DevArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::Runtime)?;
    let binary = daemon::find().ok_or(DevError::NoDaemon)?;
    let place = Place::create()?;
    let host =
        Host::parse(&format!("unix://{}", place.socket().display())).map_err(DevError::Socket)?;
    let mut daemon = Daemon::start(&binary, &place)?;
    out::line(format_args!("A throw-away cluster of one node, in {}\n", place.root().display()))?;
    let shown = tokio::select! {
        shown = stay(args, &host, &mut daemon) => shown,
        () = signals.next() => Ok(()),
    };
    let stopped = daemon.stop().await;
    let removed = place.remove();
    shown?;
    stopped?;
    removed?;
    Ok(out::line("\nStopped. Nothing of it is left.")?)
}

/// The show itself, and then, unless told to end, until the daemon ends.
async fn stay(args: &DevArgs, host: &Host, daemon: &mut Daemon) -> Result<(), Failure> {
    let client = daemon.ready(host).await?;
    tokio::select! {
        shown = show::run(&client) => shown?,
        died = daemon.ended() => return Err(died.into()),
    }
    // A connection that is held would only delay the daemon's end.
    drop(client);
    if args.exit {
        return Ok(());
    }
    out::line(farewell(host))?;
    Err(daemon.ended().await.into())
}

fn farewell(host: &Host) -> String {
    let path = match path_to_add() {
        Some(folder) => format!("  export PATH={}:$PATH\n", quoted(&folder)),
        None => String::new(),
    };
    format!(
        "The cluster stays up until Ctrl-C. To try things in a second terminal:\n\n{path}  \
         export COFFER_HOST={}\n  \
         coffer service ps first-service\n  \
         coffer secret inspect first-secret       (everything about it but the value)\n  \
         coffer secret versions first-secret\n  \
         coffer secret rollback first-secret      (its tasks read the first value again)\n  \
         coffer secret rm first-secret            (refused: a service uses it)\n",
        quoted(&host.to_string())
    )
}

/// The folder of this program, unless the shell looks there anyway.
fn path_to_add() -> Option<String> {
    let folder = std::env::current_exe().ok()?.parent()?.to_owned();
    let is_listed = |path| std::env::split_paths(&path).any(|listed: PathBuf| listed == folder);
    if std::env::var_os("PATH").is_some_and(is_listed) {
        None
    } else {
        folder.to_str().map(str::to_owned)
    }
}

/// A word that a shell takes as it is: quoted only if it has to be.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-:@+,=".contains(letter);
    if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

impl DevError {
    fn place(parent: &Path, error: &io::Error) -> Self {
        Self::Place { parent: parent.to_owned(), reason: crate::human::os_error(error) }
    }

    fn unready(secs: u64, error: Option<CallError>, last_lines: String) -> Self {
        let reason = match error {
            Some(error) => error.to_string(),
            None => "there is no socket".to_owned(),
        };
        Self::NotReady { secs, reason, last_lines }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_only_if_a_shell_would_change_it() {
        for (word, expected) in [
            ("unix:///tmp/a-1/coffer.sock", "unix:///tmp/a-1/coffer.sock"),
            ("/a b", "'/a b'"),
            ("it's", "'it'\\''s'"),
        ] {
            assert_eq!(quoted(word), expected, "{word}");
        }
    }
}
