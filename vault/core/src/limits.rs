//! Every bound of the product, in one place, each with its reason. `docs/limits.md` is this file in words.

/// A secret's value is shorter than this. Swarm's limit, exclusive as there.
pub const SECRET_BYTES_END: usize = 512_000;
/// A config's value is shorter than this. Swarm's limit, exclusive as there.
pub const CONFIG_BYTES_END: usize = 1_024_000;
/// Swarm's limit for the name of a secret or config.
pub const NAME_BYTES_MAX: usize = 64;
/// Swarm's limit for the name of a service: one DNS label.
pub const SERVICE_NAME_BYTES_MAX: usize = 63;
/// All labels of one object together. Swarm has only its transaction size of 1.5 MiB; a sixteenth of our
/// request keeps a page of a list below one message.
pub const LABEL_BYTES_MAX: usize = 256 * 1024;
/// One request or answer. gRPC's customary limit, and twice the largest value.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Command, arguments and environment of one service together. The kernel's own limit is 2 MiB; an
/// entry of the log stays well below a request.
pub const COMMAND_BYTES_MAX: usize = 1024 * 1024;
/// Secrets that one service may be granted. A task's directory is listed in one go.
pub const GRANTS_MAX: usize = 1_000;
/// Tasks of one service. A page of one list, ten times over.
pub const REPLICAS_MAX: u64 = 10_000;
/// Objects on one page of a list, when the caller names no number.
pub const PAGE_DEFAULT: usize = 100;
/// Objects on one page of a list at most.
pub const PAGE_MAX: usize = 1_000;
/// A file's name below `/run/secrets`: the file system's own limit.
pub const TARGET_BYTES_MAX: usize = 255;
/// Answers that are remembered, so that a request that is sent again acts once.
pub const REQUESTS_KEPT: usize = 4_096;
/// Ended tasks that are kept for each slot of a service, to be looked at. Swarm's default.
pub const TASK_HISTORY: usize = 5;
/// How long an ended task waits for its successor. Swarm's default.
pub const RESTART_DELAY_NS: u64 = 5_000_000_000;
/// Task changes in one command: bounds an entry of the log to about 100 KiB.
pub const TASK_CHANGES_MAX: usize = 500;
/// A task's last error, as kept in the state.
pub const TASK_ERROR_BYTES_MAX: usize = 1_024;
