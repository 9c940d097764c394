//! The state's rules as tables and runs of commands.

mod exact;

use super::*;
use crate::command::Refusal;
use crate::command::{
    DestroyVersion, NewObject, NewVersion, RaiseLevel, Resealed, SealedAt, UpdateObject,
};
use crate::feature::Level;
use crate::id::{ClusterId, ENTROPY_BYTES, TaskId};
use crate::labels::Labels;
use crate::name::SecretName;
use crate::node::{Availability, KeyPin, Machine, NodeStatus, Role};
use crate::request::RequestId;
use crate::seal::{Epoch, Kind, Sealed};
use crate::service::tests::{grant, spec};
use crate::versioned::{VersionLabel, VersionLimit};

mod held;
mod nodes;
mod tokens;

pub(crate) fn entropy(n: u8) -> [u8; ENTROPY_BYTES] {
    [n; ENTROPY_BYTES]
}

fn sealed() -> Sealed {
    Sealed { epoch: Epoch(1), nonce: [0; 24], text: Arc::from([0_u8; 20].as_slice()) }
}

pub(crate) fn at(ns: u64, action: Action) -> Command {
    Command { at: Timestamp::from_nanos(ns), request: None, actor: None, action }
}

fn id(n: u8) -> ObjectId {
    ObjectId::from_entropy(entropy(n))
}

fn new_secret(n: u8, name: &str) -> NewObject {
    NewObject {
        id: id(n),
        name: SecretName::parse(name).unwrap(),
        labels: Labels::default(),
        limit: VersionLimit::default(),
        sealed: sealed(),
    }
}

fn create_secret(n: u8, name: &str) -> Action {
    Action::Create(Class::Secret, vec![new_secret(n, name)])
}

pub(crate) fn create_cluster() -> Action {
    let meta = Meta {
        version_index: 0,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    };
    let cluster = Cluster {
        id: ClusterId::from_entropy(entropy(1)),
        meta,
        root_certificate: "pem".into(),
        root_key: sealed(),
        worker_token: sealed(),
        manager_token: sealed(),
        level: Level::FIRST,
        level_version: String::new(),
        unlock_key: None,
        lock_version: 0,
        backups: crate::backups::Backups::default(),
        roots: crate::root::Roots::default(),
    };
    let node = Node {
        id: NodeId::from_entropy(entropy(2)),
        meta,
        hostname: "host".into(),
        role: Role::Manager,
        availability: Availability::Active,
        addr: "127.0.0.1:2377".into(),
        engine_version: "0".into(),
        level: Level::FIRST,
        labels: Labels::default(),
        status: NodeStatus::Ready,
        raft_id: Some(1),
        pins: vec![KeyPin([1; 32])],
        certificate: "pem".into(),
        certificate_end_secs: 2_000_000_000,
        token: None,
        machine: Machine::default(),
        engine: None,
        trust: crate::root::NodeTrust::default(),
    };
    Action::CreateCluster(Box::new(CreateCluster { cluster, node }))
}

impl State {
    /// Applies, and keeps the outcome alone.
    pub(crate) fn run(&mut self, index: u64, command: Command) -> Outcome {
        self.apply(index, command).outcome
    }
}

pub(crate) fn cluster() -> State {
    let mut state = State::default();
    let outcome = state.run(1, at(10, create_cluster()));
    assert!(matches!(outcome, Outcome::Created(_)));
    state
}

#[test]
fn nothing_is_done_before_there_is_a_cluster_and_no_second_one_is_made() {
    let mut state = State::default();
    let early = state.run(1, at(1, create_secret(5, "a")));
    assert_eq!(early, Outcome::Refused(Refusal::NoCluster));
    let mut state = cluster();
    let again = state.run(2, at(11, create_cluster()));
    assert_eq!(again, Outcome::Refused(Refusal::ClusterExists));
}

#[test]
fn a_secret_carries_the_index_and_time_of_its_entry() {
    let mut state = cluster();
    let id = id(5);
    let outcome = state.run(7, at(20, create_secret(5, "a")));
    assert_eq!(outcome, Outcome::Created(vec![id]));
    let secret = state.secrets().get(id).unwrap();
    let time = Timestamp::from_nanos(20);
    assert_eq!(secret.meta, Meta { version_index: 7, created_at: time, updated_at: time });
    assert_eq!(secret.current(), 1);
}

