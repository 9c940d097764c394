//! What the daemon's answers say, as plain types: checked when they arrive, shown by the commands.
//!
//! Nothing here knows the wire. Times are nanoseconds since 1970 in UTC.

use std::collections::BTreeMap;

use std::fmt;
use std::num::NonZeroU32;
use std::num::NonZeroU64;
use zeroize::Zeroizing;

use crate::limits::CONFIG_BYTES_MAX;
use crate::limits::SECRET_BYTES_MAX;
use crate::plaintext::Plaintext;

pub(crate) type Labels = BTreeMap<String, String>;

/// What `swarm init` made.
pub(crate) struct Initialized {
    pub(crate) node_id: String,
    pub(crate) worker_token: String,
    pub(crate) address: String,
    pub(crate) unlock_key: Option<Zeroizing<String>>,
}

/// The two standing tokens, and where a node joins.
pub(crate) struct JoinTokens {
    pub(crate) worker: String,
    pub(crate) manager: String,
    pub(crate) address: String,
}

/// A rotation of the root that is wanted.
pub(crate) struct RootWanted {
    /// PEM; empty for a root that the managers make.
    pub(crate) certificate: String,
    pub(crate) key: Option<Plaintext>,
    pub(crate) lifetime_secs: Option<u64>,
    pub(crate) is_for_all: bool,
    pub(crate) is_compromised: bool,
}

/// The root in use, and what becomes of it.
pub(crate) struct RootStatus {
    pub(crate) certificate: String,
    pub(crate) rotation: Option<RootRotation>,
    /// Managers that are down.
    pub(crate) away: Vec<String>,
    /// When the newest scheduled backup was made.
    pub(crate) backup_at: Option<i64>,
}

/// How far a rotation of the root is.
pub(crate) struct RootRotation {
    pub(crate) phase: RootPhase,
    /// SHA-256 of the certificate that it leads to.
    pub(crate) digest: String,
    pub(crate) nodes: u64,
    pub(crate) certified: u64,
    pub(crate) trusting: u64,
    pub(crate) stale: Vec<String>,
    pub(crate) is_taken_back: bool,
    pub(crate) is_compromised: bool,
}

/// Where a rotation of the root is.
#[derive(Clone, Copy)]
pub(crate) enum RootPhase {
    Prepared,
    Trusting,
    Reissuing,
    Retiring,
    Withdrawing,
}

/// A join token beside the standing ones.
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) role: &'static str,
    /// Whether it lets anybody in, in one word.
    pub(crate) standing: &'static str,
    pub(crate) created_at: i64,
    /// Without one, it has no end.
    pub(crate) ends_at: Option<i64>,
    pub(crate) uses: u32,
    /// Without one, it lets in any number of nodes.
    pub(crate) uses_max: Option<u32>,
}

/// Such a token, just made.
pub(crate) struct MadeToken {
    pub(crate) token: String,
    pub(crate) listed: Token,
    pub(crate) address: String,
}

/// What `swarm join` did.
pub(crate) struct Joined {
    pub(crate) role: &'static str,
    /// Whether the node takes part already.
    pub(crate) is_done: bool,
}

/// What a backup says of itself.
pub(crate) struct BackupHeader {
    pub(crate) cluster_id: String,
    /// The manager that it was taken from.
    pub(crate) node_id: String,
    pub(crate) recovery_epoch: u32,
    pub(crate) index: u64,
    pub(crate) taken_at: i64,
    pub(crate) secrets: u64,
    pub(crate) configs: u64,
    pub(crate) services: u64,
    pub(crate) nodes: u64,
}

/// What `backup restore` did.
pub(crate) struct Restored {
    pub(crate) header: BackupHeader,
    pub(crate) node_id: String,
    pub(crate) recovery_epoch: u32,
    /// The new one, if the cluster has autolock.
    pub(crate) unlock_key: Option<Zeroizing<String>>,
}

/// How a cluster stands, as one manager sees it. Moments are seconds since 1970.
pub(crate) struct Status {
    pub(crate) cluster_id: String,
    pub(crate) node_id: String,
    pub(crate) version: String,
    pub(crate) term: u64,
    pub(crate) leader_id: String,
    pub(crate) applied: u64,
    pub(crate) last: u64,
    pub(crate) snapshot: u64,
    pub(crate) managers: Vec<ManagerState>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) disk_free: u64,
    pub(crate) memory_used: u64,
    pub(crate) memory_budget: u64,
    pub(crate) certificate_end: u64,
    pub(crate) root_end: u64,
    pub(crate) key_epoch: u32,
    pub(crate) secrets: u64,
    pub(crate) configs: u64,
    pub(crate) services: u64,
    pub(crate) nodes: u64,
    /// Nothing else is known then.
    pub(crate) is_locked: bool,
    /// Of a worker: the manager that it has a session through; empty while it has none.
    pub(crate) works_through: Option<String>,
    pub(crate) has_autolock: bool,
    pub(crate) disk_reserve: u64,
    /// 0 while it answers.
    pub(crate) disk_hangs_ms: u64,
    pub(crate) level: u32,
    pub(crate) backups: Backups,
}

