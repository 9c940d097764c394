//! The ways in which this process ends at once, because going on would be worse.

use std::time::Duration;

use crate::disk::log::Fault;
use crate::world;

/// The disk failed: nothing more may be acknowledged, and nothing that was written last may be relied on.
/// A new process reads back what is really there: a failed flush is never retried and acknowledged.
pub(crate) fn after_disk_fault(fault: &Fault) {
    let source = std::error::Error::source(fault).map(ToString::to_string);
    tracing::error!(
        error = %fault,
        source,
        "the disk failed: ending, so that nothing is acknowledged that is not stored"
    );
    world::end(74);
}

/// A write or flush does not return. Whoever starts this process again finds out whether the disk does.
pub(crate) fn after_disk_lost(files: &'static str, took: Duration) {
    tracing::error!(
        files,
        "the disk has not answered for {} s: ending, so that a new process can try",
        took.as_secs()
    );
    world::end(75);
}

/// Consensus ended by itself: it takes part in nothing any more and does not start again in this process.
pub(crate) fn after_raft_died(reason: &str) {
    tracing::error!(
        reason,
        "consensus ended by itself: ending, so that a new process can take over"
    );
    world::end(70);
}
