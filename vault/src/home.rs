//! The state directory and the run directory: who may see them, and that nobody else holds them.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use zeroize::Zeroizing;

/// The group whose members may talk to the daemon.
const GROUP: &str = "coffer";
const LOCK: &str = "lock";

/// A state directory that must not be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("cannot {call} {}", path.display())]
    Io {
        call: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not a directory; give another one with {flag}", path.display())]
    NotADirectory { path: PathBuf, flag: &'static str },
    #[error(
        "{} can be read or written by others (mode {mode:04o}); close it with: chmod 0700 {}",
        path.display(), path.display()
    )]
    Open { path: PathBuf, mode: u32 },
    #[error(
        "{} can be read or written by others (mode {mode:04o}): who could read it may have what it \
         protects. Close it with: chmod 0600 {}", path.display(), path.display()
    )]
    OpenFile { path: PathBuf, mode: u32 },
    #[error("{} is not a plain file", path.display())]
    NotAFile { path: PathBuf },
    #[error("{} belongs to user {owner}, this daemon runs as user {user}", path.display())]
    Owner { path: PathBuf, owner: u32, user: u32 },
    #[error("{} is held by another cofferd{}", path.display(), holder(*.pid))]
    Held { path: PathBuf, pid: Option<u32> },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

/// A state directory that is ours alone, for as long as this value lives.
pub struct StateDir {
    path: PathBuf,
    /// Holds the lock; the kernel gives it back however this process ends.
    _lock: fs::File,
}

impl StateDir {
    /// Makes the directory if it is not there, checks it, and takes it.
    pub fn take(path: &Path) -> Result<Self, HomeError> {
        let failed = |call| move |source| HomeError::Io { call, path: path.to_owned(), source };
        match fs::DirBuilder::new().recursive(true).mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(failed("make the state directory"))?,
        }
        let found = fs::symlink_metadata(path).map_err(failed("look at"))?;
        if !found.is_dir() {
            return Err(HomeError::NotADirectory { path: path.to_owned(), flag: "--state-dir" });
        }
        let mode = found.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(HomeError::Open { path: path.to_owned(), mode });
        }
        let user = rustix::process::geteuid().as_raw();
        if found.uid() != user {
            return Err(HomeError::Owner { path: path.to_owned(), owner: found.uid(), user });
        }
        Ok(Self { path: path.to_owned(), _lock: lock(path)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads a file of keys, if nobody but this user could have read it or put it there.
pub fn read_closed(path: &Path) -> Result<Zeroizing<Vec<u8>>, HomeError> {
    let failed =
        |call| move |source: io::Error| HomeError::Io { call, path: path.to_owned(), source };
    // Whatever may stand there instead of the file: nothing is followed, and nobody is waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::LOOP) => return Err(HomeError::NotAFile { path: path.to_owned() }),
        opened => fs::File::from(opened.map_err(|error| failed("open")(error.into()))?),
    };
    let found = file.metadata().map_err(failed("look at"))?;
    if !found.is_file() {
        return Err(HomeError::NotAFile { path: path.to_owned() });
    }
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(HomeError::OpenFile { path: path.to_owned(), mode });
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(HomeError::Owner { path: path.to_owned(), owner: found.uid(), user });
    }
    let length = usize::try_from(found.len()).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.saturating_add(1)));
    io::Read::read_to_end(&mut &file, &mut bytes).map_err(failed("read"))?;
    Ok(bytes)
}

fn lock(directory: &Path) -> Result<fs::File, HomeError> {
    let path = directory.join(LOCK);
    let failed = |call| {
        let path = path.clone();
        move |source: rustix::io::Errno| HomeError::Io { call, path, source: source.into() }
    };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = rustix::fs::open(&path, flags, mode).map_err(failed("open"))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            return Err(HomeError::Held { path: directory.to_owned(), pid });
        }
        Err(other) => return Err(failed("lock")(other)),
    }
    let file = fs::File::from(file);
    let pid = format!("{}\n", std::process::id());
    let written = file
        .set_len(0)
        .and_then(|()| std::os::unix::fs::FileExt::write_all_at(&file, pid.as_bytes(), 0));
    written.map_err(|source| HomeError::Io { call: "write", path, source })?;
    Ok(file)
}

