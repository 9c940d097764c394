//! System calls that a starting task needs and that have no safe form elsewhere. Each function here
//! is safe to call from any safe code; what it does to the process is said on it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Gives children of this process PID and IPC namespaces of their own (the caller itself keeps its
/// PIDs).
pub fn unshare_pids_and_ipc() -> io::Result<()> {
    unshare(libc::CLONE_NEWPID | libc::CLONE_NEWIPC)
}

/// Moves the calling thread into a copy of its mount namespace.
pub fn unshare_mounts() -> io::Result<()> {
    unshare(libc::CLONE_NEWNS)
}

/// Moves the calling process into a new user namespace; refused by the kernel when it has threads.
pub fn unshare_user() -> io::Result<()> {
    unshare(libc::CLONE_NEWUSER)
}

fn unshare(namespaces: libc::c_int) -> io::Result<()> {
    // SAFETY: takes flags and no pointer. The one flag that could surprise safe code, CLONE_FILES
    // (threads that no longer agree on what a descriptor is), is not among those that the three
    // callers pass.
    checked(unsafe { libc::unshare(namespaces) }.into())
}

/// Marks every open descriptor from `first` up as closed by the next exec.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: takes numbers and no pointer; with this flag nothing is closed now, so that no owner
    // of a descriptor in this process finds it gone.
    checked(unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    })
}

/// Signals are numbered from one to this.
const SIGNALS: i32 = 64;
/// The kernel's `struct sigaction` for the default action: all zero, no flags, nothing masked.
const DEFAULT_ACTION: [u64; 8] = [0; 8];

/// Gives every signal its default action and blocks none, so that a child starts with nothing
/// inherited.
///
/// The handler by which the runtime names a stack overflow goes too: an overflow still ends the
/// process.
pub fn default_signals() -> io::Result<()> {
    // By the kernel's own call: the C library refuses the signals that it keeps for itself.
    for signal in (1..=SIGNALS).filter(|s| ![libc::SIGKILL, libc::SIGSTOP].contains(s)) {
        let nowhere = std::ptr::null_mut::<u64>();
        // SAFETY: `DEFAULT_ACTION` is as long as the kernel's struct on any 64-bit machine or
        // longer, and only read; no old action is asked for; the default action runs no code of
        // this process.
        checked(unsafe {
            let action = DEFAULT_ACTION.as_ptr();
            libc::syscall(libc::SYS_rt_sigaction, signal, action, nowhere, size_of::<u64>())
        })?;
    }
    // SAFETY: all-zero bytes are a valid set: on Linux a bit for each signal, none of them set.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `none` is initialised and outlives the call; no old mask is asked for.
    checked(
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) }
            .into(),
    )
}

/// Leaves the inherited session keyring for a new, empty one.
///
/// A kernel without keyrings has nothing to leave. Where a filter of the container around forbids
/// the call (the kernel itself never answers so), no child can use a keyring either.
pub fn new_session_keyring() -> io::Result<()> {
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: the operation takes a name that may be null, and then makes a nameless keyring.
    let answer = checked(unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, anonymous)
    });
    match answer {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => Ok(()),
        other => other,
    }
}

/// Gives memory that was freed back to the kernel: after a start or a snapshot much was in use for a moment.
pub fn release_free_memory() {
    let (unread, unwritten) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: this name takes and gives no value; what is in use stays as it is. The answer is of no use: the
    // pages go a moment later all the same.
    unsafe {
        tikv_jemalloc_sys::mallctl(PURGE_ALL.as_ptr(), unread, std::ptr::null_mut(), unwritten, 0)
    };
    #[cfg(target_env = "gnu")]
    // SAFETY: walks the allocator's own lists under its own locks; what is in use stays as it is.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// What jemalloc calls it, for all of its heaps at once.
const PURGE_ALL: &CStr = c"arena.4096.purge";

/// How the C library's allocator, which keeps the sealed values, is to keep memory: few heaps, so that little
/// lies idle in each of them; the largest blocks on their own, so that they go back to the kernel when they are
/// freed; and what holds one value kept for the next one, for a page that is fetched anew costs more than the
/// copy into it. Called before the first thread starts.
pub fn keep_little_memory() {
    #[cfg(target_env = "gnu")]
    for (option, value) in [
        (libc::M_ARENA_MAX, HEAPS_MAX),
        (libc::M_MMAP_THRESHOLD, LARGE_BYTES),
        (libc::M_TRIM_THRESHOLD, IDLE_BYTES),
    ] {
        // SAFETY: takes two numbers and changes how later blocks are found, no block that is in use.
        unsafe { libc::mallopt(option, value) };
    }
}

/// Heaps of the allocator: as many threads can allocate at once without waiting.
#[cfg(target_env = "gnu")]
const HEAPS_MAX: libc::c_int = 4;
/// A block from this size on is a map of its own.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 2 << 20;
/// Free bytes at the end of a heap that are kept.
#[cfg(target_env = "gnu")]
const IDLE_BYTES: libc::c_int = 16 << 20;

/// Sends a signal, real-time ones included, to the process behind `pidfd`.
pub fn signal_process(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let details = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open for the whole call, and the details may be null.
    checked(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, details, 0)
    })
}

fn checked(answer: libc::c_long) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether something keeps this machine's clock in step, by the kernel's word. Needs no right.
pub fn clock_is_kept() -> io::Result<bool> {
    // SAFETY: a struct of numbers alone, for which all zero is a value.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the struct lives through the call; with no mode set nothing is changed.
    let told = unsafe { libc::adjtimex(&raw mut state) };
    checked(told.into())?;
    Ok(told != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0)
}
