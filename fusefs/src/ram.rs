//! The way without FUSE: files in memory that are written once, then read-only.
//!
//! Nothing here changes under a running task, nothing is audited, and a descriptor cannot be
//! revoked.

use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::AtFlags;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::Uid;
use rustix::io::Errno;
use rustix::mount::FsMountFlags;
use rustix::mount::FsOpenFlags;

use crate::mount::HARMLESS;
use crate::tree::File;

/// How long a child of this process may take from its fork to its program.
const CHILDREN_START: Duration = Duration::from_secs(5);

/// A detached mount with the files in it: a tmpfs that is never swapped or, where the kernel
/// refuses that, a ramfs. The superblock is read-only when this returns; set-uid bits, devices and
/// programs do not count on it.
///
/// In a user namespace that does not map a file's owner or group, the file keeps the owner and
/// group of the caller; the mode is set all the same.
pub fn ram_tree(files: &[File]) -> io::Result<OwnedFd> {
    let context = match superblock("tmpfs", &["noswap"]) {
        Ok(context) => context,
        // The flag is unknown to older kernels, and refused in a user namespace.
        Err(Errno::INVAL | Errno::PERM) => superblock("ramfs", &[])?,
        Err(fault) => return Err(fault.into()),
    };
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let mounted = rustix::mount::fsmount(context.as_fd(), flags, HARMLESS)?;
    for file in files {
        write(&mounted, file)?;
    }
    rustix::mount::fsconfig_set_flag(context.as_fd(), "ro")?;
    close_to_writers(&context)?;
    Ok(mounted)
}

/// Makes the superblock read-only. A child of this process that is between its fork and its program
/// has copies of our descriptors for a moment, and a superblock with a writer stays writable.
fn close_to_writers(context: &OwnedFd) -> io::Result<()> {
    let deadline = Instant::now() + CHILDREN_START;
    loop {
        match rustix::mount::fsconfig_reconfigure(context.as_fd()) {
            Err(Errno::BUSY) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(1));
            }
            done => return Ok(done?),
        }
    }
}

fn superblock(kind: &str, flags: &[&str]) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "source", "fusefs")?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "mode", "0755")?;
    for flag in flags {
        rustix::mount::fsconfig_set_flag(context.as_fd(), *flag)?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    Ok(context)
}

fn write(mounted: &OwnedFd, file: &File) -> io::Result<()> {
    // Nobody but the owner may look before owner and mode are right.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let private = Mode::RUSR | Mode::WUSR;
    let opened = rustix::fs::openat(mounted, file.name.as_str(), flags, private)?;
    let mut rest = file.content.expose();
    while !rest.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&opened, rest))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = rest.get(written..).unwrap_or_default();
    }
    let owner = Some(Uid::from_raw(file.uid));
    match rustix::fs::fchown(&opened, owner, Some(Gid::from_raw(file.gid))) {
        // This user namespace does not know the owner, or may not give files away.
        Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
        Err(fault) => return Err(fault.into()),
    }
    rustix::fs::fchmod(&opened, Mode::from_raw_mode(file.mode & 0o777))?;
    let modified = timespec(file.modified_ns);
    let times = Timestamps { last_access: modified, last_modification: modified };
    rustix::fs::utimensat(mounted, file.name.as_str(), &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn timespec(ns: i64) -> Timespec {
    const SECOND: i64 = 1_000_000_000;
    Timespec { tv_sec: ns.div_euclid(SECOND), tv_nsec: ns.rem_euclid(SECOND) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_1970_counts_nanoseconds_forward() {
        for (ns, expected) in
            [(0, (0, 0)), (1_500_000_000, (1, 500_000_000)), (-1, (-1, 999_999_999))]
        {
            let time = timespec(ns);
            assert_eq!((time.tv_sec, time.tv_nsec), expected, "{ns}");
        }
    }
}
