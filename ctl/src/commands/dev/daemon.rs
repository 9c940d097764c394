//! The `cofferd` of a throw-away cluster: found, started, waited for, stopped.

use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use rustix::process::kill_process_group;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::client::Client;
use crate::commands::dev::DevError;
use crate::commands::dev::place::Place;
use crate::host::Host;
use crate::human::os_error;
use crate::limits::POLL_EVERY;

/// How long the daemon may take until it answers, and until it has ended.
const START_SECS: u64 = 20;
const STOP_SECS: u64 = 10;

/// Lines of the daemon's log that are shown when it failed.
const LAST_LINES: usize = 20;

const BINARY: &str = "cofferd";

/// The binary beside this one, else the first in PATH.
pub(super) fn find() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    let listed = std::env::var_os("PATH").unwrap_or_default();
    let folders = beside.into_iter().chain(std::env::split_paths(&listed));
    folders.map(|folder| folder.join(BINARY)).find(|candidate| candidate.is_file())
}

/// A running daemon; killed if it is dropped before it was stopped.
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it in a process group of its own: Ctrl-C is for us, and we stop the daemon in order.
    pub(super) fn start(binary: &Path, place: &Place) -> Result<Self, DevError> {
        let failed = |error: io::Error| DevError::Start {
            binary: binary.to_owned(),
            reason: os_error(&error),
        };
        let log = File::create_new(place.log()).map_err(failed)?;
        let mut command = Command::new(binary);
        command.arg("--state-dir").arg(place.state_dir()).arg("--run-dir").arg(place.run_dir());
        command.args(["--listen-addr", "127.0.0.1:0", "--log-level", "warn"]);
        if !rustix::process::geteuid().is_root() {
            command.arg("--rootless");
        }
        // What is set for the daemon of this node is not meant for this one.
        let inherited = std::env::vars_os().map(|(name, _)| name);
        for name in inherited.filter(|name| name.to_string_lossy().starts_with("COFFERD_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let child = command.spawn().map_err(failed)?;
        Ok(Self { child, log: place.log() })
    }

    /// Waits until it answers; notices if it dies before.
    pub(super) async fn ready(&mut self, host: &Host) -> Result<Client, DevError> {
        let started = Instant::now();
        let mut last_error = None;
        while started.elapsed() < Duration::from_secs(START_SECS) {
            if let Some(status) = self.poll() {
                return Err(self.died(status));
            }
            if host.path().exists() {
                match answering(host).await {
                    Ok(client) => return Ok(client),
                    Err(error) => last_error = Some(error),
                }
            }
            sleep(POLL_EVERY).await;
        }
        Err(DevError::unready(START_SECS, last_error, self.last_lines()))
    }

    /// Waits until it ends without having been asked to.
    pub(super) async fn ended(&mut self) -> DevError {
        loop {
            if let Some(status) = self.poll() {
                return self.died(status);
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Asks it to end, and after a while makes it.
    pub(super) async fn stop(mut self) -> Result<(), DevError> {
        let asked = Instant::now();
        if self.poll().is_none() {
            self.signal(Signal::TERM)?;
        }
        while self.poll().is_none() {
            if asked.elapsed() > Duration::from_secs(STOP_SECS) {
                self.kill();
                let lines = self.last_lines();
                return Err(DevError::Stop(format!(
                    "it did not end within {STOP_SECS} seconds and was killed; it said:\n{lines}"
                )));
            }
            sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    /// How it ended, if it did. An error would mean that it is not our child.
    fn poll(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn signal(&self, signal: Signal) -> Result<(), DevError> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| DevError::Stop(os_error(&error.into())))
    }

    fn kill(&mut self) {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }

    fn died(&self, status: ExitStatus) -> DevError {
        DevError::Died { status: status.to_string(), last_lines: self.last_lines() }
    }

    fn last_lines(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        match lines.len().checked_sub(LAST_LINES) {
            Some(skipped) => lines.into_iter().skip(skipped).collect::<Vec<_>>().join("\n"),
            None if lines.is_empty() => "(nothing)".to_owned(),
            None => lines.join("\n"),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.poll().is_none() {
            self.kill();
        }
    }
}

async fn answering(host: &Host) -> Result<Client, crate::client::CallError> {
    let client = Client::connect(host).await?;
    client.probe().await?;
    Ok(client)
}
