//! What is counted while the daemon runs, for the metrics: numbers only, no name and no value.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vault_core::reason;

use crate::clocks::Clocks;
use crate::manager::CallError;
use crate::raft::ProposeError;

/// One number that only grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Numbers that only grow, one for each of a few words of this program.
pub struct CounterOf<K>(Mutex<BTreeMap<K, u64>>);

impl<K> Default for CounterOf<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Copy> CounterOf<K> {
    /// One more of these.
    pub fn count(&self, key: K) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = all.entry(key).or_default();
        *one = one.saturating_add(1);
    }

    pub fn values(&self) -> BTreeMap<K, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Upper bounds of a histogram of times at the disk, in microseconds: from a disk with a battery to one that hangs.
pub const FLUSH_MICROS: [u64; 14] = [
    50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 204_800, 1_000_000,
    5_000_000,
];

/// How long something took, each time.
#[derive(Default)]
pub struct Histogram {
    /// One for each bound, and one for what took longer.
    counts: [AtomicU64; FLUSH_MICROS.len() + 1],
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Once more.
    pub fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = FLUSH_MICROS.partition_point(|bound| *bound < micros);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// How often it took at most each bound, then how often at all; and the sum in microseconds.
    pub fn totals(&self) -> ([u64; FLUSH_MICROS.len() + 1], u64) {
        let mut total = 0;
        let totals = self.counts.each_ref().map(|count| {
            total += count.load(Ordering::Relaxed);
            total
        });
        (totals, self.sum_micros.load(Ordering::Relaxed))
    }
}

/// All that is counted.
#[derive(Default)]
pub struct Meters {
    /// Commands that were proposed here, whatever came of them.
    pub proposals: Counter,
    /// Why changes were refused, or had no answer.
    pub refusals: CounterOf<&'static str>,
    /// Reads that reflect everything acknowledged before.
    pub reads: Counter,
    pub reads_failed: Counter,
    /// Calls on the socket, by gRPC's code.
    pub calls: CounterOf<i32>,
    pub clocks: Clocks,
}

impl Meters {
    /// Takes note of a change that was asked for.
    pub fn acted<T>(&self, acted: &Result<T, CallError>) {
        self.proposals.count();
        if let Err(error) = acted {
            self.refusals.count(reason_of(error));
        }
    }

    /// Takes note of a read.
    pub fn read<T, E>(&self, read: &Result<T, E>) {
        self.reads.count();
        if read.is_err() {
            self.reads_failed.count();
        }
    }
}

/// The word for why a call has no answer.
fn reason_of(error: &CallError) -> &'static str {
    match error {
        CallError::Refused(refusal) => reason::of(refusal),
        CallError::Propose(ProposeError::NoLeader) => "no_leader",
        CallError::Propose(ProposeError::Unknown) => "outcome_unknown",
        CallError::Propose(ProposeError::Stopped) => "stopping",
        CallError::Propose(ProposeError::DiskHangs { .. }) => "disk_hangs",
        CallError::Propose(ProposeError::Behind { .. }) => "behind",
        CallError::MemoryBudget { .. } => "memory_budget",
        CallError::DiskFull { .. } => "disk_full",
        CallError::Level(_) => "feature_level",
        CallError::Keys(_) => "data_keys",
        CallError::Labels(_) => "labels",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_what_took_at_most_so_long() {
        let histogram = Histogram::default();
        for micros in [0, 50, 51, 400, 10_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let (totals, sum) = histogram.totals();
        assert_eq!(totals[..5], [2, 3, 3, 4, 4]);
        assert_eq!((totals[FLUSH_MICROS.len() - 1], totals[FLUSH_MICROS.len()]), (4, 5));
        assert_eq!(sum, 10_000_501);
        assert!(FLUSH_MICROS.is_sorted());
    }
}
