//! Nodes: joining, certificates, roles, going.

use std::sync::Arc;

use super::{Stamp, State, not_found};
use crate::command::{Issued, ManagerPlace, NodeUpdate, ObjectKind, Outcome, Refusal};
use crate::event::EventAction;
use crate::id::NodeId;
use crate::limits::{NODES_MAX, REMOVED_KEPT_SECS};
use crate::node::{Described, Engine, KeyPin, Node, NodeStatus, Role};
use crate::root::NodeTrust;
use crate::roster::keeps_quorum;
use crate::seal::Sealed;
use crate::table::LookupError;

/// What must be seen before a manager is believed that it is reached at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceProof {
    /// Its record says so, or nothing speaks against it.
    Nothing,
    /// It answers there itself.
    Answer,
    /// It joins, and does not answer anywhere yet; but this other manager, whose record has the address, does not
    /// answer there either.
    SilenceOf(NodeId),
}

/// Keys that prove a node at one time: the one last seen, and one issued after it.
const PINS_MAX: usize = 2;

impl State {
    /// With a key and a token that are known, it is the same node again, which did not get the answer, or which asked
    /// twice at one time: it has the ID that it has, and no use is counted.
    pub(super) fn admit_node(&mut self, stamp: &mut Stamp, node: Node) -> Result<Outcome, Refusal> {
        let id = node.id;
        if let Some(known) = node.pins.iter().find_map(|pin| self.nodes.with_key(*pin)) {
            let is_same = (known.role, known.token) == (node.role, node.token);
            let known = known.id.object();
            return if is_same {
                Ok(Outcome::Created(vec![known]))
            } else {
                Err(Refusal::KeyTaken)
            };
        }
        if self.nodes.contains(&id) || self.removed.contains_key(&id) {
            return Err(Refusal::NameTaken { kind: ObjectKind::Node, name: id.to_string() });
        }
        if node.role == Role::Manager && node.engine.is_some() {
            return Err(Refusal::NodeIsEngine { id });
        }
        if self.nodes.len() >= NODES_MAX {
            return Err(Refusal::NodesTooMany { max: NODES_MAX });
        }
        if node.role == Role::Manager && self.duties.manager_token.is_some() {
            // Who went could come back by the token that it knew.
            return Err(Refusal::TokenChanges);
        }
        self.refuse_signer(node.trust.issuer)?;
        if let Some(token) = node.token {
            self.tokens.spend(token, node.role, stamp.at)?;
        }
        let joined = Node { meta: stamp.meta(), raft_id: raft_id(stamp, node.role), ..node };
        stamp.event(ObjectKind::Node, EventAction::Create, id.object(), joined.hostname.as_str());
        self.record_issued(stamp.at, &joined.certificate);
        self.nodes.insert(joined);
        self.workload_index = stamp.index;
        Ok(Outcome::Created(vec![id.object()]))
    }

    pub(super) fn renew_node(
        &mut self,
        stamp: &mut Stamp,
        id: NodeId,
        issued: Issued,
        proven: Option<KeyPin>,
    ) -> Result<Outcome, Refusal> {
        let node = self.node_or_refuse(id)?;
        if node.role != issued.role {
            return Err(Refusal::RoleChanged { id });
        }
        if self.nodes.with_key(issued.pin).is_some_and(|other| other.id != id) {
            return Err(Refusal::KeyTaken);
        }
        self.refuse_signer(issued.issuer)?;
        let mut pins = match proven {
            Some(proven) if !node.is_proven_by(proven) => return Err(Refusal::KeyEnded { id }),
            // Whatever was issued before this and never used ends here, and not the key in use.
            Some(proven) => vec![proven],
            // Entries of before that was told.
            None => node.pins.clone(),
        };
        pins.retain(|pin| *pin != issued.pin);
        pins.push(issued.pin);
        let surplus = pins.len().saturating_sub(PINS_MAX);
        pins.drain(..surplus);
        let Issued { certificate, end_secs: certificate_end_secs, request, issuer, .. } = issued;
        self.record_issued(stamp.at, &certificate);
        let engine = node.engine.as_ref().map(|_| Engine { request });
        let trust = NodeTrust { issuer, asked_secs: None, ..node.trust };
        let node = Node { pins, certificate, certificate_end_secs, engine, trust, ..node };
        self.change_node(stamp, node);
        Ok(Outcome::Done)
    }

    pub(super) fn place_manager(
        &mut self,
        stamp: &mut Stamp,
        id: NodeId,
        place: ManagerPlace,
    ) -> Result<Outcome, Refusal> {
        let node = self.node_or_refuse(id)?;
        let ManagerPlace { addr, hostname, engine_version, level } = place;
        self.change_node(stamp, Node { hostname, addr, engine_version, level, ..node });
        self.workload_index = stamp.index;
        Ok(Outcome::Done)
    }

