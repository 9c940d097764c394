//! Runs `coffer` and gives what it wrote; makes directories that go away.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// What a run ended with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary with a clean environment.
pub(crate) fn coffer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
    command.env_remove("COFFER_HOST").env_remove("XDG_RUNTIME_DIR");
    command
}

/// Runs it to its end with so much on standard input.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    // A command that does not read its input may be gone by now.
    stdin.write_all(input).ok();
    drop(stdin);
    let output = child.wait_with_output().expect("the run ends");
    let text = |bytes| String::from_utf8(bytes).expect("the output is text");
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs `coffer -H unix://SOCKET ARGS`.
pub(crate) fn run_at(socket: &Path, args: &[&str], input: &[u8]) -> Run {
    let mut command = coffer();
    command.arg("-H").arg(format!("unix://{}", socket.display())).args(args);
    run(command, input)
}

/// Copies a program. Another process writes the copy: a descriptor of ours could be inherited by
/// what another test starts just then, and a file that is open for writing cannot be run.
pub(crate) fn install(from: &Path, to: &Path) {
    let status = Command::new("install").arg("-m").arg("755").arg(from).arg(to).status();
    assert!(status.expect("install is there").success(), "{} is copied", from.display());
}

/// A directory that goes away with what it holds.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("coffer-cli-{}-{count}", std::process::id()));
        std::fs::create_dir(&path).expect("the directory is new");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with this content.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("the file is written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
