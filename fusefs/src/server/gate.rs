//! Opening: is the caller inside, which version does it get, is it written down.
//!
//! It is shared by the server, which asks it, and by the file system's owner, who changes the tree.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;
use std::time::Instant;

use fuser::Request;

use crate::audit;
use crate::audit::OpenOutcome;
use crate::audit::OpenRecord;
use crate::audit::Opens;
use crate::audit::Recorded;
use crate::namespace::PidNamespace;
use crate::nodeid::Ino;
use crate::nodeid::ROOT;
use crate::notice::Pending;
use crate::server::returning::Returning;
use crate::server::returning::Step;
use crate::tree::Door;
use crate::tree::Found;
use crate::tree::Listing;
use crate::tree::Refusal;
use crate::tree::Tree;

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    tid: u32,
    uid: u32,
    gid: u32,
}

impl Caller {
    pub(crate) fn of(request: &Request) -> Self {
        Self { tid: request.pid(), uid: request.uid(), gid: request.gid() }
    }
}

pub(crate) struct Gate {
    tree: RwLock<Tree>,
    returning: Mutex<Returning>,
    opens: Arc<dyn Opens>,
    pending: Arc<Pending>,
}

impl Gate {
    pub(crate) fn new(tree: Tree, opens: Arc<dyn Opens>, pending: Arc<Pending>) -> Self {
        Self { tree: RwLock::new(tree), returning: Mutex::default(), opens, pending }
    }

    /// The tree, to ask. The tree's own code does not panic, so a poisoned lock tells of a panic
    /// that left it whole; refusing everything from then on would fell every task for nothing.
    pub(crate) fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree, to change.
    pub(crate) fn tree_mut(&self) -> RwLockWriteGuard<'_, Tree> {
        self.tree.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a name for a caller. What a thread that was sent back finds is held for its open.
    pub(crate) fn lookup(
        &self,
        caller: Caller,
        parent: Ino,
        name: &[u8],
    ) -> Result<Found, Refusal> {
        let now = Instant::now();
        let is_sent_back = self.returning().is_sent_back(caller.tid, now);
        if !is_sent_back {
            return self.tree().lookup(parent, name);
        }
        // Found and held in one step, or the version could be gone in between.
        let found = {
            let mut tree = self.tree_mut();
            let found = tree.lookup(parent, name);
            if let Ok(found) = found
                && !found.attributes.is_directory
            {
                tree.open(found.attributes.ino)?;
            }
            found
        };
        let before = match found {
            Ok(found) if found.attributes.is_directory => None,
            Ok(found) => self.returning().hold(caller.tid, found.attributes.ino, now),
            Err(_) => held(self.returning().forget(caller.tid)),
        };
        self.release_all(before);
        found
    }

    /// Opens a node for a caller: decide, pin the version, write it down. Any doubt is a no.
    pub(crate) fn open(&self, caller: Caller, ino: Ino) -> Result<(), Refusal> {
        let step = self.returning().forget(caller.tid);
        let is_held = held(step) == Some(ino);
        let opened = self.open_held(caller, ino, is_held);
        if opened.is_err() || !is_held {
            self.release_all(held(step));
        }
        // A thread is sent back once: one that has just come back did not look the name up again.
        if opened == Err(Refusal::Stale) && step.is_none() {
            let now = Instant::now();
            let swept = {
                let mut returning = self.returning();
                let swept = returning.sweep(now);
                returning.send_back(caller.tid, now);
                swept
            };
            self.release_all(swept);
        }
        opened
    }

    fn open_held(&self, caller: Caller, ino: Ino, is_held: bool) -> Result<(), Refusal> {
        let door = self.tree().door(ino, is_held)?;
        let outcome = outcome(door.admitted.as_ref(), caller);
        if outcome != OpenOutcome::Admitted {
            // The answer is no whether or not the record is kept.
            audit::tell(self.opens.as_ref(), record(door, caller, outcome));
            return Err(Refusal::Stranger);
        }
        if !is_held {
            // The version may have been superseded meanwhile; then the kernel comes back for the
            // next.
            self.tree_mut().open(ino)?;
        }
        match audit::tell(self.opens.as_ref(), record(door, caller, outcome)) {
            Recorded::Kept => Ok(()),
            Recorded::Lost => {
                if !is_held {
                    self.release(ino);
                }
                Err(Refusal::Unrecorded)
            }
        }
    }

    /// Lets go of what is held for threads that did not come back.
    pub(crate) fn sweep(&self) {
        let swept = self.returning().sweep(Instant::now());
        self.release_all(swept);
    }

    fn release_all(&self, nodes: impl IntoIterator<Item = Ino>) {
        for ino in nodes {
            self.release(ino);
        }
    }

    /// A panic elsewhere cannot leave the table half changed.
    fn returning(&self) -> MutexGuard<'_, Returning> {
        self.returning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a descriptor out. Pages that a private map left behind are dropped by another thread.
    pub(crate) fn release(&self, ino: Ino) {
        if self.tree_mut().release(ino) {
            self.pending.add(ino);
        }
    }

