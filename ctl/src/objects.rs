//! What the daemon's answers say, as plain types: checked when they arrive, shown by the commands.
//!
//! Nothing here knows the wire. Times are nanoseconds since 1970 in UTC.

use std::collections::BTreeMap;

pub(crate) type Labels = BTreeMap<String, String>;

/// What `swarm init` made.
pub(crate) struct Initialized {
    pub(crate) node_id: String,
    pub(crate) worker_token: String,
    pub(crate) address: String,
}

/// The two standing tokens, and where a node joins.
pub(crate) struct JoinTokens {
    pub(crate) worker: String,
    pub(crate) manager: String,
    pub(crate) address: String,
}

/// What every object has.
pub(crate) struct Meta {
    pub(crate) id: String,
    pub(crate) version_index: u64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// A secret without its value: no call ever answers with one.
pub(crate) struct Secret {
    pub(crate) meta: Meta,
    pub(crate) name: String,
    pub(crate) labels: Labels,
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
pub(crate) struct LogLine {
    pub(crate) task_id: String,
    pub(crate) slot: u64,
    pub(crate) hostname: String,
    pub(crate) is_stderr: bool,
    pub(crate) at: i64,
    pub(crate) line: Vec<u8>,
}
