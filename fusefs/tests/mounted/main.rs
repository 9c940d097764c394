//! Real mounts: what a task sees, and what others must not. It needs root and the FUSE device, and
//! says so aloud when it skips.

#![cfg(test)]

mod reading;
mod refusing;
mod separating;
mod standing_in;

use std::fs;
use std::io;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use fusefs::File;
use fusefs::FileName;
use fusefs::FileSystem;
use fusefs::OpenRecord;
use fusefs::Opens;
use fusefs::Options;
use fusefs::PidNamespace;
use fusefs::Recorded;
use fusefs::SubtreeId;
use rustix::io::Errno;
use vault_memory::Guarded;

/// Keeps every record, or loses them all.
#[derive(Default)]
struct Recorder {
    records: Mutex<Vec<OpenRecord>>,
    loses: bool,
}

impl Recorder {
    fn records(&self) -> Vec<OpenRecord> {
        self.records.lock().unwrap().clone()
    }
}

impl Opens for Recorder {
    fn opened(&self, record: OpenRecord) -> Recorded {
        self.records.lock().unwrap().push(record);
        if self.loses { Recorded::Lost } else { Recorded::Kept }
    }
}

/// Nothing, after saying why, if mounts cannot be made here.
fn can_mount() -> bool {
    let features = fusefs::features();
    let is_able = features.has_shared_fuse();
    if !is_able {
        let missing: Vec<String> = features.missing.iter().map(ToString::to_string).collect();
        skip(&missing.join("; "));
    }
    is_able
}

/// As above, for what needs every user of the host: a user namespace maps only some of them, and
/// the kernel keeps handle calls and ended connections for the host's own root.
fn can_mount_as_host_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let is_host = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if !is_host {
        skip("this is a user namespace");
    }
    is_host && can_mount()
}

fn skip(reason: &str) {
    // Past the harness, which keeps what a passing test prints to itself. The thread has the test's name.
    let test = thread::current();
    let line = format!("SKIPPED: {}: {reason}\n", test.name().unwrap_or("mounted"));
    io::stderr().write_all(line.as_bytes()).expect("standard error takes a line");
}

fn started(opens: Arc<dyn Opens>) -> FileSystem {
    let threads = NonZeroUsize::new(2).unwrap();
    FileSystem::start(Options { key: [5; 16], threads, opens }).unwrap()
}

/// A subtree that was never used before.
fn fresh_id() -> SubtreeId {
    static NEXT: AtomicU64 = AtomicU64::new(0x1122_3344_5566_7788);
    SubtreeId::from_random(NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes())
}

fn file(name: &str, version: u64, bytes: &[u8]) -> File {
    let content = Guarded::filled(bytes.len(), |room| room.copy_from_slice(bytes)).unwrap();
    File {
        name: FileName::parse(name).unwrap(),
        uid: 0,
        gid: 0,
        mode: 0o440,
        object: format!("object of {name}"),
        version,
        modified_ns: 1_700_000_000_123_456_789,
        content: Arc::new(content),
    }
}

/// A started file system with one subtree, open to this process, and its detached mount.
struct Planted {
    system: FileSystem,
    id: SubtreeId,
    tree: OwnedFd,
    recorder: Arc<Recorder>,
}

impl Planted {
    fn with(files: Vec<File>) -> Self {
        let recorder = Arc::new(Recorder::default());
        let system = started(Arc::<Recorder>::clone(&recorder));
        let id = fresh_id();
        system.plant(id, files).unwrap();
        system.admit(id, PidNamespace::of(std::process::id()).unwrap()).unwrap();
        let tree = system.tree_of(id).unwrap();
        Self { system, id, tree, recorder }
    }

    /// A path to a name in the mount that also works for other processes.
    fn path(&self, name: &str) -> PathBuf {
        path_in(&self.tree, name)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Errno> {
        fs::read(self.path(name)).map_err(|fault| errno(&fault))
    }
}

fn path_in(tree: &OwnedFd, name: &str) -> PathBuf {
    format!("/proc/{}/fd/{}/{name}", std::process::id(), tree.as_raw_fd()).into()
}

fn errno(fault: &io::Error) -> Errno {
    Errno::from_raw_os_error(fault.raw_os_error().unwrap())
}

/// Asks until the answer is yes.
fn soon(what: &str, mut ask: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !ask() {
        assert!(Instant::now() < deadline, "{what} did not happen in 10 s");
        thread::yield_now();
    }
}
