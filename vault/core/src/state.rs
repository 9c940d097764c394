//! The replicated state, and the one place where it changes: `State::apply`.
//!
//! Copies share their structure: a view for a reader or a snapshot costs nothing, and writes go on.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::cluster::Cluster;
use crate::command::{
    Action, Applied, Command, CreateCluster, ObjectKind, Outcome, RaiseLevel, Refusal, TaskChange,
    TaskReport, UseEpoch,
};
use crate::duty::Duties;
use crate::event::{Event, EventAction};
use crate::id::{NodeId, ObjectId, ServiceId};
use crate::limits::TASK_ERROR_BYTES_MAX;
use crate::name::Named;
use crate::node::Node;
#[cfg(planted)]
use crate::planted::{self, Bug};
use crate::request::Requests;
use crate::seal::{Epoch, KeyDigest};
use crate::service::{Grant, Service, ServiceSpec};
use crate::table::Table;
use crate::task::{Task, TaskState, TaskStatus};
use crate::time::Timestamp;
use crate::versioned::{Class, Meta, VersionRef, Versioned};

mod backups;
mod held;
mod issued;
mod lock;
mod members;
mod nodes;
mod read;
mod recover;
mod restore;
mod roots;
mod tasks;
mod tokens;
mod values;

pub use held::Holder;
pub use issued::{Issued, Revoked};
use members::Members;
pub use nodes::PlaceProof;
pub use restore::Restoring;
pub use tasks::Tasks;
pub use tokens::Tokens;
pub use values::Values;

/// Everything that the managers agree on.
#[derive(Clone, Debug)]
pub struct State {
    /// The latest time that any entry brought. Never runs backwards.
    clock: Timestamp,
    /// The last entry that was applied.
    index: u64,
    /// The last entry that changed a node, a service or a task: what the scheduler waits for.
    workload_index: u64,
    /// The last entry that changed which value some label points to: what deliveries wait for.
    delivery_index: u64,
    /// The epoch that new values are sealed under.
    epoch: Epoch,
    /// The epoch that they are to be sealed under: a newer one while a rotation has not begun yet.
    wanted_epoch: Epoch,
    /// Nothing is sealed under an older one.
    oldest_epoch: Epoch,
    /// Tells the key of the epoch in use, if it was said.
    key_digest: Option<KeyDigest>,
    duties: Duties,
    cluster: Option<Arc<Cluster>>,
    nodes: Members,
    /// Nodes that were removed, until their last certificate has ended: seconds since 1970.
    removed: OrdMap<NodeId, u64>,
    tokens: Tokens,
    issued: Issued,
    secrets: Values,
    configs: Values,
    services: Table<Service>,
    /// Which services' current specs name a secret.
    granted: OrdSet<(ObjectId, ServiceId)>,
    tasks: Tasks,
    requests: Requests,
}

impl Default for State {
    fn default() -> Self {
        Self {
            clock: Timestamp::default(),
            index: 0,
            workload_index: 0,
            delivery_index: 0,
            epoch: Epoch(1),
            wanted_epoch: Epoch(1),
            oldest_epoch: Epoch(1),
            key_digest: None,
            duties: Duties::default(),
            cluster: None,
            nodes: Members::default(),
            removed: OrdMap::new(),
            tokens: Tokens::default(),
            issued: Issued::default(),
            secrets: Values::of(Class::Secret),
            configs: Values::of(Class::Config),
            services: Table::default(),
            granted: OrdSet::new(),
            tasks: Tasks::default(),
            requests: Requests::default(),
        }
    }
}

/// Where and when an entry is applied, and what it did so far.
struct Stamp {
    index: u64,
    at: Timestamp,
    events: Vec<Event>,
}

impl Stamp {
    fn meta(&self) -> Meta {
        Meta { version_index: self.index, created_at: self.at, updated_at: self.at }
    }

    fn event(
        &mut self,
        kind: ObjectKind,
        action: EventAction,
        id: ObjectId,
        name: impl Into<Arc<str>>,
    ) {
        let (index, at, name) = (self.index, self.at, name.into());
        self.events.push(Event { index, at, kind, action, id, name });
    }
}