/// Scheduled backups. Times are nanoseconds since 1970, and 0 for never.
#[derive(Default)]
pub(crate) struct Backups {
    /// 0 while there are none.
    pub(crate) every_secs: u64,
    pub(crate) keep: u32,
    pub(crate) dir: String,
    pub(crate) recipients: u32,
    pub(crate) verified_at: i64,
    pub(crate) verified_node_id: String,
    pub(crate) verified_index: u64,
    pub(crate) verified_bytes: u64,
    pub(crate) failed_at: i64,
    pub(crate) failed_node_id: String,
    pub(crate) failure: String,
    pub(crate) failed_in_a_row: u32,
}

/// One manager in it.
pub(crate) struct ManagerState {
    pub(crate) node_id: String,
    pub(crate) hostname: String,
    pub(crate) addr: String,
    pub(crate) is_leader: bool,
    pub(crate) is_voter: bool,
    pub(crate) matched: Option<u64>,
    pub(crate) silent_ms: Option<u64>,
    pub(crate) certificate_end: u64,
    /// How far its clock is ahead of the answering node's, if that is known.
    pub(crate) clock_ahead_ms: Option<i64>,
    pub(crate) clock_within_ms: u64,
}

/// Something to look at, and what to do about it.
pub(crate) struct Warning {
    pub(crate) text: String,
    pub(crate) cure: String,
    pub(crate) is_urgent: bool,
}

/// What is to change about a node.
#[derive(Default)]
pub(crate) struct NodeChange {
    pub(crate) role: Option<String>,
    pub(crate) availability: Option<String>,
    pub(crate) label_add: Labels,
    pub(crate) label_rm: Vec<String>,
}

/// What every object has.
pub(crate) struct Meta {
    pub(crate) id: String,
    pub(crate) version_index: u64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// What an object with versions is. The verbs of both are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Secret,
    Config,
}

impl Class {
    /// Bytes of one value at most.
    pub(crate) fn value_bytes_max(self) -> usize {
        match self {
            Self::Secret => SECRET_BYTES_MAX,
            Self::Config => CONFIG_BYTES_MAX,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Secret => "secret",
            Self::Config => "config",
        })
    }
}

/// A secret or a config.
pub(crate) struct Versioned {
    pub(crate) meta: Meta,
    pub(crate) name: String,
    pub(crate) labels: Labels,
    /// Oldest first; empty in a list.
    pub(crate) versions: Vec<Version>,
    /// Whose tasks hold which version, by version.
    pub(crate) holders: Vec<Holder>,
    /// A config's current value. No call ever answers with a secret's.
    pub(crate) data: Vec<u8>,
}

/// Tasks of one service that hold one version.
pub(crate) struct Holder {
    pub(crate) version: u32,
    pub(crate) service: String,
    pub(crate) tasks: u64,
}

/// What is known of one value.
pub(crate) struct Version {
    pub(crate) number: u32,
    pub(crate) created_at: i64,
    pub(crate) labels: Vec<String>,
    pub(crate) size_bytes: u64,
}

/// How new versions come in.
pub(crate) struct Rotation {
    /// Whether tasks read them at once.
    pub(crate) is_active: bool,
    /// A label of the user's own; empty for none.
    pub(crate) label: String,
    /// The version index that the object must still have.
    pub(crate) expected: Option<NonZeroU64>,
}

/// What is to change in an object itself.
pub(crate) struct Change {
    /// All labels that it is to have, and the version index that they were made from.
    pub(crate) labels: Option<(Labels, u64)>,
    /// How many versions are kept.
    pub(crate) version_limit: Option<NonZeroU32>,
}

/// How far the values are sealed under the newest data key.
pub(crate) struct KeyStatus {
    pub(crate) epoch: u32,
    pub(crate) values_left: u64,
    pub(crate) epochs_kept: usize,
}

/// A change of an object.
pub(crate) struct Event {
    pub(crate) index: u64,
    pub(crate) at: i64,
    pub(crate) kind: String,
    pub(crate) action: String,
    pub(crate) id: String,
    pub(crate) name: String,
}

