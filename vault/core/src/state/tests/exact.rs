//! The exact edges of the rules: bounds reached and passed by one, what is carried over, what is ignored.

use super::*;
use crate::command::{TaskChange, TaskReport};
use crate::id::TaskId;
use crate::limits::VERSION_LABELS_MAX;

fn task(n: u8) -> TaskId {
    TaskId::from_entropy(entropy(n))
}

fn node() -> NodeId {
    NodeId::from_entropy(entropy(2))
}

/// A cluster with a service of two replicas, whose first task is on the node.
fn with_task() -> State {
    let mut state = cluster();
    let service = ServiceSpec { replicas: 2, ..spec("web") };
    let id = ServiceId::from_entropy(entropy(9));
    state.run(2, at(20, Action::CreateService(id, Box::new(service))));
    state.run(3, at(30, Action::ChangeTasks(vec![create_task(1, 1, node())])));
    state
}

fn create_task(n: u8, slot: u64, node: NodeId) -> TaskChange {
    let service = ServiceId::from_entropy(entropy(9));
    TaskChange::Create { id: task(n), service, slot, node }
}

#[test]
fn a_secret_keeps_the_labels_and_the_limit_that_it_was_made_with() {
    let mut state = cluster();
    let labels = Labels::parse([("env".to_owned(), "test".to_owned())].into()).unwrap();
    let limit = VersionLimit::parse(7).unwrap();
    let made = NewObject { labels: labels.clone(), limit, ..new_secret(5, "a") };
    state.run(2, at(20, Action::Create(Class::Secret, vec![made])));
    let object = state.secrets().get(id(5)).unwrap();
    assert_eq!((&object.labels, object.limit), (&labels, limit));
}

#[test]
fn a_cluster_and_its_node_carry_the_index_and_time_of_their_entry() {
    let state = cluster();
    let stamped = Meta {
        version_index: 1,
        created_at: Timestamp::from_nanos(10),
        updated_at: Timestamp::from_nanos(10),
    };
    assert_eq!(state.cluster().unwrap().meta, stamped);
    assert_eq!(state.node(node()).unwrap().meta, stamped);
    assert_eq!(state.node(NodeId::from_entropy(entropy(3))), None);
}

#[test]
fn labels_of_versions_reach_their_bound_and_not_past_it() {
    let mut state = with_secret();
    // The first rotation adds `previous` to `current`; each one brings a label of its own.
    let least = u32::try_from(VERSION_LABELS_MAX).unwrap();
    let mut outcomes = Vec::new();
    for count in 0..least {
        let number = state.secrets().get(id(5)).unwrap().next;
        let label = Some(VersionLabel::parse(&format!("l{count}")).unwrap());
        let version = NewVersion { label, ..new_version(5, number) };
        outcomes.push(state.run(10 + u64::from(count), at(30, rotate(vec![version]))));
    }
    let done = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Rotated(_))).count();
    assert_eq!(done, VERSION_LABELS_MAX - 2);
    assert_eq!(tags(&state, 5).len(), VERSION_LABELS_MAX);
    let object = state.secrets().get(id(5)).unwrap();
    let labels: Vec<_> = object.labels_of(object.current()).map(VersionLabel::as_str).collect();
    assert_eq!(labels, ["current", &format!("l{}", done - 1)]);
}

#[test]
fn a_value_under_the_same_key_is_not_replaced() {
    let mut state = with_secret();
    let other = || Sealed { nonce: [7; 24], ..sealed() };
    let version = SealedAt::Version(Class::Secret, id(5), 1);
    for what in [version, SealedAt::Own(Kind::RootKey)] {
        state.run(9, at(40, Action::Reseal(vec![Resealed { what, sealed: other() }])));
    }
    let kept = &state.secrets().get(id(5)).unwrap().versions[0].sealed;
    assert_eq!(kept.nonce, [0; 24]);
    assert_eq!(state.cluster().unwrap().sealed(Kind::RootKey).unwrap().nonce, [0; 24]);
}

#[test]
fn tasks_are_made_once_on_nodes_that_are_there_in_slots_that_are_there() {
    let mut state = with_task();
    let stranger = NodeId::from_entropy(entropy(3));
    let unfit = [create_task(2, 0, node()), create_task(3, 3, node()), create_task(4, 1, stranger)];
    for change in unfit {
        state.run(4, at(40, Action::ChangeTasks(vec![change])));
        assert_eq!((state.tasks().len(), state.workload_index()), (1, 3));
    }
    // The same task once more, elsewhere: it stays as it was.
    state.run(5, at(50, Action::ChangeTasks(vec![create_task(1, 2, node())])));
    assert_eq!(state.tasks().get(task(1)).unwrap().slot, 1);
    assert_eq!((state.index(), state.workload_index()), (5, 3));
    assert!(!state.tasks().is_empty() && State::default().tasks().is_empty());
    let on = |node| state.tasks().on_node(node).map(|task| task.id).collect::<Vec<_>>();
    assert_eq!((on(node()), on(stranger)), (vec![task(1)], vec![]));
}

