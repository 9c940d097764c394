//! Commands: what the log holds.

use pki::rotation::Generation;
use proto::stored::{self, command::Action as Stored};
use vault_core::command::{
    Action, Actor, Command, CreateCluster, DestroyVersion, NewObject, NewVersion, RaiseLevel,
    Resealed, SealedAt, TaskChange, TaskReport, UpdateObject, UseEpoch,
};
use vault_core::feature::{Level, needed_to_apply};
use vault_core::id::{NodeId, ObjectId, ServiceId, TaskId, TokenId};
use vault_core::labels::Labels;
use vault_core::name::SecretName;
use vault_core::request::RequestId;
use vault_core::seal::{Epoch, Kind, Sealed};
use vault_core::task::TaskState;
use vault_core::time::Timestamp;
use vault_core::versioned::{Class, VersionLabel, VersionLimit, VersionRef};

use super::node::{self, needed_node, node_from, node_to, role_from};
use super::object::{
    class_from, class_to, cluster_from, cluster_to, held_from, held_to, sealed_from, sealed_to,
    spec_from, spec_to, status_from, status_to,
};
use super::{
    CodecError, backup, digest_from, digest_to, level_from, level_to, needed, root, token,
};

pub(in crate::raft) fn to_stored(command: &Command) -> stored::Command {
    stored::Command {
        at: command.at.nanos(),
        request: command.request.map_or_else(Vec::new, |RequestId(id)| id.to_vec()),
        actor: command.actor.map(|actor| stored::Actor {
            uid: actor.uid,
            pid: actor.pid,
            call: u32::from(actor.call),
            node: actor.node.map_or_else(String::new, |node| node.to_string()),
        }),
        level: level_to(needed_to_apply(&command.action)),
        action: Some(action_to(&command.action)),
    }
}

fn action_to(action: &Action) -> Stored {
    match action {
        Action::CreateCluster(first) => Stored::CreateCluster(stored::CreateCluster {
            cluster: Some(cluster_to(&first.cluster)),
            node: Some(node_to(&first.node)),
        }),
        Action::Create(class, objects) => Stored::Create(stored::CreateValues {
            class: class_to(*class),
            values: objects.iter().map(new_object_to).collect(),
        }),
        Action::Remove(class, id) => {
            Stored::Remove(stored::OneValue { class: class_to(*class), id: id.to_string() })
        }
        Action::Rotate(class, versions) => Stored::Rotate(stored::Rotate {
            class: class_to(*class),
            versions: versions.iter().map(new_version_to).collect(),
        }),
        Action::Activate(class, targets) => Stored::Activate(activate_to(*class, targets)),
        Action::Rollback(class, ids) => Stored::Rollback(stored::Rollback {
            class: class_to(*class),
            ids: ids.iter().map(ObjectId::to_string).collect(),
        }),
        Action::DestroyVersion(class, one) => Stored::DestroyVersion(destroy_to(*class, one)),
        Action::Update(class, update) => Stored::Update(stored::Update {
            class: class_to(*class),
            id: update.id.to_string(),
            expected: update.expected,
            labels: update
                .labels
                .as_ref()
                .map(|labels| stored::Labels { labels: labels.as_map().clone() }),
            limit: update.limit.map(VersionLimit::versions),
        }),
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
        Action::WantEpochAfter(epoch) => Stored::WantEpochAfter(epoch.0),
        Action::UseEpoch(next) => use_epoch_to(next),
        Action::DropEpochsBefore(epoch) => Stored::DropEpochsBefore(epoch.0),
        Action::Reseal(values) => {
            Stored::Reseal(stored::Reseal { values: values.iter().map(resealed_to).collect() })
        }
        Action::RaiseLevel(raise) => Stored::RaiseLevel(raise_to(raise)),
        Action::AdmitNode(node) => Stored::AdmitNode(node_to(node)),
        Action::RenewNode(id, issued, proven) => {
            Stored::RenewNode(node::renewal_to(*id, issued, *proven))
        }
        Action::PlaceManager(id, place) => Stored::PlaceManager(node::place_to(*id, place)),
        Action::DescribeNode(id, said) => Stored::DescribeNode(node::said_to(*id, said)),
        Action::UpdateNode(update) => Stored::UpdateNode(node::update_to(update)),
        Action::RemoveNode(id, force) => Stored::RemoveNode(node::removal_to(*id, *force)),
        Action::StandAlone(id) => Stored::StandAlone(id.to_string()),
        Action::ReportNodes(reports) => Stored::ReportNodes(node::reports_to(reports)),
        Action::RotateToken(role, sealed) => Stored::RotateToken(node::token_to(*role, sealed)),
        Action::CreateToken(new) => Stored::CreateToken(token::new_to(new)),
        Action::RevokeToken(id) => Stored::RevokeToken(id.to_string()),
        Action::SetAutolock(key) => Stored::SetAutolock(autolock_to(key.as_ref())),
        Action::RotateUnlockKey(key) => Stored::RotateUnlockKey(sealed_to(key)),
        Action::Backup(step) => backup::step_to(step),
        Action::Root(step) => Stored::Root(root::step_to(step)),
    }
}

