//! A node of its own for one test: directories, a daemon when it is started, the command line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binaries;
use crate::daemon::Daemon;
use crate::processes;
use crate::run::Run;
use crate::scratch::{Scratch, random_number};
use crate::wait::{skipped, wait_until, wait_until_none};

/// Directories and a socket that nobody else uses.
pub struct Node {
    scratch: Scratch,
    mounts_before: BTreeSet<String>,
    /// Bytes of one file of the log, if it is not to be the daemon's own choice.
    log_segment_bytes: Option<u32>,
    /// Where it listens and is reached, if others are to find it again after a restart.
    address: Option<String>,
    /// Where others are told to reach it, if that is not where it listens.
    advertised: Option<String>,
    /// The program, if it is another one than cargo built, and what its environment says.
    program: Option<(PathBuf, Vec<(String, String)>)>,
}

/// The port of nodes with an address: below those that the kernel gives away.
const PORT: u16 = 2377;

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a user may make namespaces here. `as_user` starts a program as that user.
pub fn has_user_namespaces(as_user: impl FnOnce(&mut Command)) -> bool {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "true"]);
    as_user(&mut command);
    command.output().is_ok_and(|output| output.status.success())
}

impl Node {
    /// A node for a test. `None`, said aloud, where no daemon can run: without root a daemon needs user
    /// namespaces.
    pub fn for_test(test: &str) -> Option<Self> {
        if !is_root() && !has_user_namespaces(|_| {}) {
            skipped(test, "needs root or user namespaces");
            return None;
        }
        let mounts_before = processes::mounts();
        let scratch = Scratch::new();
        let (log_segment_bytes, address, advertised, program) = (None, None, None, None);
        Some(Self { scratch, mounts_before, log_segment_bytes, address, advertised, program })
    }

    /// The same, on a loopback address that nobody else uses.
    pub fn with_address(self) -> Self {
        Self { address: Some(own_address()), ..self }
    }

    /// The same, on an address of this host that is given.
    pub fn listening_at(self, address: &str) -> Self {
        Self { address: Some(address.to_owned()), ..self }
    }

    /// The same, reached by others through somebody at this address.
    pub fn behind(self, advertised: &str) -> Self {
        Self { advertised: Some(advertised.to_owned()), ..self }
    }

    /// Where it listens: "IP:PORT".
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// The same, with a log in small files.
    pub fn with_log_segments_of(self, bytes: u32) -> Self {
        Self { log_segment_bytes: Some(bytes), ..self }
    }

    /// Where others are told to reach it, if that is not where it listens.
    pub fn advertised(&self) -> Option<&str> {
        self.advertised.as_deref()
    }

    /// The same, run by another program with more in its environment.
    pub fn running(self, program: PathBuf, environment: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self { program: Some((program, environment.iter().map(own).collect())), ..self }
    }

    /// The same with more in the environment of cargo's program.
    pub fn with_environment(self, environment: Vec<(String, String)>) -> Self {
        Self { program: Some((binaries::cofferd(), environment)), ..self }
    }

