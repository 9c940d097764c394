//! The clock. The one place of the daemon that reads it.

use std::time::{Duration, Instant, SystemTime};

use vault_core::time::Timestamp;

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
