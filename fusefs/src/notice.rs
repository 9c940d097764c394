//! What the kernel is told unasked: to ask for names again, and to drop what it cached of a node.
//!
//! Nothing here is called from a request's handler: the kernel may hold a lock while it waits for
//! the handler, and want the same lock for the notice.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use fuser::INodeNo;
use fuser::Notifier;

use crate::nodeid::Ino;
use crate::tree::Change;

/// The code of the notice that makes every remembered name be asked for again. It takes no lock of
/// a directory, which a task could hold for as long as it likes, as the notice for one name does.
const NOTIFY_INC_EPOCH: i32 = 8;

/// The way to the kernel.
pub(crate) struct Kernel {
    notifier: Notifier,
    device: OwnedFd,
}

impl Kernel {
    pub(crate) fn new(notifier: Notifier, device: OwnedFd) -> Self {
        Self { notifier, device }
    }

    /// The device, for whoever keeps it open beside us.
    pub(crate) fn device(&self) -> &OwnedFd {
        &self.device
    }

    /// Makes every name of the superblock be looked up again. Fails where the kernel is too old.
    pub(crate) fn forget_names(&self) -> io::Result<()> {
        let mut message = Vec::with_capacity(16);
        message.extend_from_slice(&16_u32.to_ne_bytes());
        message.extend_from_slice(&NOTIFY_INC_EPOCH.to_ne_bytes());
        message.extend_from_slice(&0_u64.to_ne_bytes());
        rustix::io::write(&self.device, &message)?;
        Ok(())
    }

    /// Drops the pages and the attributes of a node. A node that the kernel does not know any more
    /// needs nothing, and a connection that has ended caches nothing.
    pub(crate) fn forget_pages(&self, ino: Ino) {
        drop(self.notifier.inval_inode(INodeNo(ino.0), 0, 0));
    }

    /// Drops the attributes of a node; else as above.
    pub(crate) fn forget_attributes(&self, ino: Ino) {
        drop(self.notifier.inval_inode(INodeNo(ino.0), -1, 0));
    }

    /// Tells a change of the tree.
    pub(crate) fn tell(&self, change: &Change) {
        // Older kernels remember names for a short while only; the server sees to that.
        drop(self.forget_names());
        for ino in &change.pages {
            self.forget_pages(*ino);
        }
        for ino in &change.attributes {
            self.forget_attributes(*ino);
        }
    }
}

/// Nodes whose pages are to be dropped, from handlers to the notifying thread. It holds each node
/// once, so it is never longer than the tree.
#[derive(Default)]
pub(crate) struct Pending {
    state: Mutex<PendingState>,
    changed: Condvar,
}

#[derive(Default)]
struct PendingState {
    nodes: BTreeSet<Ino>,
    is_closed: bool,
}

impl Pending {
    pub(crate) fn add(&self, ino: Ino) {
        self.lock().nodes.insert(ino);
        self.changed.notify_one();
    }

    /// Waits for the next node; nothing once the queue is closed and empty.
    pub(crate) fn next(&self) -> Option<Ino> {
        let mut state = self.lock();
        loop {
            if let Some(ino) = state.nodes.pop_first() {
                return Some(ino);
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// A panic elsewhere cannot leave a set half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, PendingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_queue_gives_what_is_left_and_then_nothing() {
        let pending = Pending::default();
        for number in [3, 2, 3] {
            pending.add(Ino(number));
        }
        pending.close();
        let given: Vec<Option<Ino>> = (0..3).map(|_| pending.next()).collect();
        assert_eq!(given, [Some(Ino(2)), Some(Ino(3)), None]);
    }
}
