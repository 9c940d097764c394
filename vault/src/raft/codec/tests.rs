//! Every command and object: reads as it was written, and is written as it always was.

use std::collections::BTreeMap;

use vault_core::cluster::Cluster;
use vault_core::command::{
    Action, Command, CreateCluster, CreateSecret, ObjectKind, Outcome, Refusal, TaskChange,
    TaskReport,
};
use vault_core::id::{ClusterId, NodeId, SecretId, ServiceId, TaskId};
use vault_core::labels::Labels;
use vault_core::name::{SecretName, ServiceName, Target};
use vault_core::node::{Availability, Node, Role};
use vault_core::request::RequestId;
use vault_core::seal::{Epoch, Sealed};
use vault_core::secret::Meta;
use vault_core::service::{Grant, ServiceSpec};
use vault_core::state::{Restoring, State};
use vault_core::task::{TaskState, TaskStatus};
use vault_core::time::Timestamp;

use super::*;
use crate::testing::assert_golden;

fn sealed(n: u8) -> Sealed {
    Sealed { epoch: Epoch(1), nonce: [n; 24], text: Arc::from([n; 20].as_slice()) }
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

fn labels() -> Labels {
    Labels::parse(BTreeMap::from([("env".into(), "prod".into()), ("a".into(), String::new())]))
        .unwrap()
}

fn create_cluster() -> CreateCluster {
    let meta = Meta {
        version_index: 0,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    };
    CreateCluster {
        cluster: Cluster {
            id: ClusterId::from_entropy([1; 17]),
            meta,
            root_certificate: "-----BEGIN CERTIFICATE-----\n".into(),
            root_key: sealed(1),
            worker_token: sealed(2),
            manager_token: sealed(3),
        },
        node: Node {
            id: NodeId::from_entropy([2; 17]),
            meta,
            hostname: "host".into(),
            role: Role::Manager,
            availability: Availability::Active,
            addr: "192.0.2.1:2377".into(),
            engine_version: "0.1.0".into(),
        },
    }
}

fn spec() -> ServiceSpec {
    ServiceSpec {
        name: ServiceName::parse("web").unwrap(),
        labels: labels(),
        command: vec!["sh".into(), "-c".into(), "true".into()],
        env: vec!["A=b".into()],
        grants: vec![Grant {
            secret: SecretId::from_entropy([4; 17]),
            name: name("db"),
            target: Target::parse("password").unwrap(),
            uid: 1,
            gid: 2,
            mode: 0o440,
        }],
        replicas: 3,
    }
}

fn status() -> TaskStatus {
    TaskStatus {
        state: TaskState::Failed,
        at: Timestamp::from_nanos(9),
        error: "task: non-zero exit (3)".into(),
        exit_code: Some(3),
    }
}

/// One of each, with the names of their golden bytes.
fn actions() -> Vec<(&'static str, Action)> {
    let (service, task) = (ServiceId::from_entropy([5; 17]), TaskId::from_entropy([6; 17]));
    let node = NodeId::from_entropy([2; 17]);
    let secret = CreateSecret {
        id: SecretId::from_entropy([4; 17]),
        name: name("db"),
        labels: labels(),
        sealed: sealed(7),
    };
    let changes = vec![
        TaskChange::Create { id: task, service, slot: 1, node },
        TaskChange::Desire(task, TaskState::Remove),
        TaskChange::Forget(task),
    ];
    vec![
        ("create-cluster", Action::CreateCluster(Box::new(create_cluster()))),
        ("create-secret", Action::CreateSecret(secret)),
        ("remove-secret", Action::RemoveSecret(SecretId::from_entropy([4; 17]))),
        ("create-service", Action::CreateService(service, Box::new(spec()))),
        ("remove-service", Action::RemoveService(service)),
        ("change-tasks", Action::ChangeTasks(changes)),
        ("report-tasks", Action::ReportTasks(node, vec![TaskReport { task, status: status() }])),
    ]
}

fn payload(action: Action) -> Payload {
    let at = Timestamp::from_nanos(1_800_000_000_000_000_001);
    let command = Command { at, request: Some(RequestId([8; 16])), action };
    Payload::Normal(Proposal(Arc::new(command)))
}

#[test]
fn every_payload_reads_as_it_was_written_and_is_written_as_it_always_was() {
    let member = Member { node_id: "n".into(), addr: "192.0.2.1:2377".into() };
    let members = BTreeMap::from([(1, member)]);
    let membership = Membership::new(vec![BTreeSet::from([1])], members).unwrap();
    let commands = actions().into_iter().map(|(name, action)| (name, payload(action)));
    let own = [("blank", Payload::Blank), ("membership", Payload::Membership(membership))];
    for (name, payload) in commands.chain(own) {
        let bytes = encode_payload(&payload);
        assert_eq!(decode_payload(&bytes).unwrap(), payload, "{name}");
        assert_golden(&format!("entry-{name}"), &bytes);
    }
}

#[test]
fn an_action_of_a_newer_version_stops_rather_than_being_skipped() {
    // A command with an action of number 99, and an entry of an unknown kind.
    let unknown_action = [0x12, 5, 0x08, 1, 0x9a, 0x06, 0];
    for bytes in [unknown_action.as_slice(), &[], &[0x7a, 0]] {
        assert!(matches!(decode_payload(bytes), Err(CodecError::UnknownAction)), "{bytes:?}");
    }
}

#[test]
fn bytes_out_of_range_are_refused_and_never_a_panic() {
    for (name, action) in actions() {
        let bytes = encode_payload(&payload(action));
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut altered = bytes.clone();
                altered[at] ^= flip;
                // Most flips change a text or a number into another lawful one; the seal around the
                // log is what refuses them. Here it must only never panic.
                drop(decode_payload(&altered));
            }
            drop(decode_payload(&bytes[..at]));
        }
        assert!(!bytes.is_empty(), "{name}");
    }
}