fn destroy_to(class: Class, one: &DestroyVersion) -> stored::DestroyVersion {
    let DestroyVersion { id, number, is_forced } = one;
    let (class, id) = (class_to(class), id.to_string());
    stored::DestroyVersion { class, id, number: *number, force: *is_forced }
}

fn activate_to(class: Class, targets: &[(ObjectId, VersionRef)]) -> stored::Activate {
    let target = |(id, version): &(ObjectId, VersionRef)| stored::ActivateOne {
        id: id.to_string(),
        version: version.to_string(),
    };
    stored::Activate { class: class_to(class), targets: targets.iter().map(target).collect() }
}

/// Without a digest it is written as it was before there was one.
fn use_epoch_to(next: &UseEpoch) -> Stored {
    let UseEpoch { epoch, digest, fulfils } = next;
    if digest.is_none() && fulfils.is_empty() {
        return Stored::UseEpoch(epoch.0);
    }
    let (digest, fulfils) = (digest_to(*digest), fulfils.clone());
    Stored::UseKey(stored::UseKey { epoch: epoch.0, digest, fulfils })
}

fn use_key_from(key: stored::UseKey) -> Result<UseEpoch, CodecError> {
    let (epoch, digest) = (Epoch(key.epoch), digest_from(&key.digest)?);
    Ok(UseEpoch { epoch, digest, fulfils: key.fulfils })
}

fn raise_to(raise: &RaiseLevel) -> stored::RaiseLevel {
    stored::RaiseLevel { level: raise.level.0, version: raise.version.clone() }
}

fn autolock_from(set: stored::SetAutolock) -> Result<Option<Sealed>, CodecError> {
    set.unlock_key.map(|key| sealed_from(Some(key))).transpose()
}

fn autolock_to(key: Option<&Sealed>) -> stored::SetAutolock {
    stored::SetAutolock { unlock_key: key.map(sealed_to) }
}

/// Reads a command of which a program of level `known` has seen no later one.
pub(in crate::raft) fn from_stored(
    command: stored::Command,
    known: Level,
) -> Result<Command, CodecError> {
    let raised_by = match &command.action {
        Some(Stored::RaiseLevel(raise)) => raise.version.as_str(),
        _ => "",
    };
    // Before anything else of it: what it means is only known from this level on.
    level_from(command.level, raised_by, known)?;
    let actor = command.actor.map(|actor| {
        let call = actor.call.try_into().map_err(|_| CodecError::Range { field: "call" })?;
        let node = (!actor.node.is_empty()).then(|| NodeId::parse(&actor.node)).transpose()?;
        Ok::<_, CodecError>(Actor { uid: actor.uid, pid: actor.pid, call, node })
    });
    Ok(Command {
        at: Timestamp::from_nanos(command.at),
        request: request_from(&command.request)?,
        actor: actor.transpose()?,
        action: action_from(command.action.ok_or(CodecError::UnknownAction)?, known)?,
    })
}

