//! Messages to checked types and back, one function each.

use proto::v1;
use tonic::Code;

use super::CallError;
use super::filled;
use super::not_understood;
use crate::objects::AuditRecord;
use crate::objects::Event;
use crate::objects::Grant;
use crate::objects::Holder;
use crate::objects::KeyStatus;
use crate::objects::LogLine;
use crate::objects::Machine;
use crate::objects::Meta;
use crate::objects::Node;
use crate::objects::Service;
use crate::objects::ServiceSpec;
use crate::objects::Task;
use crate::objects::TaskState;
use crate::objects::Version;
use crate::objects::Versioned;

pub(super) fn node(wire: v1::Node, self_id: &str) -> Result<Node, CallError> {
    let state = match wire.state() {
        v1::NodeState::Unknown => "Unknown",
        v1::NodeState::Down => "Down",
        v1::NodeState::Ready => "Ready",
        v1::NodeState::Disconnected => "Disconnected",
    };
    let availability = match wire.availability() {
        v1::Availability::Active => "Active",
        v1::Availability::Pause => "Pause",
        v1::Availability::Drain => "Drain",
    };
    let role = match wire.role() {
        v1::NodeRole::Worker => "worker",
        v1::NodeRole::Manager => "manager",
    };
    let manager_status = match &wire.manager {
        None => "",
        Some(manager) if manager.leader => "Leader",
        Some(manager) => match manager.reachability() {
            v1::Reachability::Unknown => "Unknown",
            v1::Reachability::Unreachable => "Unreachable",
            v1::Reachability::Reachable => "Reachable",
        },
    };
    Ok(Node {
        is_self: wire.id == self_id,
        id: filled(wire.id, "a node's ID")?,
        hostname: wire.hostname,
        state,
        availability,
        manager_status,
        engine_version: wire.engine_version,
        role,
        addr: wire.addr,
        labels: wire.labels,
        version_index: wire.version_index,
        created_at: wire.created_at,
        updated_at: wire.updated_at,
        certificate_end: wire.certificate_end,
        machine: Machine {
            os: wire.os,
            architecture: wire.architecture,
            nano_cpus: wire.nano_cpus,
            memory_bytes: wire.memory_bytes,
            labels: wire.engine_labels,
            is_engine: wire.is_engine,
        },
    })
}

/// A list leaves the versions out.
pub(super) fn versioned(wire: v1::Value) -> Result<Versioned, CallError> {
    let spec = wire.spec.ok_or_else(|| not_understood("an object's spec is missing"))?;
    let meta = Meta {
        id: filled(wire.id, "an object's ID")?,
        version_index: wire.version_index,
        created_at: wire.created_at,
        updated_at: wire.updated_at,
    };
    Ok(Versioned {
        meta,
        name: filled(spec.name, "an object's name")?,
        labels: spec.labels,
        versions: wire.versions.into_iter().map(version).collect(),
        holders: wire.holders.into_iter().map(holder).collect(),
        data: wire.data,
    })
}

fn holder(wire: v1::Holder) -> Holder {
    let v1::Holder { version, service, tasks } = wire;
    Holder { version, service, tasks }
}

fn version(wire: v1::Version) -> Version {
    let v1::Version { number, created_at, labels, size } = wire;
    Version { number, created_at, labels, size_bytes: size }
}

pub(super) fn key_status(wire: Option<v1::KeyStatus>) -> Result<KeyStatus, CallError> {
    let wire = wire.ok_or_else(|| not_understood("the keys' status is missing"))?;
    Ok(KeyStatus {
        epoch: wire.epoch,
        values_left: wire.values_left,
        epochs_kept: wire.epochs_kept.len(),
    })
}

pub(super) fn event(wire: v1::Event) -> Result<Event, CallError> {
    Ok(Event {
        index: wire.index,
        at: wire.at,
        kind: filled(wire.kind, "an event's kind")?,
        action: filled(wire.action, "an event's action")?,
        id: wire.id,
        name: wire.name,
    })
}