#[test]
fn case_2_names_are_taken_whatever_their_case() {
    let mut state = cluster();
    state.run(2, at(20, create_secret(5, "Db")));
    let outcome = state.run(3, at(21, create_secret(6, "dB")));
    let name = "dB".to_string();
    assert_eq!(outcome, Outcome::Refused(Refusal::NameTaken { kind: ObjectKind::Secret, name }));
    assert_eq!(state.secrets().len(), 1);
}

#[test]
fn time_never_runs_backwards() {
    let mut state = cluster();
    state.run(2, at(100, create_secret(5, "a")));
    state.run(3, at(50, create_secret(6, "b")));
    let later = state.secrets().find("b").unwrap();
    assert_eq!(later.meta.created_at, Timestamp::from_nanos(100));
}

#[test]
fn a_request_that_is_sent_again_acts_once() {
    let mut state = cluster();
    let request = Some(RequestId([3; 16]));
    let send = |n| Command { request, ..at(20, create_secret(n, "a")) };
    let first = state.run(2, send(5));
    assert_eq!(state.run(3, send(6)), first, "the second has another ID in it");
    assert_eq!(state.secrets().len(), 1);
}

/// Or a request that went astray for a while would act after its sender had given up.
#[test]
fn a_request_that_was_refused_stays_refused() {
    let mut state = with_secret();
    let again = Command { request: Some(RequestId([3; 16])), ..at(20, create_secret(6, "a")) };
    let refused = state.run(3, again.clone());
    assert!(matches!(refused, Outcome::Refused(Refusal::NameTaken { .. })), "{refused:?}");
    state.run(4, at(20, Action::Remove(Class::Secret, id(5))));
    assert_eq!(state.run(5, again), refused, "the name is free by now");
}

#[test]
fn a_secret_that_a_service_names_is_not_removed() {
    let mut state = cluster();
    let secret = id(5);
    state.run(2, at(20, create_secret(5, "a")));
    let mut names = vec![];
    for (n, name) in [(7, "web"), (8, "api")] {
        let id = ServiceId::from_entropy(entropy(n));
        let spec = ServiceSpec { grants: vec![grant(secret, "a", "x")], ..spec(name) };
        state.run(u64::from(n), at(21, Action::CreateService(id, Box::new(spec))));
        names.push(id);
    }
    let refused = state.run(9, at(22, Action::Remove(Class::Secret, secret)));
    let name = SecretName::parse("a").unwrap();
    let services = vec!["api".to_string(), "web".to_string()];
    assert_eq!(
        refused,
        Outcome::Refused(Refusal::InUse { kind: ObjectKind::Secret, name, services })
    );
    for id in names {
        assert_eq!(state.run(10, at(23, Action::RemoveService(id))), Outcome::Done);
    }
    assert_eq!(state.run(11, at(24, Action::Remove(Class::Secret, secret))), Outcome::Done);
    assert!(state.secrets().is_empty());
}

#[test]
fn case_5_a_grant_names_a_secret_by_id_and_by_its_own_name() {
    let mut state = cluster();
    let secret = id(5);
    state.run(2, at(20, create_secret(5, "a")));
    let other = id(6);
    let id = ServiceId::from_entropy(entropy(7));
    for (grants, names) in [
        (vec![grant(other, "a", "x")], vec!["a"]),
        (vec![grant(secret, "b", "x"), grant(other, "c", "y")], vec!["b", "c"]),
    ] {
        let spec = ServiceSpec { grants, ..spec("web") };
        let outcome = state.run(3, at(21, Action::CreateService(id, Box::new(spec))));
        let names = names.into_iter().map(ToString::to_string).collect();
        assert_eq!(outcome, Outcome::Refused(Refusal::GrantedSecretsMissing { names }));
    }
    assert!(state.services().is_empty());
}

#[test]
fn what_is_not_there_is_not_removed() {
    let mut state = cluster();
    let secret = id(5);
    let service = ServiceId::from_entropy(entropy(6));
    for (action, kind, reference) in [
        (Action::Remove(Class::Secret, secret), ObjectKind::Secret, secret.to_string()),
        (Action::RemoveService(service), ObjectKind::Service, service.to_string()),
    ] {
        let outcome = state.run(2, at(20, action));
        assert_eq!(outcome, Outcome::Refused(Refusal::NotFound { kind, reference }));
    }
}

#[test]
fn a_copy_does_not_see_what_comes_after_it() {
    let mut state = cluster();
    let view = state.clone();
    state.run(2, at(20, create_secret(5, "a")));
    assert_eq!((view.secrets().len(), state.secrets().len()), (0, 1));
}

