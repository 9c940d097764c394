//! The calls that make mounts: a FUSE superblock that is attached nowhere, a detached clone of one
//! of its directories, and the way to end the connection.
//!
//! Nothing here attaches a mount to a place that a path leads to.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::mount::FsMountFlags;
use rustix::mount::FsOpenFlags;
use rustix::mount::MountAttrFlags;
use rustix::mount::OpenTreeFlags;

/// The device that a FUSE server speaks through.
pub(crate) const DEVICE: &str = "/dev/fuse";

/// No set-uid bits, no device nodes and no programs on any of our mounts.
pub(crate) const HARMLESS: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Opens the device for one connection.
pub(crate) fn open_device() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open(DEVICE)?.into())
}

/// Makes the superblock that is served through the device. The kernel's greeting waits in the
/// device when this returns; the context is still to be mounted.
pub(crate) fn superblock(device: &OwnedFd) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let user = rustix::process::geteuid().as_raw().to_string();
    let group = rustix::process::getegid().as_raw().to_string();
    for (key, value) in [
        ("source", "fusefs"),
        ("fd", &device.as_raw_fd().to_string()),
        ("rootmode", "40000"),
        ("user_id", &user),
        ("group_id", &group),
    ] {
        rustix::mount::fsconfig_set_string(context.as_fd(), key, value)?;
    }
    // Without `default_permissions` the kernel would leave modes and groups to us, and it does not
    // tell us a caller's groups.
    for flag in ["ro", "allow_other", "default_permissions"] {
        rustix::mount::fsconfig_set_flag(context.as_fd(), flag)?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    Ok(context)
}

/// Mounts a superblock, read-only, attached nowhere.
pub(crate) fn detached(context: &OwnedFd) -> io::Result<OwnedFd> {
    let attributes = HARMLESS | MountAttrFlags::MOUNT_ATTR_RDONLY;
    Ok(rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// A detached mount of one directory of a detached mount, with the same attributes. From inside
/// it there is no way up.
pub(crate) fn subtree(root: &OwnedFd, segment: &str) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    Ok(rustix::mount::open_tree(root.as_fd(), segment, flags)?)
}

/// The way to end one connection at once, so that every request on it fails on every mount.
pub(crate) struct Valve(OwnedFd);

impl Valve {
    /// The valve of the connection behind a mount. It is bound to that connection: the number by
    /// which it is found goes to another one as soon as the connection is gone, so the valve must
    /// be had while the mount is held, and not looked for later.
    pub(crate) fn of(root: &OwnedFd) -> io::Result<Self> {
        let connection = rustix::fs::minor(rustix::fs::fstat(root)?.st_dev);
        let context = rustix::mount::fsopen("fusectl", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(context.as_fd())?;
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        let mounted = rustix::mount::fsmount(context.as_fd(), flags, HARMLESS)?;
        let path = format!("{connection}/abort");
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(&mounted, path, flags, Mode::empty())?))
    }

    /// Ends the connection. Nothing happens if it has ended.
    pub(crate) fn shut(&self) -> io::Result<()> {
        rustix::io::write(&self.0, b"1")?;
        Ok(())
    }
}
