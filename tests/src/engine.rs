//! A stock Docker Engine of Debian in a network namespace of its own: downloaded once beside what cargo builds, and
//! never installed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::binaries::folder;
use crate::node::is_root;
use crate::scratch::{Scratch, random_name, random_number};
use crate::wait::{PATIENCE, skipped, wait_until};

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
/// What an engine takes to end its containers' daemon with it.
const ENDS_IN: Duration = Duration::from_secs(15);

/// What an engine answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// A running engine, and a bridge between it and this host.
pub struct Engine {
    scratch: Scratch,
    name: String,
    network: String,
    child: Child,
}

fn run(program: &str, args: &[&str], at: &Path) -> Option<()> {
    let output = Command::new(program).args(args).current_dir(at).output().ok()?;
    output.status.success().then_some(())
}

/// A folder with the programs; `None` where they cannot be had.
fn programs() -> Option<PathBuf> {
    static PROGRAMS: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAMS.get_or_init(unpacked).clone()
}

fn unpacked() -> Option<PathBuf> {
    let own = folder().join("engine");
    let draft = folder().join(random_name());
    if !own.exists() {
        fs::create_dir_all(&draft).ok()?;
        let args = [&["download"][..], &PACKAGES].concat();
        let got = run("apt-get", &args, &draft).and_then(|()| {
            let files = fs::read_dir(&draft).ok()?.flatten().map(|file| file.file_name());
            let packages: Vec<_> = files.filter_map(|name| name.into_string().ok()).collect();
            packages.iter().try_for_each(|name| run("dpkg-deb", &["-x", name, "."], &draft))
        });
        if got.is_some() {
            fs::rename(&draft, &own).ok();
        }
        fs::remove_dir_all(&draft).ok();
    }
    Some(own).filter(|own| own.join("usr/sbin/dockerd").exists())
}

#[track_caller]
fn ip(line: &str) {
    let output = Command::new("ip").args(line.split(' ')).output().expect("ip is there");
    assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Engine {
    /// Starts one. `None`, said aloud, where none can run.
    pub fn for_test(test: &str) -> Option<Self> {
        if !is_root() || run("ip", &["netns", "list"], Path::new("/")).is_none() {
            skipped(test, "a Docker Engine needs root and network namespaces");
            return None;
        }
        let Some(programs) = programs() else {
            skipped(test, "needs Debian's docker.io: it is not there and cannot be downloaded");
            return None;
        };
        let [first, second, third, ..] = random_number().to_le_bytes();
        let name = format!("ce{first:02x}{second:02x}{third:02x}");
        // Of the block for tests between networks.
        let network = format!("198.{}.{second}", 18 + (first & 1));
        ip(&format!("link add {name} type bridge"));
        ip(&format!("addr add {network}.254/24 dev {name}"));
        ip(&format!("link set {name} up"));
        ip(&format!("netns add {name}"));
        ip(&format!("link add {name}v type veth peer name eth0 netns {name}"));
        ip(&format!("link set {name}v master {name}"));
        ip(&format!("link set {name}v up"));
        ip(&format!("-n {name} addr add {network}.1/24 dev eth0"));
        ip(&format!("-n {name} link set eth0 up"));
        ip(&format!("-n {name} link set lo up"));
        let scratch = Scratch::new();
        let child = command(&programs, &scratch, &name).spawn().expect("it can be started");
        let engine = Self { scratch, name, network, child };
        wait_until("the engine serves", || engine.call("GET", "/_ping", "").is_some());
        Some(engine)
    }

    /// An address of this host that the engine reaches, with this port.
    pub fn host(&self, port: u16) -> String {
        format!("{}.254:{port}", self.network)
    }

    /// What it wrote to standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.scratch.path("log")).unwrap_or_default()
    }

    /// Makes a call. `None` if there is no answer.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Option<Answer> {
        let mut stream = UnixStream::connect(self.scratch.path("docker.sock")).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let request = format!(
            "{method} /v1.41{path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, body: body.to_owned() })
    }

    /// `docker swarm join`.
    pub fn join(&self, remote: &str, token: &str) -> Answer {
        let body = serde_json::json!({
            "ListenAddr": "0.0.0.0:2377",
            "AdvertiseAddr": format!("{}.1", self.network),
            "RemoteAddrs": [remote],
            "JoinToken": token,
        });
        self.call("POST", "/swarm/join", &body.to_string()).expect("it answers")
    }

    /// `docker swarm leave --force`.
    pub fn leave(&self) -> Answer {
        self.call("POST", "/swarm/leave?force=true", "").expect("it answers")
    }

    /// What it knows of its swarm.
    pub fn swarm(&self) -> Value {
        let answer = self.call("GET", "/info", "").expect("it answers");
        let info: Value = serde_json::from_str(&answer.body).expect("it is JSON");
        info["Swarm"].clone()
    }
}

fn command(programs: &Path, scratch: &Scratch, name: &str) -> Command {
    let mut path = OsString::from(programs.join("usr/bin"));
    for folder in ["usr/sbin", "sbin"] {
        path.push(":");
        path.push(programs.join(folder));
    }
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let log = File::create(scratch.path("log")).expect("the directory is ours");
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", name, "unshare", "--mount", "sh", "-c", START, "sh"])
        .arg(programs.join("usr/sbin/dockerd"))
        .arg("--data-root")
        .arg(scratch.path("data"))
        .arg("--exec-root")
        .arg(scratch.path("exec"))
        .arg("--pidfile")
        .arg(scratch.path("pid"))
        .arg("--host")
        .arg(format!("unix://{}", scratch.path("docker.sock").display()))
        .args(["--storage-driver", "vfs", "--bridge", "none", "--label", "shelf=3"])
        .args(["--iptables=false", "--ip-masq=false", "--userland-proxy=false"])
        .env("PATH", path)
        .env("LD_LIBRARY_PATH", programs.join("usr/lib/x86_64-linux-gnu"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command
}

impl Drop for Engine {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).ok();
        let asked = Instant::now();
        while asked.elapsed() < ENDS_IN && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        kill_process(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
        for args in [["netns", "del"], ["link", "del"]] {
            Command::new("ip").args(args).arg(&self.name).output().ok();
        }
    }
}