impl State {
    /// Applies the entry at `index`. The same entries in the same order give the same state and the
    /// same outcomes, on every manager and after every restart.
    pub fn apply(&mut self, index: u64, command: Command) -> Applied {
        self.index = index;
        self.clock = self.clock.max(command.at);
        let answered = command.request.and_then(|id| self.requests.answer(id));
        #[cfg(planted)]
        let answered = answered.filter(|_| !planted::on(Bug::RetryAppliedTwice));
        if let Some(answer) = answered {
            return Applied { outcome: answer.clone(), events: Vec::new() };
        }
        let mut stamp = Stamp { index, at: self.clock, events: Vec::new() };
        #[cfg(planted)]
        if planted::on(Bug::ApplyDiffersByNode) {
            stamp.at = stamp.at.plus(u64::from(std::process::id()));
        }
        let outcome = match self.act(&mut stamp, command.action) {
            Ok(outcome) => outcome,
            Err(refusal) => Outcome::Refused(refusal),
        };
        let is_answer =
            !matches!(&outcome, Outcome::Refused(refusal) if refusal.is_sealed_too_late());
        if let Some(id) = command.request.filter(|_| is_answer) {
            self.requests.remember(id, outcome.clone());
        }
        Applied { outcome, events: stamp.events }
    }

    fn act(&mut self, stamp: &mut Stamp, action: Action) -> Result<Outcome, Refusal> {
        if let Action::CreateCluster(first) = action {
            return self.create_cluster(stamp, *first);
        }
        if self.cluster.is_none() {
            return Err(Refusal::NoCluster);
        }
        match action {
            Action::CreateCluster(_) => Err(Refusal::ClusterExists),
            Action::Create(class, objects) => self.create(stamp, class, objects),
            Action::Remove(class, id) => self.remove(stamp, class, id),
            Action::Rotate(class, versions) => self.rotate(stamp, class, versions),
            Action::Activate(class, targets) => self.activate(stamp, class, targets),
            Action::Rollback(class, ids) => self.rollback(stamp, class, ids),
            Action::DestroyVersion(class, one) => self.destroy_version(stamp, class, one),
            Action::Update(class, update) => self.update(stamp, class, update),
            Action::CreateService(id, spec) => self.create_service(stamp, id, *spec),
            Action::RemoveService(id) => self.remove_service(stamp, id),
            Action::ChangeTasks(changes) => {
                for change in changes {
                    self.change_task(stamp, change);
                }
                Ok(Outcome::Done)
            }
            Action::ReportTasks(node, reports) => {
                for report in reports {
                    self.report_task(stamp, node, report);
                }
                Ok(Outcome::Done)
            }
            Action::WantEpochAfter(epoch) => Ok(self.want_epoch_after(epoch)),
            Action::UseEpoch(next) => {
                self.use_epoch(next);
                Ok(Outcome::Done)
            }
            Action::DropEpochsBefore(epoch) => {
                // Believed only if it is so.
                if epoch <= self.epoch && self.sealed_before(epoch) == 0 {
                    self.oldest_epoch = self.oldest_epoch.max(epoch);
                }
                Ok(Outcome::Done)
            }
            Action::Reseal(resealed) => {
                self.reseal_all(resealed);
                Ok(Outcome::Done)
            }
            Action::RaiseLevel(raise) => {
                self.raise_level(stamp, raise);
                Ok(Outcome::Done)
            }
            Action::AdmitNode(node) => self.admit_node(stamp, *node),
            Action::RenewNode(id, issued, proven) => self.renew_node(stamp, id, issued, proven),
            Action::PlaceManager(id, place) => self.place_manager(stamp, id, place),
            Action::DescribeNode(id, said) => self.describe_node(stamp, id, *said),
            Action::UpdateNode(update) => self.update_node(stamp, update),
            Action::RemoveNode(id, force) => self.remove_node(stamp, id, force),
            Action::StandAlone(id) => Ok(self.stand_alone(stamp, id)),
            Action::ReportNodes(reports) => Ok(self.report_nodes(stamp, reports)),
            Action::RotateToken(role, sealed) => self.rotate_token(stamp, role, sealed),
            Action::CreateToken(new) => self.create_token(stamp, new),
            Action::RevokeToken(id) => self.revoke_token(stamp, id),
            Action::SetAutolock(key) => self.set_autolock(stamp, key),
            Action::RotateUnlockKey(key) => self.rotate_unlock_key(stamp, key),
            Action::Backup(step) => self.backup(stamp, step),
            Action::Root(step) => self.root_step(stamp, step),
        }
    }