/// The run directory: the socket's place. Members of the group `coffer` may pass through it, if there is
/// such a group; otherwise the daemon's user alone.
pub struct RunDir {
    path: PathBuf,
    group: Option<u32>,
}

impl RunDir {
    /// Makes the directory if it is not there, and sets its mode. A rootless daemon's is for its user alone.
    pub fn take(path: &Path, is_rootless: bool) -> Result<Self, HomeError> {
        let failed = |call| move |source| HomeError::Io { call, path: path.to_owned(), source };
        match fs::DirBuilder::new().recursive(true).mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(failed("make the run directory"))?,
        }
        let found = fs::symlink_metadata(path).map_err(failed("look at"))?;
        if !found.is_dir() {
            return Err(HomeError::NotADirectory { path: path.to_owned(), flag: "--run-dir" });
        }
        let user = rustix::process::geteuid().as_raw();
        if found.uid() != user {
            return Err(HomeError::Owner { path: path.to_owned(), owner: found.uid(), user });
        }
        // In a user namespace the group's number is not ours to give.
        let group = (!is_rootless).then(group_id).flatten();
        let dir = Self { path: path.to_owned(), group };
        dir.give(path, if group.is_some() { 0o710 } else { 0o700 })?;
        Ok(dir)
    }

    /// The socket's path.
    pub fn socket(&self) -> PathBuf {
        self.path.join("coffer.sock")
    }

    /// Opens the socket's file to the group, once it is there.
    pub fn open_socket_to_group(&self) -> Result<(), HomeError> {
        self.give(&self.socket(), if self.group.is_some() { 0o660 } else { 0o600 })
    }

    fn give(&self, path: &Path, mode: u32) -> Result<(), HomeError> {
        let failed = |call| move |source| HomeError::Io { call, path: path.to_owned(), source };
        if let Some(group) = self.group {
            std::os::unix::fs::chown(path, None, Some(group)).map_err(failed("give"))?;
        }
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(path, mode).map_err(failed("set the mode of"))
    }
}

/// The number of the group `coffer`, if this host has it in `/etc/group`.
fn group_id() -> Option<u32> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        fields.nth(1).filter(|_| name == GROUP)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn case_36_a_state_directory_that_others_can_read_is_refused() {
        let folder = testing::folder();
        let path = folder.path().join("state");
        fs::create_dir(&path).unwrap();
        for mode in [0o755, 0o710, 0o701, 0o770] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match StateDir::take(&path).err() {
                Some(HomeError::Open { mode: found, .. }) => assert_eq!(found, mode),
                other => panic!("mode {mode:o}: {other:?}"),
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        StateDir::take(&path).map(drop).unwrap();
    }

    #[test]
    fn a_state_directory_has_one_holder_at_a_time() {
        let folder = testing::folder();
        let path = folder.path().join("state");
        let first = StateDir::take(&path).ok().unwrap();
        let pid = Some(std::process::id());
        match StateDir::take(&path).err() {
            Some(HomeError::Held { pid: found, .. }) => assert_eq!(found, pid),
            other => panic!("{other:?}"),
        }
        drop(first);
        StateDir::take(&path).map(drop).unwrap();
    }

    #[test]
    fn case_36_a_key_file_is_read_only_if_it_is_closed_and_no_link() {
        let folder = testing::folder();
        let (path, link) = (folder.path().join("key"), folder.path().join("link"));
        fs::write(&path, "key").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_closed(&path).unwrap().as_slice(), b"key");
        }
        assert!(matches!(read_closed(&link), Err(HomeError::NotAFile { .. })));
        assert!(matches!(read_closed(folder.path()), Err(HomeError::NotAFile { .. })));
        for mode in [0o644, 0o640, 0o602, 0o666, 0o700 | 0o010] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match read_closed(&path).err() {
                Some(HomeError::OpenFile { mode: found, .. }) => assert_eq!(found, mode),
                other => panic!("mode {mode:o}: {other:?}"),
            }
        }
    }

    #[test]
    fn case_36_a_link_or_a_file_is_no_state_directory() {
        let folder = testing::folder();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::DirBuilder::new().mode(0o700).create(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [link, file] {
            let refused = StateDir::take(&path).err().unwrap();
            let expected =
                matches!(refused, HomeError::NotADirectory { .. } | HomeError::Io { .. });
            assert!(expected, "{refused}");
        }
    }
}
