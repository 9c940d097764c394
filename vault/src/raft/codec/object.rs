//! Objects: what snapshots hold, and parts of commands.

use std::sync::Arc;

use pki::issued::Record as IssuedRecord;
use prost::bytes::Bytes;
use proto::bound;
use proto::stored::{self, snapshot_record::Record};
use vault_core::cluster::Cluster;
use vault_core::duty::Duties;
use vault_core::feature::Level;
use vault_core::id::{ClusterId, NodeId, ObjectId, ServiceId, TaskId};
use vault_core::labels::Labels;
use vault_core::name::{SecretName, ServiceName, Target};
use vault_core::request::RequestId;
use vault_core::seal::{Epoch, Sealed};
use vault_core::service::{Grant, Service, ServiceSpec};
use vault_core::state::{Restoring, Revoked, State};
use vault_core::task::{Held, Task, TaskStatus};
use vault_core::time::Timestamp;
use vault_core::versioned::{
    Class, Meta, Move, Version, VersionLabel, VersionLimit, VersionRef, Versioned,
};

use super::command::state_from;
use super::node::{node_from, node_to};
use super::outcome::{outcome_from, outcome_to};
use super::{
    CodecError, backup, digest_from, digest_to, level_from, level_to, needed, root, token,
};

/// The objects of a state, as records of a snapshot.
pub(in crate::raft) fn records_of(state: &State) -> impl Iterator<Item = Record> {
    let cluster = state.cluster().map(|cluster| Record::Cluster(cluster_to(cluster)));
    let nodes = state.nodes().map(|node| Record::Node(node_to(node)));
    let removed = state.removed_nodes().map(|(id, end_secs)| {
        Record::RemovedNode(stored::RemovedNode { id: id.to_string(), end_secs })
    });
    let tokens = state.tokens().iter().map(|token| Record::Token(token::token_to(token)));
    let issued = state
        .issued()
        .kept()
        .map(|record| Record::Issued(stored::Issued { record: record.encode() }));
    let revoked = state.issued().revoked().map(|(serial, revoked)| {
        let Revoked { at_secs, end_secs } = revoked;
        Record::Revoked(stored::Revoked { serial: serial.to_vec(), at_secs, end_secs })
    });
    let of = |class| {
        let objects = state.of_class(class).iter();
        objects.map(move |object| Record::Value(versioned_to(class, object)))
    };
    let values = of(Class::Secret).chain(of(Class::Config));
    let services = state.services().iter().map(|service| Record::Service(service_to(service)));
    let tasks = state.tasks().iter().map(|task| Record::Task(task_to(task)));
    let requests = state.requests().iter().map(|(RequestId(id), outcome)| {
        Record::Request(stored::Request { id: id.to_vec(), outcome: Some(outcome_to(outcome)) })
    });
    let identity = cluster.into_iter().chain(nodes).chain(removed).chain(tokens);
    let all = identity.chain(issued).chain(revoked).chain(values).chain(services);
    all.chain(tasks).chain(requests)
}

/// One record of a snapshot, from its bytes.
pub(in crate::raft) fn record_of(bytes: &[u8]) -> Result<Record, CodecError> {
    let record: stored::SnapshotRecord = bound::decode_stored(bytes)?;
    record.record.ok_or(CodecError::UnknownAction)
}

/// What a snapshot says first of a state.
pub(in crate::raft) fn start_of(state: &State) -> stored::SnapshotStart {
    let duties = state.duties();
    stored::SnapshotStart {
        clock: state.clock().nanos(),
        index: state.index(),
        epoch: state.epoch().0,
        wanted_epoch: state.wanted_epoch().0,
        oldest_epoch: state.oldest_epoch().0,
        key_digest: digest_to(state.key_in_use().1),
        key_after_loss: duties.key_after_loss.unwrap_or(0),
        key_after_lock: duties.key_after_lock.unwrap_or(0),
        manager_token: duties.manager_token.unwrap_or(0),
        ..stored::SnapshotStart::default()
    }
}