fn action_from(action: Stored, known: Level) -> Result<Action, CodecError> {
    Ok(match action {
        Stored::CreateCluster(first) => Action::CreateCluster(Box::new(CreateCluster {
            cluster: cluster_from(needed("cluster", first.cluster)?)?,
            node: needed_node(first.node)?,
        })),
        Stored::Create(create) => {
            Action::Create(class_from(create.class)?, all(create.values, new_object_from)?)
        }
        Stored::Remove(one) => Action::Remove(class_from(one.class)?, ObjectId::parse(&one.id)?),
        Stored::Rotate(rotate) => {
            Action::Rotate(class_from(rotate.class)?, all(rotate.versions, new_version_from)?)
        }
        Stored::Activate(activate) => {
            let target = |one: stored::ActivateOne| {
                Ok((ObjectId::parse(&one.id)?, VersionRef::parse(&one.version)?))
            };
            Action::Activate(class_from(activate.class)?, all(activate.targets, target)?)
        }
        Stored::Rollback(rollback) => {
            let ids = all(rollback.ids, |id| Ok(ObjectId::parse(&id)?))?;
            Action::Rollback(class_from(rollback.class)?, ids)
        }
        Stored::DestroyVersion(one) => {
            let (id, number, is_forced) = (ObjectId::parse(&one.id)?, one.number, one.force);
            let class = class_from(one.class)?;
            Action::DestroyVersion(class, DestroyVersion { id, number, is_forced })
        }
        Stored::Update(update) => Action::Update(class_from(update.class)?, update_from(update)?),
        Stored::CreateService(service) => {
            let spec = spec_from(needed("spec", service.spec)?)?;
            Action::CreateService(ServiceId::parse(&service.id)?, Box::new(spec))
        }
        Stored::RemoveService(id) => Action::RemoveService(ServiceId::parse(&id)?),
        Stored::ChangeTasks(changes) => Action::ChangeTasks(all(changes.changes, change_from)?),
        Stored::ReportTasks(reports) => {
            let node = NodeId::parse(&reports.node)?;
            Action::ReportTasks(node, all(reports.reports, report_from)?)
        }
        Stored::WantEpochAfter(epoch) => Action::WantEpochAfter(Epoch(epoch)),
        Stored::UseEpoch(epoch) => Action::UseEpoch(Epoch(epoch).into()),
        Stored::UseKey(key) => Action::UseEpoch(use_key_from(key)?),
        Stored::DropEpochsBefore(epoch) => Action::DropEpochsBefore(Epoch(epoch)),
        Stored::Reseal(reseal) => Action::Reseal(all(reseal.values, resealed_from)?),
        Stored::RaiseLevel(raise) => {
            let level = level_from(raise.level, &raise.version, known)?;
            Action::RaiseLevel(RaiseLevel { level, version: raise.version })
        }
        Stored::AdmitNode(node) => Action::AdmitNode(Box::new(node_from(node)?)),
        Stored::RenewNode(renewal) => node::renewal_from(renewal)?,
        Stored::PlaceManager(place) => {
            let (id, place) = node::place_from(place)?;
            Action::PlaceManager(id, place)
        }
        Stored::DescribeNode(said) => node::said_from(said)?,
        Stored::UpdateNode(update) => Action::UpdateNode(node::update_from(update)?),
        Stored::RemoveNode(one) => Action::RemoveNode(NodeId::parse(&one.id)?, one.force),
        Stored::StandAlone(id) => Action::StandAlone(NodeId::parse(&id)?),
        Stored::ReportNodes(reports) => Action::ReportNodes(all(reports.nodes, node::report_from)?),
        Stored::RotateToken(rotate) => {
            Action::RotateToken(role_from(rotate.role)?, sealed_from(rotate.sealed)?)
        }
        Stored::CreateToken(new) => Action::CreateToken(token::new_from(new)?),
        Stored::RevokeToken(id) => Action::RevokeToken(TokenId::parse(&id)?),
        Stored::SetAutolock(set) => Action::SetAutolock(autolock_from(set)?),
        Stored::RotateUnlockKey(key) => Action::RotateUnlockKey(sealed_from(Some(key))?),
        Stored::SetBackups(set) => Action::Backup(backup::set_from(set)?),
        Stored::AskBackup(node) => Action::Backup(backup::ask_from(&node)?),
        Stored::ReportBackup(report) => Action::Backup(backup::report_from(report)?),
        Stored::Root(step) => Action::Root(root::step_from(step)?),
    })
}