fn new_version(n: u8, number: u32) -> NewVersion {
    let sealed = sealed();
    NewVersion { id: id(n), number, sealed, activate: true, label: None, expected: None }
}

fn rotate(versions: Vec<NewVersion>) -> Action {
    Action::Rotate(Class::Secret, versions)
}

fn rotated(versions: &[(u8, u32)]) -> Outcome {
    Outcome::Rotated(versions.iter().map(|(n, number)| (id(*n), *number)).collect())
}

fn numbers(state: &State, n: u8) -> Vec<u32> {
    state.secrets().get(id(n)).unwrap().versions.iter().map(|version| version.number).collect()
}

fn destroy(number: u32) -> Action {
    let one = DestroyVersion { id: id(5), number, is_forced: false };
    Action::DestroyVersion(Class::Secret, one)
}

fn tags(state: &State, n: u8) -> Vec<(String, u32)> {
    let secret = state.secrets().get(id(n)).unwrap();
    secret.tags.iter().map(|(label, number)| (label.to_string(), number)).collect()
}

fn with_secret() -> State {
    let mut state = cluster();
    state.run(2, at(20, create_secret(5, "a")));
    state
}

#[test]
fn a_rotation_makes_the_next_version_current_and_a_rollback_moves_the_labels_back() {
    let mut state = with_secret();
    assert_eq!(state.run(3, at(30, rotate(vec![new_version(5, 2)]))), rotated(&[(5, 2)]));
    let rotated = [("current".to_owned(), 2), ("previous".to_owned(), 1)];
    assert_eq!(tags(&state, 5), rotated);
    let back = Action::Rollback(Class::Secret, vec![id(5)]);
    assert_eq!(state.run(4, at(40, back.clone())), Outcome::Done);
    assert_eq!(tags(&state, 5), [("current".to_owned(), 1), ("previous".to_owned(), 2)]);
    state.run(5, at(50, back));
    assert_eq!(tags(&state, 5), rotated, "going back twice is where it began");
    assert_eq!(numbers(&state, 5), [1, 2]);
}

#[test]
fn a_pending_version_is_read_only_once_it_is_activated() {
    let mut state = with_secret();
    let waiting = NewVersion { activate: false, ..new_version(5, 2) };
    state.run(3, at(30, rotate(vec![waiting])));
    assert_eq!(tags(&state, 5), [("current".to_owned(), 1), ("pending".to_owned(), 2)]);
    let pending = VersionRef::Label(VersionLabel::pending());
    state.run(4, at(40, Action::Activate(Class::Secret, vec![(id(5), pending.clone())])));
    assert_eq!(tags(&state, 5), [("current".to_owned(), 2), ("previous".to_owned(), 1)]);
    let again =
        state.run(5, at(50, Action::Activate(Class::Secret, vec![(id(5), pending.clone())])));
    let (kind, name) = (ObjectKind::Secret, SecretName::parse("a").unwrap());
    assert_eq!(again, Outcome::Refused(Refusal::NoVersion { kind, name, version: pending }));
}

#[test]
fn a_number_that_was_sealed_for_another_version_is_taken_and_a_caller_may_ask_to_be_told() {
    let mut state = with_secret();
    let seen = NewVersion { expected: Some(1), ..new_version(5, 2) };
    for (wrong, refusal) in [
        (new_version(5, 1), Refusal::NumberTaken),
        (new_version(5, 3), Refusal::NumberTaken),
        (seen, Refusal::OutOfSequence),
    ] {
        let outcome = state.run(3, at(30, rotate(vec![wrong])));
        assert_eq!(outcome, Outcome::Refused(refusal));
    }
    let seen = NewVersion { expected: Some(2), ..new_version(5, 2) };
    assert_eq!(state.run(4, at(30, rotate(vec![seen]))), rotated(&[(5, 2)]));
}

#[test]
fn a_rotation_that_is_sent_again_is_told_its_own_number() {
    let mut state = with_secret();
    let send = |request, number| Command {
        request: Some(RequestId([request; 16])),
        ..at(30, rotate(vec![new_version(5, number)]))
    };
    assert_eq!(state.run(3, send(1, 2)), rotated(&[(5, 2)]));
    // Sealed for a number that is taken: that is no answer, and it is sealed again.
    assert_eq!(state.run(4, send(2, 2)), Outcome::Refused(Refusal::NumberTaken));
    assert_eq!(state.run(5, send(2, 3)), rotated(&[(5, 3)]));
    assert_eq!(state.run(6, send(1, 4)), rotated(&[(5, 2)]), "sent again");
    assert_eq!(numbers(&state, 5), [1, 2, 3]);
}

