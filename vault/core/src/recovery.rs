//! A cluster that is brought back, from a backup or by force: what sets it apart from the one before.

/// The recovery epoch that comes next. Every call between managers names it, so that managers of before are
/// refused. It follows the time: two recoveries of the same cluster, from the same backup even, do not meet.
pub fn next_epoch(before: u32, now_secs: u64) -> u32 {
    let by_time = u32::try_from(now_secs).unwrap_or(u32::MAX);
    before.saturating_add(1).max(by_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_rises_whatever_the_clock_says() {
        for (before, now_secs, expected) in [
            (1, 0, 2),
            (1, 1_800_000_000, 1_800_000_000),
            (1_800_000_000, 1_700_000_000, 1_800_000_001),
            (1_800_000_000, 1_800_000_000, 1_800_000_001),
            (7, u64::MAX, u32::MAX),
        ] {
            assert_eq!(next_epoch(before, now_secs), expected, "{before} at {now_secs}");
        }
    }
}
