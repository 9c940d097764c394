//! What openraft needs of the crate `base2histogram`, without the tables: a histogram that keeps nothing.
//!
//! The crate of that name fills tables for sixteen widths, about 25 MiB, at a node's first count. openraft
//! counts in every build and shows the counts only with its feature `runtime-stats`, which is off here.
//! With that feature on, openraft would not compile against this: what it asks for then is not here.

use std::fmt;
use std::marker::PhantomData;

/// A histogram without a memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram<T = ()>(PhantomData<T>);

impl<T> Histogram<T> {
    /// An empty one, which it stays.
    pub fn new() -> Self {
        Self(PhantomData)
    }

    /// Takes a sample and forgets it.
    #[expect(clippy::unused_self, reason = "who counts calls it so")]
    pub fn record(&mut self, _sample: u64) {}

    /// Takes a sample that came several times and forgets it.
    #[expect(clippy::unused_self, reason = "who counts calls it so")]
    pub fn record_n(&mut self, _sample: u64, _times: u64) {}

    /// What is known of the samples: nothing.
    #[expect(clippy::unused_self, reason = "who counts calls it so")]
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats::default()
    }
}

/// How many samples there were, and below which value so many of a thousand were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PercentileStats {
    pub samples: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("not counted")
    }
}

/// A picture of several histograms, which nobody asks for.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart;

impl AsciiChart {
    /// An empty picture, which it stays.
    pub fn new() -> Self {
        Self
    }

    /// Takes a histogram and forgets it.
    #[must_use]
    pub fn add(self, _title: &str, _histogram: Histogram) -> Self {
        self
    }
}
