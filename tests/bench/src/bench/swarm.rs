//! Docker Swarm as people run it: Debian's engines, each in a network namespace of its own, all managers.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};
use tonic::Status;

use crate::daemon::Scratch;
use crate::engine::Engine;
use crate::packages::{run, unpack};

const PATIENCE: Duration = Duration::from_secs(60);
/// What an engine takes to end its containers' daemon with it.
const ENDS_IN: Duration = Duration::from_secs(15);
const PORT: u16 = 2377;
/// The engine, what it runs, and the libraries of both.
const PACKAGES: [&str; 11] = [
    "docker.io",
    "containerd",
    "runc",
    "iptables",
    "libdevmapper1.02.1",
    "libip4tc2",
    "libip6tc2",
    "libxtables12",
    "libnftnl11",
    "libmnl0",
    "libnfnetlink0",
];
/// An engine keeps files in /run and wants one tree of cgroups; neither is to be the machine's own.
const START: &str = "mount --make-rprivate / && mount -t tmpfs none /run && mkdir -p /sys/fs/cgroup \
    && { ! mountpoint -q /sys/fs/cgroup || umount -R /sys/fs/cgroup; } \
    && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";

/// A running cluster of engines.
pub struct Swarm {
    scratch: Scratch,
    children: Vec<Child>,
    namespaces: Vec<String>,
    bridge: String,
    network: String,
}

/// Creates secrets with names that no other client uses.
pub struct Creator {
    engine: Engine,
    prefix: String,
    data: String,
    next: usize,
}

/// A folder with the programs.
pub fn programs(into: &Path) -> io::Result<PathBuf> {
    unpack(&PACKAGES, into)?;
    Ok(into.to_owned())
}

fn ip(line: &str) -> io::Result<()> {
    run(Command::new("ip").args(line.split(' ')))
}

impl Swarm {
    /// Starts so many engines and makes them the managers of one swarm; the first leads.
    pub async fn start(programs: &Path, parent: &Path, count: u16) -> io::Result<Self> {
        if !geteuid().is_root() {
            return Err(io::Error::other("engines need network namespaces: run this as root"));
        }
        let pid = std::process::id();
        let mut swarm = Self {
            scratch: Scratch::new(parent, "swarm")?,
            children: Vec::new(),
            namespaces: Vec::new(),
            bridge: format!("cb{pid}"),
            network: format!("10.213.{}", pid % 250),
        };
        ip(&format!("link add {} type bridge", swarm.bridge))?;
        ip(&format!("addr add {}.254/24 dev {}", swarm.network, swarm.bridge))?;
        ip(&format!("link set {} up", swarm.bridge))?;
        for number in 0..count {
            swarm.connect_namespace(number)?;
            let child = swarm.command(programs, number)?.spawn()?;
            swarm.children.push(child);
        }
        for number in 0..count {
            swarm.wait_for(number, "/_ping", |_| true).await?;
        }
        swarm.join_all(count).await?;
        Ok(swarm)
    }

    fn connect_namespace(&mut self, number: u16) -> io::Result<()> {
        let name = format!("{}-{number}", self.bridge);
        ip(&format!("netns add {name}"))?;
        self.namespaces.push(name.clone());
        ip(&format!("link add {name} type veth peer name eth0 netns {name}"))?;
        ip(&format!("link set {name} master {}", self.bridge))?;
        ip(&format!("link set {name} up"))?;
        ip(&format!("-n {name} addr add {}/24 dev eth0", self.addr(number)))?;
        ip(&format!("-n {name} link set eth0 up"))?;
        ip(&format!("-n {name} link set lo up"))
    }

    fn addr(&self, number: u16) -> String {
        format!("{}.{}", self.network, number + 1)
    }

    fn home(&self, number: u16) -> PathBuf {
        self.scratch.path().join(number.to_string())
    }

    pub fn socket(&self, number: u16) -> PathBuf {
        self.home(number).join("docker.sock")
    }

