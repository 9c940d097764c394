//! Bytes of a secret in pages of their own: locked in memory, left out of dumps, wiped in forks,
//! between two pages that nothing may touch.
//!
//! It does not hide them from root or from this process.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::allocator::wipe;

/// How many pages are kept for other values.
const SPARES_MAX: usize = 32;

/// Bytes held by guarded pages that the kernel refused to lock.
static UNLOCKED_BYTES: AtomicU64 = AtomicU64::new(0);

/// How much guarded memory the kernel would not lock (and so might swap). Zero is the healthy answer.
pub fn unlocked_bytes() -> u64 {
    UNLOCKED_BYTES.load(Ordering::Relaxed)
}

/// Why no guarded pages could be had.
#[derive(Debug, thiserror::Error)]
#[error("no guarded memory for {len} bytes")]
pub struct GuardError {
    len: usize,
    #[source]
    source: io::Error,
}

/// Secret bytes in guarded pages. No `Debug`, `Clone` or comparison, on purpose.
pub struct Guarded {
    /// There until the value is dropped.
    pages: Option<Pages>,
    len: usize,
}

impl Guarded {
    /// Makes `len` zero bytes and lets `fill` write the secret in place.
    pub fn filled(len: usize, fill: impl FnOnce(&mut [u8])) -> Result<Self, GuardError> {
        let pages = Pages::take(len).map_err(|source| GuardError { len, source })?;
        let bytes = pages.bytes;
        // Made first: if `fill` panics, what it wrote until then is wiped, too.
        let guarded = Self { pages: Some(pages), len };
        // SAFETY: the body has `len` bytes or more, readable, writable and zero, and is ours alone.
        fill(unsafe { std::slice::from_raw_parts_mut(bytes.as_ptr(), len) });
        Ok(guarded)
    }

    /// The secret bytes.
    pub fn expose(&self) -> &[u8] {
        let Some(pages) = &self.pages else { return &[] };
        // SAFETY: `len` bytes were made readable by `filled` and live as long as `self`.
        unsafe { std::slice::from_raw_parts(pages.bytes.as_ptr(), self.len) }
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True for a value of no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// False where the kernel refused to lock the pages.
    pub fn is_locked(&self) -> bool {
        self.pages.as_ref().is_some_and(|pages| pages.locked)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let Some(pages) = self.pages.take() else { return };
        // SAFETY: `len` bytes from `bytes` are ours and writable; no others were ever written.
        unsafe { wipe(pages.bytes.as_ptr(), self.len) };
        pages.give_back();
    }
}

/// Guarded pages without a secret: they hold zeros.
struct Pages {
    /// The first of the two untouchable pages.
    map: NonNull<u8>,
    map_len: usize,
    /// Where the bytes start: one page behind `map`.
    bytes: NonNull<u8>,
    locked: bool,
    /// Whether these pages stand in `UNLOCKED_BYTES`.
    counted: bool,
}

// SAFETY: the pages belong to this value alone, and are only read after a `Guarded` is made of it.
unsafe impl Send for Pages {}
// SAFETY: as above; `expose` gives shared reads only.
unsafe impl Sync for Pages {}

impl Pages {
    /// Pages for `len` bytes: those of a value that has gone, or new ones.
    fn take(len: usize) -> io::Result<Self> {
        let page = page_bytes();
        let body = len.max(1).checked_next_multiple_of(page);
        if body == Some(page)
            && let Some(spare) = spares().pop()
        {
            return Ok(spare);
        }
        let map_len = body.and_then(|body| body.checked_add(2 * page));
        let map_len = map_len.ok_or(io::ErrorKind::OutOfMemory)?;
        let map = reserve(map_len)?;
        // SAFETY: `map` is longer than one page.
        let bytes = unsafe { map.add(page) };
        // From here on a failure unmaps through `drop`.
        let mut pages = Self { map, map_len, bytes, locked: false, counted: false };
        pages.open()?;
        Ok(pages)
    }

    /// How many bytes there are between the untouchable pages.
    fn body(&self) -> usize {
        self.map_len - 2 * page_bytes()
    }

