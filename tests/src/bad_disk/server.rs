//! The kernel's questions to a bad disk, answered from the directory below it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::{Shared, Waiting, lock};

/// Nothing is remembered by the kernel: after an outage everything may be otherwise.
const NOT_AT_ALL: Duration = Duration::ZERO;

pub(super) struct Server {
    shared: Arc<Shared>,
    open: Mutex<BTreeMap<u64, Arc<File>>>,
    handles_given: AtomicU64,
}

/// The bytes of a file go past the kernel's cache.
const PLAIN: FopenFlags = FopenFlags::FOPEN_DIRECT_IO;

impl Server {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: Mutex::default(), handles_given: AtomicU64::new(0) }
    }

    fn path(&self, ino: INodeNo) -> io::Result<PathBuf> {
        lock(&self.shared.files).path(ino.0)
    }

    fn child(&self, parent: INodeNo, name: &OsStr) -> io::Result<PathBuf> {
        Ok(self.path(parent)?.join(name))
    }

    /// Before anything is changed: whether it can be.
    fn may_change(&self, is_more: bool) -> io::Result<()> {
        let trouble = self.shared.trouble();
        if trouble.is_off || trouble.fails_writes {
            return Err(rustix::io::Errno::IO.into());
        }
        if is_more && trouble.is_full {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        Ok(())
    }

    fn keep(&self, file: File) -> FileHandle {
        let handle = self.handles_given.fetch_add(1, Ordering::Relaxed);
        lock(&self.open).insert(handle, Arc::new(file));
        FileHandle(handle)
    }

    fn opened(&self, handle: FileHandle) -> io::Result<Arc<File>> {
        let open = lock(&self.open);
        open.get(&handle.0).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn look(&self, parent: INodeNo, name: &OsStr) -> io::Result<FileAttr> {
        let path = self.child(parent, name)?;
        let found = fs::symlink_metadata(&path)?;
        Ok(attr(lock(&self.shared.files).number(&path), &found))
    }

    fn create_file(
        &self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
    ) -> io::Result<(FileAttr, File)> {
        self.may_change(true)?;
        let path = self.child(parent, name)?;
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).mode(mode).open(&path)?;
        file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
        let number = lock(&self.shared.files).made(&path);
        Ok((attr(number, &file.metadata()?), file))
    }

    fn make_folder(&self, parent: INodeNo, name: &OsStr, mode: u32) -> io::Result<FileAttr> {
        self.may_change(true)?;
        let path = self.child(parent, name)?;
        fs::create_dir(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o7777))?;
        let number = lock(&self.shared.files).made(&path);
        Ok(attr(number, &fs::symlink_metadata(&path)?))
    }

    fn store(&self, ino: INodeNo, handle: FileHandle, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.opened(handle)?;
        let end = offset + u64::try_from(bytes.len()).expect("sizes fit in 64 bits");
        self.may_change(end > file.metadata()?.len())?;
        let mut files = lock(&self.shared.files);
        files.changes(ino.0).before_write(&file, offset, bytes.len())?;
        file.write_all_at(bytes, offset)
    }

    fn change(&self, ino: INodeNo, mode: Option<u32>, size: Option<u64>) -> io::Result<FileAttr> {
        let path = self.path(ino)?;
        if let Some(mode) = mode {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o7777))?;
        }
        if let Some(size) = size {
            let file = File::options().read(true).write(true).open(&path)?;
            self.may_change(size > file.metadata()?.len())?;
            lock(&self.shared.files).changes(ino.0).before_resize(&file, size)?;
            file.set_len(size)?;
        }
        Ok(attr(ino.0, &fs::symlink_metadata(&path)?))
    }

    fn take_away(&self, parent: INodeNo, name: &OsStr, is_folder: bool) -> io::Result<()> {
        self.may_change(false)?;
        let path = self.child(parent, name)?;
        if is_folder && fs::read_dir(&path)?.next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        fs::symlink_metadata(&path)?;
        lock(&self.shared.files).remove(&path)
    }

    /// A flush: at once, later, or when the disk does not hang any more.
    fn settle(&self, waiting: Waiting) {
        let trouble = self.shared.trouble();
        if trouble.hangs {
            lock(&self.shared.waiting).push(waiting);
        } else if trouble.flush_ms > 0 {
            let shared = Arc::clone(&self.shared);
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(trouble.flush_ms));
                shared.finish(waiting);
            });
        } else {
            self.shared.finish(waiting);
        }
    }
}

