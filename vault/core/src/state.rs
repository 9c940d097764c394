//! The replicated state, and the one place where it changes: `State::apply`.
//!
//! Copies share their structure: a view for a reader or a snapshot costs nothing, and writes go on.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::cluster::Cluster;
use crate::command::{
    Action, Command, CreateCluster, CreateSecret, ObjectKind, Outcome, Refusal, TaskChange,
    TaskReport,
};
use crate::id::{NodeId, ObjectId, SecretId, ServiceId};
use crate::limits::TASK_ERROR_BYTES_MAX;
use crate::name::Named;
use crate::node::Node;
use crate::request::Requests;
use crate::secret::{Meta, Secret, SecretVersion};
use crate::service::{Grant, Service, ServiceSpec};
use crate::table::Table;
use crate::task::{Task, TaskState, TaskStatus};
use crate::time::Timestamp;

mod tasks;

pub use tasks::Tasks;

/// Everything that the managers agree on.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The latest time that any entry brought. Never runs backwards.
    pub(crate) clock: Timestamp,
    /// The last entry that was applied.
    pub(crate) index: u64,
    /// The last entry that changed a node, a service or a task: what the scheduler waits for.
    pub(crate) workload_index: u64,
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) nodes: OrdMap<NodeId, Arc<Node>>,
    pub(crate) secrets: Table<Secret>,
    pub(crate) services: Table<Service>,
    /// Which services' current specs name a secret.
    pub(crate) granted: OrdSet<(SecretId, ServiceId)>,
    pub(crate) tasks: Tasks,
    pub(crate) requests: Requests,
}

/// Where and when an entry is applied.
#[derive(Clone, Copy)]
struct Stamp {
    index: u64,
    at: Timestamp,
}

impl Stamp {
    fn meta(self) -> Meta {
        Meta { version_index: self.index, created_at: self.at, updated_at: self.at }
    }
}

impl State {
    /// Applies the entry at `index`. The same entries in the same order give the same state and the
    /// same outcomes, on every manager and after every restart.
    pub fn apply(&mut self, index: u64, command: Command) -> Outcome {
        self.index = index;
        self.clock = self.clock.max(command.at);
        if let Some(answer) = command.request.and_then(|id| self.requests.answer(id)) {
            return answer.clone();
        }
        let stamp = Stamp { index, at: self.clock };
        let outcome = match self.act(stamp, command.action) {
            Ok(outcome) => outcome,
            Err(refusal) => Outcome::Refused(refusal),
        };
        if let Some(id) = command.request {
            self.requests.remember(id, outcome.clone());
        }
        outcome
    }

    fn act(&mut self, stamp: Stamp, action: Action) -> Result<Outcome, Refusal> {
        if let Action::CreateCluster(first) = action {
            return self.create_cluster(stamp, *first);
        }
        if self.cluster.is_none() {
            return Err(Refusal::NoCluster);
        }
        match action {
            Action::CreateCluster(_) => Err(Refusal::ClusterExists),
            Action::CreateSecret(secret) => self.create_secret(stamp, secret),
            Action::RemoveSecret(id) => self.remove_secret(id),
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
        }
    }

    fn create_cluster(&mut self, stamp: Stamp, first: CreateCluster) -> Result<Outcome, Refusal> {
        if self.cluster.is_some() {
            return Err(Refusal::ClusterExists);
        }
        let CreateCluster { cluster, node } = first;
        let id = cluster.id.object();
        self.cluster = Some(Arc::new(Cluster { meta: stamp.meta(), ..cluster }));
        self.nodes.insert(node.id, Arc::new(Node { meta: stamp.meta(), ..node }));
        self.workload_index = stamp.index;
        Ok(Outcome::Created(id))
    }

    fn create_secret(&mut self, stamp: Stamp, secret: CreateSecret) -> Result<Outcome, Refusal> {
        let CreateSecret { id, name, labels, sealed } = secret;
        let first = SecretVersion { number: 1, created_at: stamp.at, sealed };
        let versions = vec![first];
        let secret = Secret { id, meta: stamp.meta(), name, labels, versions, current: 1 };
        if self.secrets.by_name(&secret.folded()).is_some() {
            let name = secret.name.to_string();
            return Err(Refusal::NameTaken { kind: ObjectKind::Secret, name });
        }
        self.secrets.insert(id.object(), Arc::new(secret));
        Ok(Outcome::Created(id.object()))
    }

    fn remove_secret(&mut self, id: SecretId) -> Result<Outcome, Refusal> {
        let Some(secret) = self.secrets.get(id.object()) else {
            let reference = id.to_string();
            return Err(Refusal::NotFound { kind: ObjectKind::Secret, reference });
        };
        let services = self.services_granted(id);
        if !services.is_empty() {
            return Err(Refusal::SecretInUse { name: secret.name.clone(), services });
        }
        self.secrets.remove(id.object());
        Ok(Outcome::Done)
    }