    /// A manager says where it is in another way, and whether it is heard of is seen by Raft.
    pub(super) fn describe_node(
        &mut self,
        stamp: &mut Stamp,
        id: NodeId,
        said: Described,
    ) -> Result<Outcome, Refusal> {
        let node = self.node_or_refuse(id)?;
        let is_known = node.status == NodeStatus::Ready && said.is_known_of(&node);
        if node.role == Role::Manager || is_known {
            return Ok(Outcome::Done);
        }
        let Described { hostname, engine_version, level, machine } = said;
        // No new version index: an operator's change must not fail because a node came.
        let changed =
            Node { hostname, engine_version, level, machine, status: NodeStatus::Ready, ..node };
        let name = changed.hostname.as_str();
        stamp.event(ObjectKind::Node, EventAction::Update, id.object(), name);
        self.nodes.insert(changed);
        self.workload_index = stamp.index;
        Ok(Outcome::Done)
    }

    pub(super) fn update_node(
        &mut self,
        stamp: &mut Stamp,
        update: NodeUpdate,
    ) -> Result<Outcome, Refusal> {
        let node = self.node_or_refuse(update.id)?;
        if update.expected.is_some_and(|expected| expected != node.meta.version_index) {
            return Err(Refusal::OutOfSequence);
        }
        let role = update.role.unwrap_or(node.role);
        let raft_id = match (node.role, role) {
            (Role::Worker, Role::Manager) if node.engine.is_some() => {
                return Err(Refusal::NodeIsEngine { id: update.id });
            }
            (Role::Worker, Role::Manager) => raft_id(stamp, role),
            (Role::Manager, Role::Worker) if self.managers().count() < 2 => {
                return Err(Refusal::LastManager);
            }
            (Role::Manager, Role::Worker) if !self.may_lose(update.id) => {
                return Err(Refusal::QuorumLoss);
            }
            (Role::Manager, Role::Worker) => None,
            (Role::Worker, Role::Worker) | (Role::Manager, Role::Manager) => node.raft_id,
        };
        let availability = update.availability.unwrap_or(node.availability);
        let labels = update.labels.unwrap_or_else(|| node.labels.clone());
        // Nobody hears of a former manager before it speaks as a worker.
        let is_demoted = (node.role, role) == (Role::Manager, Role::Worker);
        let status = if is_demoted { NodeStatus::Down } else { node.status };
        if is_demoted {
            self.duties.after_loss(stamp.index);
            self.tokens.revoke_known(stamp.at, Some(Role::Manager));
            self.revoke_certificates(stamp.at, update.id, Some(Role::Manager));
        }
        self.change_node(stamp, Node { role, availability, labels, status, raft_id, ..node });
        self.workload_index = stamp.index;
        Ok(Outcome::Done)
    }

    pub(super) fn remove_node(
        &mut self,
        stamp: &mut Stamp,
        id: NodeId,
        is_forced: bool,
    ) -> Result<Outcome, Refusal> {
        let node = self.node_or_refuse(id)?;
        if node.role == Role::Manager {
            return Err(Refusal::NodeIsManager { id });
        }
        if node.status == NodeStatus::Ready && !is_forced {
            return Err(Refusal::NodeIsNotDown { id });
        }
        self.revoke_certificates(stamp.at, id, None);
        self.nodes.remove(&id);
        self.forget_removed(stamp.at.secs());
        self.removed.insert(id, node.certificate_end_secs);
        stamp.event(ObjectKind::Node, EventAction::Remove, id.object(), node.hostname.as_str());
        self.workload_index = stamp.index;
        Ok(Outcome::Done)
    }

