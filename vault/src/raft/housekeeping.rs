//! When to write a snapshot and drop the log behind it. openraft's own policy is off: it counts entries,
//! and what fills a disk is bytes.

use std::time::Duration;

use openraft::Raft;
use openraft::async_runtime::WatchReceiver;
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
/// How often the log's size is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs until Raft ends.
pub(super) async fn keep_house(raft: Raft<Types, Machine>, log: LogStore) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut at_last_snapshot = 0;
    // A log that was long already when this process started.
    let mut due = log.kept_bytes() > SNAPSHOT_EVERY_BYTES;
    loop {
        ticks.tick().await;
        let appended = log.appended_bytes();
        due |= appended.saturating_sub(at_last_snapshot) > SNAPSHOT_EVERY_BYTES;
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
            if metrics.running_state.is_err() {
                return;
            }
            (metrics.snapshot.map(|id| id.index()), metrics.purged.map(|id| id.index()))
        };
        let upto = snapshot.map_or(0, |index| index.saturating_sub(KEEP_ENTRIES));
        if upto > purged.unwrap_or(0) && raft.trigger().purge_log(upto).await.is_err() {
            return;
        }
    }
}
