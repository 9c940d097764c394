//! The clocks. The one place of the daemon that reads them, and gives stamps by them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use vault_core::stamp::{Readings, Stamped, Stamper, Verdict};
use vault_core::time::Timestamp;

use crate::world;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// How long from one moment to another; nothing if it is past.
pub fn between(now: Timestamp, then: Timestamp) -> Duration {
    Duration::from_nanos(then.nanos().saturating_sub(now.nanos()))
}

/// Time that goes on although the cluster's clock ran ahead of this node's: what was stamped last, plus what
/// really passed since it was seen first.
#[derive(Default)]
pub struct Steady(Option<(Timestamp, Instant)>);

impl Steady {
    /// The time now, by the cluster's clock.
    pub fn now(&mut self, stamped: Timestamp) -> Timestamp {
        let (seen, since) = *self.0.get_or_insert_with(|| (stamped, Instant::now()));
        if seen != stamped {
            self.0 = Some((stamped, Instant::now()));
            return stamped;
        }
        stamped.plus(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Nanoseconds that really passed since some moment before this start, also while the machine slept.
fn steady_ns() -> u64 {
    if let Some(simulation) = world::simulation() {
        return u64::try_from(simulation.steady().as_nanos()).unwrap_or(u64::MAX);
    }
    let now = clock_gettime(ClockId::Boottime);
    let secs = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    secs.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Gives this manager's stamps, and says in the log when its clock leaves its course.
#[derive(Default)]
pub struct Stamps(Mutex<Told>);

/// A stamper, and what was said last of the clock.
#[derive(Default)]
struct Told {
    stamper: Stamper,
    state: Course,
}

/// What the log says once each time that it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Course {
    #[default]
    Fine,
    Ahead,
    AheadFollowed,
    Behind,
    BehindFollowed,
}

impl Stamps {
    /// The next stamp. `applied` is the latest that any entry brought.
    pub fn next(&self, applied: Timestamp) -> Timestamp {
        // A panic in between leaves numbers that are each whole.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let steady_ns = steady_ns();
        told.stamper.observe(steady_ns, applied);
        // There is no other manager to ask yet.
        let readings = Readings { steady_ns, wall: now(), managers: 1, others: &[] };
        let stamped = told.stamper.stamp(readings);
        told.say(stamped);
        stamped.at
    }
}

impl Told {
    fn say(&mut self, stamped: Stamped) {
        let (state, by_ns) = match (stamped.clock, stamped.is_followed) {
            (Verdict::Fine, _) => (Course::Fine, 0),
            (Verdict::Ahead { by_ns }, false) => (Course::Ahead, by_ns),
            (Verdict::Ahead { by_ns }, true) => (Course::AheadFollowed, by_ns),
            (Verdict::Behind { by_ns }, false) => (Course::Behind, by_ns),
            (Verdict::Behind { by_ns }, true) => (Course::BehindFollowed, by_ns),
        };
        if std::mem::replace(&mut self.state, state) == state {
            return;
        }
        let by = Duration::from_nanos(by_ns);
        match state {
            Course::Fine => tracing::info!("this node's clock is on its course again"),
            Course::Ahead => tracing::warn!(
                ?by,
                "this node's clock jumped ahead; stamps go by the time that passes until it holds"
            ),
            Course::AheadFollowed => {
                tracing::warn!(?by, "this node's clock is ahead of the last stamp and is followed");
            }
            Course::Behind => tracing::warn!(
                ?by,
                "this node's clock was put back; stamps go by the time that passes until it holds"
            ),
            Course::BehindFollowed => tracing::warn!(
                ?by,
                "this node's clock is behind the last stamp; stamps go half as fast until it has caught up"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_follow_the_clock_and_never_go_behind_what_was_applied() {
        let stamps = Stamps::default();
        let before = now();
        let first = stamps.next(Timestamp::default());
        assert!(first >= before && first <= now());
        let ahead = now().plus(3_600_000_000_000);
        let next = stamps.next(ahead);
        assert!(next >= ahead && next < ahead.plus(1_000_000_000), "half of what passed, no more");
        assert!(stamps.next(Timestamp::default()) >= next);
    }

    #[test]
    fn the_steady_clock_goes_on() {
        let before = steady_ns();
        assert!(before > 0 && steady_ns() >= before);
    }
}
