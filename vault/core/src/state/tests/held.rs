//! What tasks hold: who is shown, what is not destroyed, and when it is let go.

use super::*;
use crate::command::HolderName;
use crate::task::Held;

fn service(n: u8) -> ServiceId {
    ServiceId::from_entropy(entropy(n))
}

fn task(n: u8) -> TaskId {
    TaskId::from_entropy(entropy(n))
}

fn node() -> NodeId {
    NodeId::from_entropy(entropy(2))
}

fn held(n: u8, version: u32) -> Held {
    Held { object: id(n), version }
}

/// Of a node that had seen nothing new.
fn report(n: u8, state: TaskState, held: Option<Vec<Held>>) -> Action {
    report_at(0, n, state, held)
}

/// Of a node that had seen the changes up to an index.
fn report_at(seen: u64, n: u8, state: TaskState, held: Option<Vec<Held>>) -> Action {
    let at = Timestamp::default();
    let status = TaskStatus { state, at, error: String::new(), exit_code: None };
    Action::ReportTasks(node(), vec![TaskReport { task: task(n), status, held, seen }])
}

/// The secret 5 at version 1, and the services "web" with the tasks 30 and 31 and "api" with 32.
fn with_tasks() -> State {
    let mut state = with_secret();
    for (n, name, slots) in [(20, "web", &[30_u8, 31][..]), (21, "api", &[32])] {
        let grants = vec![grant(id(5), "a", "x")];
        let spec = ServiceSpec { grants, replicas: 2, ..spec(name) };
        state.run(3, at(30, Action::CreateService(service(n), Box::new(spec))));
        let create = |(slot, id): (u64, &u8)| {
            let (id, service, node) = (task(*id), service(n), node());
            TaskChange::Create { id, service, slot, node }
        };
        let changes = (1..).zip(slots).map(create).collect();
        state.run(4, at(30, Action::ChangeTasks(changes)));
    }
    state
}

/// Version, service and number of tasks.
fn holders(state: &State) -> Vec<(u32, String, u64)> {
    let holders = state.holders(id(5));
    let mut holders: Vec<_> =
        holders.map(|one| (one.version, state.holder_name(one.service), one.tasks)).collect();
    holders.sort();
    holders
}

fn held_by(version: u32, service: &str, tasks: u64) -> (u32, String, u64) {
    (version, service.to_owned(), tasks)
}

#[test]
fn a_task_holds_what_it_is_going_to_get_until_its_node_says_otherwise() {
    let mut state = with_tasks();
    assert_eq!(holders(&state), [held_by(1, "api", 1), held_by(1, "web", 2)]);
    state.run(5, at(30, rotate(vec![new_version(5, 2)])));
    assert_eq!(holders(&state), [held_by(1, "api", 1), held_by(1, "web", 2)]);
    state.run(6, at(30, report(30, TaskState::Running, Some(vec![held(5, 2)]))));
    state.run(7, at(30, report(32, TaskState::Running, None)));
    let now = [held_by(1, "api", 1), held_by(1, "web", 1), held_by(2, "web", 1)];
    assert_eq!(holders(&state), now, "a report that says nothing of it changes nothing");
    let seen = state.workload_index();
    state.run(8, at(30, report(32, TaskState::Running, Some(vec![held(5, 2)]))));
    assert_eq!(state.workload_index(), seen, "the scheduler is not woken");
    state.run(9, at(30, report(32, TaskState::Assigned, Some(vec![held(5, 1)]))));
    assert_eq!(holders(&state)[1..], [held_by(2, "api", 1), held_by(2, "web", 1)], "too late");
    state.run(10, at(30, report(31, TaskState::Rejected, Some(vec![held(5, 1)]))));
    assert_eq!(holders(&state), [held_by(2, "api", 1), held_by(2, "web", 1)], "it has ended");
    state.run(11, at(30, Action::ChangeTasks(vec![TaskChange::Forget(task(31))])));
    assert_eq!(holders(&state).len(), 2);
}