#[test]
fn what_is_desired_of_a_task_and_what_it_reports_only_grow() {
    let mut state = with_task();
    let workload = |state: &State| state.workload_index();
    let desire = |desired| Action::ChangeTasks(vec![TaskChange::Desire(task(1), desired)]);
    state.run(4, at(40, desire(TaskState::Running)));
    assert_eq!(workload(&state), 3, "as it was");
    state.run(5, at(50, desire(TaskState::Shutdown)));
    assert_eq!(state.tasks().get(task(1)).unwrap().desired, TaskState::Shutdown);
    state.run(6, at(60, desire(TaskState::Running)));
    assert_eq!(state.tasks().get(task(1)).unwrap().desired, TaskState::Shutdown);
    assert_eq!(workload(&state), 5);

    let report = |ns, state, error: &str| {
        // The time is the entry's, whatever the node says.
        let at = Timestamp::from_nanos(ns);
        let status = TaskStatus { state, at, error: error.to_owned(), exit_code: None };
        Action::ReportTasks(node(), vec![TaskReport { task: task(1), status, held: None, seen: 0 }])
    };
    state.run(7, at(70, report(1, TaskState::Running, "first")));
    state.run(8, at(80, report(2, TaskState::Running, "again")));
    let status = &state.tasks().get(task(1)).unwrap().status;
    assert_eq!((status.at, status.error.as_str()), (Timestamp::from_nanos(70), "first"));
    assert_eq!(workload(&state), 7);
    // What runs is not forgotten; what has ended is.
    let forget = || Action::ChangeTasks(vec![TaskChange::Forget(task(1))]);
    state.run(9, at(90, forget()));
    assert_eq!(state.tasks().len(), 1);
    state.run(10, at(100, report(3, TaskState::Failed, "ended")));
    state.run(11, at(110, forget()));
    assert!(state.tasks().is_empty() && state.tasks().on_node(node()).next().is_none());
}

#[test]
fn a_state_tells_which_entry_changed_what_last() {
    let mut state = with_secret();
    let before = state.workload_index();
    let version = new_version(5, 2);
    state.run(8, at(30, rotate(vec![version])));
    assert_eq!((state.index(), state.delivery_index()), (8, 8));
    state.run(9, at(40, create_secret(6, "b")));
    assert_eq!((state.index(), state.delivery_index()), (9, 8), "nobody reads a new secret yet");
    assert_eq!(state.workload_index(), before);
    assert_eq!(state.of_class(Class::Secret).len(), 2);
    assert_eq!(state.of_class(Class::Config).len(), state.configs().len());
}

/// The scheduler sees two nodes, which no command makes yet.
#[test]
fn a_task_goes_where_fewest_run_whatever_has_ended_there() {
    let (mut state, idle) = (with_task(), NodeId::from_entropy(entropy(3)));
    let other = Node { id: idle, ..Node::clone(state.node(node()).unwrap()) };
    state.nodes.insert(other);
    for (n, index) in [(2, 10), (3, 20), (4, 30)] {
        state.run(index, at(40, Action::ChangeTasks(vec![create_task(n, 2, idle)])));
        let failed = TaskState::Failed;
        let at_once = Timestamp::from_nanos(50);
        let status =
            TaskStatus { state: failed, at: at_once, error: String::new(), exit_code: None };
        let report = vec![TaskReport { task: task(n), status, held: None, seen: 0 }];
        state.run(index + 1, at(50, Action::ReportTasks(idle, report)));
    }
    let later = Timestamp::from_nanos(60_000_000_000);
    let plan = crate::schedule::plan(&state, later, &mut || task(9));
    let made = plan.changes.iter().find_map(|change| match change {
        TaskChange::Create { slot, node, .. } => Some((*slot, *node)),
        TaskChange::Desire(..) | TaskChange::Forget(_) => None,
    });
    assert_eq!(made, Some((2, idle)));
}

