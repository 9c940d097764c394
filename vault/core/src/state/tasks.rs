//! All tasks, with the ways to those of one service and of one node.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::id::{NodeId, ObjectId, ServiceId, TaskId};
use crate::task::Task;

/// Tasks by ID, by service and by node.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    all: OrdMap<TaskId, Arc<Task>>,
    /// Invariant: one entry for each task, here and in `by_node`.
    by_service: OrdSet<(ServiceId, TaskId)>,
    by_node: OrdSet<(NodeId, TaskId)>,
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
        let first = (service, TaskId::from(ObjectId::LEAST));
        let ids = self.by_service.range(first..).take_while(move |(id, _)| *id == service);
        ids.filter_map(|(_, task)| self.all.get(task))
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

    /// Puts a task in, in place of the one with the same ID. Service and node of a task never change.
    pub(super) fn insert(&mut self, task: Task) {
        self.by_service.insert((task.service, task.id));
        self.by_node.insert((task.node, task.id));
        self.all.insert(task.id, Arc::new(task));
    }

    pub(super) fn remove(&mut self, id: TaskId) {
        if let Some(task) = self.all.remove(&id) {
            self.by_service.remove(&(task.service, id));
            self.by_node.remove(&(task.node, id));
        }
    }
}
