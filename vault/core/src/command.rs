//! What the log holds, and what comes of it.

use crate::cluster::Cluster;
use crate::id::{NodeId, ObjectId, SecretId, ServiceId, TaskId};
use crate::labels::Labels;
use crate::name::SecretName;
use crate::node::Node;
use crate::request::RequestId;
use crate::seal::Sealed;
use crate::service::ServiceSpec;
use crate::table::LookupError;
use crate::task::{TaskState, TaskStatus};
use crate::time::Timestamp;

/// One entry of the log: what to do, when the leader took it, and for which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The leader's clock. Applying keeps time from running backwards.
    pub at: Timestamp,
    /// Set when the client asked for protection against acting twice.
    pub request: Option<RequestId>,
    pub action: Action,
}

/// Everything that changes the state. Values are sealed and IDs chosen before it is proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The first entry of a cluster. Times and version indexes in it are set when it is applied.
    CreateCluster(Box<CreateCluster>),
    CreateSecret(CreateSecret),
    RemoveSecret(SecretId),
    CreateService(ServiceId, Box<ServiceSpec>),
    RemoveService(ServiceId),
    /// Decisions of the scheduler.
    ChangeTasks(Vec<TaskChange>),
    /// What a node says of its tasks.
    ReportTasks(NodeId, Vec<TaskReport>),
}

/// A cluster and its first manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateCluster {
    pub cluster: Cluster,
    pub node: Node,
}

/// A new secret with its first version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSecret {
    pub id: SecretId,
    pub name: SecretName,
    pub labels: Labels,
    pub sealed: Sealed,
}

/// One decision about one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskChange {
    Create {
        id: TaskId,
        service: ServiceId,
        slot: u64,
        node: NodeId,
    },
    /// From now on the task should be in this state.
    Desire(TaskId, TaskState),
    /// Nothing of it runs any more, and nobody needs to see it.
    Forget(TaskId),
}

/// What a node says of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskReport {
    pub task: TaskId,
    pub status: TaskStatus,
}

/// What came of a command. Equal on all managers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Created(ObjectId),
    Refused(Refusal),
}

/// A lawful no. The texts are Swarm's where Swarm has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "This node is already part of a swarm. Use \"coffer swarm leave\" to leave this swarm and join another one."
    )]
    ClusterExists,
    #[error("there is no cluster yet")]
    NoCluster,
    #[error("{kind} {name} already exists")]
    NameTaken { kind: ObjectKind, name: String },
    #[error("{kind} {reference} not found")]
    NotFound { kind: ObjectKind, reference: String },
    #[error("{kind} {reference} is ambiguous ({matches} matches found)")]
    Ambiguous { kind: ObjectKind, reference: String, matches: usize },
    #[error("secret '{name}' is in use by the following {}: {}", services_word(.services), .services.join(", "))]
    SecretInUse { name: SecretName, services: Vec<String> },
    #[error("{}: {}", if .names.len() == 1 { "secret not found" } else { "secrets not found" }, .names.join(", "))]
    GrantedSecretsMissing { names: Vec<String> },
}

/// What kind of object a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Secret,
    Service,
}

impl std::fmt::Display for ObjectKind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Secret => "secret",
            Self::Service => "service",
        })
    }
}

fn services_word(services: &[String]) -> &'static str {
    if services.len() == 1 { "service" } else { "services" }
}

impl Refusal {
    /// A reference that names no single object.
    pub fn lookup(kind: ObjectKind, reference: &str, failed: LookupError) -> Self {
        let reference = reference.to_owned();
        match failed {
            LookupError::NotFound => Self::NotFound { kind, reference },
            LookupError::Ambiguous(matches) => Self::Ambiguous { kind, reference, matches },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_speak_swarms_words() {
        let name = SecretName::parse("N").unwrap();
        let in_use = |services: &[&str]| Refusal::SecretInUse {
            name: name.clone(),
            services: services.iter().map(ToString::to_string).collect(),
        };
        let missing = |names: &[&str]| Refusal::GrantedSecretsMissing {
            names: names.iter().map(ToString::to_string).collect(),
        };
        for (refusal, text) in [
            (in_use(&["web"]), "secret 'N' is in use by the following service: web"),
            (in_use(&["a", "b"]), "secret 'N' is in use by the following services: a, b"),
            (missing(&["n"]), "secret not found: n"),
            (missing(&["a", "b"]), "secrets not found: a, b"),
            (
                Refusal::NameTaken { kind: ObjectKind::Secret, name: "N".into() },
                "secret N already exists",
            ),
            (Refusal::lookup(ObjectKind::Secret, "X", LookupError::NotFound), "secret X not found"),
            (
                Refusal::lookup(ObjectKind::Secret, "X", LookupError::Ambiguous(2)),
                "secret X is ambiguous (2 matches found)",
            ),
        ] {
            assert_eq!(refusal.to_string(), text);
        }
    }
}
