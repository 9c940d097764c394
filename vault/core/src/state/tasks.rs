//! All tasks, with the ways to those of one service and of one node.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::Holder;
use crate::id::{NodeId, ObjectId, ServiceId, TaskId};
use crate::task::Task;

/// Tasks by ID, by service and by node.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    all: OrdMap<TaskId, Arc<Task>>,
    /// With their slots. Invariant: one entry for each task, here and in `by_node`.
    by_service: OrdSet<(ServiceId, u64, TaskId)>,
    by_node: OrdSet<(NodeId, TaskId)>,
    /// How many tasks of a service hold a version. Invariant: the sums over `all`, none of them 0.
    held: OrdMap<(ObjectId, u32, ServiceId), u64>,
}

impl Tasks {
    /// One task.
    pub fn get(&self, id: TaskId) -> Option<&Arc<Task>> {
        self.all.get(&id)
    }

    /// All tasks, ordered by ID.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.all.values()
    }

    /// The tasks of one service.
    pub fn of_service(&self, service: ServiceId) -> impl Iterator<Item = &Arc<Task>> {
        let first = (service, 0, TaskId::from(ObjectId::LEAST));
        let ids = self.by_service.range(first..).take_while(move |(id, ..)| *id == service);
        ids.filter_map(|(.., task)| self.all.get(task))
    }

    /// The tasks of one slot of a service.
    pub fn of_slot(&self, service: ServiceId, slot: u64) -> impl Iterator<Item = &Arc<Task>> {
        let first = (service, slot, TaskId::from(ObjectId::LEAST));
        let is_its = move |(of, at, _): &&(ServiceId, u64, TaskId)| (*of, *at) == (service, slot);
        let ids = self.by_service.range(first..).take_while(is_its);
        ids.filter_map(|(.., task)| self.all.get(task))
    }

    /// The tasks on one node.
    pub fn on_node(&self, node: NodeId) -> impl Iterator<Item = &Arc<Task>> {
        let first = (node, TaskId::from(ObjectId::LEAST));
        let ids = self.by_node.range(first..).take_while(move |(id, _)| *id == node);
        ids.filter_map(|(_, task)| self.all.get(task))
    }

    /// How many tasks.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Puts a task in, in place of the one with the same ID. Service, slot and node of a task never change.
    pub(super) fn insert(&mut self, task: Task) {
        self.by_service.insert((task.service, task.slot, task.id));
        self.by_node.insert((task.node, task.id));
        let task = Arc::new(task);
        let before = self.all.insert(task.id, Arc::clone(&task));
        if before.as_ref().map(|before| &before.held) == Some(&task.held) {
            return;
        }
        for key in task.held.iter().map(|held| (held.object, held.version, task.service)) {
            let count = self.held.entry(key).or_default();
            *count = count.saturating_add(1);
        }
        if let Some(before) = before {
            self.let_go(&before);
        }
    }

    /// Takes what a former task, or a former state of one, held out of the sums.
    fn let_go(&mut self, task: &Task) {
        for key in task.held.iter().map(|held| (held.object, held.version, task.service)) {
            match self.held.get(&key).map_or(0, |count| count.saturating_sub(1)) {
                0 => self.held.remove(&key),
                left => self.held.insert(key, left),
            };
        }
    }

    /// Who holds which version of an object, by version and then by service.
    pub(super) fn holders(&self, object: ObjectId) -> impl Iterator<Item = Holder> {
        let first = (object, 0, ServiceId::from(ObjectId::LEAST));
        let held = self.held.range(first..).take_while(move |((id, ..), _)| *id == object);
        held.map(|((_, version, service), tasks)| Holder {
            version: *version,
            service: *service,
            tasks: *tasks,
        })
    }

    pub(super) fn remove(&mut self, id: TaskId) {
        if let Some(task) = self.all.remove(&id) {
            self.let_go(&task);
            self.by_service.remove(&(task.service, task.slot, id));
            self.by_node.remove(&(task.node, id));
        }
    }
}
