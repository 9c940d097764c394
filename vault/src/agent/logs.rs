//! What tasks wrote lately: a bounded ring for each, and the way to follow them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use vault_core::id::TaskId;

use crate::clock;
use crate::runner::output::{Line, OutputRing, RingLimits, Stream};

/// Kept for each task: some thousand lines. A thousand tasks then hold 256 MB at most.
const LIMITS: RingLimits = RingLimits { bytes_max: 256 << 10, line_bytes_max: 16 << 10 };

/// One line of one task.
#[derive(Clone, Debug)]
pub struct LogLine {
    pub task: TaskId,
    pub stream: Stream,
    pub at_nanos: u64,
    pub bytes: Box<[u8]>,
}

/// The output of this node's tasks. Copies are the same output.
#[derive(Clone)]
pub struct Logs {
    rings: Arc<Mutex<BTreeMap<TaskId, OutputRing>>>,
    /// Counts changes, for those that follow.
    changes: Arc<watch::Sender<u64>>,
}

impl Default for Logs {
    fn default() -> Self {
        Self { rings: Arc::default(), changes: Arc::new(watch::Sender::new(0)) }
    }
}

impl Logs {
    fn rings(&self) -> MutexGuard<'_, BTreeMap<TaskId, OutputRing>> {
        // A ring is whole after each of its calls.
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a task wrote.
    pub(super) fn push(&self, task: TaskId, stream: Stream, bytes: &[u8]) {
        let now = clock::now().nanos();
        self.rings()
            .entry(task)
            .or_insert_with(|| OutputRing::new(LIMITS))
            .push(stream, now, bytes);
        self.changes.send_modify(|count| *count += 1);
    }

    /// A task's stream ended: its last line may have no end.
    pub(super) fn finish(&self, task: TaskId, stream: Stream) {
        if let Some(ring) = self.rings().get_mut(&task) {
            ring.finish(stream);
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// Forgets the output of tasks that are forgotten.
    pub(super) fn keep(&self, is_kept: impl Fn(TaskId) -> bool) {
        self.rings().retain(|task, _| is_kept(*task));
    }

    /// Told whenever a task wrote something.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The last lines of a task, and the position behind them.
    pub fn tail(&self, task: TaskId, count: usize) -> (Vec<LogLine>, u64) {
        let rings = self.rings();
        let Some(ring) = rings.get(&task) else { return (Vec::new(), 0) };
        (ring.tail(count).map(|line| line_of(task, line)).collect(), ring.next_position())
    }

    /// A task's lines from a position on, and the position behind them.
    pub fn since(&self, task: TaskId, position: u64) -> (Vec<LogLine>, u64) {
        let rings = self.rings();
        let Some(ring) = rings.get(&task) else { return (Vec::new(), position) };
        (ring.since(position).map(|line| line_of(task, line)).collect(), ring.next_position())
    }
}

fn line_of(task: TaskId, line: &Line) -> LogLine {
    LogLine { task, stream: line.stream, at_nanos: line.at_nanos, bytes: line.bytes.clone() }
}
