//! The clocks and the chance of one thread, decided by a seed: for tests that must run the same way twice.
//!
//! Libraries ask the C library for the time and for random bytes. A test binary that links this package asks
//! here instead, since its own symbols come first. On every thread but those that called `decide` the real
//! function answers, so that nothing changes for anybody else. Nothing of the product links this.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU64, Ordering};

/// Seconds since 1970 at which every decided run begins.
pub const EPOCH_SECS: u64 = 1_800_000_000;

thread_local! {
    static IS_DECIDED: Cell<bool> = const { Cell::new(false) };
}

static CHANCE: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds since the run began.
static NOW: AtomicU64 = AtomicU64::new(0);
/// By how much the wall clock of whoever runs now is off, in nanoseconds.
static OFF: AtomicI64 = AtomicI64::new(0);

/// From here on, this thread's clocks and chance come from the seed alone.
pub fn decide(seed: u64) {
    CHANCE.store(seed, Ordering::Relaxed);
    IS_DECIDED.set(true);
}

/// Sets the time, in nanoseconds since the run began.
pub fn set_now(nanos: u64) {
    NOW.store(nanos, Ordering::Relaxed);
}

/// The time, in nanoseconds since the run began.
pub fn now() -> u64 {
    NOW.load(Ordering::Relaxed)
}

/// Puts the wall clock off by so many nanoseconds; the steady clock is never off.
pub fn set_off(nanos: i64) {
    OFF.store(nanos, Ordering::Relaxed);
}

/// The next number of the seed's own sequence.
pub fn number() -> u64 {
    // The generator "splitmix64": every state gives another number, and all of them come.
    let mut mixed = CHANCE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// JUSTIFICATION: the kernel's layout of a time.
#[repr(C)]
struct TimeSpec {
    secs: i64,
    nanos: c_long,
}

const CLOCK_REALTIME: c_int = 0;
const CLOCK_MONOTONIC: c_int = 1;
const CLOCK_REALTIME_COARSE: c_int = 5;
const CLOCK_MONOTONIC_COARSE: c_int = 6;
const CLOCK_BOOTTIME: c_int = 7;
#[cfg(target_arch = "x86_64")]
const SYS_GETRANDOM: c_long = 318;
#[cfg(not(target_arch = "x86_64"))]
const SYS_GETRANDOM: c_long = 278;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// "The next one after this binary's own", as `dlsym` takes it.
const NEXT: isize = -1;

/// The C library's own function of this name, looked up once.
fn real(name: &CStr, found: &AtomicPtr<c_void>) -> *mut c_void {
    let known = found.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    // SAFETY: the name ends with a zero; the handle is the special value that the manual names.
    let address =
        unsafe { dlsym(std::ptr::without_provenance_mut(NEXT.cast_unsigned()), name.as_ptr()) };
    found.store(address, Ordering::Relaxed);
    address
}

fn is_decided() -> bool {
    // A thread that is ending is nobody's any more.
    IS_DECIDED.try_with(Cell::get).unwrap_or(false)
}

/// Writes the seed's next bytes.
///
/// # Safety
/// `count` bytes from `bytes` on may be written.
unsafe fn fill(bytes: *mut u8, count: usize) {
    let mut at = 0;
    while at < count {
        let drawn = number().to_ne_bytes();
        let part = drawn.len().min(count - at);
        // SAFETY: `at + part` is at most `count`, which the caller vouches for.
        unsafe { std::ptr::copy_nonoverlapping(drawn.as_ptr(), bytes.add(at), part) };
        at += part;
    }
}

/// Random bytes, as the C library gives them.
///
/// # Safety
/// As for the function of the C library: `length` bytes from `bytes` on may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(bytes: *mut c_void, length: usize, flags: c_uint) -> isize {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    if is_decided() {
        // SAFETY: what the caller vouches for.
        unsafe { fill(bytes.cast(), length) };
        return length.cast_signed();
    }
    type Function = unsafe extern "C" fn(*mut c_void, usize, c_uint) -> isize;
    // SAFETY: this is the function of that name, and it has this signature.
    unsafe {
        std::mem::transmute::<*mut c_void, Function>(real(c"getrandom", &REAL))(
            bytes, length, flags,
        )
    }
}

/// A system call by its number, as the C library makes it: libraries draw random bytes by it, too.
///
/// # Safety
/// As for the function of the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    if number == SYS_GETRANDOM && is_decided() {
        // SAFETY: of this call the first argument is the place and the second one its length.
        unsafe {
            fill(
                std::ptr::with_exposed_provenance_mut(a.cast_unsigned() as usize),
                b.cast_unsigned() as usize,
            )
        };
        return b;
    }
    type Function = unsafe extern "C" fn(c_long, ...) -> c_long;
    // SAFETY: this is the function of that name. It takes as many arguments as the call has; those that
    // nobody passed are whatever stood there, and go unread by the kernel.
    unsafe {
        std::mem::transmute::<*mut c_void, Function>(real(c"syscall", &REAL))(
            number, a, b, c, d, e, f,
        )
    }
}

/// The time, as the C library tells it.
///
/// # Safety
/// As for the function of the C library: a time may be written to `into`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, into: *mut c_void) -> c_int {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    let nanos = match clock {
        _ if !is_decided() => None,
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE => {
            let since = EPOCH_SECS * 1_000_000_000 + now();
            Some(since.saturating_add_signed(OFF.load(Ordering::Relaxed)))
        }
        // Some way into the life of the machine: what looks back a little must not meet its beginning.
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME => {
            Some(now() + 1_000_000_000_000)
        }
        _ => None,
    };
    if let Some(nanos) = nanos {
        let secs = (nanos / 1_000_000_000).cast_signed();
        let time = TimeSpec { secs, nanos: (nanos % 1_000_000_000).cast_signed() };
        // SAFETY: what the caller vouches for.
        unsafe { into.cast::<TimeSpec>().write(time) };
        return 0;
    }
    type Function = unsafe extern "C" fn(c_int, *mut c_void) -> c_int;
    // SAFETY: this is the function of that name, and it has this signature.
    unsafe {
        std::mem::transmute::<*mut c_void, Function>(real(c"clock_gettime", &REAL))(clock, into)
    }
}
