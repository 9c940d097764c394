//! Messages to checked types, and objects to messages.

use proto::v1;
use vault_core::id::{IdError, SecretId};
use vault_core::labels::{Labels, LabelsError};
use vault_core::limits::{PAGE_DEFAULT, PAGE_MAX};
use vault_core::name::{Folded, NameError, SecretName, ServiceName, Target, TargetError};
use vault_core::node::{Availability, Node, Role};
use vault_core::request::RequestId;
use vault_core::seal::SecretSizeError;
use vault_core::secret::Secret;
use vault_core::service::{Grant, Service, ServiceSpec, SpecError};
use vault_core::task::{Task, TaskState};
use vault_core::time::Timestamp;

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
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("{0}")]
    Target(#[from] TargetError),
    #[error("{0}")]
    Labels(#[from] LabelsError),
    #[error("{0}")]
    Size(#[from] SecretSizeError),
    #[error("{0}")]
    Spec(#[from] SpecError),
}

pub(super) fn needed<T>(field: &'static str, value: Option<T>) -> Result<T, RequestError> {
    value.ok_or(RequestError::Missing { field })
}

pub(super) fn request_id(bytes: &[u8]) -> Result<Option<RequestId>, RequestError> {
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

/// A page of one object more than asked for: the rest, and where the next page starts.
pub(super) fn cut_page<T>(
    mut page: Vec<T>,
    limit: usize,
    name: fn(&T) -> &str,
) -> (Vec<T>, String) {
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|last| name(last).to_owned());
    (page, next.unwrap_or_default())
}

fn nanos(at: Timestamp) -> i64 {
    i64::try_from(at.nanos()).unwrap_or(i64::MAX)
}

pub(super) fn secret_spec(spec: v1::SecretSpec) -> Result<(SecretName, Labels), RequestError> {
    Ok((SecretName::parse(&spec.name)?, Labels::parse(spec.labels)?))
}

pub(super) fn secret(secret: &Secret) -> v1::Secret {
    v1::Secret {
        id: secret.id.to_string(),
        version_index: secret.meta.version_index,
        created_at: nanos(secret.meta.created_at),
        updated_at: nanos(secret.meta.updated_at),
        spec: Some(v1::SecretSpec {
            name: secret.name.to_string(),
            labels: secret.labels.as_map().clone(),
        }),
    }
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
        secret: SecretId::parse(&grant.secret_id)?,
        name: SecretName::parse(&grant.secret_name)?,
        target: Target::parse(&grant.target)?,
        uid: owner("uid", &grant.uid)?,
        gid: owner("gid", &grant.gid)?,
        mode: grant.mode & 0o777,
    })
}

/// Owners are numbers; names would mean something else on every node. The last number means "nobody" to the
/// kernel's calls.
fn owner(field: &'static str, text: &str) -> Result<u32, RequestError> {
    if text.is_empty() {
        return Ok(0);
    }
    let number = text.parse().ok().filter(|number| *number != u32::MAX);
    number.ok_or(RequestError::Number { field })
}

pub(super) fn service(service: &Service, running_tasks: u64) -> v1::Service {
    let spec = &service.spec;
    let grants = spec.grants.iter().map(|grant| v1::SecretGrant {
        secret_id: grant.secret.to_string(),
        secret_name: grant.name.to_string(),
        target: grant.target.to_string(),
        uid: grant.uid.to_string(),
        gid: grant.gid.to_string(),
        mode: grant.mode,
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
        command: command.join(" "),
    }
}

fn state(state: TaskState) -> i32 {
    state.number()
}

/// In this version the one node there is answers, so it is ready, reachable and the leader.
pub(super) fn node(node: &Node) -> v1::Node {
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
        leader: true,
        reachability: v1::Reachability::Reachable.into(),
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
        state: v1::NodeState::Ready.into(),
        manager,
        engine_version: node.engine_version.clone(),
        addr: node.addr.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_bounded_whatever_is_asked_for() {
        for (asked, given) in [(0, 100), (1, 1), (1_000, 1_000), (1_001, 1_000), (u32::MAX, 1_000)]
        {
            assert_eq!(page(asked, "").1, given, "asked {asked}");
        }
        assert_eq!(page(0, "Name").0, Some(Folded::of("name")));
    }

    #[test]
    fn a_page_says_where_the_next_one_starts_only_if_there_is_one() {
        let text = String::as_str;
        let names = || vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(cut_page(names(), 2, text), (names(), String::new()));
        assert_eq!(cut_page(names(), 1, text), (vec!["a".to_owned()], "a".to_owned()));
    }

    #[test]
    fn owners_are_numbers() {
        for (given, expected) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("1000", Some(1000)),
            ("4294967294", Some(u32::MAX - 1)),
        ] {
            assert_eq!(owner("uid", given).ok(), expected, "{given}");
        }
        for given in ["root", "-1", "4294967295", "4294967296", " 1", "1 "] {
            assert!(owner("uid", given).is_err(), "{given}");
        }
    }
}