/// A certificate that was issued. Digests and the serial number are hexadecimal.
pub(crate) struct Certificate {
    pub(crate) number: u64,
    pub(crate) issued_at: i64,
    /// Empty for one that may sign others.
    pub(crate) node: String,
    /// `worker`, `manager`, `root` or `unknown`.
    pub(crate) kind: &'static str,
    pub(crate) begins_at: i64,
    pub(crate) ends_at: i64,
    pub(crate) serial: String,
    pub(crate) digest: String,
    pub(crate) key: String,
    pub(crate) chain: String,
}

/// What reading back the chain of certificates brought.
pub(crate) struct ChainReport {
    /// It holds from this number on.
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) head: String,
    /// What does not hold, if anything.
    pub(crate) broken: String,
}

/// One call, as the audit has it.
pub(crate) struct AuditRecord {
    pub(crate) number: u64,
    pub(crate) at: i64,
    pub(crate) uid: u32,
    pub(crate) pid: u32,
    pub(crate) call: String,
    pub(crate) objects: Vec<String>,
    /// `OK`, `NotFound` and so on.
    pub(crate) outcome: String,
    pub(crate) request_id: String,
    pub(crate) index: u64,
    /// The manager that took the call.
    pub(crate) node: String,
}

/// What reading the whole audit brought.
pub(crate) struct AuditReport {
    pub(crate) records: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Where the chain breaks first; empty if it does not.
    pub(crate) broken: String,
}

pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) hostname: String,
    /// `Ready`, `Down` and so on, as shown.
    pub(crate) state: &'static str,
    pub(crate) availability: &'static str,
    /// `Leader`, `Reachable`, `Unreachable`, `Unknown`; empty for a worker.
    pub(crate) manager_status: &'static str,
    pub(crate) engine_version: String,
    /// Whether this node gave the answer.
    pub(crate) is_self: bool,
    pub(crate) role: &'static str,
    pub(crate) addr: String,
    pub(crate) labels: Labels,
    pub(crate) version_index: u64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    /// Seconds since 1970.
    pub(crate) certificate_end: u64,
    pub(crate) machine: Machine,
}

/// What a worker said of its machine; empty of a manager.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) os: String,
    pub(crate) architecture: String,
    pub(crate) nano_cpus: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) labels: Labels,
    /// It runs a stock Docker Engine.
    pub(crate) is_engine: bool,
}

/// One secret as a file of a service's tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) secret_id: String,
    pub(crate) secret_name: String,
    pub(crate) target: String,
    pub(crate) uid: String,
    pub(crate) gid: String,
    pub(crate) mode: u32,
    /// A number or a label; empty for what is current.
    pub(crate) version: String,
}

pub(crate) struct ServiceSpec {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) command: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) replicas: u64,
}

pub(crate) struct Service {
    pub(crate) meta: Meta,
    pub(crate) spec: ServiceSpec,
    pub(crate) running_tasks: u64,
}

/// Where a task stands. The order is the order of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TaskState {
    New,
    Pending,
    Assigned,
    Accepted,
    Preparing,
    Ready,
    Starting,
    Running,
    Complete,
    Shutdown,
    Failed,
    Rejected,
    Remove,
    Orphaned,
}

impl TaskState {
    /// The word that is shown.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Pending => "Pending",
            Self::Assigned => "Assigned",
            Self::Accepted => "Accepted",
            Self::Preparing => "Preparing",
            Self::Ready => "Ready",
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Complete => "Complete",
            Self::Shutdown => "Shutdown",
            Self::Failed => "Failed",
            Self::Rejected => "Rejected",
            Self::Remove => "Remove",
            Self::Orphaned => "Orphaned",
        }
    }

    /// Whether the task has ended, in whatever way.
    pub(crate) fn is_over(self) -> bool {
        self > Self::Running
    }
}

pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) slot: u64,
    pub(crate) node_hostname: String,
    pub(crate) state: TaskState,
    pub(crate) desired: TaskState,
    pub(crate) status_at: i64,
    pub(crate) error: String,
    pub(crate) exit_code: Option<i32>,
    pub(crate) command: String,
}

/// The tasks of one service, the ended ones that are still kept included.
pub(crate) struct Tasks {
    pub(crate) service_name: String,
    pub(crate) tasks: Vec<Task>,
}

/// One line that a task wrote, without its end.
#[derive(Clone)]
pub(crate) struct LogLine {
    pub(crate) task_id: String,
    pub(crate) slot: u64,
    pub(crate) hostname: String,
    pub(crate) is_stderr: bool,
    pub(crate) at: i64,
    pub(crate) line: Vec<u8>,
}