/// Puts one object back.
pub(in crate::raft) fn restore(record: Record, state: &mut Restoring) -> Result<(), CodecError> {
    match record {
        Record::Start(start) => {
            let clock = Timestamp::from_nanos(start.clock);
            state.clock(start.index, clock, Epoch(start.epoch));
            // Written before they were there, they are those of no rotation.
            let wanted = start.wanted_epoch.max(start.epoch);
            let oldest = if start.oldest_epoch == 0 { 1 } else { start.oldest_epoch };
            state.epochs(Epoch(wanted), Epoch(oldest));
            let since = |index: u64| Some(index).filter(|index| *index != 0);
            let duties = Duties {
                key_after_loss: since(start.key_after_loss),
                key_after_lock: since(start.key_after_lock),
                manager_token: since(start.manager_token),
            };
            state.duties(digest_from(&start.key_digest)?, duties);
        }
        Record::Cluster(cluster) => state.cluster(cluster_from(cluster)?),
        Record::Node(node) => state.node(node_from(node)?),
        Record::RemovedNode(node) => {
            state.removed_node(NodeId::parse(&node.id)?, node.end_secs);
        }
        Record::Token(token) => state.token(token::token_from(token)?),
        Record::Issued(issued) => {
            let record = IssuedRecord::decode(&issued.record);
            state.issued(record.ok_or(CodecError::Range { field: "issued" })?);
        }
        Record::Revoked(revoked) => {
            let stored::Revoked { serial, at_secs, end_secs } = revoked;
            state.revoked(serial, Revoked { at_secs, end_secs });
        }
        Record::Value(value) => {
            let class = class_from(value.class)?;
            state.versioned(class, versioned_from(value)?);
        }
        Record::Service(service) => state.service(service_from(service)?),
        Record::Task(task) => state.task(task_from(task)?),
        Record::Request(request) => {
            let id = request.id.as_slice().try_into();
            let id = id.map_err(|_| CodecError::Range { field: "request" })?;
            state.request(RequestId(id), outcome_from(request.outcome)?);
        }
        Record::End(_) => return Err(CodecError::Range { field: "end" }),
    }
    Ok(())
}

pub(super) fn meta_to(meta: Meta) -> stored::Meta {
    stored::Meta {
        version_index: meta.version_index,
        created_at: meta.created_at.nanos(),
        updated_at: meta.updated_at.nanos(),
    }
}

pub(super) fn meta_from(meta: Option<stored::Meta>) -> Result<Meta, CodecError> {
    let meta = needed("meta", meta)?;
    Ok(Meta {
        version_index: meta.version_index,
        created_at: Timestamp::from_nanos(meta.created_at),
        updated_at: Timestamp::from_nanos(meta.updated_at),
    })
}

pub(super) fn sealed_to(sealed: &Sealed) -> stored::Sealed {
    stored::Sealed {
        epoch: sealed.epoch.0,
        nonce: sealed.nonce.to_vec(),
        text: Bytes::from_owner(Arc::clone(&sealed.text)),
    }
}

pub(super) fn sealed_from(sealed: Option<stored::Sealed>) -> Result<Sealed, CodecError> {
    let sealed = needed("sealed value", sealed)?;
    let nonce = sealed.nonce.as_slice().try_into();
    let nonce = nonce.map_err(|_| CodecError::Range { field: "nonce" })?;
    Ok(Sealed { epoch: Epoch(sealed.epoch), nonce, text: sealed.text.as_ref().into() })
}

pub(super) fn cluster_to(cluster: &Cluster) -> stored::Cluster {
    stored::Cluster {
        id: cluster.id.to_string(),
        meta: Some(meta_to(cluster.meta)),
        root_certificate: cluster.root_certificate.clone(),
        root_key: Some(sealed_to(&cluster.root_key)),
        worker_token: Some(sealed_to(&cluster.worker_token)),
        manager_token: Some(sealed_to(&cluster.manager_token)),
        level: level_to(cluster.level),
        level_version: cluster.level_version.clone(),
        unlock_key: cluster.unlock_key.as_ref().map(sealed_to),
        lock_version: cluster.lock_version,
        backups: backup::backups_to(&cluster.backups),
        roots: root::roots_to(&cluster.roots),
    }
}