#[test]
fn case_9_several_secrets_change_together_or_not_at_all() {
    let mut state = with_secret();
    state.run(3, at(20, create_secret(6, "b")));
    let half = rotate(vec![new_version(5, 2), new_version(6, 9)]);
    assert_eq!(state.run(4, at(30, half)), Outcome::Refused(Refusal::NumberTaken));
    assert_eq!((numbers(&state, 5), numbers(&state, 6)), (vec![1], vec![1]));
    let both = rotate(vec![new_version(5, 2), new_version(6, 2)]);
    let applied = state.apply(5, at(30, both));
    assert_eq!(applied.outcome, rotated(&[(5, 2), (6, 2)]));
    assert!(applied.events.iter().all(|event| event.index == 5));
    assert_eq!(applied.events.len(), 2);
    let twice = rotate(vec![new_version(5, 3), new_version(5, 3)]);
    let refused = state.run(6, at(30, twice));
    assert!(matches!(refused, Outcome::Refused(Refusal::NamedTwice { .. })), "{refused:?}");
}

#[test]
fn case_9_a_batch_with_one_taken_name_makes_nothing() {
    let mut state = with_secret();
    for names in [["x", "A"], ["x", "X"]] {
        let [first, second] = names;
        let batch = vec![new_secret(7, first), new_secret(8, second)];
        let refused = state.run(3, at(30, Action::Create(Class::Secret, batch)));
        assert!(matches!(refused, Outcome::Refused(Refusal::NameTaken { .. })), "{names:?}");
        assert_eq!(state.secrets().len(), 1, "{names:?}");
    }
}

#[test]
fn versions_past_the_limit_are_dropped_but_none_that_is_labelled_or_pinned() {
    let mut state = with_secret();
    let pin = Grant { version: VersionRef::Number(2), ..grant(id(5), "a", "x") };
    state.run(3, at(30, rotate(vec![new_version(5, 2)])));
    let service = ServiceSpec { grants: vec![pin], ..spec("web") };
    let service_id = ServiceId::from_entropy(entropy(9));
    state.run(4, at(30, Action::CreateService(service_id, Box::new(service))));
    let blue = VersionLabel::parse("blue").unwrap();
    let labelled = NewVersion { label: Some(blue), ..new_version(5, 3) };
    state.run(5, at(30, rotate(vec![labelled])));
    for number in 4..=10 {
        state.run(u64::from(number) + 5, at(30, rotate(vec![new_version(5, number)])));
    }
    assert_eq!(numbers(&state, 5), [2, 3, 8, 9, 10]);
}

#[test]
fn a_version_that_a_service_follows_by_its_label_is_not_destroyed() {
    let mut state = with_secret();
    let blue = VersionLabel::parse("blue").unwrap();
    let labelled = NewVersion { label: Some(blue.clone()), activate: false, ..new_version(5, 2) };
    state.run(3, at(30, rotate(vec![labelled])));
    let follows = Grant { version: VersionRef::Label(blue), ..grant(id(5), "a", "x") };
    let service = ServiceSpec { grants: vec![follows], ..spec("web") };
    let service_id = ServiceId::from_entropy(entropy(9));
    state.run(4, at(30, Action::CreateService(service_id, Box::new(service))));
    let destroy = destroy(2);
    let refused = state.run(5, at(30, destroy.clone()));
    assert!(matches!(refused, Outcome::Refused(Refusal::VersionNeeded { number: 2, .. })));
    state.run(6, at(30, Action::RemoveService(service_id)));
    assert_eq!(state.run(7, at(30, destroy)), Outcome::Done);
}

#[test]
fn a_version_that_is_needed_is_not_destroyed() {
    let mut state = with_secret();
    state.run(3, at(30, rotate(vec![new_version(5, 2)])));
    let current = state.run(4, at(30, destroy(2)));
    assert!(matches!(current, Outcome::Refused(Refusal::VersionNeeded { number: 2, .. })));
    let missing = state.run(4, at(30, destroy(9)));
    assert!(matches!(missing, Outcome::Refused(Refusal::NoVersion { .. })));
    assert_eq!(state.run(5, at(30, destroy(1))), Outcome::Done);
    assert_eq!(tags(&state, 5), [("current".to_owned(), 2)]);
    let back = state.run(6, at(30, Action::Rollback(Class::Secret, vec![id(5)])));
    assert!(matches!(back, Outcome::Refused(Refusal::NoPrevious { .. })));
    state.run(7, at(30, rotate(vec![new_version(5, 3)])));
    assert_eq!(numbers(&state, 5), [2, 3], "a number is never used twice");
}

