//! The process's allocator: the system's, but every block is overwritten before it is given back.
//!
//! It catches the copies that libraries make (transport buffers, decoded messages), which no type of
//! ours can wipe. It does not lock pages.

use std::alloc::{GlobalAlloc, Layout, System};

/// Wipes each block when it is freed or moved.
pub struct WipingAllocator;

// SAFETY: every call goes to `System` with the layout that the caller gave; wiping writes only inside
// a block that the caller has just given up.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is ours until the next line, and `layout.size()` bytes long.
        unsafe { wipe(block, layout.size()) };
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.dealloc(block, layout) }
    }

    /// Never `System.realloc`: it may move the block and leave the old bytes where they were.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises a size that is not zero and fits the alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: as above.
        let moved = unsafe { System.alloc(new_layout) };
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

    #[test]
    fn a_block_that_grows_keeps_its_bytes() {
        let layout = Layout::from_size_align(16, 8).unwrap();
        // SAFETY: the layout has a size.
        let block = unsafe { WipingAllocator.alloc(layout) };
        // SAFETY: sixteen bytes were just given.
        unsafe { block.write_bytes(7, 16) };
        // SAFETY: the block came from this allocator with this layout.
        let grown = unsafe { WipingAllocator.realloc(block, layout, 64) };
        // SAFETY: the first sixteen bytes were written above.
        let kept = unsafe { std::slice::from_raw_parts(grown, 16) };
        assert_eq!(kept, [7; 16]);
        let layout = Layout::from_size_align(64, 8).unwrap();
        // SAFETY: the block came from this allocator with this layout.
        unsafe { WipingAllocator.dealloc(grown, layout) };
    }
}
