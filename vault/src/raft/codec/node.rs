//! Nodes, and what happens to them.

use proto::stored;
use vault_core::command::{Action, Issued, ManagerPlace, NodeUpdate};
use vault_core::feature::Level;
use vault_core::id::{NodeId, TokenId};
use vault_core::labels::Labels;
use vault_core::node::{
    Availability, Described, Engine, KEY_DIGEST_BYTES, KeyPin, Machine, Node, NodeStatus, Role,
};
use vault_core::seal::Sealed;

use super::object::{meta_from, meta_to, sealed_to};
use super::{CodecError, level_to, needed, root};

pub(in crate::raft) fn role_to(role: Role) -> u32 {
    match role {
        Role::Worker => 0,
        Role::Manager => 1,
    }
}

pub(in crate::raft) fn role_from(number: u32) -> Result<Role, CodecError> {
    match number {
        0 => Ok(Role::Worker),
        1 => Ok(Role::Manager),
        _ => Err(CodecError::Range { field: "role" }),
    }
}

fn availability_to(availability: Availability) -> u32 {
    match availability {
        Availability::Active => 0,
        Availability::Pause => 1,
        Availability::Drain => 2,
    }
}

fn availability_from(number: u32) -> Result<Availability, CodecError> {
    match number {
        0 => Ok(Availability::Active),
        1 => Ok(Availability::Pause),
        2 => Ok(Availability::Drain),
        _ => Err(CodecError::Range { field: "availability" }),
    }
}

fn status_to(status: NodeStatus) -> u32 {
    match status {
        NodeStatus::Unknown => 0,
        NodeStatus::Down => 1,
        NodeStatus::Ready => 2,
    }
}

fn status_from(number: u32) -> Result<NodeStatus, CodecError> {
    match number {
        0 => Ok(NodeStatus::Unknown),
        1 => Ok(NodeStatus::Down),
        2 => Ok(NodeStatus::Ready),
        _ => Err(CodecError::Range { field: "node status" }),
    }
}

/// What another daemon knows may be more than what this one does.
fn advertised(level: u32) -> Level {
    Level(level.max(Level::FIRST.0))
}

pub(super) fn pin_from(bytes: &[u8]) -> Result<KeyPin, CodecError> {
    let digest: [u8; KEY_DIGEST_BYTES] =
        bytes.try_into().map_err(|_| CodecError::Range { field: "pin" })?;
    Ok(KeyPin(digest))
}

fn machine_to(machine: &Machine) -> Option<stored::Machine> {
    let stored = || stored::Machine {
        os: machine.os.clone(),
        architecture: machine.architecture.clone(),
        nano_cpus: machine.nano_cpus,
        memory_bytes: machine.memory_bytes,
        labels: machine.labels.as_map().clone(),
    };
    (*machine != Machine::default()).then(stored)
}

fn machine_from(machine: Option<stored::Machine>) -> Result<Machine, CodecError> {
    let stored::Machine { os, architecture, nano_cpus, memory_bytes, labels } =
        machine.unwrap_or_default();
    let labels = Labels::parse(labels)?;
    Ok(Machine { os, architecture, nano_cpus, memory_bytes, labels })
}

pub(super) fn said_to(id: NodeId, said: &Described) -> stored::DescribeNode {
    stored::DescribeNode {
        id: id.to_string(),
        hostname: said.hostname.clone(),
        engine_version: said.engine_version.clone(),
        level: level_to(said.level),
        machine: machine_to(&said.machine),
    }
}

pub(super) fn said_from(said: stored::DescribeNode) -> Result<Action, CodecError> {
    let stored::DescribeNode { id, hostname, engine_version, level, machine } = said;
    let (level, machine) = (advertised(level), machine_from(machine)?);
    let said = Described { hostname, engine_version, level, machine };
    Ok(Action::DescribeNode(NodeId::parse(&id)?, Box::new(said)))
}

pub(super) fn node_to(node: &Node) -> stored::Node {
    stored::Node {
        id: node.id.to_string(),
        meta: Some(meta_to(node.meta)),
        hostname: node.hostname.clone(),
        role: role_to(node.role),
        availability: availability_to(node.availability),
        addr: node.addr.clone(),
        engine_version: node.engine_version.clone(),
        labels: node.labels.as_map().clone(),
        status: status_to(node.status),
        raft_id: node.raft_id.unwrap_or(0),
        pins: node.pins.iter().map(|pin| pin.0.to_vec()).collect(),
        certificate: node.certificate.clone(),
        certificate_end_secs: node.certificate_end_secs,
        level: level_to(node.level),
        token: node.token.map_or_else(String::new, |token| token.to_string()),
        machine: machine_to(&node.machine),
        engine: node
            .engine
            .as_ref()
            .map(|engine| stored::Engine { request: engine.request.clone() }),
        trust: root::trust_to(node.trust),
    }
}

