//! How far the managers' clocks are apart: a question and its answer in, a difference out; and which of
//! several clocks is the one that is wrong. Nothing here reads one.

use std::collections::BTreeMap;

use crate::time::Timestamp;

/// How far another clock is ahead of this one (behind, if negative).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub ahead_ns: i64,
    /// What is not known of it: half of the time that question and answer took.
    pub within_ns: u64,
}

fn signed(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

impl Difference {
    /// What an answer tells that said `theirs`, `took_ns` after the question was sent at `sent`.
    pub fn measured(sent: Timestamp, took_ns: u64, theirs: Timestamp) -> Self {
        let within_ns = took_ns.div_ceil(2);
        let here = sent.plus(within_ns);
        let ahead_ns = signed(theirs.nanos()).saturating_sub(signed(here.nanos()));
        Self { ahead_ns, within_ns }
    }

    /// By how much the clocks are apart at least.
    pub fn at_least_ns(self) -> u64 {
        self.ahead_ns.unsigned_abs().saturating_sub(self.within_ns)
    }

    /// The same difference in milliseconds.
    pub fn ahead_ms(self) -> i64 {
        self.ahead_ns.checked_div(1_000_000).unwrap_or_default()
    }
}

/// The same differences, against the clock that most agree with rather than against the one that asked.
/// Of two, neither is more right: they stay as they were measured.
pub fn against_most<K: Ord + Clone>(measured: &BTreeMap<K, Difference>) -> BTreeMap<K, Difference> {
    let mut sorted: Vec<i64> = measured.values().map(|one| one.ahead_ns).collect();
    sorted.sort_unstable();
    let middle = sorted.len().div_euclid(2);
    let reference =
        if sorted.len() < 3 { 0 } else { sorted.get(middle).copied().unwrap_or_default() };
    let shifted = measured.iter().map(|(key, one)| {
        let ahead_ns = one.ahead_ns.saturating_sub(reference);
        (key.clone(), Difference { ahead_ns, ..*one })
    });
    shifted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn half_of_the_round_trip_is_taken_off_and_stays_as_doubt() {
        let sent = Timestamp::from_nanos(100 * SECOND);
        for (took_ns, theirs, ahead_ns, at_least) in [
            (0, 100 * SECOND, 0, 0),
            (2 * SECOND, 101 * SECOND, 0, 0),
            (2 * SECOND, 104 * SECOND, 3_000_000_000, 2 * SECOND),
            (SECOND, 90 * SECOND, -10_500_000_000, 10 * SECOND),
            // Nothing is known of a clock whose answer took longer than it is away.
            (10 * SECOND, 107 * SECOND, 2_000_000_000, 0),
        ] {
            let found = Difference::measured(sent, took_ns, Timestamp::from_nanos(theirs));
            assert_eq!(found.ahead_ns, ahead_ns, "{took_ns} {theirs}");
            assert_eq!(found.at_least_ns(), at_least, "{took_ns} {theirs}");
        }
        let far = Difference::measured(sent, 0, Timestamp::from_nanos(u64::MAX));
        assert!(far.ahead_ns > 0, "no clock is so wrong that it wraps");
    }

    #[test]
    fn a_difference_is_shown_in_whole_milliseconds() {
        for (ahead_ns, ahead_ms) in [(0, 0), (2_999_999, 2), (-2_999_999, -2), (3_000_000, 3)] {
            assert_eq!(Difference { ahead_ns, within_ns: 0 }.ahead_ms(), ahead_ms, "{ahead_ns}");
        }
    }

    #[test]
    fn the_clock_that_most_disagree_with_is_the_wrong_one_even_if_it_asked() {
        let against = |rows: &[(u8, i64)]| {
            let one = |(key, secs): &(u8, i64)| {
                (*key, Difference { ahead_ns: *secs * 1_000_000_000, within_ns: 7 })
            };
            let shifted = against_most(&rows.iter().map(one).collect());
            let secs = |(key, one): (u8, Difference)| (key, one.ahead_ns / 1_000_000_000);
            shifted.into_iter().map(secs).collect::<Vec<_>>()
        };
        assert_eq!(against(&[(0, 0), (1, 20), (2, 20)]), [(0, -20), (1, 0), (2, 0)]);
        assert_eq!(against(&[(0, 0), (1, 0), (2, -9)]), [(0, 0), (1, 0), (2, -9)]);
        assert_eq!(against(&[(0, 0), (1, 20)]), [(0, 0), (1, 20)]);
        assert_eq!(against(&[]), []);
    }
}