#[test]
fn a_state_put_together_from_its_parts_is_the_same() {
    let mut state = with_task();
    let asked = |ns, action| Command { request: Some(RequestId([1; 16])), ..at(ns, action) };
    state.run(4, asked(40, create_secret(5, "a")));
    state.run(5, at(50, Action::Create(Class::Config, vec![new_secret(6, "a")])));
    let service = ServiceSpec { grants: vec![grant(id(5), "a", "a")], ..spec("two") };
    let two = ServiceId::from_entropy(entropy(8));
    state.run(6, at(60, Action::CreateService(two, Box::new(service))));
    state.run(7, at(70, Action::UseEpoch(Epoch(2).into())));
    let mut parts = Restoring::default();
    parts.clock(state.index(), state.clock(), state.epoch());
    parts.cluster(Cluster::clone(state.cluster().unwrap()));
    state.nodes().for_each(|node| parts.node(Node::clone(node)));
    state.issued().kept().for_each(|record| parts.issued(record.as_ref().clone()));
    for class in [Class::Secret, Class::Config] {
        state.of_class(class).iter().for_each(|one| parts.versioned(class, one.as_ref().clone()));
    }
    state.services().iter().for_each(|service| parts.service(Service::clone(service)));
    state.tasks().iter().for_each(|task| parts.task(Task::clone(task)));
    state.requests().iter().for_each(|(id, outcome)| parts.request(id, outcome.clone()));
    let restored = parts.finish();
    // But for this: whoever waits for a change looks once at what came back.
    assert_eq!((restored.workload_index(), restored.delivery_index()), (7, 7));
    state.workload_index = 7;
    state.delivery_index = 7;
    assert_eq!(format!("{restored:?}"), format!("{state:?}"));
}

/// Or a service would be granted what it never named, and a value would be gone.
#[test]
fn an_id_that_is_taken_makes_no_second_object() {
    let mut state = with_task();
    state.run(4, at(40, create_secret(5, "a")));
    state.run(5, at(50, rotate(vec![new_version(5, 2)])));
    let taken = || Outcome::Refused(Refusal::OutOfSequence);
    assert_eq!(state.run(6, at(60, create_secret(5, "b"))), taken());
    let twice = vec![new_secret(7, "c"), new_secret(7, "d")];
    assert_eq!(state.run(7, at(70, Action::Create(Class::Secret, twice))), taken());
    let web = ServiceId::from_entropy(entropy(9));
    let other = Action::CreateService(web, Box::new(spec("other")));
    assert_eq!(state.run(8, at(80, other)), taken());
    assert_eq!((state.secrets().len(), numbers(&state, 5)), (1, vec![1, 2]));
    assert!(!state.secrets().is_empty() && state.configs().is_empty());
    assert_eq!(state.services().get(web.object()).unwrap().spec.name.as_str(), "web");
}

/// A leader that was frozen decides, too, once it wakes, and what it decided reaches the log.
#[test]
fn two_that_believe_to_lead_fill_a_slot_once() {
    let mut state = with_task();
    state.run(4, at(31, Action::ChangeTasks(vec![create_task(2, 1, node())])));
    assert!(state.tasks().get(task(2)).is_none(), "the slot has a task");
    state.run(5, at(32, Action::ChangeTasks(vec![create_task(3, 2, node())])));
    assert!(state.tasks().get(task(3)).is_some(), "the other one has none");
    let ended = TaskStatus {
        state: TaskState::Failed,
        at: Timestamp::default(),
        error: String::new(),
        exit_code: Some(1),
    };
    let report = TaskReport { task: task(1), status: ended, held: None, seen: 0 };
    state.run(6, at(33, Action::ReportTasks(node(), vec![report])));
    state.run(7, at(34, Action::ChangeTasks(vec![create_task(4, 1, node())])));
    assert!(state.tasks().get(task(4)).is_some(), "its task has ended");
}

#[test]
fn what_came_of_a_backup_is_an_event_and_whoever_makes_one_looks_again() {
    use crate::backups::{Asked, Schedule, Step};
    let schedule =
        Schedule { every_secs: 600, keep: 1, recipients: vec![], dir: "/backups".into() };
    let mut state = cluster();
    let asked = |ns: u64| Asked { node: node(), at: Timestamp::from_nanos(10 + ns) };
    for (index, step, event) in [
        (2, Step::Ask(node()), None),
        (3, Step::Set(Some(schedule)), Some("default")),
        (4, Step::Ask(node()), None),
        (5, Step::Report(asked(9), Ok((1, 1))), None),
        (6, Step::Report(asked(4), Ok((1, 1))), Some("backup made")),
        (7, Step::Ask(node()), None),
        (8, Step::Report(asked(7), Err("no room".into())), Some("backup failed")),
    ] {
        let applied = state.apply(index, at(10 + index, Action::Backup(step)));
        assert_eq!(applied.outcome, Outcome::Done, "{index}");
        let told: Vec<_> = applied.events.iter().map(|event| event.name.as_ref()).collect();
        assert_eq!(told, Vec::from_iter(event), "{index}");
        assert_eq!(state.workload_index(), index);
    }
    assert_eq!(state.cluster().unwrap().backups.failed.as_ref().unwrap().reason, "no room");
}
