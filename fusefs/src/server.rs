//! The FUSE server: carries the kernel's questions to the tree and the tree's answers back.
//!
//! The one thing that it decides is whether a caller is inside the admitted PID namespace. It holds no
//! lock while it reads `/proc`, tells the audit, or answers.

mod gate;
mod returning;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use fuser::BsdFileFlags;
use fuser::CopyFileRangeFlags;
use fuser::FileAttr;
use fuser::FileHandle;
use fuser::FileType;
use fuser::Filesystem;
use fuser::FopenFlags;
use fuser::Generation;
use fuser::INodeNo;
use fuser::InitFlags;
use fuser::IoctlFlags;
use fuser::KernelConfig;
use fuser::LockOwner;
use fuser::OpenAccMode;
use fuser::OpenFlags;
use fuser::PollEvents;
use fuser::PollFlags;
use fuser::PollNotifier;
use fuser::RenameFlags;
use fuser::ReplyAttr;
use fuser::ReplyCreate;
use fuser::ReplyData;
use fuser::ReplyDirectory;
use fuser::ReplyEmpty;
use fuser::ReplyEntry;
use fuser::ReplyIoctl;
use fuser::ReplyLseek;
use fuser::ReplyOpen;
use fuser::ReplyPoll;
use fuser::ReplyStatfs;
use fuser::ReplyWrite;
use fuser::ReplyXattr;
use fuser::Request;
use fuser::TimeOrNow;
use fuser::WriteFlags;

pub(crate) use gate::Gate;

use crate::errno::errno;
use crate::name::NAME_BYTES_MAX;
use crate::namespace::is_own_thread;
use crate::nodeid::Ino;
use crate::nodeid::ROOT;
use crate::tree::Attributes;
use crate::tree::Found;
use crate::tree::Listing;
use crate::tree::Refusal;
use gate::Caller;

/// How long the kernel may remember attributes, and names where it can be told to forget them all.
/// Correctness comes from stale answers and from notices, not from this.
const REMEMBERED: Duration = Duration::from_hours(1);

/// How long names are remembered where the kernel cannot be told.
const REMEMBERED_BRIEFLY: Duration = Duration::from_secs(1);

/// Node ids are never used again for something else, so one generation is enough.
const GENERATION: Generation = Generation(1);

/// No page of a secret in the kernel's cache, and no question at each `close`.
const OPENED: FopenFlags = FopenFlags::FOPEN_DIRECT_IO.union(FopenFlags::FOPEN_NOFLUSH);

const BLOCK_BYTES: u32 = 4096;

/// What the handshake found out; told to the one who started the server.
#[derive(Default)]
pub(crate) struct Handshake {
    /// True if the kernel cannot turn the export of file handles off.
    pub(crate) is_exportable: AtomicBool,
    /// True if the kernel forgets all names when told.
    pub(crate) forgets_names: AtomicBool,
}

pub(crate) struct Server {
    gate: Arc<Gate>,
    handshake: Arc<Handshake>,
    /// What open directories list, so that a listing is of one moment.
    listings: Mutex<BTreeMap<u64, Arc<Listing>>>,
    listings_given: AtomicU64,
}

impl Server {
    pub(crate) fn new(gate: Arc<Gate>, handshake: Arc<Handshake>) -> Self {
        Self { gate, handshake, listings: Mutex::default(), listings_given: AtomicU64::new(1) }
    }

    fn find(&self, request: &Request, parent: Ino, name: &OsStr) -> Result<Found, Refusal> {
        if parent != ROOT {
            return self.gate.lookup(Caller::of(request), parent, name.as_bytes());
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(Refusal::NameTooLong);
        }
        // Only the daemon has a descriptor of the hidden root, and only to clone a subtree of it.
        if !is_own_thread(request.pid()) {
            return Err(Refusal::NoEntry);
        }
        self.gate.tree().subtree_named(name.as_bytes())
    }

    fn remembered(&self, found: &Found) -> Duration {
        if !found.lasting {
            Duration::ZERO
        } else if self.handshake.forgets_names.load(Ordering::Relaxed) {
            REMEMBERED
        } else {
            REMEMBERED_BRIEFLY
        }
    }

