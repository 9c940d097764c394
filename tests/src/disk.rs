//! A disk for tests: a folder in memory that records every operation, fails where it is told to, and
//! knows what a real disk may have kept when the power went.
//!
//! A file's bytes are safe up to its last completed flush, names up to the folder's. Of everything later,
//! `power` builds what any disk could have kept.

pub mod chance;
pub mod power;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rustix::io::Errno;
use vault::disk::folder::{Folder, StoredFile};

/// How long a test waits for another thread before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// One operation, in the order in which they took effect.
#[derive(Clone, Debug)]
pub enum Operation {
    Create {
        name: String,
        file: usize,
    },
    Write {
        file: usize,
        offset: usize,
        bytes: Arc<[u8]>,
    },
    /// Everything written to the file before is safe.
    Flush {
        file: usize,
    },
    /// The flush failed: what was written before is readable, and no later flush brings it to the disk.
    Lost {
        file: usize,
    },
    Rename {
        from: String,
        to: String,
        file: usize,
    },
    Remove {
        name: String,
        file: usize,
    },
    /// The names in one folder are safe; it is given with a slash behind it, or empty for the first one.
    FlushNames {
        folder: String,
    },
    /// Something that the test wants to find again, such as an acknowledgement.
    Mark(u64),
}

/// Names and bytes. Copies are cheap.
#[derive(Clone, Debug, Default)]
pub struct Image {
    pub(crate) names: BTreeMap<String, usize>,
    pub(crate) files: BTreeMap<usize, Arc<Vec<u8>>>,
}

impl Image {
    /// The names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// All bytes of a file, if there is one of this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(self.names.get(name)?).map(|bytes| bytes.as_slice())
    }

    /// Which file a name stands for, as operations number them.
    pub fn file(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Puts a file there, in place of any other of this name.
    pub fn put(&mut self, name: &str, bytes: Vec<u8>) {
        let file = self.files.keys().last().map_or(0, |last| last + 1);
        self.names.insert(name.to_owned(), file);
        self.files.insert(file, Arc::new(bytes));
    }

    /// Takes a name away.
    pub fn take(&mut self, name: &str) {
        self.names.remove(name);
    }

    pub(crate) fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Create { name, file } => {
                self.names.insert(name.clone(), *file);
                self.files.entry(*file).or_default();
            }
            Operation::Write { file, offset, bytes } => self.write(*file, *offset, bytes),
            Operation::Rename { from, to, file } => {
                if self.names.get(from) == Some(file) {
                    self.names.remove(from);
                }
                self.names.insert(to.clone(), *file);
                self.files.entry(*file).or_default();
            }
            Operation::Remove { name, file } => {
                if self.names.get(name) == Some(file) {
                    self.names.remove(name);
                }
            }
            Operation::Flush { .. }
            | Operation::Lost { .. }
            | Operation::FlushNames { .. }
            | Operation::Mark(_) => {}
        }
    }

    pub(crate) fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.extend(file, end);
        let content = Arc::make_mut(self.files.entry(file).or_default());
        content[offset..end].copy_from_slice(bytes);
    }

    /// Makes a file at least so long, with zeros.
    pub(crate) fn extend(&mut self, file: usize, length: usize) {
        let content = Arc::make_mut(self.files.entry(file).or_default());
        if content.len() < length {
            // Faster in a debug build than growing by one zero after the other.
            content.extend_from_slice(&vec![0; length - content.len()]);
        }
    }
}

/// Operations that can be told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Create,
    Write,
    Flush,
    Rename,
    Remove,
    FlushNames,
}

/// A failure that is to come.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    pub call: Call,
    /// How many calls of the kind still succeed.
    pub after: usize,
    pub errno: Errno,
    /// Every later call of the kind fails too.
    pub for_ever: bool,
}

