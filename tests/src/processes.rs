//! Looks at the host: which processes are there, which mounts.

use std::collections::BTreeSet;
use std::fs;

/// One process, told from a later one with the same number by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pid: u32,
    started: u64,
}

struct Stat {
    process: Process,
    parent: u32,
    is_zombie: bool,
}

impl Process {
    /// Whether it runs. One that nobody has reaped yet is dead all the same.
    pub fn lives(self) -> bool {
        stat(self.pid).is_some_and(|now| now.process == self && !now.is_zombie)
    }
}

/// The third, fourth and twenty-second field; the second, the name, may hold anything.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (_, behind_name) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = behind_name.split(' ').collect();
    let started = fields.get(19)?.parse().ok()?;
    let parent = fields.get(1)?.parse().ok()?;
    let is_zombie = fields.first() == Some(&"Z");
    Some(Stat { process: Process { pid, started }, parent, is_zombie })
}

/// The numbers of all processes.
pub fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("this is Linux").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A process and all that it started, as far as they live.
pub fn family(pid: u32) -> BTreeSet<Process> {
    let all: Vec<Stat> = pids().into_iter().filter_map(stat).collect();
    let mut family = BTreeSet::new();
    let mut open = vec![pid];
    while let Some(pid) = open.pop() {
        family.extend(all.iter().filter(|one| one.process.pid == pid).map(|one| one.process));
        open.extend(all.iter().filter(|one| one.parent == pid).map(|one| one.process.pid));
    }
    family
}

/// The processes whose arguments hold a text.
pub fn with_argument(text: &str) -> Vec<u32> {
    let holds = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    pids().into_iter().filter(holds).collect()
}

/// What a disk of a test's own is called among the mounts.
pub const BAD_DISK: &str = "coffer-bad-disk";

/// The mounts that this process sees and that could be Coffer's: file systems of FUSE and in memory.
/// Other kinds come and go on a busy host.
pub fn mounts() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("this is Linux");
    let is_ours = |line: &&str| {
        let kind = line.split_once(" - ").map_or("", |(_, kind)| kind);
        let is_kind = ["fuse", "tmpfs", "ramfs"].iter().any(|name| kind.starts_with(name));
        is_kind && !kind.contains(BAD_DISK)
    };
    table.lines().filter(is_ours).map(str::to_owned).collect()
}