/// Every one of them, or the first that does not read.
fn all<S, T>(
    stored: Vec<S>,
    read: impl Fn(S) -> Result<T, CodecError>,
) -> Result<Vec<T>, CodecError> {
    stored.into_iter().map(read).collect()
}

fn new_object_to(object: &NewObject) -> stored::NewValue {
    stored::NewValue {
        id: object.id.to_string(),
        name: object.name.to_string(),
        labels: object.labels.as_map().clone(),
        limit: object.limit.versions(),
        sealed: Some(sealed_to(&object.sealed)),
    }
}

fn new_object_from(value: stored::NewValue) -> Result<NewObject, CodecError> {
    Ok(NewObject {
        id: ObjectId::parse(&value.id)?,
        name: SecretName::parse(&value.name)?,
        labels: Labels::parse(value.labels)?,
        limit: VersionLimit::parse(value.limit)?,
        sealed: sealed_from(value.sealed)?,
    })
}

fn new_version_to(version: &NewVersion) -> stored::NewVersion {
    stored::NewVersion {
        id: version.id.to_string(),
        number: version.number,
        sealed: Some(sealed_to(&version.sealed)),
        activate: version.activate,
        label: version.label.as_ref().map_or_else(String::new, VersionLabel::to_string),
        expected: version.expected,
    }
}

fn new_version_from(version: stored::NewVersion) -> Result<NewVersion, CodecError> {
    let label = (!version.label.is_empty()).then(|| VersionLabel::parse(&version.label));
    Ok(NewVersion {
        id: ObjectId::parse(&version.id)?,
        number: version.number,
        sealed: sealed_from(version.sealed)?,
        activate: version.activate,
        label: label.transpose()?,
        expected: version.expected,
    })
}

fn update_from(update: stored::Update) -> Result<UpdateObject, CodecError> {
    let labels = update.labels.map(|labels| Labels::parse(labels.labels));
    Ok(UpdateObject {
        id: ObjectId::parse(&update.id)?,
        expected: update.expected,
        labels: labels.transpose()?,
        limit: update.limit.map(VersionLimit::parse).transpose()?,
    })
}

fn resealed_to(value: &Resealed) -> stored::Resealed {
    use stored::resealed::What;
    let what = match value.what {
        SealedAt::Version(class, id, number) => {
            let (class, id) = (class_to(class), id.to_string());
            What::Version(stored::VersionAt { class, id, number })
        }
        SealedAt::Own(kind) => What::Own(u32::from(kind.number())),
        SealedAt::Root(generation) => What::Root(generation.0),
    };
    stored::Resealed { what: Some(what), sealed: Some(sealed_to(&value.sealed)) }
}

fn resealed_from(value: stored::Resealed) -> Result<Resealed, CodecError> {
    use stored::resealed::What;
    let what = match value.what.ok_or(CodecError::UnknownAction)? {
        What::Version(at) => {
            SealedAt::Version(class_from(at.class)?, ObjectId::parse(&at.id)?, at.number)
        }
        What::Root(generation) => SealedAt::Root(Generation(generation)),
        What::Own(number) => {
            let own = Kind::OWN.into_iter().find(|kind| u32::from(kind.number()) == number);
            SealedAt::Own(own.ok_or(CodecError::Range { field: "kind" })?)
        }
    };
    Ok(Resealed { what, sealed: sealed_from(value.sealed)? })
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
    let held = report.held.as_ref();
    stored::TaskReport {
        id: report.task.to_string(),
        status: Some(status_to(&report.status)),
        held: held.map(|held| stored::HeldVersions { versions: held_to(held), seen: report.seen }),
    }
}

fn report_from(report: stored::TaskReport) -> Result<TaskReport, CodecError> {
    let status = status_from(needed("status", report.status)?)?;
    let seen = report.held.as_ref().map_or(0, |held| held.seen);
    let held = report.held.map(|held| held_from(held.versions)).transpose()?;
    Ok(TaskReport { task: TaskId::parse(&report.id)?, status, held, seen })
}
