//! The bounds that the command line keeps, each with its reason.

use std::time::Duration;

/// Bytes of a secret: Swarm's `< 512 000`.
pub(crate) const SECRET_BYTES_MAX: usize = 511_999;

/// Bytes read of a value before giving up: Swarm's client reads twice its limit.
pub(crate) const READ_BYTES_MAX: usize = 2 * 512_000;

/// Bytes typed at a prompt: a line that a person can type or paste, with room to spare.
pub(crate) const PROMPT_BYTES_MAX: usize = 64 * 1024;

/// Pages of one list: 10,000 pages of any size are more objects than a cluster may hold.
pub(crate) const PAGES_MAX: usize = 10_000;

/// A call that is not answered by then will not be: the daemon gives up on its own calls earlier.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks at something that is waited for.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(100);

/// How long a service has to stay up to be called converged: Swarm's monitoring time.
pub(crate) const STABLE_SECS: u64 = 5;