    fn listings(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Listing>>> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The listing that a directory was opened with; that of now after a change of daemons.
    fn listed(&self, ino: Ino, handle: FileHandle) -> Result<Arc<Listing>, Refusal> {
        let (now, _) = self.gate.tree().listing(ino)?;
        Ok(self.listings().get(&handle.0).map_or(now, Arc::clone))
    }
}

/// Answers an extended attribute by the kernel's two-step protocol: first the size, then the bytes.
fn answer_attribute(reply: ReplyXattr, size: u32, value: Result<Vec<u8>, Refusal>) {
    match value {
        Err(refusal) => reply.error(errno(refusal)),
        Ok(value) => {
            let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
            if size == 0 {
                reply.size(len);
            } else if len <= size {
                reply.data(&value);
            } else {
                reply.error(errno(Refusal::BufferTooSmall));
            }
        }
    }
}

fn time(ns: i64) -> SystemTime {
    let distance = Duration::from_nanos(ns.unsigned_abs());
    let time =
        if ns < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

fn attr(of: &Attributes) -> FileAttr {
    let modified = time(of.modified_ns);
    let (kind, nlink) =
        if of.is_directory { (FileType::Directory, 2) } else { (FileType::RegularFile, 1) };
    FileAttr {
        ino: INodeNo(of.ino.0),
        size: of.size,
        blocks: of.size.div_ceil(512),
        atime: modified,
        mtime: modified,
        ctime: modified,
        crtime: modified,
        kind,
        perm: u16::try_from(of.mode & 0o777).unwrap_or(0),
        nlink,
        uid: of.uid,
        gid: of.gid,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

impl Filesystem for Server {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // With export on, a task that may read past permissions could open another task's files by
        // a handle that it made up.
        if config.add_capabilities(InitFlags::FUSE_NO_EXPORT_SUPPORT).is_err() {
            self.handshake.is_exportable.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::Unsupported.into());
        }
        // These make things quicker and more robust; a kernel without them serves as well.
        let wishes = InitFlags::FUSE_PARALLEL_DIROPS | InitFlags::FUSE_HAS_RESEND;
        let granted = config.capabilities() & wishes;
        config.add_capabilities(granted).map_err(|_| io::ErrorKind::Unsupported.into())
    }

    fn destroy(&mut self) {
        self.gate.close();
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.find(request, Ino(parent.0), name) {
            Ok(found) => reply.entry_with_ttls(
                &REMEMBERED,
                &self.remembered(&found),
                &attr(&found.attributes),
                GENERATION,
            ),
            // A plain error is not remembered, so a name that comes later is seen at once.
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let attributes = self.gate.tree().attributes(Ino(ino.0));
        match attributes {
            Ok(attributes) => reply.attr(&REMEMBERED, &attr(&attributes)),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = if flags.acc_mode() == OpenAccMode::O_RDONLY {
            self.gate.open(Caller::of(request), Ino(ino.0))
        } else {
            Err(Refusal::ReadOnly)
        };
        match opened {
            // The node id alone says which version is read, so a handle would add nothing.
            Ok(()) => {
                reply.opened(FileHandle(0), OPENED);
            }
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        // A read on behalf of a caller names the owner of its locks; one that fills pages for a
        // private map has no caller to name.
        let is_for_pages = lock_owner.is_none();
        let part = self.gate.tree().read(Ino(ino.0), offset, size, is_for_pages);
        match part {
            Ok((content, part)) => reply.data(content.expose().get(part).unwrap_or_default()),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.gate.release(Ino(ino.0));
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Or every `close` would wait for the daemon, even in a process that only inherited a file.
        reply.error(errno(Refusal::NotOffered));
    }

    fn opendir(&self, request: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.gate.listing(Caller::of(request), Ino(ino.0)) {
            Ok(listing) => {
                let handle = self.listings_given.fetch_add(1, Ordering::Relaxed);
                self.listings().insert(handle, listing);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listing = match self.listed(Ino(ino.0), handle) {
            Ok(listing) => listing,
            Err(refusal) => return reply.error(errno(refusal)),
        };
        let dots = [".", ".."].map(|name| (ino, FileType::Directory, name));
        let files = listing
            .iter()
            .map(|(name, ino)| (INodeNo(ino.0), FileType::RegularFile, name.as_str()));
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (next, (ino, kind, name)) in (1..).zip(dots.into_iter().chain(files)).skip(skipped) {
            if reply.add(ino, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.listings().remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, ino: INodeNo, reply: ReplyStatfs) {
        let room = self.gate.tree().room(Ino(ino.0));
        let blocks = room.bytes.div_ceil(u64::from(BLOCK_BYTES));
        let name_max = u32::try_from(NAME_BYTES_MAX).unwrap_or(u32::MAX);
        reply.statfs(blocks, 0, 0, room.files, 0, BLOCK_BYTES, name_max, BLOCK_BYTES);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let value = self.gate.tree().attribute(Ino(ino.0), name.as_bytes());
        answer_attribute(reply, size, value.map(String::into_bytes));
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let names = self.gate.tree().attribute_names(Ino(ino.0));
        answer_attribute(reply, size, names);
    }

    fn lseek(&self, _: &Request, _: INodeNo, _: FileHandle, _: i64, _: i32, reply: ReplyLseek) {
        // The kernel's own answer is right for a file without holes.
        reply.error(errno(Refusal::NotOffered));
    }

    fn poll(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: PollNotifier,
        _: PollEvents,
        _: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(errno(Refusal::NotOffered));
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(errno(Refusal::NoSuchControl));
    }

    // The superblock is read-only, so the kernel sends none of the following. They are refused all
    // the same, since whoever may change the superblock's flags must not thereby change a secret.

    fn setattr(
        &self,
        _: &Request,
        _: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn mkdir(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn unlink(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn rmdir(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: INodeNo,
        _: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn setxattr(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: &[u8],
        _: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn removexattr(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(errno(Refusal::ReadOnly));
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        // Copying out of a secret: the kernel falls back to reading and writing.
        reply.error(errno(Refusal::NotOffered));
    }
}