pub(super) fn cluster_from(cluster: stored::Cluster) -> Result<Cluster, CodecError> {
    // First: what else stands in it may mean something that only a newer version knows.
    let level = level_from(cluster.level, &cluster.level_version, Level::known())?;
    Ok(Cluster {
        id: ClusterId::parse(&cluster.id)?,
        meta: meta_from(cluster.meta)?,
        root_certificate: cluster.root_certificate,
        root_key: sealed_from(cluster.root_key)?,
        worker_token: sealed_from(cluster.worker_token)?,
        manager_token: sealed_from(cluster.manager_token)?,
        level,
        level_version: cluster.level_version,
        unlock_key: cluster.unlock_key.map(|key| sealed_from(Some(key))).transpose()?,
        lock_version: cluster.lock_version,
        backups: cluster.backups.map(backup::backups_from).transpose()?.unwrap_or_default(),
        roots: cluster.roots.map(root::roots_from).transpose()?.unwrap_or_default(),
    })
}

pub(super) fn class_to(class: Class) -> u32 {
    match class {
        Class::Secret => 0,
        Class::Config => 1,
    }
}

pub(super) fn class_from(number: u32) -> Result<Class, CodecError> {
    match number {
        0 => Ok(Class::Secret),
        1 => Ok(Class::Config),
        _ => Err(CodecError::Range { field: "class" }),
    }
}

fn versioned_to(class: Class, object: &Versioned) -> stored::Value {
    let versions = object.versions.iter().map(|version| stored::Version {
        number: version.number,
        created_at: version.created_at.nanos(),
        sealed: Some(sealed_to(&version.sealed)),
    });
    let tags = object.tags.iter().map(|(label, number)| (label.to_string(), number));
    let moves = object.moves.iter().map(|one| stored::Move {
        label: one.label.to_string(),
        number: one.number,
        index: one.index,
    });
    stored::Value {
        id: object.id.to_string(),
        meta: Some(meta_to(object.meta)),
        name: object.name.to_string(),
        labels: object.labels.as_map().clone(),
        versions: versions.collect(),
        tags: tags.collect(),
        next: object.next,
        limit: object.limit.versions(),
        class: class_to(class),
        moves: moves.collect(),
    }
}

fn versioned_from(value: stored::Value) -> Result<Versioned, CodecError> {
    let versions = value.versions.into_iter().map(|version| {
        Ok(Version {
            number: version.number,
            created_at: Timestamp::from_nanos(version.created_at),
            sealed: sealed_from(version.sealed)?,
        })
    });
    let tags = value.tags.into_iter();
    let tags = tags.map(|(label, number)| Ok((VersionLabel::parse(&label)?, number)));
    let moves = value.moves.into_iter().map(|one| {
        let stored::Move { label, number, index } = one;
        Ok(Move { label: VersionLabel::parse(&label)?, number, index })
    });
    let object = Versioned {
        id: ObjectId::parse(&value.id)?,
        meta: meta_from(value.meta)?,
        name: SecretName::parse(&value.name)?,
        labels: Labels::parse(value.labels)?,
        versions: versions.collect::<Result<_, CodecError>>()?,
        tags: tags.collect::<Result<_, CodecError>>()?,
        moves: moves.collect::<Result<_, CodecError>>()?,
        next: value.next,
        limit: VersionLimit::parse(value.limit)?,
    };
    if object.current_version().is_none() {
        return Err(CodecError::Missing { field: "current version" });
    }
    Ok(object)
}

