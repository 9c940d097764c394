//! The scheduler over small states.

use super::*;
use crate::command::{Action, TaskReport};
use crate::id::ServiceId;
use crate::service::ServiceSpec;
use crate::service::tests::spec;
use crate::state::State;
use crate::task::TaskStatus;

const SECOND: u64 = 1_000_000_000;

/// A state with one node and the service "web", and what the scheduler does with it.
struct Bench {
    state: State,
    index: u64,
    next_id: u64,
}

fn task_id(number: u64) -> TaskId {
    let mut entropy = [0; 17];
    entropy[1..9].copy_from_slice(&number.to_le_bytes());
    TaskId::from_entropy(entropy)
}

impl Bench {
    fn with_replicas(replicas: u64) -> Self {
        let mut bench = Self { state: State::default(), index: 0, next_id: 100 };
        bench.apply(0, crate::state::tests::create_cluster());
        let service = ServiceSpec { replicas, ..spec("web") };
        bench.apply(0, Action::CreateService(Self::service(), Box::new(service)));
        bench
    }

    fn service() -> ServiceId {
        ServiceId::from_entropy([9; 17])
    }

    fn apply(&mut self, ns: u64, action: Action) {
        self.index += 1;
        self.state.apply(self.index, crate::state::tests::at(ns, action));
    }

    fn plan(&mut self, ns: u64) -> Plan {
        let next = &mut self.next_id;
        let mut fresh = || {
            *next += 1;
            task_id(*next)
        };
        plan(&self.state, Timestamp::from_nanos(ns), &mut fresh)
    }

    /// Plans and applies until nothing is left to change; returns the last plan.
    fn settle(&mut self, ns: u64) -> Plan {
        loop {
            let plan = self.plan(ns);
            if plan.changes.is_empty() {
                return plan;
            }
            self.apply(ns, Action::ChangeTasks(plan.changes));
        }
    }

    fn report(&mut self, ns: u64, task: TaskId, state: TaskState) {
        self.report_all(ns, &[task], state);
    }

    fn report_all(&mut self, ns: u64, tasks: &[TaskId], state: TaskState) {
        let node = self.state.nodes().next().unwrap().id;
        let at = Timestamp::from_nanos(ns);
        let status = TaskStatus { state, at, error: String::new(), exit_code: None };
        let report =
            |task: &TaskId| TaskReport { task: *task, status: status.clone(), held: None, seen: 0 };
        self.apply(ns, Action::ReportTasks(node, tasks.iter().map(report).collect()));
    }

    fn live(&self) -> Vec<TaskId> {
        let tasks = self.state.tasks().iter();
        tasks.filter(|t| t.desired == TaskState::Running).map(|t| t.id).collect()
    }
}

#[test]
fn every_slot_gets_one_task() {
    let mut bench = Bench::with_replicas(3);
    bench.settle(0);
    let mut slots: Vec<_> = bench.state.tasks().iter().map(|task| task.slot).collect();
    slots.sort_unstable();
    assert_eq!(slots, [1, 2, 3]);
}

#[test]
fn an_ended_task_is_replaced_after_the_delay_and_not_before() {
    let mut bench = Bench::with_replicas(1);
    bench.settle(0);
    let first = bench.live()[0];
    bench.report(SECOND, first, TaskState::Failed);
    let waiting = bench.settle(2 * SECOND);
    assert_eq!(waiting.wake_at, Some(Timestamp::from_nanos(6 * SECOND)));
    assert_eq!(bench.live(), []);
    bench.settle(6 * SECOND);
    assert_eq!(bench.live().len(), 1);
    assert_ne!(bench.live()[0], first);
}

#[test]
fn the_history_of_a_slot_is_bounded() {
    let mut bench = Bench::with_replicas(1);
    let mut now = 0;
    for _ in 0..10 {
        bench.settle(now);
        let task = bench.live()[0];
        bench.report(now, task, TaskState::Complete);
        now += 10 * SECOND;
    }
    bench.settle(now);
    assert_eq!(bench.state.tasks().len(), TASK_HISTORY);
}

#[test]
fn tasks_of_a_removed_service_are_stopped_and_then_forgotten() {
    let mut bench = Bench::with_replicas(2);
    bench.settle(0);
    let tasks = bench.live();
    bench.apply(1, Action::RemoveService(Bench::service()));
    bench.settle(1);
    assert!(bench.state.tasks().iter().all(|task| task.desired == TaskState::Remove));
    for task in tasks {
        bench.report(2, task, TaskState::Shutdown);
    }
    bench.settle(2);
    assert!(bench.state.tasks().is_empty());
}

#[test]
fn a_state_only_grows_and_only_by_the_tasks_own_node() {
    let mut bench = Bench::with_replicas(1);
    bench.settle(0);
    let task = bench.live()[0];
    bench.report(1, task, TaskState::Running);
    bench.report(2, task, TaskState::Starting);
    assert_eq!(bench.state.tasks().get(task).unwrap().status.state, TaskState::Running);
    let stranger = NodeId::from_entropy([77; 17]);
    let status = TaskStatus {
        state: TaskState::Failed,
        at: Timestamp::default(),
        error: String::new(),
        exit_code: None,
    };
    bench.apply(
        3,
        Action::ReportTasks(stranger, vec![TaskReport { task, status, held: None, seen: 0 }]),
    );
    assert_eq!(bench.state.tasks().get(task).unwrap().status.state, TaskState::Running);
}

#[test]
fn one_plan_is_bounded_and_the_next_goes_on() {
    let replicas = u64::try_from(TASK_CHANGES_MAX).unwrap() + 7;
    let mut bench = Bench::with_replicas(replicas);
    assert_eq!(bench.plan(0).changes.len(), TASK_CHANGES_MAX);
}

/// Their delays are over at one instant, too.
#[test]
fn case_54_thousands_of_tasks_that_failed_at_once_are_replaced_command_by_command() {
    let commands = 5;
    let mut bench = Bench::with_replicas(u64::try_from(commands * TASK_CHANGES_MAX).unwrap());
    bench.settle(0);
    let first = bench.live();
    assert_eq!(first.len(), commands * TASK_CHANGES_MAX);
    bench.report_all(SECOND, &first, TaskState::Failed);
    let waiting = bench.settle(2 * SECOND);
    assert_eq!((bench.live().len(), waiting.wake_at), (0, Some(Timestamp::from_nanos(6 * SECOND))));
    let mut sizes = Vec::new();
    loop {
        let plan = bench.plan(6 * SECOND);
        if plan.changes.is_empty() {
            break;
        }
        sizes.push(plan.changes.len());
        bench.apply(6 * SECOND, Action::ChangeTasks(plan.changes));
    }
    assert_eq!(sizes, [TASK_CHANGES_MAX; 5], "no command is larger, and none is in vain");
    assert_eq!(bench.live().len(), first.len());
}
