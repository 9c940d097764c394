//! Whether a manager renews its certificate now: it has to be due, and the manager's clock has to be right enough.
//! A certificate by a clock that is ahead is not valid yet where the clocks are right.

use std::collections::BTreeMap;

use crate::clocks::{Difference, against_most};
use crate::limits::RENEW_AHEAD_MAX_NS;

/// What is to be done about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is due in so many seconds.
    Later(u64),
    Now,
    /// Nobody else's clock was heard of yet.
    ClocksUnknown,
    /// This clock is so far ahead of the others.
    ClockAhead(u64),
}

/// Judges by the manager's own clock, and by how far those of the other managers were found ahead of it.
pub fn judge(
    now_secs: u64,
    due_secs: u64,
    is_alone: bool,
    others: &BTreeMap<String, Difference>,
) -> Verdict {
    if now_secs < due_secs {
        return Verdict::Later(due_secs.saturating_sub(now_secs));
    }
    if is_alone {
        return Verdict::Now;
    }
    if others.is_empty() {
        return Verdict::ClocksUnknown;
    }
    let ahead_ns = ahead(others);
    if ahead_ns > RENEW_AHEAD_MAX_NS { Verdict::ClockAhead(ahead_ns) } else { Verdict::Now }
}

/// By how much this clock is ahead: of the one that most agree with, or of the only other one.
fn ahead(others: &BTreeMap<String, Difference>) -> u64 {
    let own = None;
    let measured = others.iter().map(|(id, difference)| (Some(id), *difference));
    let measured: BTreeMap<_, _> = measured.chain([(own, Difference::default())]).collect();
    let ahead_ns = match others.values().next() {
        Some(other) if others.len() == 1 => other.ahead_ns.saturating_neg(),
        _ => against_most(&measured).get(&own).map_or(0, |difference| difference.ahead_ns),
    };
    u64::try_from(ahead_ns).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;

    fn others(ahead_ns: &[i64]) -> BTreeMap<String, Difference> {
        let difference = |ahead_ns: &i64| Difference { ahead_ns: *ahead_ns, within_ns: 0 };
        ahead_ns.iter().enumerate().map(|(at, one)| (at.to_string(), difference(one))).collect()
    }

    #[test]
    fn a_certificate_is_renewed_once_it_is_due_and_not_by_a_clock_that_is_ahead() {
        let limit = i64::try_from(RENEW_AHEAD_MAX_NS).expect("it is half an hour");
        for (now, is_alone, clocks, verdict) in [
            (99, false, &[0, 0][..], Verdict::Later(1)),
            (99, true, &[], Verdict::Later(1)),
            (100, true, &[], Verdict::Now),
            (100, false, &[], Verdict::ClocksUnknown),
            (100, false, &[0, 0], Verdict::Now),
            // One of the others is wrong, not this one.
            (100, false, &[0, -HOUR], Verdict::Now),
            (100, false, &[-HOUR, -HOUR], Verdict::ClockAhead(HOUR.unsigned_abs())),
            (100, false, &[-limit, -limit], Verdict::Now),
            (100, false, &[-limit - 1, -limit - 1], Verdict::ClockAhead(RENEW_AHEAD_MAX_NS + 1)),
            // Behind: what it makes ends early, and that is all.
            (100, false, &[HOUR, HOUR], Verdict::Now),
            // Of two clocks nobody knows which is wrong.
            (100, false, &[-HOUR], Verdict::ClockAhead(HOUR.unsigned_abs())),
            (100, false, &[HOUR], Verdict::Now),
        ] {
            assert_eq!(judge(now, 100, is_alone, &others(clocks)), verdict, "{now} {clocks:?}");
        }
    }
}