    fn create_cluster(
        &mut self,
        stamp: &mut Stamp,
        first: CreateCluster,
    ) -> Result<Outcome, Refusal> {
        if self.cluster.is_some() {
            return Err(Refusal::ClusterExists);
        }
        let CreateCluster { cluster, node } = first;
        let id = cluster.id.object();
        stamp.event(ObjectKind::Cluster, EventAction::Create, id, "default");
        stamp.event(
            ObjectKind::Node,
            EventAction::Create,
            node.id.object(),
            node.hostname.as_str(),
        );
        for certificate in [&cluster.root_certificate, &node.certificate] {
            self.record_issued(stamp.at, certificate);
        }
        self.cluster = Some(Arc::new(Cluster { meta: stamp.meta(), ..cluster }));
        self.nodes.insert(Node { meta: stamp.meta(), ..node });
        self.workload_index = stamp.index;
        Ok(Outcome::Created(vec![id]))
    }

    fn want_epoch_after(&mut self, epoch: Epoch) -> Outcome {
        let next = Epoch(epoch.0.saturating_add(1));
        // Asked again while a rotation goes on, that one is enough.
        if epoch == self.epoch && self.oldest_epoch == self.epoch {
            self.wanted_epoch = self.wanted_epoch.max(next);
        }
        Outcome::Done
    }

    /// An epoch that is in use already, or older, changes nothing: its key may be another one.
    fn use_epoch(&mut self, next: UseEpoch) {
        let UseEpoch { epoch, digest, fulfils } = next;
        if epoch > self.epoch {
            (self.epoch, self.key_digest) = (epoch, digest);
            self.wanted_epoch = self.wanted_epoch.max(epoch);
            self.duties.key_changed(&fulfils);
        }
    }

    /// A step to where the cluster is already, or down, is passed over.
    fn raise_level(&mut self, stamp: &mut Stamp, raise: RaiseLevel) {
        let RaiseLevel { level, version: level_version } = raise;
        let Some(cluster) = self.cluster.as_ref().filter(|cluster| cluster.level < level) else {
            return;
        };
        let mut meta = cluster.meta;
        (meta.version_index, meta.updated_at) = (stamp.index, stamp.at);
        let id = cluster.id.object();
        let raised = Cluster { meta, level, level_version, ..Cluster::clone(cluster) };
        self.cluster = Some(Arc::new(raised));
        stamp.event(ObjectKind::Cluster, EventAction::Update, id, "default");
    }

    fn create_service(
        &mut self,
        stamp: &mut Stamp,
        id: ServiceId,
        spec: ServiceSpec,
    ) -> Result<Outcome, Refusal> {
        if self.services.get(id.object()).is_some() {
            return Err(Refusal::OutOfSequence);
        }
        let service = Service { id, meta: stamp.meta(), spec };
        if self.services.by_name(&service.folded()).is_some() {
            let name = service.spec.name.to_string();
            return Err(Refusal::NameTaken { kind: ObjectKind::Service, name });
        }
        let named = |grant: &Grant| {
            let secret = self.secrets.table().get(grant.secret);
            secret.filter(|secret| secret.name == grant.name)
        };
        let missing = service.spec.grants.iter().filter(|grant| named(grant).is_none());
        let names: Vec<_> = missing.map(|grant| grant.name.to_string()).collect();
        if !names.is_empty() {
            return Err(Refusal::GrantedSecretsMissing { names });
        }
        for (grant, secret) in service.spec.grants.iter().filter_map(|g| Some((g, named(g)?))) {
            if secret.resolve(&grant.version).is_none() {
                return Err(no_version(Class::Secret, secret, &grant.version));
            }
        }
        for grant in &service.spec.grants {
            self.granted.insert((grant.secret, id));
        }
        stamp.event(
            ObjectKind::Service,
            EventAction::Create,
            id.object(),
            service.spec.name.as_str(),
        );
        self.services.insert(id.object(), Arc::new(service));
        self.workload_index = stamp.index;
        Ok(Outcome::Created(vec![id.object()]))
    }

