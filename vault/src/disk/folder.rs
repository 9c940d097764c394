//! A folder of files, as the storage sees it: few operations, each of them one system call, so that a
//! test can stand in for the disk and fail, tear or forget at any of them.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags};

/// Files are readable and writable by the daemon's user alone.
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
/// Folders likewise.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o700);

/// A folder of files.
pub trait Folder: Send + Sync {
    /// The names of all files in it.
    fn names(&self) -> io::Result<Vec<String>>;
    /// All bytes of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// How many bytes a file has.
    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(self.read(name)?.len().try_into().expect("sizes fit in 64 bits"))
    }
    /// Reads a file's bytes from a place on. Returns how many there were: fewer than asked for at its end.
    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.read(name)?;
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
    /// A new file, which must not be there yet.
    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>>;
    /// Gives a file another name; one that has it already is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Takes a file away.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Returns once the names themselves are on the disk.
    fn flush(&self) -> io::Result<()>;
    /// A folder inside, made if it is not there.
    fn folder(&self, name: &str) -> io::Result<Arc<dyn Folder>>;
    /// An existing file, for writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>>;
}

/// A file that is written at places.
pub trait StoredFile: Send + Sync {
    /// Writes all bytes at a place.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Returns once what was written is on the disk.
    fn flush(&self) -> io::Result<()>;
    /// The same, for a file that nobody reads soon: its pages need not stay in memory.
    fn flush_and_forget(&self) -> io::Result<()> {
        self.flush()
    }
}

/// Reads a file from its start, piece by piece.
pub struct FileReader<'a> {
    folder: &'a dyn Folder,
    name: &'a str,
    offset: u64,
}

impl<'a> FileReader<'a> {
    /// Starts at the file's first byte.
    pub fn new(folder: &'a dyn Folder, name: &'a str) -> Self {
        Self { folder, name, offset: 0 }
    }
}

impl io::Read for FileReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.folder.read_at(self.name, self.offset, into)?;
        self.offset += u64::try_from(count).expect("sizes fit in 64 bits");
        Ok(count)
    }
}

/// Puts a whole file in place: afterwards it is there with all its bytes, or as it was before.
pub fn replace(folder: &dyn Folder, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = format!("{name}.new");
    match folder.remove(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    let file = folder.create(&draft)?;
    file.write_at(0, bytes)?;
    file.flush()?;
    folder.rename(&draft, name)?;
    folder.flush()
}

/// The same, and overwrites what was there before: a file that is merely replaced stays on the disk until
/// something else takes its place. On a disk that writes elsewhere each time it stays all the same.
pub fn replace_and_wipe(folder: &dyn Folder, name: &str, bytes: &[u8]) -> io::Result<()> {
    let before = match folder.open(name) {
        Ok(file) => Some((file, folder.length(name)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    replace(folder, name, bytes)?;
    let Some((file, length)) = before else { return Ok(()) };
    let length = usize::try_from(length).map_err(io::Error::other)?;
    file.write_at(0, &vec![0; length])?;
    file.flush()
}

/// A folder of the real disk, held by a descriptor: renaming it or its parents changes nothing.
pub struct RealFolder {
    descriptor: OwnedFd,
}

impl RealFolder {
    /// Opens a folder that is there.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self { descriptor: rustix::fs::open(path, flags, Mode::empty())? })
    }
}

impl RealFolder {
    fn to_read(&self, name: &str) -> io::Result<fs::File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(&self.descriptor, name, flags, Mode::empty())?.into())
    }
}

impl Folder for RealFolder {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.descriptor)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut self.to_read(name)?, &mut bytes)?;
        Ok(bytes)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(self.to_read(name)?.metadata()?.len())
    }

    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let file = self.to_read(name)?;
        let mut count = 0;
        while count < into.len() {
            let at = offset + u64::try_from(count).expect("sizes fit in 64 bits");
            match file.read_at(&mut into[count..], at) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.descriptor, name, flags, FILE_MODE)?;
        // The umask may have taken bits away, never given any; 0600 it is either way.
        rustix::fs::fchmod(&file, FILE_MODE)?;
        Ok(Arc::new(RealFile(file.into())))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&self.descriptor, name, flags, Mode::empty())?;
        Ok(Arc::new(RealFile(file.into())))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.descriptor, from, &self.descriptor, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty())?)
    }

    fn flush(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.descriptor)?)
    }

    fn folder(&self, name: &str) -> io::Result<Arc<dyn Folder>> {
        match rustix::fs::mkdirat(&self.descriptor, name, FOLDER_MODE) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        // Also of one that was there: who made it may have died before its name was on the disk.
        rustix::fs::fsync(&self.descriptor)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let descriptor = rustix::fs::openat(&self.descriptor, name, flags, Mode::empty())?;
        rustix::fs::fchmod(&descriptor, FOLDER_MODE)?;
        Ok(Arc::new(Self { descriptor }))
    }
}

struct RealFile(fs::File);

impl StoredFile for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn flush_and_forget(&self) -> io::Result<()> {
        self.0.sync_data()?;
        // Advice: where the kernel does not take it, pages stay a little longer.
        rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::DontNeed).ok();
        Ok(())
    }
}
