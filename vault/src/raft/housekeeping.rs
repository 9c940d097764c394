//! When to write a snapshot and drop the log behind it. openraft's own policy is off: it counts entries,
//! and what fills a disk is bytes.

use std::time::Duration;

use openraft::Raft;
use openraft::async_runtime::WatchReceiver;
use openraft::error::Fatal;
use tokio::time::{MissedTickBehavior, interval};

use super::machine::Machine;
use super::store::LogStore;
use super::types::Types;

/// A snapshot is due once so many bytes were appended since the last one. A restart reads at most about
/// this much log.
const SNAPSHOT_EVERY_BYTES: u64 = 32 << 20;
/// Entries kept behind the newest snapshot, so that a manager that was away for a moment needs no
/// snapshot, and nothing is purged that may still be on its way to be applied.
const KEEP_ENTRIES: u64 = 1_000;
/// Entries kept where the number of segments counts more.
const KEEP_FEW: u64 = 1;
/// Segments that a log may have before it is made short whatever it holds: each start takes a new one.
const SEGMENTS_MAX: usize = 4;
/// How often the log's size is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs until Raft ends.
pub(super) async fn keep_house(raft: Raft<Types, Machine>, log: LogStore) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut at_last_snapshot = 0;
    let mut was_long = false;
    // A log that was long already when this process started.
    let mut due = log.kept_bytes() > SNAPSHOT_EVERY_BYTES;
    loop {
        ticks.tick().await;
        let appended = log.appended_bytes();
        let is_long = log.segments() > SEGMENTS_MAX;
        due |= appended.saturating_sub(at_last_snapshot) > SNAPSHOT_EVERY_BYTES;
        // Once for each time that it gets long: a snapshot that is there already is purged to below.
        due |= is_long && !was_long;
        was_long = is_long;
        if due {
            if raft.trigger().snapshot().await.is_err() {
                return;
            }
            at_last_snapshot = appended;
            due = false;
        }
        let (snapshot, purged) = {
            // Borrowed for a moment only: Raft's core waits for it.
            let metrics = raft.metrics();
            let metrics = metrics.borrow_watched();
            match &metrics.running_state {
                Ok(()) => {}
                Err(Fatal::Stopped) => return,
                Err(fatal) => return crate::end::after_raft_died(&fatal.to_string()),
            }
            (metrics.snapshot.map(|id| id.index()), metrics.purged.map(|id| id.index()))
        };
        let keep = if is_long { KEEP_FEW } else { KEEP_ENTRIES };
        let upto = snapshot.map_or(0, |index| index.saturating_sub(keep));
        if upto > purged.unwrap_or(0) && raft.trigger().purge_log(upto).await.is_err() {
            return;
        }
    }
}
