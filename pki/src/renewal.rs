//! When a node renews its certificate.

use crate::identity::Claim;
use crate::profile::BACKDATE_SECS;

/// The moment to renew at: between 50 and 80 % of the time from issue to end, anywhere by `draw`, which is
/// random, so that nodes that joined together do not come back together. The time by which certificates are
/// backdated does not count, or short ones would be due at once.
pub fn renew_at(issued_secs: u64, not_after_secs: u64, draw: u32) -> u64 {
    let lifetime = u128::from(not_after_secs.saturating_sub(issued_secs));
    // In tenths, times 2^32: 5, and up to 3 more. Below 2^35, so nothing overflows.
    let tenths = (5_u128 << 32).saturating_add(u128::from(draw).saturating_mul(3));
    let after = lifetime.saturating_mul(tenths).wrapping_shr(32).wrapping_div(10);
    issued_secs.saturating_add(u64::try_from(after).unwrap_or(u64::MAX))
}

/// The same for a certificate of ours.
pub fn due(claim: &Claim, draw: u32) -> u64 {
    let issued_secs = claim.not_before_secs.saturating_add(BACKDATE_SECS);
    renew_at(issued_secs.min(claim.not_after_secs), claim.not_after_secs, draw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_between_half_and_four_fifths_of_the_lifetime() {
        for (issued, end, draw, expected) in [
            (0, 1_000, 0, 500),
            (0, 1_000, u32::MAX, 799),
            (0, 1_000, u32::MAX / 2, 649),
            (1_000, 4_600, 0, 2_800),
            (1_000, 4_600, u32::MAX, 3_879),
            (7, 7, u32::MAX, 7),
            (9, 7, u32::MAX, 9),
            (0, u64::MAX, 0, u64::MAX / 2),
            (u64::MAX, u64::MAX, u32::MAX, u64::MAX),
        ] {
            assert_eq!(renew_at(issued, end, draw), expected, "{issued} {end} {draw}");
        }
    }

    #[test]
    fn case_c69_renewals_are_spread_evenly() {
        let mut counts = [0_u32; 30];
        for step in 0..30_000_u32 {
            let at = renew_at(0, 1_000_000, step * (u32::MAX / 30_000));
            counts[usize::try_from((at - 500_000) / 10_000).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (990..=1_010).contains(count)), "{counts:?}");
    }
}
