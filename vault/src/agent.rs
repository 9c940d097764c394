//! The agent of this node: starts the tasks that were placed here, delivers what they were granted, says
//! how they do, and stops them.

mod delivery;
mod logs;
mod reports;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use vault_core::id::TaskId;
use vault_core::task::{Task, TaskState};

use crate::manager::Manager;
use crate::raft::View;

pub use delivery::{Delivery, DeliveryError};
pub use logs::{LogLine, Logs};
use reports::Reports;
use run::Order;

/// How this node runs tasks.
pub struct Setup {
    pub delivery: Arc<Delivery>,
    pub logs: Logs,
    /// The daemon is an ordinary user's, root only in a user namespace.
    pub is_rootless: bool,
    /// Directories that tasks must find empty.
    pub hide: Vec<PathBuf>,
}

/// The tasks that this process runs.
struct Agent {
    manager: Arc<Manager>,
    setup: Arc<Setup>,
    reports: Reports,
    /// What each running task is told to do.
    running: BTreeMap<TaskId, watch::Sender<Order>>,
    /// Every task that this process ever started and the state still has: those that it does not run are
    /// not lost, their end is on its way.
    started: BTreeSet<TaskId>,
    users: run::Users,
}

/// Runs the node's tasks until `stop` says so; then ends them all.
pub async fn serve(manager: Arc<Manager>, setup: Setup, mut stop: watch::Receiver<bool>) {
    let mut views = manager.consensus().views();
    let mut agent = Agent {
        reports: Reports::start(Arc::clone(&manager)),
        manager,
        setup: Arc::new(setup),
        running: BTreeMap::new(),
        started: BTreeSet::new(),
        users: run::Users::default(),
    };
    loop {
        let view = views.borrow_and_update().clone();
        agent.follow(&view);
        let seen = view.state.workload_index();
        // A view that is held while waiting would keep all that it shows in memory.
        drop(view);
        let changed = views.wait_for(|view| view.state.workload_index() != seen);
        tokio::select! {
            changed = changed => if changed.is_err() { break },
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    agent.end().await;
}

impl Agent {
    /// Does what the state says of this node's tasks.
    fn follow(&mut self, view: &View) {
        self.running.retain(|_, order| !order.is_closed());
        let tasks = view.state.tasks();
        self.started.retain(|id| tasks.get(*id).is_some());
        for task in tasks.on_node(self.manager.node_id()) {
            self.task(view, task);
        }
        for (id, order) in &self.running {
            if tasks.get(*id).is_none() {
                order.send_replace(Order::Stop);
            }
        }
        self.setup.logs.keep(|id| tasks.get(id).is_some());
    }

    fn task(&mut self, view: &View, task: &Arc<Task>) {
        if self.started.contains(&task.id) && !self.running.contains_key(&task.id) {
            return;
        }
        let should_run = task.desired == TaskState::Running;
        match (self.running.get(&task.id), task.status.state.has_ended()) {
            (Some(order), _) if !should_run => {
                order.send_replace(Order::Stop);
            }
            (Some(_), _) | (None, true) => {}
            (None, false) if !should_run => {
                self.reports.ended(task.id, TaskState::Shutdown, "", None);
            }
            (None, false) if task.status.state > TaskState::Assigned => {
                let lost = "the daemon that ran it ended";
                self.reports.ended(task.id, TaskState::Failed, lost, None);
            }
            (None, false) => self.start(view, task),
        }
    }

    fn start(&mut self, view: &View, task: &Arc<Task>) {
        let Some(service) = view.state.services().get(task.service.object()) else { return };
        let job = run::Job {
            task: Arc::clone(task),
            service: Arc::clone(service),
            manager: Arc::clone(&self.manager),
            setup: Arc::clone(&self.setup),
            reports: self.reports.clone(),
            user: self.users.lend(),
        };
        let (order, orders) = watch::channel(Order::Run);
        self.running.insert(task.id, order);
        self.started.insert(task.id);
        tokio::spawn(job.run(view.clone(), orders));
    }

    /// Stops all tasks and waits until nothing of them runs.
    async fn end(self) {
        for order in self.running.values() {
            order.send_replace(Order::Stop);
        }
        for order in self.running.values() {
            order.closed().await;
        }
        self.reports.flush().await;
    }
}