#[test]
fn configs_and_secrets_have_names_of_their_own() {
    let mut state = with_secret();
    let outcome = state.run(3, at(30, Action::Create(Class::Config, vec![new_secret(6, "a")])));
    assert_eq!(outcome, Outcome::Created(vec![id(6)]));
    assert_eq!((state.secrets().len(), state.configs().len()), (1, 1));
}

#[test]
fn labels_change_only_for_who_has_seen_the_last_change() {
    let mut state = with_secret();
    let labels = Labels::parse([("k".to_owned(), "v".to_owned())].into()).unwrap();
    let update = |expected| {
        let labels = Some(labels.clone());
        Action::Update(Class::Secret, UpdateObject { id: id(5), expected, labels, limit: None })
    };
    let stale = state.run(3, at(30, update(Some(1))));
    assert_eq!(stale, Outcome::Refused(Refusal::OutOfSequence));
    assert_eq!(state.run(4, at(30, update(Some(2)))), Outcome::Done);
    assert_eq!(state.secrets().get(id(5)).unwrap().labels, labels);
}

#[test]
fn case_33_a_value_is_sealed_anew_once_and_never_under_an_older_key() {
    let mut state = with_secret();
    assert_eq!(state.sealed_before(Epoch(2)), 4, "one value and three of the cluster's own");
    let under = |epoch| Sealed { epoch: Epoch(epoch), ..sealed() };
    let reseal = |what, epoch| Action::Reseal(vec![Resealed { what, sealed: under(epoch) }]);
    let version = SealedAt::Version(Class::Secret, id(5), 1);
    state.run(3, at(30, reseal(version, 2)));
    for kind in Kind::OWN {
        state.run(4, at(30, reseal(SealedAt::Own(kind), 2)));
    }
    assert_eq!(state.sealed_before(Epoch(2)), 0);
    state.run(5, at(30, reseal(version, 1)));
    assert_eq!(state.sealed_before(Epoch(2)), 0, "an older key never comes back");
    state.run(6, at(30, reseal(SealedAt::Version(Class::Secret, id(99), 1), 2)));
}

#[test]
fn memory_is_counted_up_and_down() {
    let mut state = with_secret();
    let one = state.memory_bytes();
    state.run(3, at(30, rotate(vec![new_version(5, 2)])));
    assert!(state.memory_bytes() > one);
    state.run(4, at(30, Action::Remove(Class::Secret, id(5))));
    assert_eq!((state.memory_bytes(), state.sealed_before(Epoch(9))), (0, 3));
}

#[test]
fn case_33_nothing_new_comes_under_a_key_that_is_going_to_be_destroyed() {
    let mut state = with_secret();
    state.run(3, at(30, Action::UseEpoch(Epoch(2).into())));
    let request = Some(RequestId([4; 16]));
    let send = |action| Command { request, ..at(30, action) };
    let late = state.run(4, send(create_secret(6, "b")));
    assert_eq!(late, Outcome::Refused(Refusal::OldKey));
    assert_eq!(state.run(5, at(30, rotate(vec![new_version(5, 2)]))), late);
    let sealed = Sealed { epoch: Epoch(2), ..sealed() };
    let again = NewObject { sealed, ..new_secret(6, "b") };
    let made = state.run(6, send(Action::Create(Class::Secret, vec![again])));
    assert_eq!(made, Outcome::Created(vec![id(6)]), "the same request, sealed anew");
}

#[test]
fn the_feature_level_only_rises_and_says_which_version_raised_it() {
    let mut state = cluster();
    assert_eq!(state.level(), Level::FIRST);
    let raise = |level, version: &str| {
        Action::RaiseLevel(RaiseLevel { level: Level(level), version: version.into() })
    };
    for (index, level, version, expected) in [
        (2, 3, "0.3.0", (3, "0.3.0")),
        (3, 2, "0.2.0", (3, "0.3.0")),
        (4, 3, "0.3.1", (3, "0.3.0")),
    ] {
        let applied = state.apply(index, at(30, raise(level, version)));
        assert_eq!(applied.outcome, Outcome::Done, "{level}");
        assert_eq!(applied.events.len(), usize::from(index == 2), "{level}");
        let cluster = state.cluster().unwrap();
        assert_eq!((cluster.level.0, cluster.level_version.as_str()), expected, "{level}");
    }
    assert_eq!(state.cluster().unwrap().meta.version_index, 2);
}
