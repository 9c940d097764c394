//! Who may open: the identity of a PID namespace, and whether a thread is in it or below it.
//!
//! It reads `/proc` and nothing else. What it cannot read counts as a stranger.

use std::fs;
use std::io;
use std::sync::Arc;

use rustix::fs::Stat;

/// How many parents are asked before a caller counts as a stranger.
const ANCESTORS_MAX: usize = 256;

/// The identity of a PID namespace. While a value lives the namespace cannot be freed, so its
/// number is never that of a later one. It costs one descriptor.
///
/// Whether a thread is inside is decided so: the thread's own namespace is compared first. If it
/// is another one, its parents are asked, one after the other. The kernel gives a child the
/// namespace of its parent or one below it, and hands orphans only to a process of the dead
/// parent's own namespace. So a process with an ancestor in the namespace is in it or below it. A
/// process that was put into a nested namespace from outside has no such ancestor and is refused,
/// as is one with more than 256 ancestors below the namespace.
#[derive(Debug, Clone)]
pub struct PidNamespace {
    identity: Identity,
    _pin: Arc<fs::File>,
}

/// Device and inode of a namespace: unique while the namespace lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl PartialEq for PidNamespace {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for PidNamespace {}

impl PidNamespace {
    /// The namespace that a process is in. The caller makes sure that the process is not replaced
    /// by another one of the same number meanwhile, for example by not having waited for it.
    pub fn of(pid: u32) -> io::Result<Self> {
        let file = fs::File::open(format!("/proc/{pid}/ns/pid"))?;
        let identity = Identity::from(rustix::fs::fstat(&file)?);
        Ok(Self { identity, _pin: Arc::new(file) })
    }

    /// True if the thread is in this namespace or in one below it.
    ///
    /// The thread must be held by the kernel while this runs, as it is while its request waits for
    /// an answer; its number is then not given to another.
    pub(crate) fn covers(&self, tid: u32) -> bool {
        // The kernel says 0 for a caller that the daemon's namespace cannot see.
        if tid == 0 {
            return false;
        }
        match namespace_of(tid) {
            Ok(identity) if identity == self.identity => true,
            Ok(_) => self.covers_ancestor_of(tid).unwrap_or(false),
            Err(_) => false,
        }
    }

    fn covers_ancestor_of(&self, tid: u32) -> io::Result<bool> {
        let mut line = vec![tid];
        while line.len() <= ANCESTORS_MAX {
            let Some(parent) = line.last().map(|child| parent_of(*child)).transpose()? else {
                return Ok(false);
            };
            if parent == 0 {
                return Ok(false);
            }
            line.push(parent);
            if namespace_of(parent)? == self.identity {
                return line_stands(&line);
            }
        }
        Ok(false)
    }
}

impl From<Stat> for Identity {
    fn from(stat: Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

fn namespace_of(tid: u32) -> io::Result<Identity> {
    Ok(Identity::from(rustix::fs::stat(format!("/proc/{tid}/ns/pid"))?))
}

/// True if each process of the line still has the next one as its parent. A parent that dies hands
/// its children on, so an unchanged line means that no number in it changed hands in between.
fn line_stands(line: &[u32]) -> io::Result<bool> {
    for pair in line.windows(2) {
        if let [child, parent] = pair
            && parent_of(*child)? != *parent
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn parent_of(tid: u32) -> io::Result<u32> {
    // The name of a process may be any bytes.
    let status = fs::read(format!("/proc/{tid}/status"))?;
    parent_in(&String::from_utf8_lossy(&status)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The parent's number in the text of a `status` file. The name of a process cannot forge the
/// line: the kernel escapes line ends in it.
fn parent_in(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// True if the thread belongs to this process.
pub(crate) fn is_own_thread(tid: u32) -> bool {
    tid != 0 && rustix::fs::stat(format!("/proc/self/task/{tid}")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_is_in_its_own_namespace() {
        let own = PidNamespace::of(std::process::id()).unwrap();
        assert!(own.covers(std::process::id()));
        assert_eq!(own, PidNamespace::of(std::process::id()).unwrap());
    }

    #[test]
    fn what_cannot_be_seen_is_a_stranger() {
        let own = PidNamespace::of(std::process::id()).unwrap();
        for tid in [0, u32::MAX] {
            assert!(!own.covers(tid), "{tid}");
        }
    }

    #[test]
    fn the_parent_is_read_from_its_own_line() {
        for (status, expected) in [
            ("Name:\tx\nPPid:\t17\n", Some(17)),
            ("Name:\tPPid:\t3\nPPid:\t17\n", Some(17)),
            ("Name:\tx\n", None),
            ("PPid:\tx\n", None),
        ] {
            assert_eq!(parent_in(status), expected, "{status:?}");
        }
    }

    #[test]
    fn only_own_threads_are_own() {
        assert!(is_own_thread(std::process::id()));
        assert!(!is_own_thread(0));
        assert!(!is_own_thread(1) || std::process::id() == 1);
    }
}
