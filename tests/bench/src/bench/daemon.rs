//! One real `cofferd` with folders of its own, and connections to its socket.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use proto::v1::swarm_client::SwarmClient;
use proto::v1::{InitRequest, JoinRequest, JoinTokensRequest};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixStream;
use tonic::codegen::http::Uri;

use crate::wire::Wire;

/// How long a daemon may take to serve its socket.
const PATIENCE: Duration = Duration::from_secs(60);
/// The node port of the first manager; the others have the ports behind it.
const FIRST_PORT: u16 = 23_770;

fn node_addr(number: u16) -> String {
    format!("127.0.0.1:{}", FIRST_PORT + number)
}

/// A folder below a parent that is removed when this is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes a folder that nobody else may read.
    pub fn new(parent: &Path, name: &str) -> io::Result<Self> {
        let path = parent.join(format!("coffer-bench-{}-{name}", std::process::id()));
        std::fs::DirBuilder::new().create(&path)?;
        let scratch = Self(path);
        close(scratch.path())?;
        Ok(scratch)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn close(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

/// A program that stands beside this one, as cargo puts them.
pub fn sibling(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name(name)
}

/// A running manager.
pub struct Daemon {
    program: PathBuf,
    scratch: Scratch,
    child: Child,
    number: u16,
}

impl Daemon {
    /// Starts a daemon in new folders and makes it a cluster of one.
    pub async fn found(program: &Path, parent: &Path) -> io::Result<Self> {
        let daemon = Self::start(program, parent, 0)?;
        let init = InitRequest { advertise_addr: node_addr(0), ..InitRequest::default() };
        SwarmClient::new(daemon.connect().await?).init(init).await.map_err(io::Error::other)?;
        Ok(daemon)
    }

    /// Starts so many managers of one cluster; the first leads.
    pub async fn cluster(program: &Path, parent: &Path, count: u16) -> io::Result<Vec<Self>> {
        let mut managers = vec![Self::found(program, parent).await?];
        let mut first = SwarmClient::new(managers[0].connect().await?);
        let tokens = first.join_tokens(JoinTokensRequest {}).await.map_err(io::Error::other)?;
        let token = tokens.into_inner().manager;
        for number in 1..count {
            let daemon = Self::start(program, parent, number)?;
            let remote = node_addr(0);
            let join = JoinRequest { remote, token: token.clone(), ..JoinRequest::default() };
            let mut swarm = SwarmClient::new(daemon.connect().await?);
            let joined = swarm.join(join).await.map_err(io::Error::other)?.into_inner();
            if !joined.done {
                return Err(io::Error::other("a manager got no vote in time"));
            }
            managers.push(daemon);
        }
        Ok(managers)
    }

    fn start(program: &Path, parent: &Path, number: u16) -> io::Result<Self> {
        let scratch = Scratch::new(parent, &format!("cofferd-{number}"))?;
        for name in ["state", "run"] {
            let path = scratch.path().join(name);
            std::fs::create_dir(&path)?;
            close(&path)?;
        }
        let child = start(program, scratch.path(), number)?;
        Ok(Self { program: program.to_owned(), scratch, child, number })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of the node port.
    pub fn addr(&self) -> String {
        node_addr(self.number)
    }

    pub fn state_dir(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    /// A new connection, once the daemon serves.
    pub async fn connect(&self) -> io::Result<Wire> {
        let path = self.scratch.path().join("run/coffer.sock");
        let asked = Instant::now();
        loop {
            match channel(&path).await {
                Ok(channel) => return Ok(channel),
                Err(error) if asked.elapsed() > PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    /// Ends the daemon by a signal, waits for its end, and starts it again in the same folders.
    pub fn restart(&mut self, signal: Signal) -> io::Result<()> {
        self.end(signal)?;
        self.start_again()
    }

    /// Sends a signal, and waits for nothing.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Waits for the daemon's end and starts it again in the same folders.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.child.wait()?;
        self.child = start(&self.program, self.scratch.path(), self.number)?;
        Ok(())
    }

    /// Ends the daemon by a signal.
    pub fn end(&mut self, signal: Signal) -> io::Result<()> {
        kill_process(Pid::from_child(&self.child), signal)?;
        self.child.wait().map(drop)
    }

    /// A figure of /proc/PID/status, in bytes.
    pub fn memory(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end(Signal::TERM).ok();
    }
}

fn start(program: &Path, home: &Path, number: u16) -> io::Result<Child> {
    let addr = node_addr(number);
    let mut command = Command::new(program);
    command.arg("--state-dir").arg(home.join("state"));
    command.arg("--run-dir").arg(home.join("run"));
    command.args(["--listen-addr", &addr, "--advertise-addr", &addr, "--log-level", "warn"]);
    command.args(["--memory-budget", "16000000000"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()
}

async fn channel(path: &Path) -> io::Result<Wire> {
    let stream = UnixStream::connect(path).await?;
    Wire::over(stream, &Uri::from_static("http://coffer.sock")).await
}
