//! When to write a snapshot and drop the log behind it. openraft's own policy is off: it counts entries,
//! and what fills a disk is bytes.

use std::time::Duration;

use openraft::Raft;
use openraft::async_runtime::WatchReceiver;
use openraft::error::Fatal;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::machine::{Machine, View};
use super::store::LogStore;
use super::types::Types;

/// A snapshot is due once so many bytes were appended since the last one. A restart reads at most about
/// this much log.
const SNAPSHOT_EVERY_BYTES: u64 = 32 << 20;
/// The same for a large state: once as much as it holds was appended, and at the latest past so many bytes. A
/// snapshot writes the whole state anew.
const SNAPSHOT_EVERY_BYTES_MAX: u64 = 256 << 20;
/// Bytes of the log that are kept on the disk behind the newest snapshot, so that a manager that was away
/// for a moment needs no snapshot.
const KEEP_BYTES: u64 = 32 << 20;
/// Entries kept where the number of segments counts more.
const KEEP_FEW: u64 = 1;
/// Segments that a log may have before it is made short whatever it holds: each start takes a new one. More
/// where a snapshot is due later.
const SEGMENTS_MAX: u64 = 4;
/// How often the log's size is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is kept in order, and by what.
pub(super) struct House {
    pub raft: Raft<Types, Machine>,
    pub log: LogStore,
    pub segment_bytes: u64,
    /// Bytes of the entries that stood behind the newest snapshot at the start.
    pub unapplied: u64,
    pub views: watch::Receiver<View>,
}

/// After how many bytes of log a snapshot of a state of this size is due.
fn snapshot_every(state_bytes: u64) -> u64 {
    state_bytes.clamp(SNAPSHOT_EVERY_BYTES, SNAPSHOT_EVERY_BYTES_MAX)
}

/// Whoever asks Raft first learns that it is over: a clean end is this process's own, any other one ends it.
fn ended(fatal: &Fatal<Types>) {
    if !matches!(fatal, Fatal::Stopped) {
        crate::end::after_raft_died(&fatal.to_string());
    }
}

/// Runs until Raft ends.
pub(super) async fn keep_house(house: House) {
    let House { raft, log, segment_bytes, unapplied, views } = house;
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut at_last_snapshot = 0;
    let mut was_long = false;
    let mut asked = 0;
    // A log that was long already when this process started.
    let mut due = unapplied > SNAPSHOT_EVERY_BYTES;
    loop {
        ticks.tick().await;
        let appended = log.appended_bytes();
        let every = snapshot_every(views.borrow().state.memory_bytes());
        let more = (every - SNAPSHOT_EVERY_BYTES) / segment_bytes;
        let segments = u64::try_from(log.segments()).unwrap_or(u64::MAX);
        let is_long = segments > SEGMENTS_MAX.saturating_add(more);
        due |= appended.saturating_sub(at_last_snapshot) > every;
        // Once for each time that it gets long: a snapshot that is there already is purged to below. And again
        // once as much has come behind it: writers may be quicker than one look.
        let behind_snapshot = appended.saturating_sub(at_last_snapshot);
        due |=
            is_long && (!was_long || behind_snapshot > segment_bytes.saturating_mul(SEGMENTS_MAX));
        was_long = is_long;
        if due {
            if let Err(fatal) = raft.trigger().snapshot().await {
                return ended(&fatal);
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
                Err(fatal) => return ended(fatal),
            }
            (metrics.snapshot.map(|id| id.index()), metrics.purged.map(|id| id.index()))
        };
        let few = snapshot.map_or(0, |index| index.saturating_sub(KEEP_FEW));
        let upto = if is_long { few } else { few.min(log.before_last(KEEP_BYTES).unwrap_or(0)) };
        // Raft may wait with it for a manager that is behind, and must not be asked for less meanwhile.
        if upto > asked.max(purged.unwrap_or(0)) {
            asked = upto;
            if let Err(fatal) = raft.trigger().purge_log(upto).await {
                return ended(&fatal);
            }
        }
    }
}