pub(super) fn audit_record(wire: v1::AuditRecord) -> Result<AuditRecord, CallError> {
    let outcome = match i32::try_from(wire.outcome).map(Code::from_i32) {
        Ok(Code::Ok) => "OK".to_owned(),
        Ok(code) => format!("{code:?}"),
        Err(_) => return Err(not_understood(format!("outcome {} is not known", wire.outcome))),
    };
    Ok(AuditRecord {
        number: wire.number,
        at: wire.at,
        uid: wire.uid,
        pid: wire.pid,
        call: wire.call,
        objects: wire.objects,
        outcome,
        request_id: wire.request_id,
        index: wire.index,
        node: wire.node,
    })
}

pub(super) fn service(wire: v1::Service) -> Result<Service, CallError> {
    let spec = wire.spec.ok_or_else(|| not_understood("a service's spec is missing"))?;
    let meta = Meta {
        id: filled(wire.id, "a service's ID")?,
        version_index: wire.version_index,
        created_at: wire.created_at,
        updated_at: wire.updated_at,
    };
    let spec = ServiceSpec {
        name: filled(spec.name, "a service's name")?,
        labels: spec.labels,
        command: spec.command,
        env: spec.env,
        grants: spec.secrets.into_iter().map(grant).collect(),
        replicas: spec.replicas,
    };
    Ok(Service { meta, spec, running_tasks: wire.running_tasks })
}

fn grant(wire: v1::SecretGrant) -> Grant {
    let v1::SecretGrant { secret_id, secret_name, target, uid, gid, mode, version } = wire;
    Grant { secret_id, secret_name, target, uid, gid, mode, version }
}

fn wire_grant(grant: Grant) -> v1::SecretGrant {
    let Grant { secret_id, secret_name, target, uid, gid, mode, version } = grant;
    v1::SecretGrant { secret_id, secret_name, target, uid, gid, mode, version }
}

pub(super) fn wire_spec(spec: ServiceSpec) -> v1::ServiceSpec {
    let ServiceSpec { name, labels, command, env, grants, replicas } = spec;
    let secrets = grants.into_iter().map(wire_grant).collect();
    v1::ServiceSpec { name, labels, command, env, secrets, replicas }
}

pub(super) fn task(wire: v1::Task) -> Result<Task, CallError> {
    Ok(Task {
        id: filled(wire.id, "a task's ID")?,
        slot: wire.slot,
        node_hostname: wire.node_hostname,
        state: task_state(wire.state)?,
        desired: task_state(wire.desired_state)?,
        status_at: wire.status_at,
        error: wire.error,
        exit_code: wire.exit_code,
        command: wire.command,
    })
}

fn task_state(number: i32) -> Result<TaskState, CallError> {
    let known = v1::TaskState::try_from(number)
        .map_err(|_| not_understood(format!("task state {number} is not known")))?;
    Ok(match known {
        v1::TaskState::New => TaskState::New,
        v1::TaskState::Pending => TaskState::Pending,
        v1::TaskState::Assigned => TaskState::Assigned,
        v1::TaskState::Accepted => TaskState::Accepted,
        v1::TaskState::Preparing => TaskState::Preparing,
        v1::TaskState::Ready => TaskState::Ready,
        v1::TaskState::Starting => TaskState::Starting,
        v1::TaskState::Running => TaskState::Running,
        v1::TaskState::Complete => TaskState::Complete,
        v1::TaskState::Shutdown => TaskState::Shutdown,
        v1::TaskState::Failed => TaskState::Failed,
        v1::TaskState::Rejected => TaskState::Rejected,
        v1::TaskState::Remove => TaskState::Remove,
        v1::TaskState::Orphaned => TaskState::Orphaned,
    })
}

pub(super) fn log_line(wire: v1::LogsChunk) -> Result<LogLine, CallError> {
    let is_stderr = match wire.stream() {
        v1::LogStream::Unknown => return Err(not_understood("a log line names no stream")),
        v1::LogStream::Stdout => false,
        v1::LogStream::Stderr => true,
    };
    Ok(LogLine {
        task_id: wire.task_id,
        slot: wire.slot,
        hostname: wire.node_hostname,
        is_stderr,
        at: wire.at,
        line: wire.line,
    })
}
