//! The tasks and mounts that the runner's tests share, and what they start of their own program.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, UnmountFlags};
use tokio::io::AsyncReadExt;

use vault::runner::{LaunchError, LaunchSpec, RunningTask, TaskExit, TaskOutput, TaskUser, launch};

pub(crate) type Case = fn() -> Pin<Box<dyn Future<Output = ()>>>;

pub(crate) const SECRET: &str = "forty-two";
pub(crate) const UID: u32 = 61_234;
pub(crate) const GID: u32 = 61_235;
pub(crate) const BASE: u32 = 3 << 20;

pub(crate) const DYNAMIC: TaskUser = TaskUser::Dynamic { uid: UID, gid: GID };
pub(crate) const ROOT: TaskUser = TaskUser::NamespacedRoot { base: BASE };

/// Where copies of this program stand that every user may run; in the usual places for it a task
/// would not find it.
const COPIES: &str = "/var/lib/coffer-runner-test-";

/// The copy of this program, in a process that was started from it, too.
pub(crate) fn program() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let own = std::env::current_exe().unwrap().display().to_string();
        if own.starts_with(COPIES) { own } else { format!("{COPIES}{}", std::process::id()) }
    })
}

/// The copy, for as long as this lives.
pub(crate) struct Installed;

impl Installed {
    pub(crate) fn new() -> Self {
        fs::copy("/proc/self/exe", program()).unwrap();
        Self
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        fs::remove_file(program()).ok();
    }
}

/// Seconds to sleep, by which the sleeping process is known: no other process has this number.
pub(crate) fn mark() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("1{:010}{count:03}", std::process::id())
}

/// What `attack` prints where it is refused: EINVAL for a mount that is locked, EPERM for a flag
/// that is.
pub(crate) const REFUSED: &str = "umount /run/secrets: 22\numount /run: 22\n\
                                  umount /proc: 22\numount /tmp: 22\n\
                                  remount /run/secrets: 1\nremount /run: 1\n";

/// Takes all power that a user can give itself, in namespaces of its own, and tries to lift the
/// mounts.
pub(crate) fn attack(more: &[String]) -> ExitCode {
    vault_memory::sys::unshare_user().unwrap();
    vault_memory::sys::unshare_mounts().unwrap();
    let told = |answer: Result<(), Errno>| answer.map_or_else(|errno| errno.raw_os_error(), |()| 0);
    let usual = ["/run/secrets", "/run", "/proc", "/tmp"];
    let unmount = |path: &str| {
        let answer = rustix::mount::unmount(path, UnmountFlags::DETACH);
        println!("umount {path}: {}", told(answer));
    };
    usual.into_iter().for_each(unmount);
    for path in ["/run/secrets", "/run"] {
        let answer = rustix::mount::mount_remount(path, MountFlags::BIND, c"");
        println!("remount {path}: {}", told(answer));
    }
    more.iter().map(String::as_str).for_each(unmount);
    ExitCode::SUCCESS
}

pub(crate) fn spec(user: TaskUser, command: &[&str]) -> LaunchSpec {
    LaunchSpec {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        env: Vec::new(),
        workdir: "/".into(),
        user,
        hide: Vec::new(),
    }
}

pub(crate) fn shell(user: TaskUser, script: &str) -> LaunchSpec {
    spec(user, &["sh", "-c", script])
}

/// A mount that stands nowhere, with one file for the task's user.
pub(crate) fn secrets(user: TaskUser) -> OwnedFd {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    rustix::mount::fsconfig_create(context.as_fd()).unwrap();
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let mount = rustix::mount::fsmount(context.as_fd(), flags, MountAttrFlags::empty()).unwrap();
    let open = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&mount, "s", open, Mode::RUSR).unwrap();
    rustix::io::write(&file, SECRET.as_bytes()).unwrap();
    let owner = match user {
        TaskUser::Dynamic { uid, .. } => uid,
        TaskUser::NamespacedRoot { base } => base,
        TaskUser::Rootless => 0,
    };
    let owner = rustix::fs::Uid::from_raw(owner);
    rustix::fs::fchown(&file, Some(owner), None).unwrap();
    mount
}

/// A mount of a file system that answers nothing: whoever asks it something waits for ever. With it
/// comes what keeps it up. None where there is no FUSE.
pub(crate) fn silent_mount() -> Option<(OwnedFd, fs::File)> {
    let device = fs::File::options().read(true).write(true).open("/dev/fuse").ok()?;
    let context = rustix::mount::fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    let number = device.as_raw_fd().to_string();
    let options =
        [("fd", number.as_str()), ("rootmode", "40000"), ("user_id", "0"), ("group_id", "0")];
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(context.as_fd(), key, value).unwrap();
    }
    rustix::mount::fsconfig_create(context.as_fd()).unwrap();
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let mount = rustix::mount::fsmount(context.as_fd(), flags, MountAttrFlags::empty()).unwrap();
    Some((mount, device))
}

pub(crate) async fn start(spec: &LaunchSpec) -> Result<RunningTask, LaunchError> {
    launch(spec, secrets(spec.user)).await?.go().await
}

pub(crate) struct Seen {
    pub(crate) exit: TaskExit,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a task to its end.
pub(crate) async fn seen(spec: LaunchSpec) -> Seen {
    let mut task = start(&spec).await.unwrap();
    let TaskOutput { mut stdout, mut stderr } = task.take_output().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    let (a, b) = tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err));
    a.unwrap();
    b.unwrap();
    Seen { exit: task.wait().await, out, err }
}

/// What a task wrote that ended well.
pub(crate) async fn said(spec: LaunchSpec) -> String {
    let Seen { exit, out, err } = seen(spec).await;
    assert_eq!((exit, err.as_str()), (TaskExit::Exited(0), ""), "{out}");
    out
}

/// A daemon that starts a task, tells its first process, and waits for its own end.
pub(crate) fn daemon_to_kill(mark: &str) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let task =
            start(&shell(DYNAMIC, &format!("sleep {mark} & setsid sleep {mark} & wait"))).await;
        println!("{}", task.as_ref().unwrap().init_pid());
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}
