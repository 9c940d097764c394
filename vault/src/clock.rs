//! The clock. The one place of the daemon that reads it.

use std::time::{Duration, SystemTime};

use vault_core::time::Timestamp;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// How long from now until then; nothing if it is past.
pub fn until(then: Timestamp) -> Duration {
    Duration::from_nanos(then.nanos().saturating_sub(now().nanos()))
}
