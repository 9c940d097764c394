//! The bounds that the command line keeps, each with its reason.

use std::time::Duration;

/// Bytes of a secret: Swarm's `< 512 000`.
pub(crate) const SECRET_BYTES_MAX: usize = 511_999;

/// Bytes of a config: Swarm's `< 1 024 000`.
pub(crate) const CONFIG_BYTES_MAX: usize = 1_023_999;

/// Limits read of a value before giving up: Swarm's client reads twice its limit.
pub(crate) const READ_LIMITS: usize = 2;

/// Bytes of one request: what the daemon takes, and gRPC's customary limit.
pub(crate) const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Values that are created with one request: the daemon's own bound.
pub(crate) const BATCH_MAX: usize = 10_000;

/// Bytes typed at a prompt: a line that a person can type or paste, with room to spare.
pub(crate) const PROMPT_BYTES_MAX: usize = 64 * 1024;

/// Pages of one list: 10,000 pages of any size are more objects than a cluster may hold.
pub(crate) const PAGES_MAX: usize = 10_000;

/// A call that is not answered by then will not be: the daemon gives up on its own calls earlier.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// Reading and checking the whole audit: some gigabytes at the pace of a slow disk.
pub(crate) const VERIFY_DEADLINE: Duration = Duration::from_mins(10);

/// Between two looks at how far a rotation of keys is: often enough for a person.
pub(crate) const KEYS_POLL_EVERY: Duration = Duration::from_millis(200);

/// How long events may stay out until those that are remembered are taken to be through: the stream
/// itself does not say where the past ends.
pub(crate) const EVENTS_QUIET: Duration = Duration::from_secs(2);

/// IDs in one line of the audit's table; a batch has thousands.
pub(crate) const AUDIT_OBJECTS_SHOWN: usize = 3;

/// Bytes of an answer to a question of yes or no.
pub(crate) const ANSWER_BYTES_MAX: u64 = 256;

/// Between two looks at something that is waited for.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(100);

/// How long a service has to stay up to be called converged: Swarm's monitoring time.
pub(crate) const STABLE_SECS: u64 = 5;

/// A join or a leave waits for the other managers: 20 s, and the connections before.
pub(crate) const JOIN_DEADLINE: Duration = Duration::from_mins(1);

/// Sending, checking and restoring a backup of some gigabytes.
pub(crate) const BACKUP_DEADLINE: Duration = Duration::from_hours(1);

/// Bytes of an identity, a passphrase or a list of recipients: the daemon's own bound.
pub(crate) const BACKUP_KEY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a backup that are sent at once: the daemon's own pieces.
pub(crate) const BACKUP_PIECE_BYTES: usize = 256 * 1024;

/// Bytes of a backup that are sent to have its header read: whom it is sealed for, and its first piece.
pub(crate) const BACKUP_START_BYTES: u64 = 2 * 1024 * 1024;
