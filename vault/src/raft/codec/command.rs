//! Commands: what the log holds.

use proto::stored::{self, command::Action as Stored};
use vault_core::command::{Action, Command, CreateCluster, CreateSecret, TaskChange, TaskReport};
use vault_core::id::{NodeId, SecretId, ServiceId, TaskId};
use vault_core::labels::Labels;
use vault_core::name::SecretName;
use vault_core::request::RequestId;
use vault_core::task::TaskState;
use vault_core::time::Timestamp;

use super::object::{
    cluster_from, cluster_to, node_from, node_to, sealed_from, sealed_to, spec_from, spec_to,
    status_from, status_to,
};
use super::{CodecError, needed};

pub(super) fn to_stored(command: &Command) -> stored::Command {
    let action = match &command.action {
        Action::CreateCluster(first) => Stored::CreateCluster(stored::CreateCluster {
            cluster: Some(cluster_to(&first.cluster)),
            node: Some(node_to(&first.node)),
        }),
        Action::CreateSecret(secret) => Stored::CreateSecret(stored::CreateSecret {
            id: secret.id.to_string(),
            name: secret.name.to_string(),
            labels: secret.labels.as_map().clone(),
            sealed: Some(sealed_to(&secret.sealed)),
        }),
        Action::RemoveSecret(id) => Stored::RemoveSecret(id.to_string()),
        Action::CreateService(id, spec) => Stored::CreateService(stored::CreateService {
            id: id.to_string(),
            spec: Some(spec_to(spec)),
        }),
        Action::RemoveService(id) => Stored::RemoveService(id.to_string()),
        Action::ChangeTasks(changes) => Stored::ChangeTasks(stored::ChangeTasks {
            changes: changes.iter().map(change_to).collect(),
        }),
        Action::ReportTasks(node, reports) => Stored::ReportTasks(stored::ReportTasks {
            node: node.to_string(),
            reports: reports.iter().map(report_to).collect(),
        }),
    };
    stored::Command {
        at: command.at.nanos(),
        request: command.request.map_or_else(Vec::new, |RequestId(id)| id.to_vec()),
        action: Some(action),
    }
}

pub(super) fn from_stored(command: stored::Command) -> Result<Command, CodecError> {
    let action = match command.action.ok_or(CodecError::UnknownAction)? {
        Stored::CreateCluster(first) => Action::CreateCluster(Box::new(CreateCluster {
            cluster: cluster_from(needed("cluster", first.cluster)?)?,
            node: node_from(needed("node", first.node)?)?,
        })),
        Stored::CreateSecret(secret) => Action::CreateSecret(CreateSecret {
            id: SecretId::parse(&secret.id)?,
            name: SecretName::parse(&secret.name)?,
            labels: Labels::parse(secret.labels)?,
            sealed: sealed_from(secret.sealed)?,
        }),
        Stored::RemoveSecret(id) => Action::RemoveSecret(SecretId::parse(&id)?),
        Stored::CreateService(service) => {
            let spec = spec_from(needed("spec", service.spec)?)?;
            Action::CreateService(ServiceId::parse(&service.id)?, Box::new(spec))
        }
        Stored::RemoveService(id) => Action::RemoveService(ServiceId::parse(&id)?),
        Stored::ChangeTasks(changes) => Action::ChangeTasks(
            changes.changes.into_iter().map(change_from).collect::<Result<_, _>>()?,
        ),
        Stored::ReportTasks(reports) => Action::ReportTasks(
            NodeId::parse(&reports.node)?,
            reports.reports.into_iter().map(report_from).collect::<Result<_, _>>()?,
        ),
    };
    let at = Timestamp::from_nanos(command.at);
    Ok(Command { at, request: request_from(&command.request)?, action })
}

fn request_from(bytes: &[u8]) -> Result<Option<RequestId>, CodecError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let id = bytes.try_into().map_err(|_| CodecError::Range { field: "request" })?;
    Ok(Some(RequestId(id)))
}

fn change_to(change: &TaskChange) -> stored::TaskChange {
    use stored::task_change::Change;
    let change = match change {
        TaskChange::Create { id, service, slot, node } => Change::Create(stored::CreateTask {
            id: id.to_string(),
            service: service.to_string(),
            slot: *slot,
            node: node.to_string(),
        }),
        TaskChange::Desire(id, state) => {
            Change::Desire(stored::DesireTask { id: id.to_string(), state: state.number() })
        }
        TaskChange::Forget(id) => Change::Forget(id.to_string()),
    };
    stored::TaskChange { change: Some(change) }
}

fn change_from(change: stored::TaskChange) -> Result<TaskChange, CodecError> {
    use stored::task_change::Change;
    Ok(match change.change.ok_or(CodecError::UnknownAction)? {
        Change::Create(task) => TaskChange::Create {
            id: TaskId::parse(&task.id)?,
            service: ServiceId::parse(&task.service)?,
            slot: task.slot,
            node: NodeId::parse(&task.node)?,
        },
        Change::Desire(desire) => {
            TaskChange::Desire(TaskId::parse(&desire.id)?, state_from(desire.state)?)
        }
        Change::Forget(id) => TaskChange::Forget(TaskId::parse(&id)?),
    })
}

pub(super) fn state_from(number: i32) -> Result<TaskState, CodecError> {
    TaskState::from_number(number).ok_or(CodecError::Range { field: "task state" })
}

fn report_to(report: &TaskReport) -> stored::TaskReport {
    stored::TaskReport { id: report.task.to_string(), status: Some(status_to(&report.status)) }
}

fn report_from(report: stored::TaskReport) -> Result<TaskReport, CodecError> {
    let status = status_from(needed("status", report.status)?)?;
    Ok(TaskReport { task: TaskId::parse(&report.id)?, status })
}
