//! What stays of a value in the memory of `cofferd`: nothing after the call, and while a task has it,
//! guarded pages alone.
//!
//! The daemon's memory is read as root reads it. What this cannot see stands in `docs/keys.md`: buffers of
//! the kernel, registers that are not saved.

#[path = "memory/closed.rs"]
mod closed;
#[path = "memory/keys.rs"]
mod keys;
#[path = "memory/scan.rs"]
mod scan;