    /// Names of the services whose current spec grants the secret, in order.
    fn services_granted(&self, secret: SecretId) -> Vec<String> {
        let first = (secret, ServiceId::from(ObjectId::LEAST));
        let granted = self.granted.range(first..).take_while(|(id, _)| *id == secret);
        let services = granted.filter_map(|(_, service)| self.services.get(service.object()));
        let mut names: Vec<_> = services.map(|service| service.spec.name.to_string()).collect();
        names.sort();
        names
    }

    fn create_service(
        &mut self,
        stamp: Stamp,
        id: ServiceId,
        spec: ServiceSpec,
    ) -> Result<Outcome, Refusal> {
        let service = Service { id, meta: stamp.meta(), spec };
        if self.services.by_name(&service.folded()).is_some() {
            let name = service.spec.name.to_string();
            return Err(Refusal::NameTaken { kind: ObjectKind::Service, name });
        }
        let missing = |grant: &&Grant| {
            let secret = self.secrets.get(grant.secret.object());
            secret.is_none_or(|secret| secret.name != grant.name)
        };
        let names: Vec<_> =
            service.spec.grants.iter().filter(missing).map(|g| g.name.to_string()).collect();
        if !names.is_empty() {
            return Err(Refusal::GrantedSecretsMissing { names });
        }
        for grant in &service.spec.grants {
            self.granted.insert((grant.secret, id));
        }
        self.services.insert(id.object(), Arc::new(service));
        self.workload_index = stamp.index;
        Ok(Outcome::Created(id.object()))
    }

    fn remove_service(&mut self, stamp: Stamp, id: ServiceId) -> Result<Outcome, Refusal> {
        let Some(service) = self.services.remove(id.object()) else {
            let reference = id.to_string();
            return Err(Refusal::NotFound { kind: ObjectKind::Service, reference });
        };
        for grant in &service.spec.grants {
            self.granted.remove(&(grant.secret, id));
        }
        self.workload_index = stamp.index;
        Ok(Outcome::Done)
    }

    /// Decisions that no longer fit (the service went, the slot is gone) are passed over: the scheduler
    /// decides again on the newer state.
    fn change_task(&mut self, stamp: Stamp, change: TaskChange) {
        match change {
            TaskChange::Create { id, service, slot, node } => {
                let wanted = self.services.get(service.object()).map(|s| s.spec.replicas);
                let fits = wanted.is_some_and(|replicas| (1..=replicas).contains(&slot));
                if !fits || !self.nodes.contains_key(&node) || self.tasks.get(id).is_some() {
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
    fn report_task(&mut self, stamp: Stamp, node: NodeId, report: TaskReport) {
        let current = self
            .tasks
            .get(report.task)
            .filter(|task| task.node == node && task.status.state < report.status.state);
        let Some(task) = current else { return };
        let mut status = TaskStatus { at: stamp.at, ..report.status };
        let cut = status.error.floor_char_boundary(TASK_ERROR_BYTES_MAX);
        status.error.truncate(cut);
        self.tasks.insert(Task { status, ..Task::clone(task) });
        self.workload_index = stamp.index;
    }
}

/// Reading.
impl State {
    /// The last entry that this state reflects.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The latest time that any entry brought.
    pub fn clock(&self) -> Timestamp {
        self.clock
    }

    /// The last entry that changed a node, a service or a task.
    pub fn workload_index(&self) -> u64 {
        self.workload_index
    }

    /// The cluster, once there is one.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.as_ref()
    }

    /// All nodes, ordered by ID.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(&id)
    }

    /// All secrets.
    pub fn secrets(&self) -> &Table<Secret> {
        &self.secrets
    }

    /// All services.
    pub fn services(&self) -> &Table<Service> {
        &self.services
    }

    /// All tasks.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The answers that are remembered.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }
}

/// The parts of a state, as a snapshot brings them back one by one.
#[derive(Default)]
pub struct Restoring(State);

impl Restoring {
    /// The state's bookkeeping.
    pub fn clock(&mut self, index: u64, workload_index: u64, clock: Timestamp) {
        self.0.index = index;
        self.0.workload_index = workload_index;
        self.0.clock = clock;
    }

    /// The cluster.
    pub fn cluster(&mut self, cluster: Cluster) {
        self.0.cluster = Some(Arc::new(cluster));
    }

    /// One node.
    pub fn node(&mut self, node: Node) {
        self.0.nodes.insert(node.id, Arc::new(node));
    }

    /// One secret.
    pub fn secret(&mut self, secret: Secret) {
        self.0.secrets.insert(secret.id.object(), Arc::new(secret));
    }

    /// One service.
    pub fn service(&mut self, service: Service) {
        for grant in &service.spec.grants {
            self.0.granted.insert((grant.secret, service.id));
        }
        self.0.services.insert(service.id.object(), Arc::new(service));
    }

    /// One task.
    pub fn task(&mut self, task: Task) {
        self.0.tasks.insert(task);
    }

    /// One remembered answer, the oldest first.
    pub fn request(&mut self, id: crate::request::RequestId, outcome: Outcome) {
        self.0.requests.remember(id, outcome);
    }

    /// The whole state.
    pub fn finish(self) -> State {
        self.0
    }
}

#[cfg(test)]
pub(crate) mod tests;
