//! Keeps what has time from taking the disk away from what has none.

use std::time::{Duration, Instant};

use crate::world;

/// Lets a writer be no faster than so many bytes a second.
pub(super) struct Pace {
    bytes_per_second: u64,
    since: Instant,
    written: u64,
}

impl Pace {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, since: Instant::now(), written: 0 }
    }

    /// Waits until so many more bytes may have been written. Time that was lost is not caught up with.
    pub(super) fn wait_for(&mut self, bytes: u64) {
        if world::simulation().is_some() {
            // It has one thread for everybody.
            return;
        }
        self.written = self.written.saturating_add(bytes);
        let nanos = self.written.saturating_mul(1_000_000_000) / self.bytes_per_second;
        match Duration::from_nanos(nanos).checked_sub(self.since.elapsed()) {
            Some(early) => std::thread::sleep(early),
            None => *self = Self::new(self.bytes_per_second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_no_faster_than_its_pace() {
        let (mut pace, start) = (Pace::new(1_000_000), Instant::now());
        for _ in 0..5 {
            pace.wait_for(10_000);
        }
        assert!(start.elapsed() >= Duration::from_millis(50));
    }
}