    fn open(&mut self) -> io::Result<()> {
        let (start, body) = (self.bytes.as_ptr().cast(), self.body());
        // SAFETY: the range lies inside our own map.
        if unsafe { libc::mprotect(start, body, libc::PROT_READ | libc::PROT_WRITE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        for advice in [libc::MADV_DONTDUMP, libc::MADV_WIPEONFORK] {
            // SAFETY: as above; the advice changes no byte in this process.
            if unsafe { libc::madvise(start, body, advice) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        self.locked = self.lock();
        if !self.locked {
            // What is kept for later may be what is missing now.
            spares().clear();
            self.locked = self.lock();
        }
        if !self.locked {
            self.counted = true;
            UNLOCKED_BYTES.fetch_add(as_u64(body), Ordering::Relaxed);
        }
        Ok(())
    }

    fn lock(&self) -> bool {
        // SAFETY: the range lies inside our own map.
        unsafe { libc::mlock(self.bytes.as_ptr().cast(), self.body()) == 0 }
    }

    /// Keeps the pages for another value, if it is one page, and there are not many.
    fn give_back(self) {
        if self.locked && self.body() == page_bytes() {
            let mut spares = spares();
            if spares.len() < SPARES_MAX {
                spares.push(self);
            }
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.counted {
            UNLOCKED_BYTES.fetch_sub(as_u64(self.body()), Ordering::Relaxed);
        }
        // SAFETY: the map was made by `reserve` with this length and nothing refers to it any more.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.map_len) };
    }
}

/// Pages that are kept: to make and to lock new ones takes six calls of the kernel.
fn spares() -> MutexGuard<'static, Vec<Pages>> {
    static SPARES: Mutex<Vec<Pages>> = Mutex::new(Vec::new());
    SPARES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Address space of `len` bytes that nothing may touch yet.
fn reserve(len: usize) -> io::Result<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh private map at an address of the kernel's choice.
    let map = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    if map == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(map.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn page_bytes() -> usize {
    // SAFETY: a question without side effects.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use static_assertions::assert_not_impl_any;

    assert_not_impl_any!(Guarded: Clone, Copy, std::fmt::Debug, std::fmt::Display, PartialEq);

    #[test]
    fn bytes_of_every_length_come_back() {
        for len in [0, 1, 64, 4095, 4096, 4097, 511_999] {
            let guarded = Guarded::filled(len, |bytes| bytes.fill(0x5a)).unwrap();
            assert_eq!(guarded.len(), len, "length {len}");
            assert!(guarded.expose().iter().all(|b| *b == 0x5a), "length {len}");
            assert_eq!(guarded.is_empty(), len == 0, "length {len}");
        }
    }

    /// A value of one page, which was zeros before.
    fn on_zeros() -> Guarded {
        let fill = |bytes: &mut [u8]| {
            assert!(bytes.iter().all(|b| *b == 0));
            bytes.fill(0x5a);
        };
        Guarded::filled(page_bytes(), fill).unwrap()
    }

    #[test]
    fn pages_that_another_value_had_hold_zeros_and_few_are_kept() {
        for _ in 0..3 {
            let held: Vec<_> = (0..SPARES_MAX + 3).map(|_| on_zeros()).collect();
            drop(held);
            assert!(spares().len() <= SPARES_MAX);
        }
    }

    #[test]
    fn a_length_beyond_memory_is_refused() {
        assert!(Guarded::filled(usize::MAX, |_| ()).is_err());
    }

    #[test]
    fn case_37_pages_are_left_out_of_dumps_and_wiped_in_forks() {
        let guarded = Guarded::filled(10, |bytes| bytes.fill(1)).unwrap();
        let start = format!("{:x}-", guarded.expose().as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| !line.starts_with(&start));
        let flags = lines.find(|line| line.starts_with("VmFlags:")).unwrap();
        for flag in [" dd", " wf"] {
            assert!(flags.contains(flag), "{flag} in {flags}");
        }
        assert_eq!(flags.contains(" lo"), guarded.is_locked(), "{flags}");
    }
}