    /// Ends the thread that tells notices, once nothing is served any more.
    pub(crate) fn close(&self) {
        self.pending.close();
    }

    /// The names in a directory, for a caller who may open what is in it.
    pub(crate) fn listing(&self, caller: Caller, ino: Ino) -> Result<Arc<Listing>, Refusal> {
        let (listing, admitted) = self.tree().listing(ino)?;
        // The root has nothing to hide: it lists nothing.
        if ino == ROOT || outcome(admitted.as_ref(), caller) == OpenOutcome::Admitted {
            Ok(listing)
        } else {
            Err(Refusal::Stranger)
        }
    }
}

fn held(step: Option<Step>) -> Option<Ino> {
    match step {
        Some(Step::Holds(ino)) => Some(ino),
        Some(Step::SentBack) | None => None,
    }
}

fn outcome(admitted: Option<&PidNamespace>, caller: Caller) -> OpenOutcome {
    match admitted {
        None => OpenOutcome::NotYetAdmitted,
        Some(namespace) if namespace.covers(caller.tid) => OpenOutcome::Admitted,
        Some(_) => OpenOutcome::Stranger,
    }
}

fn record(door: Door, caller: Caller, outcome: OpenOutcome) -> OpenRecord {
    OpenRecord {
        subtree: door.subtree,
        name: door.name.as_str().to_owned(),
        object: door.object,
        version: door.version,
        pid: caller.tid,
        uid: caller.uid,
        gid: caller.gid,
        outcome,
    }
}

#[cfg(test)]
mod tests {
    use vault_memory::Guarded;

    use super::*;
    use crate::name::FileName;
    use crate::name::SubtreeId;
    use crate::nodeid::NodeIds;
    use crate::tree::File;

    struct Keeping;

    impl Opens for Keeping {
        fn opened(&self, _record: OpenRecord) -> Recorded {
            Recorded::Kept
        }
    }

    fn files(version: u64) -> Vec<File> {
        vec![File {
            name: FileName::parse("token").unwrap(),
            uid: 0,
            gid: 0,
            mode: 0o400,
            object: "s1".to_owned(),
            version,
            modified_ns: 0,
            content: Arc::new(Guarded::filled(1, |room| room.fill(7)).unwrap()),
        }]
    }

    /// A gate with one subtree at version 1, its directory, and a caller who is inside.
    fn gate() -> (Gate, SubtreeId, Ino, Caller) {
        let id = SubtreeId::from_random([1; 8]);
        let mut tree = Tree::new(NodeIds::new([2; 16]));
        tree.plant(id, files(1)).unwrap();
        tree.admit(id, PidNamespace::of(std::process::id()).unwrap()).unwrap();
        let top = tree.subtree_named(id.segment().as_bytes()).unwrap().attributes.ino;
        let caller = Caller { tid: std::process::id(), uid: 0, gid: 0 };
        (Gate::new(tree, Arc::new(Keeping), Arc::default()), id, top, caller)
    }

    fn find(gate: &Gate, caller: Caller, top: Ino) -> Ino {
        gate.lookup(caller, top, b"token").unwrap().attributes.ino
    }

    #[test]
    fn a_caller_who_was_sent_back_gets_what_it_finds_even_if_that_is_superseded_next() {
        let (gate, id, top, caller) = gate();
        let first = find(&gate, caller, top);
        gate.tree_mut().replace(id, files(2)).unwrap();
        assert_eq!(gate.open(caller, first), Err(Refusal::Stale));
        let second = find(&gate, caller, top);
        gate.tree_mut().replace(id, files(3)).unwrap();
        assert_eq!(gate.open(caller, second), Ok(()));
        // Once only: the next open is a new one, and must not see an old version.
        assert_eq!(gate.open(caller, second), Err(Refusal::Stale));
        let third = find(&gate, caller, top);
        assert_eq!(gate.open(caller, third), Ok(()));
    }

    #[test]
    fn what_is_held_for_a_caller_is_let_go_when_it_opens_something_else() {
        let (gate, id, top, caller) = gate();
        let first = find(&gate, caller, top);
        gate.tree_mut().replace(id, files(2)).unwrap();
        assert_eq!(gate.open(caller, first), Err(Refusal::Stale));
        let second = find(&gate, caller, top);
        gate.tree_mut().replace(id, files(3)).unwrap();
        assert_eq!(gate.open(caller, first), Err(Refusal::Stale));
        assert_eq!(gate.tree().read(second, 0, 1, false).err(), Some(Refusal::Revoked));
    }

    #[test]
    fn a_caller_who_is_not_visible_is_a_stranger() {
        let (gate, _, top, caller) = gate();
        let ino = find(&gate, caller, top);
        let unseen = Caller { tid: 0, ..caller };
        assert_eq!(gate.open(unseen, ino), Err(Refusal::Stranger));
        assert_eq!(gate.listing(unseen, top).err(), Some(Refusal::Stranger));
    }
}
