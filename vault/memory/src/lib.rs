//! Where secret bytes live: guarded pages, an allocator that wipes what it frees, and a process that
//! leaves no dump.
//!
//! The one package with unsafe code. It decides nothing; what the platform refuses is reported to the
//! caller, never skipped in silence.

mod allocator;
mod guarded;
mod harden;

pub mod sys;

pub use allocator::WipingAllocator;
pub use guarded::{GuardError, Guarded, unlocked_bytes};
pub use harden::{Hardening, Shortfall, harden};
