//! The mount namespace of a task: what it must not find is covered, what it shares by accident on a
//! host (sockets, scratch files, shared memory, terminals) is its own, and `/run` holds its secrets
//! alone.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags,
};
use vault_memory::sys;

use super::super::error::{At, Failure, Step};
use super::super::limits::{HIDDEN_OPTIONS, RUN_OPTIONS, SCRATCH_OPTIONS};

const RUN: &str = "/run";
const SECRETS: &str = "/run/secrets";
const RESOLVER: &str = "/etc/resolv.conf";
/// On most hosts a link to `/run`; where it is a directory of its own, sockets lie there.
const OLD_RUN: &str = "/var/run";
/// World-writable places where users of a host meet: sockets lie there, and files outlive a dynamic
/// user whose number goes to somebody else.
const SCRATCH: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

const INERT: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);
const READ_ONLY: MountFlags = INERT.union(MountFlags::RDONLY);

/// Furnishes a mount namespace of the caller's own; all of it must succeed.
pub(super) fn furnish(hide: &[PathBuf], secrets: OwnedFd) -> Result<(), Failure> {
    sys::unshare_mounts().at(Step::MountNamespace, "unshare")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).at(Step::MountNamespace, "private")?;
    // Before anything else is covered: the paths are those of the host.
    for path in hide {
        cover(path)?;
    }
    if is_directory(OLD_RUN) {
        cover(Path::new(OLD_RUN))?;
    }
    rustix::mount::mount("proc", "/proc", "proc", INERT, None).at(Step::Proc, "/proc")?;
    refresh_devices()?;
    for path in SCRATCH.into_iter().filter(|path| is_directory(path)) {
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("tmpfs", path, "tmpfs", flags, SCRATCH_OPTIONS)
            .at(Step::Scratch, path)?;
    }
    replace_run(secrets)
}

/// Puts an empty directory over one that the task must not see.
fn cover(path: &Path) -> Result<(), Failure> {
    rustix::mount::mount("tmpfs", path, "tmpfs", READ_ONLY, HIDDEN_OPTIONS)
        .at(Step::Hide, &path.to_string_lossy())
}

/// Terminals and message queues of its own: those of the host belong to other users, or to this
/// one.
fn refresh_devices() -> Result<(), Failure> {
    let executes_nothing = MountFlags::NOSUID | MountFlags::NOEXEC;
    if is_directory("/dev/pts") {
        let options = c"newinstance,ptmxmode=0666,mode=0620";
        rustix::mount::mount("devpts", "/dev/pts", "devpts", executes_nothing, options)
            .at(Step::Devices, "/dev/pts")?;
    }
    if is_directory("/dev/mqueue") {
        rustix::mount::mount("mqueue", "/dev/mqueue", "mqueue", INERT, None)
            .at(Step::Devices, "/dev/mqueue")?;
    }
    Ok(())
}

/// Puts a `/run` over the host's that holds the secrets and, where names are resolved through it,
/// one file.
fn replace_run(secrets: OwnedFd) -> Result<(), Failure> {
    let resolver = kept_resolver()?;
    let run = empty_run().at(Step::Run, RUN)?;
    let mode = Mode::from_raw_mode(0o755);
    rustix::fs::mkdirat(&run, "secrets", mode).at(Step::Run, SECRETS)?;
    attach(run, RUN).at(Step::Run, RUN)?;
    attach(secrets, SECRETS).at(Step::Secrets, SECRETS)?;
    seal(SECRETS, MountFlags::BIND).at(Step::Secrets, SECRETS)?;
    if let Some(Resolver { path, file }) = resolver {
        let subject = path.to_string_lossy().into_owned();
        place_file(&path).at(Step::Resolver, &subject)?;
        attach(file, &path).at(Step::Resolver, &subject)?;
        seal(&path, MountFlags::BIND).at(Step::Resolver, &subject)?;
    }
    seal(RUN, MountFlags::empty()).at(Step::Run, RUN)
}

/// The file below `/run` that tells where names are resolved, taken before `/run` is covered.
struct Resolver {
    path: PathBuf,
    file: OwnedFd,
}

/// Keeps the one file, not its directory: there are sockets beside it.
fn kept_resolver() -> Result<Option<Resolver>, Failure> {
    let Ok(path) = std::fs::canonicalize(RESOLVER) else { return Ok(None) };
    if !path.starts_with(RUN) || !path.is_file() {
        return Ok(None);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let file =
        rustix::mount::open_tree(CWD, &path, flags).at(Step::Resolver, &path.to_string_lossy())?;
    Ok(Some(Resolver { path, file }))
}

fn empty_run() -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in RUN_OPTIONS {
        rustix::mount::fsconfig_set_string(context.as_fd(), key, value)?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    let inert = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, inert)
}

fn attach(mount: OwnedFd, path: impl rustix::path::Arg) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", CWD, path, flags)
}

/// Makes a mount (`BIND`) or the file system behind it read-only.
fn seal(path: impl rustix::path::Arg, what: MountFlags) -> Result<(), Errno> {
    rustix::mount::mount_remount(path, READ_ONLY.union(what), c"")
}

fn place_file(path: &Path) -> Result<(), Errno> {
    let directory = path.parent().unwrap_or(path);
    std::fs::create_dir_all(directory)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o444)).map(drop)
}

/// Whether there is a directory of its own at the path; a link to one elsewhere is not.
fn is_directory(path: &str) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}