    fn remove_service(&mut self, stamp: &mut Stamp, id: ServiceId) -> Result<Outcome, Refusal> {
        let Some(service) = self.services.remove(id.object()) else {
            return Err(not_found(ObjectKind::Service, id.object()));
        };
        for grant in &service.spec.grants {
            self.granted.remove(&(grant.secret, id));
        }
        let name = service.spec.name.as_str();
        stamp.event(ObjectKind::Service, EventAction::Remove, id.object(), name);
        self.workload_index = stamp.index;
        Ok(Outcome::Done)
    }

    /// The services whose current spec grants the secret.
    fn services_granted(&self, secret: ObjectId) -> impl Iterator<Item = &Arc<Service>> {
        let first = (secret, ServiceId::from(ObjectId::LEAST));
        let granted = self.granted.range(first..).take_while(move |(id, _)| *id == secret);
        granted.filter_map(|(_, service)| self.services.get(service.object()))
    }

    /// Decisions that no longer fit (the service went, the slot is gone) are passed over: the scheduler
    /// decides again on the newer state.
    fn change_task(&mut self, stamp: &mut Stamp, change: TaskChange) {
        match change {
            TaskChange::Create { id, service, slot, node } => {
                let Some(spec) = self.services.get(service.object()).map(|s| &s.spec) else {
                    return;
                };
                let fits = (1..=spec.replicas).contains(&slot);
                let held = self.to_be_held(spec);
                // Two managers may take themselves for the leader for a moment, and both fill the slot.
                let is_filled =
                    self.tasks.of_slot(service, slot).any(|task| !task.status.state.has_ended());
                if !fits || is_filled || !self.nodes.contains(&node) || self.tasks.get(id).is_some()
                {
                    return;
                }
                self.tasks.insert(Task {
                    id,
                    service,
                    created_index: stamp.index,
                    created_at: stamp.at,
                    slot,
                    node,
                    status: TaskStatus {
                        state: TaskState::Assigned,
                        at: stamp.at,
                        error: String::new(),
                        exit_code: None,
                    },
                    desired: TaskState::Running,
                    held,
                    seen: stamp.index,
                });
            }
            TaskChange::Desire(id, desired) => {
                let Some(task) = self.tasks.get(id).filter(|task| task.desired < desired) else {
                    return;
                };
                self.tasks.insert(Task { desired, ..Task::clone(task) });
            }
            TaskChange::Forget(id) => {
                if !self.tasks.get(id).is_some_and(|task| task.status.state.has_ended()) {
                    return;
                }
                self.tasks.remove(id);
            }
        }
        self.workload_index = stamp.index;
    }

    /// A node speaks of its own tasks only, and a state only grows.
    fn report_task(&mut self, stamp: &mut Stamp, node: NodeId, report: TaskReport) {
        let TaskReport { task, status, held, seen } = report;
        let known = self.tasks.get(task).filter(|task| task.node == node);
        let Some(before) = known.filter(|task| task.status.state <= status.state) else { return };
        let mut after = Task::clone(before);
        if let Some(held) = held.and_then(|held| self.of_granted(before, held)) {
            after.held = held;
            after.seen = before.seen.max(seen.min(stamp.index));
        }
        let has_moved = before.status.state < status.state;
        if has_moved {
            after.status = TaskStatus { at: stamp.at, ..status };
            let cut = after.status.error.floor_char_boundary(TASK_ERROR_BYTES_MAX);
            after.status.error.truncate(cut);
            self.workload_index = stamp.index;
        }
        if after.status.state.has_ended() {
            after.held.clear();
        }
        self.tasks.insert(after);
    }
}

fn not_found(kind: impl Into<ObjectKind>, id: ObjectId) -> Refusal {
    Refusal::NotFound { kind: kind.into(), reference: id.to_string() }
}

fn no_version(class: Class, object: &Versioned, version: &VersionRef) -> Refusal {
    let (name, version) = (object.name.clone(), version.clone());
    Refusal::NoVersion { kind: class.into(), name, version }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
pub(crate) mod tests;
