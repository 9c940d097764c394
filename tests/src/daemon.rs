//! A running `cofferd`. Whatever becomes of the test, it does not outlive it, and neither do its tasks.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::node::Node;
use crate::processes::{self, Process};
use crate::wait::{PATIENCE, wait_until, wait_until_none};

/// A daemon of a node.
pub struct Daemon<'a> {
    node: &'a Node,
    child: Child,
    log: PathBuf,
}

/// A daemon that has ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// All that it wrote to standard error, and that of the node's daemons before it.
    pub log: String,
}

/// A daemon that may not serve yet.
pub struct Started<'a> {
    daemon: Daemon<'a>,
    systemd: UnixDatagram,
}

impl<'a> Started<'a> {
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Waits until it says that it serves, as it would say it to systemd.
    #[track_caller]
    pub fn ready(self) -> Daemon<'a> {
        match self.try_ready() {
            Ok(daemon) => daemon,
            Err(ended) => panic!("cofferd ended: {}\n{}", ended.status, ended.log),
        }
    }

    fn try_ready(self) -> Result<Daemon<'a>, Ended> {
        let Self { mut daemon, systemd } = self;
        let start = Instant::now();
        let mut word = [0; 64];
        loop {
            if systemd
                .recv(&mut word)
                .is_ok_and(|length| word.starts_with(b"READY=1") && length == 7)
            {
                return Ok(daemon);
            }
            if let Some(status) = daemon.child.try_wait().expect("it is our child") {
                return Err(Ended { status, log: daemon.log() });
            }
            assert!(start.elapsed() < PATIENCE, "cofferd does not serve:\n{}", daemon.log());
        }
    }
}

impl<'a> Daemon<'a> {
    /// Starts it and waits until it says that it serves, as it would say it to systemd.
    #[track_caller]
    pub fn start(node: &'a Node, command: Command) -> Self {
        Self::spawn(node, command).ready()
    }

    /// Starts it; gives how it ended if it does not come to serve.
    pub fn try_start(node: &'a Node, command: Command) -> Result<Self, Ended> {
        Self::spawn(node, command).try_ready()
    }

    /// Starts it and does not wait.
    pub fn spawn(node: &'a Node, mut command: Command) -> Started<'a> {
        let notify = node.scratch().path("notify");
        fs::remove_file(&notify).ok();
        let systemd = UnixDatagram::bind(&notify).expect("the directory is ours");
        systemd.set_read_timeout(Some(Duration::from_millis(5))).expect("this is a duration");
        let log = node.scratch().path("cofferd.err");
        let file = |name| {
            let path = node.scratch().path(name);
            File::options().create(true).append(true).open(path).expect("the directory is ours")
        };
        command.env("NOTIFY_SOCKET", &notify).stdin(Stdio::null());
        command.stdout(file("cofferd.out")).stderr(file("cofferd.err"));
        let child = command.spawn().expect("cofferd starts");
        Started { daemon: Self { node, child, log }, systemd }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Sends it a signal, if it has not ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).ok();
    }

    /// What it and the node's daemons before it wrote to standard error.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Itself and all that it started: helpers, first processes of tasks, the tasks.
    pub fn family(&self) -> BTreeSet<Process> {
        processes::family(self.pid())
    }

    /// `kill -9`. Returns once nothing of it runs.
    #[track_caller]
    pub fn kill(mut self) {
        self.kill_all();
        self.node.assert_no_mount();
    }

    /// Asks it to end by a signal, and waits until it has. Nothing of it may be left.
    #[track_caller]
    pub fn end_by(mut self, signal: Signal) -> Ended {
        let family = self.family();
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
        let mut status = None;
        wait_until("cofferd ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        wait_for_end(&family);
        Ended { status: status.expect("it was waited for"), log: self.log() }
    }

    /// Asks it to end, which it has to do well, and to leave nothing.
    #[track_caller]
    pub fn end(self) {
        let node = self.node;
        let ended = self.end_by(Signal::TERM);
        assert!(ended.status.success(), "{}\n{}", ended.status, ended.log);
        node.assert_nothing_runs();
    }

    #[track_caller]
    fn kill_all(&mut self) {
        let family = self.family();
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
        wait_for_end(&family);
    }
}

/// Its tasks end with it, however it ended.
#[track_caller]
fn wait_for_end(family: &BTreeSet<Process>) {
    wait_until_none("processes of cofferd", || {
        family.iter().filter(|one| one.lives()).collect::<Vec<_>>()
    });
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            if std::thread::panicking() {
                eprintln!("cofferd ended before the test did:\n{}", self.log());
            }
            return;
        }
        if std::thread::panicking() {
            // The test has failed already: say what may help, and leave nothing.
            eprintln!("cofferd wrote:\n{}", self.log());
            self.child.kill().ok();
            self.child.wait().ok();
        } else {
            self.kill_all();
        }
    }
}