pub(super) fn spec_to(spec: &ServiceSpec) -> stored::ServiceSpec {
    let grants = spec.grants.iter().map(|grant| stored::Grant {
        secret: grant.secret.to_string(),
        name: grant.name.to_string(),
        target: grant.target.to_string(),
        uid: grant.uid,
        gid: grant.gid,
        mode: grant.mode,
        version: grant.version.to_string(),
    });
    stored::ServiceSpec {
        name: spec.name.to_string(),
        labels: spec.labels.as_map().clone(),
        command: spec.command.clone(),
        env: spec.env.clone(),
        grants: grants.collect(),
        replicas: spec.replicas,
    }
}

pub(super) fn spec_from(spec: stored::ServiceSpec) -> Result<ServiceSpec, CodecError> {
    let grants = spec.grants.into_iter().map(|grant| {
        Ok(Grant {
            secret: ObjectId::parse(&grant.secret)?,
            version: VersionRef::parse(&grant.version)?,
            name: SecretName::parse(&grant.name)?,
            target: Target::parse(&grant.target)?,
            uid: grant.uid,
            gid: grant.gid,
            mode: grant.mode,
        })
    });
    Ok(ServiceSpec {
        name: ServiceName::parse(&spec.name)?,
        labels: Labels::parse(spec.labels)?,
        command: spec.command,
        env: spec.env,
        grants: grants.collect::<Result<_, CodecError>>()?,
        replicas: spec.replicas,
    })
}

fn service_to(service: &Service) -> stored::Service {
    stored::Service {
        id: service.id.to_string(),
        meta: Some(meta_to(service.meta)),
        spec: Some(spec_to(&service.spec)),
    }
}

fn service_from(service: stored::Service) -> Result<Service, CodecError> {
    Ok(Service {
        id: ServiceId::parse(&service.id)?,
        meta: meta_from(service.meta)?,
        spec: spec_from(needed("spec", service.spec)?)?,
    })
}

pub(super) fn status_to(status: &TaskStatus) -> stored::TaskStatus {
    stored::TaskStatus {
        state: status.state.number(),
        at: status.at.nanos(),
        error: status.error.clone(),
        exit_code: status.exit_code,
    }
}

pub(super) fn status_from(status: stored::TaskStatus) -> Result<TaskStatus, CodecError> {
    Ok(TaskStatus {
        state: state_from(status.state)?,
        at: Timestamp::from_nanos(status.at),
        error: status.error,
        exit_code: status.exit_code,
    })
}

pub(super) fn held_to(held: &[Held]) -> Vec<stored::Held> {
    let one = |held: &Held| stored::Held { object: held.object.to_string(), version: held.version };
    held.iter().map(one).collect()
}

pub(super) fn held_from(held: Vec<stored::Held>) -> Result<Vec<Held>, CodecError> {
    let one = |held: stored::Held| {
        Ok(Held { object: ObjectId::parse(&held.object)?, version: held.version })
    };
    held.into_iter().map(one).collect()
}

pub(super) fn task_to(task: &Task) -> stored::Task {
    stored::Task {
        id: task.id.to_string(),
        service: task.service.to_string(),
        created_index: task.created_index,
        created_at: task.created_at.nanos(),
        slot: task.slot,
        node: task.node.to_string(),
        status: Some(status_to(&task.status)),
        desired: task.desired.number(),
        held: held_to(&task.held),
        seen: if task.seen == task.created_index { 0 } else { task.seen },
    }
}

fn task_from(task: stored::Task) -> Result<Task, CodecError> {
    Ok(Task {
        id: TaskId::parse(&task.id)?,
        service: ServiceId::parse(&task.service)?,
        created_index: task.created_index,
        created_at: Timestamp::from_nanos(task.created_at),
        slot: task.slot,
        node: NodeId::parse(&task.node)?,
        status: status_from(needed("status", task.status)?)?,
        desired: state_from(task.desired)?,
        held: held_from(task.held)?,
        seen: if task.seen == 0 { task.created_index } else { task.seen },
    })
}
