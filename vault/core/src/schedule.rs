//! Which tasks should run where: decisions over a state, to be proposed as one command.
//!
//! Spread over active nodes, restart after a delay, a bounded history for each slot.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::command::TaskChange;
use crate::id::{NodeId, TaskId};
use crate::limits::{RESTART_DELAY_NS, TASK_CHANGES_MAX, TASK_HISTORY};
use crate::node::{Availability, NodeStatus};
use crate::service::Service;
use crate::state::State;
use crate::task::{Task, TaskState};
use crate::time::Timestamp;

/// What to change now, and when to look again even if nothing happens.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub changes: Vec<TaskChange>,
    pub wake_at: Option<Timestamp>,
}

/// Decides. `fresh` gives an ID for each new task.
pub fn plan(state: &State, now: Timestamp, fresh: &mut dyn FnMut() -> TaskId) -> Plan {
    let mut planner = Planner { state, now, fresh, load: load(state), plan: Plan::default() };
    for service in state.services().iter() {
        planner.service(service);
    }
    planner.orphans();
    planner.plan
}

/// Tasks that run or are to run, by active node. Workers are given none yet.
fn load(state: &State) -> BTreeMap<NodeId, usize> {
    let active = state.managers().filter(|node| {
        node.availability == Availability::Active && node.status == NodeStatus::Ready
    });
    let running = |node| {
        let tasks = state.tasks().on_node(node);
        tasks.filter(|task| !task.status.state.has_ended()).count()
    };
    active.map(|node| (node.id, running(node.id))).collect()
}

struct Planner<'a> {
    state: &'a State,
    now: Timestamp,
    fresh: &'a mut dyn FnMut() -> TaskId,
    load: BTreeMap<NodeId, usize>,
    plan: Plan,
}

impl Planner<'_> {
    fn service(&mut self, service: &Service) {
        let mut slots: BTreeMap<u64, Vec<&Arc<Task>>> = BTreeMap::new();
        for task in self.state.tasks().of_service(service.id) {
            slots.entry(task.slot).or_default().push(task);
        }
        for slot in 1..=service.spec.replicas {
            let mut tasks = slots.remove(&slot).unwrap_or_default();
            tasks.sort_by_key(|task| (task.created_index, task.id));
            self.slot(service, slot, &tasks);
        }
        for task in slots.into_values().flatten() {
            self.discard(task);
        }
    }

    /// One slot that should run. `tasks` are ordered from the oldest to the newest.
    fn slot(&mut self, service: &Service, slot: u64, tasks: &[&Arc<Task>]) {
        let Some((newest, older)) = tasks.split_last() else {
            return self.create(service, slot);
        };
        let ended: Vec<_> = older.iter().filter(|task| task.status.state.has_ended()).collect();
        let surplus = ended.len().saturating_sub(TASK_HISTORY.saturating_sub(1));
        for task in ended.into_iter().take(surplus) {
            self.push(TaskChange::Forget(task.id));
        }
        if !newest.status.state.has_ended() {
            return;
        }
        self.desire(newest, TaskState::Shutdown);
        let due = newest.status.at.plus(RESTART_DELAY_NS);
        if due <= self.now {
            self.create(service, slot);
        } else {
            self.plan.wake_at = Some(self.plan.wake_at.map_or(due, |at| at.min(due)));
        }
    }

    /// Puts a new task on the node that runs the fewest; with no active node the slot waits.
    fn create(&mut self, service: &Service, slot: u64) {
        if self.is_full() {
            return;
        }
        let Some((node, tasks)) = self.load.iter_mut().min_by_key(|(id, tasks)| (**tasks, **id))
        else {
            return;
        };
        *tasks = tasks.saturating_add(1);
        let node = *node;
        let id = (self.fresh)();
        self.push(TaskChange::Create { id, service: service.id, slot, node });
    }

    /// Tasks whose service is gone.
    fn orphans(&mut self) {
        let state = self.state;
        for task in state.tasks().iter() {
            if state.services().get(task.service.object()).is_none() {
                self.discard(task);
            }
        }
    }

    /// Stops a task and, once nothing of it runs, forgets it.
    fn discard(&mut self, task: &Task) {
        if task.status.state.has_ended() {
            self.push(TaskChange::Forget(task.id));
        } else {
            self.desire(task, TaskState::Remove);
        }
    }

    fn desire(&mut self, task: &Task, desired: TaskState) {
        if task.desired < desired {
            self.push(TaskChange::Desire(task.id, desired));
        }
    }

    fn is_full(&self) -> bool {
        self.plan.changes.len() >= TASK_CHANGES_MAX
    }

    /// Past the bound, changes wait: the command that this plan becomes changes the state, and the
    /// scheduler looks again.
    fn push(&mut self, change: TaskChange) {
        if !self.is_full() {
            self.plan.changes.push(change);
        }
    }
}

#[cfg(test)]
mod tests;