    /// Forgets those whose certificates have ended long ago. Mostly there are none.
    fn forget_removed(&mut self, now_secs: u64) {
        let is_over = |end: u64| end.saturating_add(REMOVED_KEPT_SECS) <= now_secs;
        let over = self.removed.iter().filter(|(_, end)| is_over(**end));
        for id in over.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.removed.remove(&id);
        }
    }

    pub(super) fn stand_alone(&mut self, stamp: &mut Stamp, left: NodeId) -> Outcome {
        let others: Vec<_> = self.managers().filter(|node| node.id != left).cloned().collect();
        for other in others {
            self.revoke_certificates(stamp.at, other.id, Some(Role::Manager));
            let fenced = Node {
                role: Role::Worker,
                raft_id: None,
                status: NodeStatus::Down,
                pins: Vec::new(),
                ..Node::clone(&other)
            };
            self.change_node(stamp, fenced);
        }
        self.duties.after_loss(stamp.index);
        self.tokens.revoke_known(stamp.at, Some(Role::Manager));
        self.workload_index = stamp.index;
        Outcome::Done
    }

    pub(super) fn report_nodes(
        &mut self,
        stamp: &mut Stamp,
        reports: Vec<(NodeId, NodeStatus)>,
    ) -> Outcome {
        for (id, status) in reports {
            let Some(node) = self.nodes.get(&id).filter(|node| node.status != status) else {
                continue;
            };
            // No new version index: an operator's change must not fail because a node came or went.
            let mut changed = Node { status, ..Node::clone(node) };
            changed.trust.heard_secs = stamp.at.secs();
            stamp.event(
                ObjectKind::Node,
                EventAction::Update,
                id.object(),
                changed.hostname.as_str(),
            );
            self.nodes.insert(changed);
            self.workload_index = stamp.index;
        }
        Outcome::Done
    }

    pub(super) fn rotate_token(
        &mut self,
        stamp: &mut Stamp,
        role: Role,
        sealed: Sealed,
    ) -> Result<Outcome, Refusal> {
        self.refuse_old_keys([&sealed].into_iter())?;
        let cluster = self.cluster.as_mut().ok_or(Refusal::NoCluster)?;
        let cluster = Arc::make_mut(cluster);
        match role {
            Role::Worker => cluster.worker_token = sealed,
            Role::Manager => {
                cluster.manager_token = sealed;
                self.duties.token_changed();
            }
        }
        cluster.meta.version_index = stamp.index;
        cluster.meta.updated_at = stamp.at;
        let id = cluster.id.object();
        stamp.event(ObjectKind::Cluster, EventAction::Update, id, "default");
        Ok(Outcome::Done)
    }

    /// The node whose latest key this is.
    pub fn node_with_key(&self, pin: KeyPin) -> Option<&Arc<Node>> {
        self.nodes.with_key(pin)
    }

    /// All managers, by their records.
    pub fn managers(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values().filter(|node| node.role == Role::Manager)
    }

    /// What it takes to believe a manager about its address. `None` if the node is no manager, as far as is known
    /// here.
    pub fn place_proof(&self, id: NodeId, addr: &str) -> Option<PlaceProof> {
        let own = self.node(id).filter(|node| node.role == Role::Manager)?;
        Some(match self.manager_at(id, addr) {
            _ if own.addr == addr => PlaceProof::Nothing,
            _ if !own.addr.is_empty() => PlaceProof::Answer,
            Some(other) => PlaceProof::SilenceOf(other),
            None => PlaceProof::Nothing,
        })
    }

    /// The manager besides this one whose record has an address.
    pub fn manager_at(&self, besides: NodeId, addr: &str) -> Option<NodeId> {
        let mut others = self.managers().filter(|node| node.id != besides);
        others.find(|node| node.addr == addr).map(|node| node.id)
    }

    /// Whether the managers still have a majority without this one, as far as the leader hears of them.
    pub fn may_lose(&self, id: NodeId) -> bool {
        let others = self.managers().filter(|node| node.id != id);
        let answering = others.filter(|node| node.status == NodeStatus::Ready).count();
        keeps_quorum(self.managers().count(), answering)
    }

    /// The node with this ID, or the only one whose ID starts so, or whose host is called so.
    pub fn find_node(&self, reference: &str) -> Result<&Arc<Node>, LookupError> {
        if let Some(node) = NodeId::parse(reference).ok().and_then(|id| self.nodes.get(&id)) {
            return Ok(node);
        }
        let by = |fits: &dyn Fn(&Node) -> bool| {
            let mut found = self.nodes.values().filter(|node| fits(node));
            (found.next(), found.count())
        };
        let named = by(&|node| !reference.is_empty() && node.hostname == reference);
        let prefixed = by(&|node| !reference.is_empty() && node.id.as_str().starts_with(reference));
        match if named.0.is_some() { named } else { prefixed } {
            (None, _) => Err(LookupError::NotFound),
            (Some(node), 0) => Ok(node),
            (Some(_), more) => Err(LookupError::Ambiguous(more.saturating_add(1))),
        }
    }

    fn node_or_refuse(&self, id: NodeId) -> Result<Node, Refusal> {
        let found = self.nodes.get(&id).map(|node| Node::clone(node));
        found.ok_or_else(|| not_found(ObjectKind::Node, id.object()))
    }

    fn change_node(&mut self, stamp: &mut Stamp, mut node: Node) {
        node.meta.version_index = stamp.index;
        node.meta.updated_at = stamp.at;
        stamp.event(
            ObjectKind::Node,
            EventAction::Update,
            node.id.object(),
            node.hostname.as_str(),
        );
        self.nodes.insert(node);
    }
}

/// The index of the entry that makes a manager: no other entry has it.
fn raft_id(stamp: &Stamp, role: Role) -> Option<u64> {
    (role == Role::Manager).then_some(stamp.index)
}