    fn command(&self, programs: &Path, number: u16) -> io::Result<Command> {
        let home = self.home(number);
        std::fs::create_dir(&home)?;
        let log = std::fs::File::create(home.join("log"))?;
        let mut path = OsString::from(programs.join("usr/bin"));
        for folder in ["usr/sbin", "sbin"] {
            path.push(":");
            path.push(programs.join(folder));
        }
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let host = format!("unix://{}", self.socket(number).display());
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespaces[usize::from(number)]])
            .args(["unshare", "--mount", "sh", "-c", START, "sh"])
            .arg(programs.join("usr/sbin/dockerd"))
            .arg("--data-root")
            .arg(home.join("data"))
            .arg("--exec-root")
            .arg(home.join("exec"))
            .arg("--pidfile")
            .arg(home.join("pid"))
            .args(["--host", &host, "--storage-driver", "vfs", "--bridge", "none"])
            .args(["--iptables=false", "--ip-masq=false", "--userland-proxy=false"])
            .env("PATH", path)
            .env("LD_LIBRARY_PATH", programs.join("usr/lib/x86_64-linux-gnu"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Ok(command)
    }

    async fn call(&self, number: u16, method: &str, path: &str, body: Value) -> io::Result<Value> {
        let mut engine = Engine::connect(&self.socket(number)).await?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        engine.call(method, path, &body).await
    }

    /// Asks until the answer is as it should be.
    async fn wait_for(
        &self,
        number: u16,
        path: &str,
        is_there: impl Fn(&Value) -> bool,
    ) -> io::Result<()> {
        let asked = Instant::now();
        loop {
            match self.call(number, "GET", path, Value::Null).await {
                Ok(answer) if is_there(&answer) => return Ok(()),
                Err(error) if asked.elapsed() > PATIENCE => return Err(error),
                Ok(_) if asked.elapsed() > PATIENCE => {
                    return Err(io::Error::other(format!(
                        "{path} of an engine does not get ready"
                    )));
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn join_all(&self, count: u16) -> io::Result<()> {
        let listen = format!("0.0.0.0:{PORT}");
        let init = json!({ "ListenAddr": listen, "AdvertiseAddr": self.addr(0) });
        self.call(0, "POST", "/swarm/init", init).await?;
        let swarm = self.call(0, "GET", "/swarm", Value::Null).await?;
        for number in 1..count {
            let join = json!({
                "ListenAddr": listen,
                "AdvertiseAddr": self.addr(number),
                "RemoteAddrs": [format!("{}:{PORT}", self.addr(0))],
                "JoinToken": swarm["JoinTokens"]["Manager"],
            });
            self.call(number, "POST", "/swarm/join", join).await?;
        }
        let reachable = |answer: &Value| {
            let nodes = answer.as_array().map_or(&[][..], Vec::as_slice);
            let is_reachable =
                |node: &&Value| node["ManagerStatus"]["Reachability"] == json!("reachable");
            nodes.iter().filter(is_reachable).count() == usize::from(count)
        };
        self.wait_for(0, "/nodes", reachable).await
    }

    pub fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }

    /// Someone who creates secrets at the leader, on a connection of his own.
    pub async fn creator(&self, prefix: String, bytes: usize) -> io::Result<Creator> {
        let engine = Engine::connect(&self.socket(0)).await?;
        // Base64 of bytes that are all 0xa5.
        let rest = ["", "pQ==", "paU="][bytes % 3];
        Ok(Creator { engine, prefix, data: "paWl".repeat(bytes / 3) + rest, next: 0 })
    }
}

impl Creator {
    pub async fn create(&mut self) -> Result<(), Status> {
        let name = format!("{}-{}", self.prefix, self.next);
        self.next += 1;
        let body = format!(r#"{{"Name":"{name}","Labels":{{}},"Data":"{}"}}"#, self.data);
        let made = self.engine.call("POST", "/secrets/create", &body).await;
        made.map(drop).map_err(|error| Status::unavailable(error.to_string()))
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        for child in &mut self.children {
            kill_process(Pid::from_child(child), Signal::TERM).ok();
        }
        let asked = Instant::now();
        for child in &mut self.children {
            while asked.elapsed() < ENDS_IN && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(20));
            }
            kill_process(Pid::from_child(child), Signal::KILL).ok();
            child.wait().ok();
        }
        for name in &self.namespaces {
            ip(&format!("netns del {name}")).ok();
        }
        ip(&format!("link del {}", self.bridge)).ok();
    }
}