    /// What is removed with the node, and a name that nothing else on this host has.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    pub fn state_dir(&self) -> PathBuf {
        self.scratch.path("state")
    }

    pub fn run_dir(&self) -> PathBuf {
        self.scratch.path("run")
    }

    pub fn socket(&self) -> PathBuf {
        self.run_dir().join("coffer.sock")
    }

    /// `cofferd` with this node's directories and a clean environment.
    pub fn cofferd(&self) -> Command {
        let Some((program, environment)) = &self.program else {
            return self.cofferd_at(&binaries::cofferd());
        };
        let mut command = self.cofferd_at(program);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The same for a copy of it.
    pub fn cofferd_at(&self, program: &Path) -> Command {
        let listening = self.address().unwrap_or("127.0.0.1:0");
        self.cofferd_listening(program, listening, self.advertised())
    }

    /// The same on a machine with another address, of which it tells others.
    pub fn cofferd_moved_to(&self, address: &str) -> Command {
        self.cofferd_listening(&binaries::cofferd(), address, Some(address))
    }

    fn cofferd_listening(
        &self,
        program: &Path,
        listening: &str,
        advertised: Option<&str>,
    ) -> Command {
        let mut command = clean(program);
        command.arg("--state-dir").arg(self.state_dir()).arg("--run-dir").arg(self.run_dir());
        command.arg("--listen-addr").arg(listening);
        if let Some(advertised) = advertised {
            command.arg("--advertise-addr").arg(advertised);
        }
        if let Some(bytes) = self.log_segment_bytes {
            command.arg("--log-segment-bytes").arg(bytes.to_string());
        }
        if !is_root() {
            command.arg("--rootless");
        }
        command
    }

    /// `coffer` with this node's socket and a clean environment.
    pub fn coffer_command(&self, args: &[&str]) -> Command {
        self.coffer_at(&binaries::coffer(), args)
    }

    /// The same for a copy of it.
    pub fn coffer_at(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = clean(program);
        command.arg("-H").arg(format!("unix://{}", self.socket().display())).args(args);
        command
    }

    /// Runs `coffer` with nothing on standard input.
    pub fn coffer(&self, args: &[&str]) -> Run {
        self.coffer_reading(args, b"")
    }

    /// Runs `coffer` with so much on standard input.
    pub fn coffer_reading(&self, args: &[&str], input: &[u8]) -> Run {
        Run::of(&mut self.coffer_command(args), input)
    }

    /// Starts the daemon and waits until it serves.
    #[track_caller]
    pub fn start(&self) -> Daemon<'_> {
        Daemon::start(self, self.cofferd())
    }

    /// The same, and makes the node the first manager of a cluster.
    #[track_caller]
    pub fn start_cluster(&self) -> Daemon<'_> {
        let daemon = self.start();
        self.coffer(&["swarm", "init"]).said();
        daemon
    }

    /// Creates a secret and gives its ID.
    #[track_caller]
    pub fn secret(&self, name: &str, value: &[u8]) -> String {
        self.coffer_reading(&["secret", "create", name, "-"], value).word()
    }

    /// Waits until a service's tasks have written a text, and gives all they wrote: standard output,
    /// then standard error.
    #[track_caller]
    pub fn logs_with(&self, service: &str, text: &str) -> (String, String) {
        let mut logs = (String::new(), String::new());
        wait_until(&format!("{service} says {text}"), || {
            let run = self.coffer(&["service", "logs", service]);
            logs = (run.stdout, run.stderr);
            logs.0.contains(text) || logs.1.contains(text)
        });
        logs
    }

    /// Asserts that no mount has come up on the host since the node was made.
    #[track_caller]
    pub fn assert_no_mount(&self) {
        // What another test had for a moment goes away; ours would stay.
        wait_until_none("new mounts", || {
            processes::mounts().difference(&self.mounts_before).cloned().collect()
        });
    }

    /// Asserts that a daemon that ended cleanly has left nothing to run, and nobody who runs.
    #[track_caller]
    pub fn assert_nothing_runs(&self) {
        let left: Vec<_> = fs::read_dir(self.run_dir()).unwrap().collect();
        assert!(left.is_empty(), "left in the run directory: {left:?}");
        let running = processes::with_argument(self.scratch.name());
        assert!(running.is_empty(), "processes {running:?} still run");
        self.assert_no_mount();
    }
}

/// One of sixteen million loopback addresses: two tests at one time have different ones.
pub fn own_address() -> String {
    let [_, first, second, third, ..] = random_number().to_le_bytes();
    // 127.0.0.x is where everybody else is.
    format!("127.{}.{second}.{third}:{PORT}", first.max(1))
}

/// A command that inherits nothing that is meant for this host's own daemon.
pub fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COFFER") {
            command.env_remove(&name);
        }
    }
    command.env_remove("NOTIFY_SOCKET").env_remove("XDG_RUNTIME_DIR");
    command
}
