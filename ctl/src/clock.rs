//! The one reader of the clock: ages are shown against it, and nothing is decided by it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970 in UTC; 0 for a clock that stands before it.
#[expect(clippy::disallowed_methods, reason = "the only reader of the clock in this program")]
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
