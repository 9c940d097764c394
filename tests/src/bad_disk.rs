//! A disk that goes bad when it is told to: a file system of our own over a plain directory. It can be full,
//! fail at writes and flushes, hang, take its time; and when the power goes, it keeps what was flushed, and of
//! the rest any part.
//!
//! Needs root and `/dev/fuse`. Nothing is ever flushed to the real disk below.

mod files;
mod server;
mod unsafe_yet;

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::{BackgroundSession, Config, Errno, ReplyEmpty, Session, SessionACL};
use rustix::mount::{MountFlags, UnmountFlags};

use crate::disk::chance::Chance;
use crate::node::{Node, is_root};
use crate::processes::BAD_DISK;
use crate::wait::skipped;
use files::Files;
use server::Server;

/// What is wrong with the disk now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// No file can be made, and none gets longer.
    pub is_full: bool,
    /// Every write fails, and stores nothing.
    pub fails_writes: bool,
    /// So many flushes fail. What they were for stays readable and is never stored, whatever is flushed later.
    pub fails_flushes: u32,
    /// Flushes do not return.
    pub hangs: bool,
    /// A flush takes so long.
    pub flush_ms: u64,
    /// There is no disk any more.
    is_off: bool,
}

impl Trouble {
    /// Nothing is wrong any more, but for power that went.
    pub fn heal(&mut self) {
        *self = Self { is_off: self.is_off, ..Self::default() };
    }
}

/// A flush that has not returned.
struct Waiting {
    ino: u64,
    is_names: bool,
    reply: ReplyEmpty,
}

struct Shared {
    trouble: Mutex<Trouble>,
    files: Mutex<Files>,
    waiting: Mutex<Vec<Waiting>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn trouble(&self) -> Trouble {
        *lock(&self.trouble)
    }

    /// Makes safe what a flush was for, or does not, and answers.
    fn finish(&self, Waiting { ino, is_names, reply }: Waiting) {
        let fails = {
            let mut trouble = lock(&self.trouble);
            let fails = trouble.is_off || trouble.fails_flushes > 0;
            trouble.fails_flushes = trouble.fails_flushes.saturating_sub(1);
            fails
        };
        let mut files = lock(&self.files);
        match (fails, is_names) {
            (true, true) => {}
            (true, false) => files.lose(ino),
            (false, true) => files.names_are_safe(ino),
            (false, false) => files.is_safe(ino),
        }
        drop(files);
        if fails { reply.error(Errno::EIO) } else { reply.ok() }
    }
}

/// The disk under the state directory of a node. Taken away when it is dropped, which must be before its node.
pub struct BadDisk {
    shared: Arc<Shared>,
    at: PathBuf,
    session: Option<BackgroundSession>,
}

impl BadDisk {
    /// Puts a good disk under a node that has not been started yet. `None`, said aloud, where that cannot be.
    pub fn under(node: &Node, test: &str) -> Option<Self> {
        if !is_root() {
            skipped(test, "needs root: a bad disk is a file system of its own");
            return None;
        }
        let Ok(device) = File::options().read(true).write(true).open("/dev/fuse") else {
            skipped(test, "needs /dev/fuse: a bad disk is a file system of its own");
            return None;
        };
        let below = node.scratch().path("below");
        for folder in [&below, &node.state_dir()] {
            std::fs::create_dir(folder).expect("the directory is ours");
            let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(folder, closed).expect("the directory is ours");
        }
        Some(Self::mount(device.into(), &below, node.state_dir()))
    }

    fn mount(device: OwnedFd, below: &Path, at: PathBuf) -> Self {
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
            device.as_raw_fd()
        );
        let options = CString::new(options).expect("there is no zero byte in it");
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount(BAD_DISK, &at, "fuse", flags, options.as_c_str())
            .expect("root may mount");
        let shared = Arc::new(Shared {
            trouble: Mutex::default(),
            files: Mutex::new(Files::below(below)),
            waiting: Mutex::default(),
        });
        let server = Server::new(Arc::clone(&shared));
        let mut config = Config::default();
        config.acl = SessionACL::All;
        let session = Session::from_fd(server, device, SessionACL::All, config);
        let session = session.and_then(Session::spawn).expect("the kernel greets");
        Self { shared, at, session: Some(session) }
    }

    /// Changes what is wrong with it. What hung goes on, if it does not hang any more.
    pub fn set(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut lock(&self.shared.trouble));
        if !self.shared.trouble().hangs {
            let waiting = std::mem::take(&mut *lock(&self.shared.waiting));
            waiting.into_iter().for_each(|one| self.shared.finish(one));
        }
    }

    /// How many flushes have not returned.
    pub fn flushes_that_hang(&self) -> usize {
        lock(&self.shared.waiting).len()
    }

    /// From now on nothing is stored and nothing is answered well. Whoever is killed then can die: a process
    /// does not end while the disk owes it an answer.
    pub fn power_off(&self) {
        self.set(|trouble| *trouble = Trouble { is_off: true, ..Trouble::default() });
    }

    /// The disk is good again, and holds what it kept. Nobody may have a file of it open.
    pub fn power_on(&self, chance: &mut Chance) {
        lock(&self.shared.files).after_outage(chance);
        self.set(|trouble| *trouble = Trouble::default());
    }
}

impl Drop for BadDisk {
    fn drop(&mut self) {
        self.set(|trouble| *trouble = Trouble::default());
        // What is still open on it goes with its last owner.
        rustix::mount::unmount(&self.at, UnmountFlags::DETACH).ok();
        drop(self.session.take());
    }
}
