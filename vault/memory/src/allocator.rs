//! The process's allocator: jemalloc, or the system's where that keeps less; and every block is overwritten
//! before it is given back.
//!
//! It catches the copies that libraries make (transport buffers, decoded messages), which no type of
//! ours can wipe. It does not lock pages.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_char;

use tikv_jemallocator::Jemalloc;

/// Wipes each block when it is freed or moved.
pub struct WipingAllocator;

/// Who keeps a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heap {
    /// Quick: each thread has a store of free blocks. Rounds up to one of four sizes for each power of two.
    Jemalloc,
    /// Rounds up to sixteen bytes.
    System,
}

impl Heap {
    /// By the layout alone, so that a block goes back to where it came from.
    ///
    /// The sealed value of a secret is often a little longer than a power of two, and jemalloc would add up to a
    /// quarter to it for as long as the secret lives.
    fn of(layout: Layout) -> Self {
        let size = layout.size();
        if !(SPARED.contains(&size) && layout.align() <= SYSTEM_ALIGNMENT) {
            return Self::Jemalloc;
        }
        let step = size.next_power_of_two() / 8;
        let unused = size.next_multiple_of(step) - size;
        if unused * UNUSED_SHARE > size { Self::System } else { Self::Jemalloc }
    }
}

/// Blocks of these sizes are asked about; smaller ones waste little, larger ones are rare.
const SPARED: std::ops::RangeInclusive<usize> = 1_025..=65_536;
/// One part in so many may stay unused.
const UNUSED_SHARE: usize = 8;
/// What the C library's blocks are aligned to by themselves.
const SYSTEM_ALIGNMENT: usize = 16;

/// How jemalloc is to keep memory: few heaps, so that little lies idle in each of them; what was freed is used
/// again for a tenth of a second, and then given back to the kernel. It reads this by its name, before `main`.
// SAFETY: nothing else has this name, by which jemalloc declares a pointer to a text that ends with a zero.
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: Option<&'static c_char> =
    // SAFETY: the text lives as long as the program.
    Some(unsafe { &*c"narenas:2,dirty_decay_ms:100,muzzy_decay_ms:0".as_ptr() });

// SAFETY: every call goes to one of two allocators with the layout that the caller gave, which also chooses the
// allocator; wiping writes only inside a block that the caller has just given up.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Heap::of(layout) {
            // SAFETY: the caller's contract is that of both.
            Heap::Jemalloc => unsafe { Jemalloc.alloc(layout) },
            // SAFETY: as above.
            Heap::System => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match Heap::of(layout) {
            // SAFETY: the caller's contract is that of both.
            Heap::Jemalloc => unsafe { Jemalloc.alloc_zeroed(layout) },
            // SAFETY: as above.
            Heap::System => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is ours until the next line, and `layout.size()` bytes long.
        unsafe { wipe(block, layout.size()) };
        match Heap::of(layout) {
            // SAFETY: the caller's contract is that of both, and the layout names the one that gave the block.
            Heap::Jemalloc => unsafe { Jemalloc.dealloc(block, layout) },
            // SAFETY: as above.
            Heap::System => unsafe { System.dealloc(block, layout) },
        }
    }

    /// Never their own `realloc`: it may move the block and leave the old bytes where they were.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises a size that is not zero and fits the alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: as above.
        let moved = unsafe { self.alloc(new_layout) };
        if moved.is_null() {
            return moved;
        }
        let kept = layout.size().min(new_size);
        // SAFETY: both blocks are at least `kept` bytes long and do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(block, moved, kept) };
        // SAFETY: the caller gave up `block`.
        unsafe { self.dealloc(block, layout) };
        moved
    }
}

/// Overwrites with zeros, in a way that the compiler may not leave out.
///
/// # Safety
/// `block` is valid for writes of `size` bytes.
pub(crate) unsafe fn wipe(block: *mut u8, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::explicit_bzero(block.cast(), size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    #[test]
    fn a_block_that_grows_keeps_its_bytes_wherever_it_moves() {
        for (small, large) in
            [(16, 64), (1_024, 1_100), (1_100, 2_048), (1_100, 2_100), (2_048, 1_100)]
        {
            // SAFETY: the layout has a size.
            let block = unsafe { WipingAllocator.alloc(layout(small)) };
            // SAFETY: so many bytes were just given.
            unsafe { block.write_bytes(7, small) };
            // SAFETY: the block came from this allocator with this layout.
            let moved = unsafe { WipingAllocator.realloc(block, layout(small), large) };
            // SAFETY: the bytes that fit were written above.
            let kept = unsafe { std::slice::from_raw_parts(moved, small.min(large)) };
            assert!(kept.iter().all(|byte| *byte == 7), "{small} to {large}");
            // SAFETY: the block came from this allocator with this layout.
            unsafe { WipingAllocator.dealloc(moved, layout(large)) };
        }
    }

    #[test]
    fn what_jemalloc_would_round_up_by_much_is_the_systems() {
        for (size, heap) in [
            (16, Heap::Jemalloc),
            (1_024, Heap::Jemalloc),
            (1_025, Heap::System),
            (1_137, Heap::System),
            (1_138, Heap::Jemalloc),
            (1_280, Heap::Jemalloc),
            (2_049, Heap::System),
            (2_560, Heap::Jemalloc),
            (65_536, Heap::Jemalloc),
            (65_537, Heap::Jemalloc),
        ] {
            assert_eq!(Heap::of(layout(size)), heap, "{size}");
        }
        let pages = Layout::from_size_align(1_025, 4_096).unwrap();
        assert_eq!(Heap::of(pages), Heap::Jemalloc);
    }

    #[test]
    fn jemalloc_read_its_settings() {
        let mut heaps: libc::c_uint = 0;
        let mut length = size_of_val(&heaps);
        let name = c"opt.narenas".as_ptr();
        let (found, nothing) = ((&raw mut heaps).cast(), std::ptr::null_mut());
        // SAFETY: the value of this name is of this type, and nothing is written.
        let refused =
            unsafe { tikv_jemalloc_sys::mallctl(name, found, &raw mut length, nothing, 0) };
        assert_eq!((refused, heaps), (0, 2));
    }
}