/// A state with one object of each kind.
fn state() -> State {
    let mut state = State::default();
    for (index, (_, action)) in (1..).zip(actions()) {
        let removal = matches!(action, Action::RemoveSecret(_) | Action::RemoveService(_));
        if !removal {
            let request = Some(RequestId([u8::try_from(index).unwrap(); 16]));
            state.apply(index, Command { at: Timestamp::from_nanos(index), request, action });
        }
    }
    state
}

#[test]
fn a_state_comes_back_from_its_records() {
    let state = state();
    let mut restoring = Restoring::default();
    let start = stored::SnapshotStart {
        clock: state.clock().nanos(),
        index: state.index(),
        workload_index: state.workload_index(),
        ..stored::SnapshotStart::default()
    };
    let records: Vec<_> = records_of(&state).collect();
    let all = [stored::snapshot_record::Record::Start(start)].into_iter().chain(records);
    let mut bytes = Vec::new();
    for record in all {
        let record = stored::SnapshotRecord { record: Some(record) }.encode_to_vec();
        restore(record_of(&record).unwrap(), &mut restoring).unwrap();
        bytes.extend(record);
    }
    let restored = restoring.finish();
    assert_eq!(format!("{restored:?}"), format!("{state:?}"));
    assert_golden("snapshot-records", &bytes);
}

#[test]
fn every_outcome_reads_as_it_was_written() {
    let refusals = [
        Refusal::ClusterExists,
        Refusal::NoCluster,
        Refusal::NameTaken { kind: ObjectKind::Secret, name: "n".into() },
        Refusal::NotFound { kind: ObjectKind::Service, reference: "r".into() },
        Refusal::Ambiguous { kind: ObjectKind::Secret, reference: "r".into(), matches: 2 },
        Refusal::SecretInUse { name: name("n"), services: vec!["a".into(), "b".into()] },
        Refusal::GrantedSecretsMissing { names: vec!["n".into()] },
    ];
    let made = Outcome::Created(SecretId::from_entropy([4; 17]).object());
    let outcomes = refusals.into_iter().map(Outcome::Refused).chain([Outcome::Done, made]);
    for outcome in outcomes {
        let stored = outcome::outcome_to(&outcome);
        assert_eq!(outcome::outcome_from(Some(stored)).unwrap(), outcome);
    }
}