#[test]
fn a_version_that_tasks_hold_is_destroyed_only_by_force() {
    let mut state = with_tasks();
    state.run(5, at(30, rotate(vec![new_version(5, 2)])));
    let holder = |service: &str, tasks| HolderName { service: service.to_owned(), tasks };
    let held_by = |holders| {
        let (kind, name) = (ObjectKind::Secret, SecretName::parse("a").unwrap());
        Outcome::Refused(Refusal::VersionHeld { kind, name, number: 1, holders, others: 0 })
    };
    let all = held_by(vec![holder("api", 1), holder("web", 2)]);
    assert_eq!(state.run(6, at(30, destroy(1))), all);
    state.run(7, at(30, Action::RemoveService(service(21))));
    let nameless = held_by(vec![holder(&service(21).to_string(), 1), holder("web", 2)]);
    assert_eq!(state.run(8, at(30, destroy(1))), nameless, "its task still runs");
    let mut forced = state.clone();
    let one = DestroyVersion { id: id(5), number: 1, is_forced: true };
    let force = Action::DestroyVersion(Class::Secret, one);
    assert_eq!(forced.run(9, at(30, force)), Outcome::Done);
    assert_eq!(numbers(&forced, 5), [2]);
    for n in [30, 31, 32] {
        state.run(9, at(30, report(n, TaskState::Shutdown, None)));
    }
    assert_eq!(state.run(10, at(30, destroy(1))), Outcome::Done, "nobody holds it any more");
}

#[test]
fn what_tasks_read_is_not_destroyed_by_force_either() {
    let mut state = with_tasks();
    let one = DestroyVersion { id: id(5), number: 1, is_forced: true };
    let refused = state.run(5, at(30, Action::DestroyVersion(Class::Secret, one)));
    assert!(matches!(refused, Outcome::Refused(Refusal::VersionNeeded { .. })), "{refused:?}");
}

#[test]
fn the_limit_drops_no_version_that_tasks_hold() {
    let mut state = with_tasks();
    for number in 2..=9 {
        state.run(u64::from(number) + 5, at(30, rotate(vec![new_version(5, number)])));
    }
    assert_eq!(numbers(&state, 5), [1, 2, 3, 4, 5, 6, 7, 8, 9], "none of their nodes said a word");
    for n in [30, 31, 32] {
        state.run(15, at(30, report_at(14, n, TaskState::Running, Some(vec![held(5, 9)]))));
    }
    state.run(16, at(30, rotate(vec![new_version(5, 10)])));
    assert_eq!(numbers(&state, 5), [6, 7, 8, 9, 10], "let go, and dropped with the next");
}

#[test]
fn a_node_says_nothing_of_what_was_not_granted_or_of_other_nodes_tasks() {
    let mut state = with_tasks();
    state.run(5, at(30, create_secret(6, "b")));
    let claim = vec![held(6, 1), held(5, 1), held(5, 7), held(5, 8)];
    state.run(6, at(30, report(30, TaskState::Running, Some(claim))));
    assert_eq!(state.holders(id(6)).count(), 0);
    assert_eq!(state.tasks().get(task(30)).unwrap().held, [held(5, 1)], "as many as grants");
    let status = TaskStatus {
        state: TaskState::Running,
        at: Timestamp::default(),
        error: String::new(),
        exit_code: None,
    };
    let other = TaskReport { task: task(31), status, held: Some(vec![]), seen: 9 };
    let stranger = NodeId::from_entropy(entropy(77));
    state.run(7, at(30, Action::ReportTasks(stranger, vec![other])));
    assert_eq!(state.tasks().get(task(31)).unwrap().held, [held(5, 1)]);
}

