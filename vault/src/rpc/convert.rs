//! Messages to checked types, and objects to messages.

use std::sync::Arc;

use prost::Message;
use proto::v1;
use tonic::{Request, Response, Status};
use vault_core::filter::FilterError;
use vault_core::id::{IdError, ObjectId};
use vault_core::labels::{Labels, LabelsError};
use vault_core::limits::{BATCH_MAX, HOLDERS_SHOWN_MAX, PAGE_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX};
use vault_core::name::{Folded, NameError, SecretName, ServiceName, Target, TargetError};
use vault_core::node::{Availability, Node, NodeStatus, Role};
use vault_core::request::RequestId;
use vault_core::seal::ValueSizeError;
use vault_core::service::{Grant, Service, ServiceSpec, SpecError};
use vault_core::state::{Holder, State};
use vault_core::task::{Task, TaskState};
use vault_core::time::Timestamp;
use vault_core::versioned::{
    Class, Version, VersionLabel, VersionLabelError, VersionLimitError, VersionRef, Versioned,
};

use super::gate::{Admitted, Touched};
use super::status;
use crate::manager::{Asked, Manager};

/// A task's command as it is listed. Ten thousand tasks then fit one answer.
const COMMAND_SHOWN_BYTES: usize = 100;

/// A request that does not read as what it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("invalid argument: {field} is missing")]
    Missing { field: &'static str },
    #[error("invalid argument: {field} must be a number from 0 to 4294967294")]
    Number { field: &'static str },
    #[error("invalid argument: a request ID has 16 bytes")]
    Request,
    #[error("malformed secret reference: {0}")]
    Id(#[from] IdError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Labels(#[from] LabelsError),
    #[error(transparent)]
    Size(#[from] ValueSizeError),
    #[error(transparent)]
    VersionLabel(#[from] VersionLabelError),
    #[error(transparent)]
    VersionLimit(#[from] VersionLimitError),
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("{count} objects in one request, at most {BATCH_MAX} are taken")]
    Batch { count: usize },
    #[error(transparent)]
    Spec(#[from] SpecError),
}

pub(super) fn needed<T>(field: &'static str, value: Option<T>) -> Result<T, RequestError> {
    value.ok_or(RequestError::Missing { field })
}

/// For whom a call acts.
pub(super) fn asked<T>(request: &Request<T>, request_id: &[u8]) -> Result<Asked, RequestError> {
    let admitted = request.extensions().get::<Admitted>();
    Ok(Asked {
        actor: admitted.map(|admitted| admitted.actor),
        request: self::request_id(request_id)?,
        is_logged: admitted.map(|admitted| Arc::clone(&admitted.is_logged)),
    })
}

/// An answer, and the objects that it is about, for the audit.
pub(super) fn touching<T>(answer: T, objects: Vec<ObjectId>) -> Response<T> {
    let mut response = Response::new(answer);
    response.extensions_mut().insert(Touched(objects));
    response
}

fn request_id(bytes: &[u8]) -> Result<Option<RequestId>, RequestError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    bytes.try_into().map(|id| Some(RequestId(id))).map_err(|_| RequestError::Request)
}

/// Where a page starts, and how many objects it holds.
pub(super) fn page(limit: u32, after: &str) -> (Option<Folded>, usize) {
    let asked = usize::try_from(limit).unwrap_or(PAGE_MAX);
    let limit = if asked == 0 { PAGE_DEFAULT } else { asked.min(PAGE_MAX) };
    let after = (!after.is_empty()).then(|| Folded::of(after));
    (after, limit)
}

/// A page of messages, bounded in number and in bytes: one answer holds it whatever its objects carry.
pub(super) struct Page<T> {
    limit: usize,
    messages: Vec<T>,
    bytes: usize,
    last: String,
    is_cut: bool,
}

impl<T: Message> Page<T> {
    pub(super) fn of(limit: usize) -> Self {
        Self { limit, messages: Vec::new(), bytes: 0, last: String::new(), is_cut: false }
    }

    /// Takes the next message, or says that the page is full: the message is then the next page's.
    pub(super) fn push(&mut self, name: &str, message: T) -> bool {
        let bytes = self.bytes + message.encoded_len();
        let fits = self.messages.is_empty() || bytes <= PAGE_BYTES_MAX;
        if self.messages.len() >= self.limit || !fits {
            self.is_cut = true;
            return false;
        }
        self.bytes = bytes;
        name.clone_into(&mut self.last);
        self.messages.push(message);
        true
    }

    /// The messages, and where the next page starts if there is one.
    pub(super) fn finish(self) -> (Vec<T>, String) {
        let next = if self.is_cut { self.last } else { String::new() };
        (self.messages, next)
    }
}

fn nanos(at: Timestamp) -> i64 {
    i64::try_from(at.nanos()).unwrap_or(i64::MAX)
}

pub(super) fn value_spec(spec: v1::ValueSpec) -> Result<(SecretName, Labels), RequestError> {
    Ok((SecretName::parse(&spec.name)?, Labels::parse(spec.labels)?))
}

pub(super) fn value(state: &State, object: &Versioned) -> v1::Value {
    let holder = |holder: Holder| v1::Holder {
        version: holder.version,
        service: state.holder_name(holder.service),
        tasks: holder.tasks,
    };
    v1::Value {
        id: object.id.to_string(),
        version_index: object.meta.version_index,
        created_at: nanos(object.meta.created_at),
        updated_at: nanos(object.meta.updated_at),
        spec: Some(v1::ValueSpec {
            name: object.name.to_string(),
            labels: object.labels.as_map().clone(),
        }),
        current: object.current(),
        versions: Vec::new(),
        version_limit: object.limit.versions(),
        data: Vec::new(),
        holders: state.holders(object.id).take(HOLDERS_SHOWN_MAX).map(holder).collect(),
    }
}

pub(super) fn value_with_versions(state: &State, object: &Versioned) -> v1::Value {
    let version = |version: &Version| v1::Version {
        number: version.number,
        created_at: nanos(version.created_at),
        labels: object.labels_of(version.number).map(VersionLabel::to_string).collect(),
        size: u64::try_from(version.sealed.value_len()).unwrap_or(u64::MAX),
    };
    v1::Value { versions: object.versions.iter().map(version).collect(), ..value(state, object) }
}

/// The value of a config, which is no secret.
pub(super) fn data(manager: &Manager, object: &Versioned) -> Result<Vec<u8>, Status> {
    let Some(version) = object.current_version() else { return Ok(Vec::new()) };
    let opened = manager.open_version(Class::Config, object.id, version);
    let opened = opened.map_err(|error| status::of_call(&error.into()))?;
    Ok(opened.expose().to_vec())
}

pub(super) fn service_spec(spec: v1::ServiceSpec) -> Result<ServiceSpec, RequestError> {
    let grants = spec.secrets.into_iter().map(grant).collect::<Result<_, _>>()?;
    let spec = ServiceSpec {
        name: ServiceName::parse(&spec.name)?,
        labels: Labels::parse(spec.labels)?,
        command: spec.command,
        env: spec.env,
        grants,
        replicas: spec.replicas,
    };
    Ok(spec.checked()?)
}

fn grant(grant: v1::SecretGrant) -> Result<Grant, RequestError> {
    Ok(Grant {
        secret: ObjectId::parse(&grant.secret_id)?,
        version: match grant.version.as_str() {
            "" => VersionRef::Label(VersionLabel::current()),
            version => VersionRef::parse(version)?,
        },
        name: SecretName::parse(&grant.secret_name)?,
        target: Target::parse(&grant.target)?,
        uid: owner("uid", &grant.uid)?,
        gid: owner("gid", &grant.gid)?,
        mode: grant.mode & 0o777,
    })
}

/// Owners are numbers; names would mean something else on every node. The last number means "nobody" to the
/// kernel's calls.
fn owner(field: &'static str, text: &str) -> Result<Option<u32>, RequestError> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number| *number != u32::MAX);
    number.map(Some).ok_or(RequestError::Number { field })
}

pub(super) fn service(service: &Service, running_tasks: u64) -> v1::Service {
    let spec = &service.spec;
    let grants = spec.grants.iter().map(|grant| v1::SecretGrant {
        secret_id: grant.secret.to_string(),
        secret_name: grant.name.to_string(),
        target: grant.target.to_string(),
        uid: grant.uid.map_or_else(String::new, |uid| uid.to_string()),
        gid: grant.gid.map_or_else(String::new, |gid| gid.to_string()),
        mode: grant.mode,
        version: shown_version(&grant.version),
    });
    v1::Service {
        id: service.id.to_string(),
        version_index: service.meta.version_index,
        created_at: nanos(service.meta.created_at),
        updated_at: nanos(service.meta.updated_at),
        spec: Some(v1::ServiceSpec {
            name: spec.name.to_string(),
            labels: spec.labels.as_map().clone(),
            command: spec.command.clone(),
            env: spec.env.clone(),
            secrets: grants.collect(),
            replicas: spec.replicas,
        }),
        running_tasks,
    }
}

/// `current` is what a grant follows if nothing is said.
fn shown_version(version: &VersionRef) -> String {
    match version {
        VersionRef::Label(label) if *label == VersionLabel::current() => String::new(),
        other => other.to_string(),
    }
}

pub(super) fn task(task: &Task, hostname: &str, command: &[String]) -> v1::Task {
    v1::Task {
        id: task.id.to_string(),
        service_id: task.service.to_string(),
        slot: task.slot,
        node_id: task.node.to_string(),
        node_hostname: hostname.to_owned(),
        state: state(task.status.state),
        desired_state: state(task.desired),
        status_at: nanos(task.status.at),
        error: task.status.error.clone(),
        exit_code: task.status.exit_code,
        command: shown_command(command),
    }
}

/// The command's beginning: a list of tasks repeats it.
fn shown_command(command: &[String]) -> String {
    let mut text = command.join(" ");
    text.truncate(text.floor_char_boundary(COMMAND_SHOWN_BYTES));
    text
}

fn state(state: TaskState) -> i32 {
    state.number()
}

/// In this version the one node there is answers, so it is ready, reachable and the leader.
pub(super) fn node(node: &Node, leader: &str) -> v1::Node {
    let role = match node.role {
        Role::Worker => v1::NodeRole::Worker,
        Role::Manager => v1::NodeRole::Manager,
    };
    let availability = match node.availability {
        Availability::Active => v1::Availability::Active,
        Availability::Pause => v1::Availability::Pause,
        Availability::Drain => v1::Availability::Drain,
    };
    let manager = (node.role == Role::Manager).then(|| v1::ManagerStatus {
        leader: node.id.as_str() == leader,
        reachability: match node.status {
            NodeStatus::Unknown => v1::Reachability::Unknown,
            NodeStatus::Down => v1::Reachability::Unreachable,
            NodeStatus::Ready => v1::Reachability::Reachable,
        }
        .into(),
        addr: node.addr.clone(),
    });
    v1::Node {
        id: node.id.to_string(),
        version_index: node.meta.version_index,
        created_at: nanos(node.meta.created_at),
        updated_at: nanos(node.meta.updated_at),
        hostname: node.hostname.clone(),
        role: role.into(),
        availability: availability.into(),
        state: match node.status {
            NodeStatus::Unknown => v1::NodeState::Unknown,
            NodeStatus::Down => v1::NodeState::Down,
            NodeStatus::Ready => v1::NodeState::Ready,
        }
        .into(),
        manager,
        engine_version: node.engine_version.clone(),
        addr: node.addr.clone(),
        labels: node.labels.as_map().clone(),
        certificate_end: node.certificate_end_secs,
        os: node.machine.os.clone(),
        architecture: node.machine.architecture.clone(),
        nano_cpus: node.machine.nano_cpus,
        memory_bytes: node.machine.memory_bytes,
        engine_labels: node.machine.labels.as_map().clone(),
        is_engine: node.engine.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_7_pages_are_bounded_whatever_is_asked_for() {
        for (asked, given) in [(0, 100), (1, 1), (1_000, 1_000), (1_001, 1_000), (u32::MAX, 1_000)]
        {
            assert_eq!(page(asked, "").1, given, "asked {asked}");
        }
        assert_eq!(page(0, "Name").0, Some(Folded::of("name")));
    }

    #[test]
    fn case_7_a_page_says_where_the_next_one_starts_only_if_there_is_one() {
        let filled = |limit, messages: &[(&str, usize)]| {
            let mut page = Page::of(limit);
            let message = |bytes| v1::InspectValueRequest { reference: "x".repeat(bytes) };
            // Up to the first that is not taken.
            messages.iter().all(|(name, bytes)| page.push(name, message(*bytes)));
            let (messages, next) = page.finish();
            (messages.len(), next)
        };
        let half = PAGE_BYTES_MAX / 2;
        for (limit, messages, expected) in [
            (2, &[("a", 1), ("b", 1)][..], (2, "")),
            (1, &[("a", 1), ("b", 1)], (1, "a")),
            (9, &[("a", half), ("b", half - 99), ("c", half)], (2, "b")),
            (9, &[("a", 2 * PAGE_BYTES_MAX), ("b", 1)], (1, "a")),
        ] {
            assert_eq!(filled(limit, messages), (expected.0, expected.1.to_owned()), "{limit}");
        }
    }

    #[test]
    fn owners_are_numbers() {
        for (given, expected) in
            [("", None), ("0", Some(0)), ("1000", Some(1000)), ("4294967294", Some(u32::MAX - 1))]
        {
            assert_eq!(owner("uid", given).unwrap(), expected, "{given}");
        }
        for given in ["root", "-1", "4294967295", "4294967296", " 1", "1 "] {
            assert!(owner("uid", given).is_err(), "{given}");
        }
    }
}
