//! Looking: what the kernel and the file system say. Nothing is judged here, and nothing is left behind.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::process::Resource;

use crate::clock;

/// Flushes that are timed.
const FLUSHES: usize = 20;
/// Bytes of each, as the log's least batch.
const FLUSH_BYTES: usize = 4_096;
/// A disk that is so slow is not asked further.
const FLUSH_PATIENCE: Duration = Duration::from_secs(5);

/// What was not seen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    /// This user may not.
    NotAllowed,
    NotThere,
    Failed(String),
}

impl From<io::Error> for Hidden {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::NotAllowed,
            io::ErrorKind::NotFound => Self::NotThere,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<rustix::io::Errno> for Hidden {
    fn from(errno: rustix::io::Errno) -> Self {
        io::Error::from(errno).into()
    }
}

pub(super) fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Whether the device opens.
pub(super) fn fuse() -> Result<(), Hidden> {
    fs::File::options().read(true).write(true).open("/dev/fuse")?;
    Ok(())
}

/// How many user namespaces there may be, for whoever is not root; 0 also where something forbids them.
pub(super) fn user_namespaces() -> Option<u64> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let setting = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let is_forbidden = setting("/proc/sys/kernel/unprivileged_userns_clone") == Some(0)
        || setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1);
    if is_forbidden { Some(0) } else { setting("/proc/sys/user/max_user_namespaces") }
}

/// A limit of a daemon that runs.
fn limit_of_daemon(name: &str) -> Option<Limit> {
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon()?)).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let soft = line.split_whitespace().next()?;
    let value = if soft == "unlimited" { None } else { Some(soft.parse().ok()?) };
    Some(Limit { value, is_daemons: true })
}

/// A limit in bytes or descriptors, none if there is none; and whether it is a running daemon's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) value: Option<u64>,
    pub(super) is_daemons: bool,
}

fn limit(name: &str, resource: Resource) -> Limit {
    limit_of_daemon(name).unwrap_or_else(|| {
        let value = rustix::process::getrlimit(resource).current;
        Limit { value, is_daemons: false }
    })
}

/// Memory that may be locked. Root is not bound by it.
pub(super) fn locked_memory() -> (Limit, bool) {
    let is_root = rustix::process::geteuid().is_root();
    (limit("Max locked memory", Resource::Memlock), is_root)
}

pub(super) fn descriptors() -> Limit {
    limit("Max open files", Resource::Nofile)
}

/// Where the kernel may swap to.
pub(super) fn swap() -> Option<Vec<String>> {
    let text = fs::read_to_string("/proc/swaps").ok()?;
    let place = |line: &str| line.split_whitespace().next().map(str::to_owned);
    Some(text.lines().skip(1).filter_map(place).collect())
}

pub(super) fn core_pattern() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/core_pattern").ok()?;
    Some(text.trim().to_owned())
}

/// Whether the clock is kept, and seconds since 1970.
pub(super) fn clock() -> (Option<bool>, i64) {
    (vault_memory::sys::clock_is_kept().ok(), clock::now_ns() / 1_000_000_000)
}

/// The directory itself, or the nearest one above it that is there.
fn nearest(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find(|path| path.exists());
    there.unwrap_or_else(|| Path::new("/")).to_owned()
}

/// Free bytes.
pub(super) fn space(state_dir: &Path) -> Result<u64, Hidden> {
    let disk = rustix::fs::statvfs(nearest(state_dir))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The file system's kind: of the mount with the directory's own device.
pub(super) fn file_system(state_dir: &Path) -> Option<String> {
    let device = fs::metadata(nearest(state_dir)).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let found = before.split(' ').nth(2)? == format!("{major}:{minor}");
        found.then(|| after.split(' ').next().unwrap_or_default().to_owned())
    })
}

/// How long flushes take: half of them at most, and the longest. In a file without a name, that goes by itself.
pub(super) fn flush(state_dir: &Path) -> Result<(Duration, Duration), Hidden> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(nearest(state_dir), flags, Mode::RUSR | Mode::WUSR)?;
    let begun = Instant::now();
    let mut took = Vec::new();
    while took.len() < FLUSHES && begun.elapsed() < FLUSH_PATIENCE {
        let start = Instant::now();
        rustix::io::write(&file, &[0; FLUSH_BYTES])?;
        rustix::fs::fdatasync(&file)?;
        took.push(start.elapsed());
    }
    took.sort_unstable();
    let half = took.get(took.len() / 2).copied().unwrap_or(FLUSH_PATIENCE);
    Ok((half, took.last().copied().unwrap_or(FLUSH_PATIENCE)))
}

/// Who has the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Free,
    /// It is taken, and a daemon runs.
    Daemons(u32),
    /// It is taken, and no daemon runs that this user sees.
    Taken,
    NoSuchAddress(String),
}

pub(super) fn port(addr: SocketAddr) -> Port {
    match TcpListener::bind(addr) {
        Ok(_) => Port::Free,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            daemon().map_or(Port::Taken, Port::Daemons)
        }
        Err(error) => Port::NoSuchAddress(error.to_string()),
    }
}

/// A `cofferd` that runs here.
fn daemon() -> Option<u32> {
    let all = fs::read_dir("/proc").ok()?.flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "cofferd")
    })
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) is_link: bool,
    pub(super) is_own: bool,
}

pub(super) fn entry(path: &Path) -> Result<Entry, Hidden> {
    let own = rustix::process::geteuid().as_raw();
    let found = fs::symlink_metadata(path)?;
    let (mode, uid) = (found.mode() & 0o7777, found.uid());
    Ok(Entry { mode, uid, is_link: found.is_symlink(), is_own: uid == own })
}

/// Whether somebody listens at a socket, and lets this user in.
pub(super) fn may_connect(socket: &Path) -> Result<(), Hidden> {
    rustix::fs::accessat(rustix::fs::CWD, socket, rustix::fs::Access::WRITE_OK, AtFlags::EACCESS)?;
    UnixStream::connect(socket)?;
    Ok(())
}