pub(super) fn node_from(node: stored::Node) -> Result<Node, CodecError> {
    let pins = node.pins.iter().map(|pin| pin_from(pin));
    let token = (!node.token.is_empty()).then(|| TokenId::parse(&node.token)).transpose()?;
    Ok(Node {
        id: NodeId::parse(&node.id)?,
        meta: meta_from(node.meta)?,
        hostname: node.hostname,
        role: role_from(node.role)?,
        availability: availability_from(node.availability)?,
        addr: node.addr,
        engine_version: node.engine_version,
        labels: Labels::parse(node.labels)?,
        status: status_from(node.status)?,
        raft_id: (node.raft_id != 0).then_some(node.raft_id),
        pins: pins.collect::<Result<_, _>>()?,
        certificate: node.certificate,
        certificate_end_secs: node.certificate_end_secs,
        level: advertised(node.level),
        token,
        machine: machine_from(node.machine)?,
        engine: node.engine.map(|engine| Engine { request: engine.request }),
        trust: node.trust.map(root::trust_from).unwrap_or_default(),
    })
}

pub(super) fn renewal_to(id: NodeId, issued: &Issued, proven: Option<KeyPin>) -> stored::RenewNode {
    stored::RenewNode {
        id: id.to_string(),
        pin: issued.pin.0.to_vec(),
        certificate: issued.certificate.clone(),
        end_secs: issued.end_secs,
        role: role_to(issued.role),
        proven: proven.map_or_else(Vec::new, |KeyPin(pin)| pin.to_vec()),
        request: issued.request.clone(),
        issuer: root::generation_to(issued.issuer),
    }
}

pub(super) fn renewal_from(renewal: stored::RenewNode) -> Result<Action, CodecError> {
    let issued = Issued {
        pin: pin_from(&renewal.pin)?,
        certificate: renewal.certificate,
        end_secs: renewal.end_secs,
        role: role_from(renewal.role)?,
        request: renewal.request,
        issuer: root::generation_from(renewal.issuer),
    };
    let proven = (!renewal.proven.is_empty()).then(|| pin_from(&renewal.proven)).transpose()?;
    Ok(Action::RenewNode(NodeId::parse(&renewal.id)?, issued, proven))
}

pub(super) fn place_to(id: NodeId, place: &ManagerPlace) -> stored::PlaceManager {
    let ManagerPlace { addr, hostname, engine_version, level } = place.clone();
    let level = level_to(level);
    stored::PlaceManager { id: id.to_string(), addr, hostname, engine_version, level }
}

pub(super) fn place_from(
    place: stored::PlaceManager,
) -> Result<(NodeId, ManagerPlace), CodecError> {
    let stored::PlaceManager { id, addr, hostname, engine_version, level } = place;
    let level = advertised(level);
    Ok((NodeId::parse(&id)?, ManagerPlace { addr, hostname, engine_version, level }))
}

pub(super) fn update_to(update: &NodeUpdate) -> stored::UpdateNode {
    stored::UpdateNode {
        id: update.id.to_string(),
        expected: update.expected,
        role: update.role.map(role_to),
        availability: update.availability.map(availability_to),
        labels: update
            .labels
            .as_ref()
            .map(|labels| stored::Labels { labels: labels.as_map().clone() }),
    }
}

pub(super) fn update_from(update: stored::UpdateNode) -> Result<NodeUpdate, CodecError> {
    Ok(NodeUpdate {
        id: NodeId::parse(&update.id)?,
        expected: update.expected,
        role: update.role.map(role_from).transpose()?,
        availability: update.availability.map(availability_from).transpose()?,
        labels: update.labels.map(|labels| Labels::parse(labels.labels)).transpose()?,
    })
}

pub(super) fn removal_to(id: NodeId, force: bool) -> stored::RemoveNode {
    stored::RemoveNode { id: id.to_string(), force }
}

pub(super) fn token_to(role: Role, sealed: &Sealed) -> stored::RotateToken {
    stored::RotateToken { role: role_to(role), sealed: Some(sealed_to(sealed)) }
}

pub(super) fn reports_to(reports: &[(NodeId, NodeStatus)]) -> stored::ReportNodes {
    let nodes = reports
        .iter()
        .map(|(id, status)| stored::NodeReport { id: id.to_string(), status: status_to(*status) });
    stored::ReportNodes { nodes: nodes.collect() }
}

pub(super) fn report_from(report: stored::NodeReport) -> Result<(NodeId, NodeStatus), CodecError> {
    Ok((NodeId::parse(&report.id)?, status_from(report.status)?))
}

pub(super) fn needed_node(node: Option<stored::Node>) -> Result<Node, CodecError> {
    node_from(needed("node", node)?)
}
