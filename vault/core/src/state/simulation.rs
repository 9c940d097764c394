//! Random runs of commands over a few objects, with what must hold after each of them.

use proptest::prelude::*;

use super::tests::{at, cluster, entropy};
use super::*;
use crate::command::{DestroyVersion, NewObject, NewVersion, Resealed, SealedAt, UpdateObject};
use crate::id::TaskId;
use crate::labels::Labels;
use crate::name::{Folded, SecretName};
use crate::seal::Sealed;
use crate::service::tests::{grant, spec};
use crate::task::Held;
use crate::versioned::{VersionLabel, VersionLimit};

/// A command in small numbers: objects and services of a handful, names of which some are equal.
#[derive(Clone, Debug)]
enum Step {
    Create(u8, u8),
    Remove(u8),
    Rotate(Vec<u8>, u8, bool),
    Activate(u8, u8),
    Rollback(u8),
    Destroy(u8, u8, bool),
    /// A task of a service.
    Run(u8),
    /// It holds a secret's oldest or newest version.
    Hold(u8, u8, bool),
    End(u8),
    Limit(u8, u8),
    Reseal(u8, u8),
    CreateService(u8, u8, Option<u8>),
    RemoveService(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let object = 0..6_u8;
    prop_oneof![
        (object.clone(), 0..8_u8).prop_map(|(n, name)| Step::Create(n, name)),
        object.clone().prop_map(Step::Remove),
        (prop::collection::vec(object.clone(), 1..3), 0..3_u8, any::<bool>())
            .prop_map(|(ids, off, activate)| Step::Rotate(ids, off, activate)),
        (object.clone(), 1..9_u8).prop_map(|(n, version)| Step::Activate(n, version)),
        object.clone().prop_map(Step::Rollback),
        (object.clone(), 1..9_u8, any::<bool>())
            .prop_map(|(n, version, forced)| Step::Destroy(n, version, forced)),
        (0..4_u8).prop_map(Step::Run),
        (0..4_u8, object.clone(), any::<bool>())
            .prop_map(|(n, secret, newest)| Step::Hold(n, secret, newest)),
        (0..4_u8).prop_map(Step::End),
        (object.clone(), 1..4_u8).prop_map(|(n, limit)| Step::Limit(n, limit)),
        (object.clone(), 2..5_u8).prop_map(|(n, epoch)| Step::Reseal(n, epoch)),
        (0..4_u8, object, prop::option::of(1..5_u8))
            .prop_map(|(n, secret, pin)| Step::CreateService(n, secret, pin)),
        (0..4_u8).prop_map(Step::RemoveService),
    ]
}

fn id(n: u8) -> ObjectId {
    ObjectId::from_entropy(entropy(n))
}

fn sealed(n: u8, epoch: u8) -> Sealed {
    let text = Arc::from(vec![n; 16 + usize::from(n)]);
    Sealed { epoch: Epoch(epoch.into()), nonce: [n; 24], text }
}

fn name(n: u8) -> SecretName {
    // Two of the names differ by their case alone.
    SecretName::parse(["a", "A", "b", "c", "d", "e", "f", "g"][usize::from(n) % 8]).unwrap()
}

fn task(n: u8) -> TaskId {
    TaskId::from_entropy(entropy(150 + n))
}

fn report(n: u8, state: TaskState, held: Option<Vec<Held>>, seen: u64) -> Action {
    let at = Timestamp::default();
    let status = TaskStatus { state, at, error: String::new(), exit_code: None };
    let report = TaskReport { task: task(n), status, held, seen };
    Action::ReportTasks(NodeId::from_entropy(entropy(2)), vec![report])
}

fn action(state: &State, step: &Step) -> Action {
    let class = Class::Secret;
    let next = |n: u8| state.secrets().get(id(n)).map_or(1, |secret| secret.next);
    match step {
        Step::Create(n, called) => {
            let (labels, limit) = (Labels::default(), VersionLimit::parse(2).unwrap());
            let secret =
                NewObject { id: id(*n), name: name(*called), labels, limit, sealed: sealed(*n, 1) };
            Action::Create(class, vec![secret])
        }
        Step::Remove(n) => Action::Remove(class, id(*n)),
        Step::Rotate(ids, off, activate) => {
            let version = |n: &u8| NewVersion {
                id: id(*n),
                // Sometimes sealed for a number that is not the next.
                number: next(*n).saturating_add(u32::from(*off / 2)),
                sealed: sealed(*n, 1),
                activate: *activate,
                label: None,
                expected: None,
            };
            Action::Rotate(class, ids.iter().map(version).collect())
        }
        Step::Activate(n, version) => {
            Action::Activate(class, vec![(id(*n), VersionRef::Number((*version).into()))])
        }
        Step::Rollback(n) => Action::Rollback(class, vec![id(*n)]),
        Step::Destroy(n, version, is_forced) => {
            let (id, number, is_forced) = (id(*n), (*version).into(), *is_forced);
            Action::DestroyVersion(class, DestroyVersion { id, number, is_forced })
        }
        Step::Run(n) => {
            let (id, service) = (task(*n), ServiceId::from_entropy(entropy(100 + n)));
            let (slot, node) = (1, NodeId::from_entropy(entropy(2)));
            Action::ChangeTasks(vec![TaskChange::Create { id, service, slot, node }])
        }
        Step::Hold(n, secret, newest) => {
            let versions = state.secrets().get(id(*secret)).map_or(&[][..], |one| &one.versions);
            let mut numbers = versions.iter().map(|version| version.number);
            let version = if *newest { numbers.next_back() } else { numbers.next() };
            let held = version.map(|version| Held { object: id(*secret), version });
            report(*n, TaskState::Running, Some(held.into_iter().collect()), state.index())
        }
        Step::End(n) => report(*n, TaskState::Failed, None, 0),
        Step::Limit(n, limit) => {
            let limit = VersionLimit::parse((*limit).into()).ok();
            Action::Update(class, UpdateObject { id: id(*n), expected: None, labels: None, limit })
        }
        Step::Reseal(n, epoch) => {
            let current = state.secrets().get(id(*n)).map_or(1, |secret| secret.current());
            let what = SealedAt::Version(class, id(*n), current);
            Action::Reseal(vec![Resealed { what, sealed: sealed(*n, *epoch) }])
        }
        Step::CreateService(n, secret, pin) => {
            let called =
                state.secrets().get(id(*secret)).map_or_else(|| name(0), |s| s.name.clone());
            let version = pin.map_or(VersionRef::Label(VersionLabel::current()), |number| {
                VersionRef::Number(number.into())
            });
            let grants = vec![Grant { version, ..grant(id(*secret), called.as_str(), "x") }];
            let spec = ServiceSpec { grants, ..spec(&format!("service-{n}")) };
            Action::CreateService(ServiceId::from_entropy(entropy(100 + n)), Box::new(spec))
        }
        Step::RemoveService(n) => Action::RemoveService(ServiceId::from_entropy(entropy(100 + n))),
    }
}

fn invariant_every_secret_has_a_current_version(state: &State) {
    for secret in state.secrets().iter() {
        assert!(secret.current_version().is_some(), "{secret:?}");
        for (_, number) in secret.tags.iter() {
            assert!(secret.version(number).is_some(), "{secret:?}");
        }
    }
}

fn invariant_version_numbers_rise_and_are_below_the_next(state: &State) {
    for secret in state.secrets().iter() {
        let numbers: Vec<_> = secret.versions.iter().map(|version| version.number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert!(numbers.iter().all(|number| *number < secret.next), "{secret:?}");
    }
}

fn invariant_every_grant_names_a_secret_and_a_version(state: &State) {
    for service in state.services().iter() {
        for grant in &service.spec.grants {
            let secret =
                state.secrets().get(grant.secret).expect("a granted secret is not removed");
            assert!(secret.resolve(&grant.version).is_some(), "{grant:?} in {secret:?}");
        }
    }
}

fn invariant_names_are_found_whatever_their_case(state: &State) {
    for secret in state.secrets().iter() {
        let upper = Folded::of(&secret.name.as_str().to_uppercase());
        assert_eq!(state.secrets().by_name(&upper).map(|found| found.id), Some(secret.id));
    }
}

fn invariant_sums_are_what_they_sum(state: &State) {
    let memory: u64 = state.secrets().iter().map(|secret| secret.memory_bytes()).sum();
    assert_eq!(state.memory_bytes(), memory);
    let versions = state.secrets().iter().flat_map(|secret| &secret.versions);
    let old = versions.filter(|version| version.sealed.epoch < Epoch(3)).count();
    // The cluster's own three are under the first epoch throughout.
    assert_eq!(state.sealed_before(Epoch(3)), u64::try_from(old).unwrap() + 3);
}

fn invariant_holders_are_the_tasks_that_hold(state: &State) {
    for secret in state.secrets().iter() {
        let holders: Vec<_> = state.holders(secret.id).collect();
        for Holder { version, service, tasks } in &holders {
            let held = Held { object: secret.id, version: *version };
            let found = state.tasks().of_service(*service).filter(|task| task.held.contains(&held));
            assert_eq!(u64::try_from(found.count()).unwrap(), *tasks, "{held:?}");
        }
        let held = state.tasks().iter().flat_map(|task| &task.held);
        let held = held.filter(|held| held.object == secret.id).count();
        assert_eq!(holders.iter().map(|one| one.tasks).sum::<u64>(), u64::try_from(held).unwrap());
    }
    for task in state.tasks().iter().filter(|task| task.status.state.has_ended()) {
        assert!(task.held.is_empty(), "{task:?}");
    }
}

/// Versions that are there and that some task holds.
fn held_versions(state: &State) -> Vec<Held> {
    let held = state.tasks().iter().flat_map(|task| task.held.iter().copied());
    let is_there = |held: &Held| {
        state.secrets().get(held.object).is_some_and(|one| one.version(held.version).is_some())
    };
    held.filter(is_there).collect()
}

/// The state that a snapshot of this one would bring back.
fn restored(state: &State) -> State {
    let mut restoring = Restoring::default();
    restoring.clock(state.index(), state.clock(), state.epoch());
    state.cluster().into_iter().for_each(|cluster| restoring.cluster(Cluster::clone(cluster)));
    state.nodes().for_each(|node| restoring.node(Node::clone(node)));
    state.issued().kept().for_each(|record| restoring.issued(record.as_ref().clone()));
    state
        .secrets()
        .iter()
        .for_each(|one| restoring.versioned(Class::Secret, Versioned::clone(one)));
    state.services().iter().for_each(|service| restoring.service(Service::clone(service)));
    state.tasks().iter().for_each(|task| restoring.task(Task::clone(task)));
    restoring.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn case_9_whatever_is_asked_for_the_state_stays_whole(
        steps in prop::collection::vec(step(), 1..40),
        snapshot_after in 0..40_usize,
    ) {
        let mut state = cluster();
        // A second manager, and a third that starts from a snapshot on the way.
        let (mut second, mut third) = (state.clone(), None);
        for (index, step) in (2_u64..).zip(&steps) {
            let command = at(index, action(&state, step));
            let before = state.secrets().iter().map(|s| (s.id, s.next)).collect::<Vec<_>>();
            let held = held_versions(&state);
            let applied = state.apply(index, command.clone());
            prop_assert_eq!(&applied, &second.apply(index, command.clone()));
            if let Some(third) = &mut third {
                let third: &mut State = third;
                prop_assert_eq!(&applied, &third.apply(index, command.clone()));
            }
            if matches!(applied.outcome, Outcome::Refused(_)) {
                prop_assert!(applied.events.is_empty(), "a refusal does nothing: {:?}", applied);
            }
            for (id, next) in before {
                let now = state.secrets().get(id).map_or(next, |secret| secret.next);
                prop_assert!(now >= next || matches!(step, Step::Create(..)), "versions only grow");
            }
            for held in held {
                let secret = state.secrets().get(held.object);
                let is_there = secret.is_none_or(|one| one.version(held.version).is_some());
                let is_forced = matches!(step, Step::Destroy(_, _, true));
                prop_assert!(is_there || is_forced, "{:?} went by {:?}", held, step);
            }
            invariant_holders_are_the_tasks_that_hold(&state);
            invariant_every_secret_has_a_current_version(&state);
            invariant_version_numbers_rise_and_are_below_the_next(&state);
            invariant_every_grant_names_a_secret_and_a_version(&state);
            invariant_names_are_found_whatever_their_case(&state);
            invariant_sums_are_what_they_sum(&state);
            if usize::try_from(index).unwrap() == snapshot_after {
                third = Some(restored(&state));
            }
        }
        prop_assert_eq!(format!("{state:?}"), format!("{second:?}"));
    }
}