#[derive(Default)]
struct State {
    /// What was on the disk before the first operation.
    base: Image,
    operations: Vec<Operation>,
    /// What a reader sees: all operations applied.
    live: Image,
    files: usize,
    failures: Vec<Failure>,
    is_hanging: bool,
    hanging: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A folder of the disk, the first one or one inside it. Copies are the same folder.
#[derive(Clone, Default)]
pub struct FaultyDisk {
    shared: Arc<Shared>,
    /// What the names of files in this folder start with: nothing, or a folder's name and a slash.
    prefix: String,
}

impl From<Image> for FaultyDisk {
    fn from(image: Image) -> Self {
        Self::resumed(image.clone(), Vec::new(), image)
    }
}

impl FaultyDisk {
    /// A disk in the middle of its life: `pending` is what was done and may still be lost.
    pub(crate) fn resumed(base: Image, pending: Vec<Operation>, live: Image) -> Self {
        let last = [&base, &live].into_iter().filter_map(|image| image.files.keys().last()).max();
        let files = last.map_or(0, |last| last + 1);
        let state = State { base, operations: pending, live, files, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        Self { shared, prefix: String::new() }
    }

    /// What a reader sees now.
    pub fn image(&self) -> Image {
        self.state().live.clone()
    }

    /// What was there first, and all that was done since.
    pub fn recording(&self) -> (Image, Vec<Operation>) {
        let state = self.state();
        (state.base.clone(), state.operations.clone())
    }

    /// Notes that something happened, in the order of the operations.
    pub fn mark(&self, mark: u64) {
        self.done(self.state(), Operation::Mark(mark));
    }

    /// Lets a call fail.
    pub fn fail(&self, failure: Failure) {
        self.state().failures.push(failure);
    }

    /// Lets flushes of files hang, or go on.
    pub fn hang(&self, is_hanging: bool) {
        self.state().is_hanging = is_hanging;
        self.shared.changed.notify_all();
    }

    /// Waits until a flush hangs.
    pub fn wait_for_hanging_flush(&self) {
        self.wait("a hanging flush", |state| state.hanging > 0);
    }

    /// Waits until the operations are as they should be.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&[Operation]) -> bool) {
        self.wait(what, |state| is_so(&state.operations));
    }

    fn wait(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let waited =
            self.shared.changed.wait_timeout_while(self.state(), PATIENCE, |state| !is_so(state));
        assert!(!waited.unwrap().1.timed_out(), "waited for {what} in vain");
    }

    fn whole(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    fn done(&self, mut state: MutexGuard<'_, State>, operation: Operation) {
        state.live.apply(&operation);
        state.operations.push(operation);
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl State {
    /// The error of a call, if it is its turn to fail.
    fn attempt(&mut self, call: Call) -> io::Result<()> {
        let Some(at) = self.failures.iter().position(|failure| failure.call == call) else {
            return Ok(());
        };
        let failure = &mut self.failures[at];
        if failure.after > 0 {
            failure.after -= 1;
            return Ok(());
        }
        let errno = failure.errno;
        if !failure.for_ever {
            self.failures.remove(at);
        }
        Err(errno.into())
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.live.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

struct File {
    disk: FaultyDisk,
    file: usize,
}

impl StoredFile for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let attempt = state.attempt(Call::Write);
        // A write that fails may have put down a part.
        let part = if attempt.is_ok() { bytes } else { &bytes[..bytes.len() / 1024 * 512] };
        let offset = usize::try_from(offset).unwrap();
        let write = Operation::Write { file: self.file, offset, bytes: part.into() };
        self.disk.done(state, write);
        attempt
    }

    fn flush(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.hanging += 1;
        self.disk.shared.changed.notify_all();
        let mut state =
            self.disk.shared.changed.wait_while(state, |state| state.is_hanging).unwrap();
        state.hanging -= 1;
        let attempt = state.attempt(Call::Flush);
        let file = self.file;
        let operation =
            if attempt.is_ok() { Operation::Flush { file } } else { Operation::Lost { file } };
        self.disk.done(state, operation);
        attempt
    }
}

impl Folder for FaultyDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        let names = self.state().live.names().into_iter();
        let inside = names.filter_map(|name| Some(name.strip_prefix(&self.prefix)?.to_owned()));
        Ok(inside.filter(|name| !name.contains('/')).collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.state();
        state
            .live
            .get(&self.whole(name))
            .map(<[u8]>::to_vec)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        let state = self.state();
        let length = state.live.get(&self.whole(name)).map(<[u8]>::len);
        Ok(u64::try_from(length.ok_or(io::ErrorKind::NotFound)?).unwrap())
    }

    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.state();
        let bytes = state.live.get(&self.whole(name)).ok_or(io::ErrorKind::NotFound)?;
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let mut state = self.state();
        state.attempt(Call::Create)?;
        let name = self.whole(name);
        if state.file(&name).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files;
        state.files += 1;
        self.done(state, Operation::Create { name, file });
        Ok(Arc::new(File { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.attempt(Call::Rename)?;
        let (from, to) = (self.whole(from), self.whole(to));
        let file = state.file(&from)?;
        self.done(state, Operation::Rename { from, to, file });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.attempt(Call::Remove)?;
        let name = self.whole(name);
        let file = state.file(&name)?;
        self.done(state, Operation::Remove { name, file });
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut state = self.state();
        state.attempt(Call::FlushNames)?;
        self.done(state, Operation::FlushNames { folder: self.prefix.clone() });
        Ok(())
    }

    /// There as soon as there is something in it.
    fn folder(&self, name: &str) -> io::Result<Arc<dyn Folder>> {
        let shared = Arc::clone(&self.shared);
        Ok(Arc::new(Self { shared, prefix: format!("{}/", self.whole(name)) }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let file = self.state().file(&self.whole(name))?;
        Ok(Arc::new(File { disk: self.clone(), file }))
    }
}
