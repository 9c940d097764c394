//! The state's rules as tables and runs of commands.

use super::*;
use crate::command::Refusal;
use crate::id::{ClusterId, ENTROPY_BYTES};
use crate::labels::Labels;
use crate::name::SecretName;
use crate::node::{Availability, Role};
use crate::request::RequestId;
use crate::seal::{Epoch, Sealed};
use crate::service::tests::{grant, spec};

pub(crate) fn entropy(n: u8) -> [u8; ENTROPY_BYTES] {
    [n; ENTROPY_BYTES]
}

fn sealed() -> Sealed {
    Sealed { epoch: Epoch(1), nonce: [0; 24], text: Arc::from([0_u8; 20].as_slice()) }
}

pub(crate) fn at(ns: u64, action: Action) -> Command {
    Command { at: Timestamp::from_nanos(ns), request: None, action }
}

fn create_secret(n: u8, name: &str) -> Action {
    Action::CreateSecret(CreateSecret {
        id: SecretId::from_entropy(entropy(n)),
        name: SecretName::parse(name).unwrap(),
        labels: Labels::default(),
        sealed: sealed(),
    })
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
    };
    let node = Node {
        id: NodeId::from_entropy(entropy(2)),
        meta,
        hostname: "host".into(),
        role: Role::Manager,
        availability: Availability::Active,
        addr: "127.0.0.1:2377".into(),
        engine_version: "0".into(),
    };
    Action::CreateCluster(Box::new(CreateCluster { cluster, node }))
}

pub(crate) fn cluster() -> State {
    let mut state = State::default();
    let outcome = state.apply(1, at(10, create_cluster()));
    assert!(matches!(outcome, Outcome::Created(_)));
    state
}

#[test]
fn nothing_is_done_before_there_is_a_cluster_and_no_second_one_is_made() {
    let mut state = State::default();
    let early = state.apply(1, at(1, create_secret(5, "a")));
    assert_eq!(early, Outcome::Refused(Refusal::NoCluster));
    let mut state = cluster();
    let again = state.apply(2, at(11, create_cluster()));
    assert_eq!(again, Outcome::Refused(Refusal::ClusterExists));
}

#[test]
fn a_secret_carries_the_index_and_time_of_its_entry() {
    let mut state = cluster();
    let id = SecretId::from_entropy(entropy(5));
    let outcome = state.apply(7, at(20, create_secret(5, "a")));
    assert_eq!(outcome, Outcome::Created(id.object()));
    let secret = state.secrets().get(id.object()).unwrap();
    let time = Timestamp::from_nanos(20);
    assert_eq!(secret.meta, Meta { version_index: 7, created_at: time, updated_at: time });
    assert_eq!(secret.current_version().unwrap().number, 1);
}

#[test]
fn names_are_taken_whatever_their_case() {
    let mut state = cluster();
    state.apply(2, at(20, create_secret(5, "Db")));
    let outcome = state.apply(3, at(21, create_secret(6, "dB")));
    let name = "dB".to_string();
    assert_eq!(outcome, Outcome::Refused(Refusal::NameTaken { kind: ObjectKind::Secret, name }));
    assert_eq!(state.secrets().len(), 1);
}

#[test]
fn time_never_runs_backwards() {
    let mut state = cluster();
    state.apply(2, at(100, create_secret(5, "a")));
    state.apply(3, at(50, create_secret(6, "b")));
    let later = state.secrets().find("b").unwrap();
    assert_eq!(later.meta.created_at, Timestamp::from_nanos(100));
}

#[test]
fn a_request_that_is_sent_again_acts_once() {
    let mut state = cluster();
    let request = Some(RequestId([3; 16]));
    let send = |n| Command { request, ..at(20, create_secret(n, "a")) };
    let first = state.apply(2, send(5));
    assert_eq!(state.apply(3, send(6)), first, "the second has another ID in it");
    assert_eq!(state.secrets().len(), 1);
}

#[test]
fn a_secret_that_a_service_names_is_not_removed() {
    let mut state = cluster();
    let secret = SecretId::from_entropy(entropy(5));
    state.apply(2, at(20, create_secret(5, "a")));
    let mut names = vec![];
    for (n, name) in [(7, "web"), (8, "api")] {
        let id = ServiceId::from_entropy(entropy(n));
        let spec = ServiceSpec { grants: vec![grant(secret, "a", "x")], ..spec(name) };
        state.apply(u64::from(n), at(21, Action::CreateService(id, Box::new(spec))));
        names.push(id);
    }
    let refused = state.apply(9, at(22, Action::RemoveSecret(secret)));
    let name = SecretName::parse("a").unwrap();
    let services = vec!["api".to_string(), "web".to_string()];
    assert_eq!(refused, Outcome::Refused(Refusal::SecretInUse { name, services }));
    for id in names {
        assert_eq!(state.apply(10, at(23, Action::RemoveService(id))), Outcome::Done);
    }
    assert_eq!(state.apply(11, at(24, Action::RemoveSecret(secret))), Outcome::Done);
    assert!(state.secrets().is_empty());
}

#[test]
fn a_grant_names_a_secret_by_id_and_by_its_own_name() {
    let mut state = cluster();
    let secret = SecretId::from_entropy(entropy(5));
    state.apply(2, at(20, create_secret(5, "a")));
    let other = SecretId::from_entropy(entropy(6));
    let id = ServiceId::from_entropy(entropy(7));
    for (grants, names) in [
        (vec![grant(other, "a", "x")], vec!["a"]),
        (vec![grant(secret, "b", "x"), grant(other, "c", "y")], vec!["b", "c"]),
    ] {
        let spec = ServiceSpec { grants, ..spec("web") };
        let outcome = state.apply(3, at(21, Action::CreateService(id, Box::new(spec))));
        let names = names.into_iter().map(ToString::to_string).collect();
        assert_eq!(outcome, Outcome::Refused(Refusal::GrantedSecretsMissing { names }));
    }
    assert!(state.services().is_empty());
}

#[test]
fn what_is_not_there_is_not_removed() {
    let mut state = cluster();
    let secret = SecretId::from_entropy(entropy(5));
    let service = ServiceId::from_entropy(entropy(6));
    for (action, kind, reference) in [
        (Action::RemoveSecret(secret), ObjectKind::Secret, secret.to_string()),
        (Action::RemoveService(service), ObjectKind::Service, service.to_string()),
    ] {
        let outcome = state.apply(2, at(20, action));
        assert_eq!(outcome, Outcome::Refused(Refusal::NotFound { kind, reference }));
    }
}

#[test]
fn a_copy_does_not_see_what_comes_after_it() {
    let mut state = cluster();
    let view = state.clone();
    state.apply(2, at(20, create_secret(5, "a")));
    assert_eq!((view.secrets().len(), state.secrets().len()), (0, 1));
}
