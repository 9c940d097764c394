//! Bytes of a secret in pages of their own: locked in memory, left out of dumps, wiped in forks,
//! between two pages that nothing may touch.
//!
//! It does not hide them from root or from this process.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::allocator::wipe;

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
    /// The first of the two untouchable pages.
    map: NonNull<u8>,
    map_len: usize,
    /// Where the bytes start: one page behind `map`.
    bytes: NonNull<u8>,
    len: usize,
    /// Whether the bytes were made writable; before that there is nothing to wipe.
    writable: bool,
    locked: bool,
    /// Whether these pages stand in `UNLOCKED_BYTES`.
    counted: bool,
}

// SAFETY: the pages belong to this value alone, and are only read after it is made.
unsafe impl Send for Guarded {}
// SAFETY: as above; `expose` gives shared reads only.
unsafe impl Sync for Guarded {}

impl Guarded {
    /// Makes `len` zero bytes and lets `fill` write the secret in place.
    pub fn filled(len: usize, fill: impl FnOnce(&mut [u8])) -> Result<Self, GuardError> {
        let failed = |source| GuardError { len, source };
        let page = page_bytes();
        let body = len.max(1).checked_next_multiple_of(page);
        let map_len = body.and_then(|body| body.checked_add(2 * page));
        let (Some(body), Some(map_len)) = (body, map_len) else {
            return Err(failed(io::ErrorKind::OutOfMemory.into()));
        };
        let map = reserve(map_len).map_err(failed)?;
        // SAFETY: `map` is longer than one page.
        let bytes = unsafe { map.add(page) };
        // From here on a failure unmaps through `drop`.
        let mut guarded =
            Self { map, map_len, bytes, len, writable: false, locked: false, counted: false };
        guarded.open(body).map_err(failed)?;
        // SAFETY: `open` made `body >= len` bytes readable and writable, zeroed by the kernel.
        fill(unsafe { std::slice::from_raw_parts_mut(bytes.as_ptr(), len) });
        Ok(guarded)
    }

    /// The secret bytes.
    pub fn expose(&self) -> &[u8] {
        // SAFETY: `len` bytes were made readable by `filled` and live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr(), self.len) }
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
        self.locked
    }

    fn open(&mut self, body: usize) -> io::Result<()> {
        let start = self.bytes.as_ptr().cast();
        // SAFETY: the range lies inside our own map.
        if unsafe { libc::mprotect(start, body, libc::PROT_READ | libc::PROT_WRITE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        self.writable = true;
        for advice in [libc::MADV_DONTDUMP, libc::MADV_WIPEONFORK] {
            // SAFETY: as above; the advice changes no byte in this process.
            if unsafe { libc::madvise(start, body, advice) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // SAFETY: as above.
        self.locked = unsafe { libc::mlock(start, body) } == 0;
        if !self.locked {
            self.counted = true;
            UNLOCKED_BYTES.fetch_add(as_u64(body), Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let page = page_bytes();
        let body = self.map_len - 2 * page;
        if self.writable {
            // SAFETY: `body` bytes from `bytes` are ours and writable.
            unsafe { wipe(self.bytes.as_ptr(), body) };
        }
        if self.counted {
            UNLOCKED_BYTES.fetch_sub(as_u64(body), Ordering::Relaxed);
        }
        // SAFETY: the map was made by `reserve` with this length and nothing refers to it any more.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.map_len) };
    }
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

    #[test]
    fn a_length_beyond_memory_is_refused() {
        assert!(Guarded::filled(usize::MAX, |_| ()).is_err());
    }

    #[test]
    fn case_37_pages_are_left_out_of_dumps_and_wiped_in_forks() {
        let guarded = Guarded::filled(10, |bytes| bytes.fill(1)).unwrap();
        let start = format!("{:x}-", guarded.bytes.as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| !line.starts_with(&start));
        let flags = lines.find(|line| line.starts_with("VmFlags:")).unwrap();
        for flag in [" dd", " wf"] {
            assert!(flags.contains(flag), "{flag} in {flags}");
        }
        assert_eq!(flags.contains(" lo"), guarded.is_locked(), "{flags}");
    }
}