fn attr(number: u64, found: &Metadata) -> FileAttr {
    let kind = if found.is_dir() { FileType::Directory } else { FileType::RegularFile };
    let time = |time: io::Result<SystemTime>| time.unwrap_or(SystemTime::UNIX_EPOCH);
    FileAttr {
        ino: INodeNo(number),
        size: found.len(),
        blocks: found.blocks(),
        atime: time(found.accessed()),
        mtime: time(found.modified()),
        ctime: time(found.modified()),
        crtime: time(found.modified()),
        kind,
        perm: u16::try_from(found.mode() & 0o7777).expect("twelve bits"),
        nlink: u32::try_from(found.nlink()).unwrap_or(1),
        uid: found.uid(),
        gid: found.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn answer(done: io::Result<()>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(&error)),
    }
}

fn answer_entry(found: io::Result<FileAttr>, reply: ReplyEntry) {
    match found {
        Ok(attr) => reply.entry(&NOT_AT_ALL, &attr, Generation(0)),
        Err(error) => reply.error(errno(&error)),
    }
}

fn errno(error: &io::Error) -> Errno {
    if error.kind() == io::ErrorKind::NotFound {
        return Errno::ENOENT;
    }
    Errno::from_i32(error.raw_os_error().unwrap_or_default())
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer_entry(self.look(parent, name), reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.path(ino).and_then(fs::symlink_metadata) {
            Ok(found) => reply.attr(&NOT_AT_ALL, &attr(ino.0, &found)),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
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
        match self.change(ino, mode, size) {
            Ok(attr) => reply.attr(&NOT_AT_ALL, &attr),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        answer_entry(self.make_folder(parent, name, mode & !umask), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.take_away(parent, name, false), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.take_away(parent, name, true), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = self.may_change(false).and_then(|()| {
            let (from, to) = (self.child(parent, name)?, self.child(new_parent, new_name)?);
            let mut files = lock(&self.shared.files);
            match flags {
                RenameFlags::RENAME_EXCHANGE => files.exchange(&from, &to),
                _ => files.rename(&from, &to),
            }
        });
        answer(renamed, reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let open = |path| File::options().read(true).write(true).open(path);
        match self.path(ino).and_then(open) {
            Ok(file) => reply.opened(self.keep(file), PLAIN),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.create_file(parent, name, mode & !umask) {
            Ok((attr, file)) => {
                reply.created(&NOT_AT_ALL, &attr, Generation(0), self.keep(file), PLAIN);
            }
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut bytes = vec![0; usize::try_from(size).expect("it fits")];
        let read = self.opened(handle).and_then(|file| {
            let mut done = 0;
            while done < bytes.len() {
                let at = offset + u64::try_from(done).expect("it fits");
                match file.read_at(&mut bytes[done..], at)? {
                    0 => break,
                    more => done += more,
                }
            }
            Ok(done)
        });
        match read {
            Ok(count) => reply.data(&bytes[..count]),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.store(ino, handle, offset, bytes) {
            Ok(()) => reply.written(u32::try_from(bytes.len()).expect("requests are small")),
            Err(error) => reply.error(errno(&error)),
        }
    }

    /// Of `close`, which stores nothing.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        lock(&self.open).remove(&handle.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.settle(Waiting { ino: ino.0, is_names: false, reply });
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.settle(Waiting { ino: ino.0, is_names: true, reply });
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.path(ino).and_then(fs::read_dir);
        let entries = match listed {
            Ok(entries) => entries.flatten(),
            Err(error) => return reply.error(errno(&error)),
        };
        let mut names: Vec<_> = entries.map(|entry| (entry.file_name(), entry.path())).collect();
        names.sort();
        let skipped = usize::try_from(offset).expect("it fits");
        for (next, (name, path)) in (1..).zip(names).skip(skipped) {
            let kind = if path.is_dir() { FileType::Directory } else { FileType::RegularFile };
            let number = lock(&self.shared.files).number(&path);
            if reply.add(INodeNo(number), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        // Always the same room: what a full disk says of itself is another test's.
        reply.statfs(1 << 24, 1 << 23, 1 << 23, 1 << 20, 1 << 20, 4096, 255, 4096);
    }
}