/// Who may hold the version 2 of the secret, as a refusal to destroy it says.
fn holders_of_2(state: &State) -> Vec<(String, u64)> {
    match state.clone().run(90, at(90, destroy(2))) {
        Outcome::Refused(Refusal::VersionHeld { holders, number: 2, .. }) => {
            holders.into_iter().map(|holder| (holder.service, holder.tasks)).collect()
        }
        Outcome::Done => Vec::new(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_version_that_was_on_its_way_is_held_until_nodes_have_seen_what_came_after() {
    let mut state = with_tasks();
    state.run(5, at(30, rotate(vec![new_version(5, 2)])));
    state.run(6, at(30, rotate(vec![new_version(5, 3)])));
    // The record knows of the version 1 alone, but any of them may have the version 2 by now.
    assert_eq!(holders(&state), [held_by(1, "api", 1), held_by(1, "web", 2)]);
    let (api, web) = (|tasks| ("api".to_owned(), tasks), |tasks| ("web".to_owned(), tasks));
    assert_eq!(holders_of_2(&state), [api(1), web(2)]);
    // A report from before says nothing of what came after it.
    state.run(7, at(30, report_at(4, 30, TaskState::Running, Some(vec![held(5, 1)]))));
    state.run(8, at(30, report_at(5, 31, TaskState::Running, Some(vec![held(5, 2)]))));
    assert_eq!(holders_of_2(&state), [api(1), web(2)]);
    state.run(9, at(30, report_at(6, 30, TaskState::Running, Some(vec![held(5, 3)]))));
    assert_eq!(holders_of_2(&state), [api(1), web(1)]);
    // One that came late takes nothing back.
    state.run(10, at(30, report_at(5, 30, TaskState::Running, Some(vec![held(5, 3)]))));
    assert_eq!(holders_of_2(&state), [api(1), web(1)]);
    // Files that stay as they are: the node has seen the change, and shows what it showed before.
    state.run(11, at(30, report_at(6, 31, TaskState::Running, Some(vec![held(5, 1)]))));
    assert_eq!(holders_of_2(&state), [api(1)]);
    state.run(12, at(30, report(32, TaskState::Shutdown, None)));
    assert_eq!(holders_of_2(&state), [], "it has ended");
}

#[test]
fn a_rollback_leaves_the_version_between_with_those_who_have_not_seen_it() {
    let mut state = with_tasks();
    state.run(5, at(30, rotate(vec![new_version(5, 2)])));
    state.run(6, at(30, Action::Rollback(Class::Secret, vec![id(5)])));
    assert_eq!(holders_of_2(&state).len(), 2);
    for n in [30, 31, 32] {
        state.run(7, at(30, report_at(6, n, TaskState::Running, Some(vec![held(5, 1)]))));
    }
    assert_eq!(holders_of_2(&state), []);
}

#[test]
fn the_limit_drops_no_version_that_may_be_on_its_way() {
    let mut state = with_tasks();
    let limit = Some(VersionLimit::parse(1).unwrap());
    let update = UpdateObject { id: id(5), expected: None, labels: None, limit };
    state.run(5, at(30, Action::Update(Class::Secret, update)));
    for number in 2..=4 {
        state.run(u64::from(number) + 4, at(30, rotate(vec![new_version(5, number)])));
    }
    assert_eq!(numbers(&state, 5), [1, 2, 3, 4]);
    for n in [30, 31, 32] {
        state.run(9, at(30, report_at(7, n, TaskState::Running, Some(vec![held(5, 3)]))));
    }
    state.run(10, at(30, rotate(vec![new_version(5, 5)])));
    assert_eq!(numbers(&state, 5), [3, 4, 5], "what they had let go of went");
}

#[test]
fn a_node_that_says_nothing_keeps_no_more_versions_than_may_be_kept() {
    let mut state = with_tasks();
    for number in 2..=150 {
        state.run(u64::from(number) + 4, at(30, rotate(vec![new_version(5, number)])));
    }
    let kept = numbers(&state, 5);
    assert_eq!((kept.len(), kept[0], kept[1]), (100, 1, 52), "what is recorded stays");
}

#[test]
fn only_a_label_that_a_service_follows_keeps_a_version_for_it() {
    let mut state = with_secret();
    let blue = VersionLabel::parse("blue").unwrap();
    let label = |number| NewVersion { label: Some(blue.clone()), ..new_version(5, number) };
    state.run(3, at(30, rotate(vec![label(2)])));
    let by = |version| Grant { version, ..grant(id(5), "a", "x") };
    let grants = [(20, by(VersionRef::Label(blue.clone()))), (21, by(VersionRef::Number(1)))];
    for (n, grant) in grants {
        let name = ["blue", "pinned"][usize::from(n - 20)];
        let spec = ServiceSpec { grants: vec![grant], ..spec(name) };
        state.run(4, at(30, Action::CreateService(service(n), Box::new(spec))));
        let (id, service, node) = (task(n), service(n), node());
        let create = TaskChange::Create { id, service, slot: 1, node };
        state.run(5, at(30, Action::ChangeTasks(vec![create])));
    }
    // The version 3 is current and without the label: then the label moves on to 4.
    state.run(6, at(30, rotate(vec![new_version(5, 3)])));
    state.run(7, at(30, rotate(vec![label(4)])));
    state.run(8, at(30, rotate(vec![new_version(5, 5)])));
    assert_eq!(state.clone().run(9, at(30, destroy(3))), Outcome::Done, "nobody followed it there");
    assert_eq!(holders_of_2(&state), [("blue".to_owned(), 1)]);
    // Of a service that is gone it is not known which label its tasks follow.
    state.run(9, at(30, Action::RemoveService(service(20))));
    let refused = state.clone().run(10, at(30, destroy(3)));
    assert!(matches!(refused, Outcome::Refused(Refusal::VersionHeld { .. })), "{refused:?}");
    state.run(11, at(30, report_at(11, 20, TaskState::Running, Some(vec![held(5, 5)]))));
    assert_eq!(holders_of_2(&state).len(), 1, "nor is it believed what they hold");
    state.run(12, at(30, report(20, TaskState::Shutdown, None)));
    assert_eq!(state.run(13, at(30, destroy(3))), Outcome::Done);
}
