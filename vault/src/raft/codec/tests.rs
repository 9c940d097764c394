//! Every command and object: reads as it was written, and is written as it always was.

use std::collections::BTreeMap;

use pki::rotation::Generation;
use vault_core::backups::{Asked, Backups, Failed, Made, Schedule, Step};
use vault_core::cluster::Cluster;
use vault_core::command::{
    Action, Actor, Command, CreateCluster, DestroyVersion, HolderName, Issued, NewObject,
    NewVersion, NodeUpdate, ObjectKind, Outcome, RaiseLevel, Refusal, Resealed, SealedAt,
    TaskChange, TaskReport, UpdateObject, UseEpoch,
};
use vault_core::duty::Duties;
use vault_core::feature::Level;
use vault_core::id::{ClusterId, NodeId, ObjectId, ServiceId, TaskId, TokenId};
use vault_core::labels::Labels;
use vault_core::name::{SecretName, ServiceName, Target};
use vault_core::node::{Availability, KeyPin, Machine, Node, NodeStatus, Role};
use vault_core::request::RequestId;
use vault_core::root::{NodeTrust, Roots};
use vault_core::seal::{Epoch, Kind, Sealed};
use vault_core::service::{Grant, ServiceSpec};
use vault_core::state::{Restoring, State};
use vault_core::task::{Held, Task, TaskState, TaskStatus};
use vault_core::time::Timestamp;
use vault_core::token::{NewToken, Standing, TokenDigest};
use vault_core::versioned::{Class, Meta, VersionLabel, VersionLimit, VersionRef};

use super::*;
use crate::testing::assert_golden;

mod cluster;
mod root;
mod workers;

pub(in crate::raft) fn sealed(n: u8) -> Sealed {
    Sealed { epoch: Epoch(1), nonce: [n; 24], text: Arc::from([n; 20].as_slice()) }
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

fn labels() -> Labels {
    Labels::parse(BTreeMap::from([("env".into(), "prod".into()), ("a".into(), String::new())]))
        .unwrap()
}

pub(in crate::raft) fn create_cluster() -> CreateCluster {
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
            level: Level::FIRST,
            level_version: String::new(),
            unlock_key: None,
            lock_version: 0,
            backups: Backups::default(),
            roots: Roots::default(),
        },
        node: Node {
            id: NodeId::from_entropy([2; 17]),
            meta,
            hostname: "host".into(),
            role: Role::Manager,
            availability: Availability::Active,
            addr: "192.0.2.1:2377".into(),
            engine_version: "0.1.0".into(),
            level: Level::FIRST,
            labels: Labels::default(),
            status: NodeStatus::Unknown,
            raft_id: None,
            pins: Vec::new(),
            certificate: String::new(),
            certificate_end_secs: 0,
            token: None,
            machine: Machine::default(),
            engine: None,
            trust: NodeTrust::default(),
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
            secret: ObjectId::from_entropy([4; 17]),
            version: VersionRef::Label(VersionLabel::current()),
            name: name("db"),
            target: Target::parse("password").unwrap(),
            uid: Some(1),
            gid: None,
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
    let secret = NewObject {
        id: ObjectId::from_entropy([4; 17]),
        name: name("db"),
        labels: labels(),
        limit: VersionLimit::parse(7).unwrap(),
        sealed: sealed(7),
    };
    let id = secret.id;
    let version = NewVersion {
        id,
        number: 2,
        sealed: sealed(8),
        activate: true,
        label: Some(VersionLabel::parse("blue").unwrap()),
        expected: Some(2),
    };
    let update = UpdateObject {
        id,
        expected: None,
        labels: Some(labels()),
        limit: Some(VersionLimit::parse(3).unwrap()),
    };
    let resealed = vec![
        Resealed { what: SealedAt::Version(Class::Secret, id, 1), sealed: sealed(9) },
        Resealed { what: SealedAt::Own(Kind::RootKey), sealed: sealed(10) },
    ];
    let report = TaskReport { task, status: status(), held: None, seen: 0 };
    let changes = vec![
        TaskChange::Create { id: task, service, slot: 1, node },
        TaskChange::Desire(task, TaskState::Remove),
        TaskChange::Forget(task),
    ];
    vec![
        ("create-cluster", Action::CreateCluster(Box::new(create_cluster()))),
        ("create", Action::Create(Class::Secret, vec![secret])),
        ("rotate", Action::Rotate(Class::Secret, vec![version])),
        ("activate", Action::Activate(Class::Secret, vec![(id, VersionRef::Number(1))])),
        ("rollback", Action::Rollback(Class::Secret, vec![id])),
        ("update", Action::Update(Class::Secret, update)),
        ("destroy-version", Action::DestroyVersion(Class::Config, destroy(id, false))),
        ("remove", Action::Remove(Class::Config, id)),
        ("use-epoch", Action::UseEpoch(Epoch(2).into())),
        ("reseal", Action::Reseal(resealed)),
        ("create-service", Action::CreateService(service, Box::new(spec()))),
        ("remove-service", Action::RemoveService(service)),
        ("change-tasks", Action::ChangeTasks(changes)),
        ("report-tasks", Action::ReportTasks(node, vec![report])),
    ]
}

fn destroy(id: ObjectId, is_forced: bool) -> DestroyVersion {
    DestroyVersion { id, number: 3, is_forced }
}

fn held() -> Vec<Held> {
    [(4, 2), (4, 3), (9, 1)]
        .map(|(n, version)| Held { object: ObjectId::from_entropy([n; 17]), version })
        .into()
}

/// What came after the first form, in bytes that older entries do not have.
fn later_actions() -> Vec<(&'static str, Action)> {
    let (task, node) = (TaskId::from_entropy([6; 17]), NodeId::from_entropy([2; 17]));
    let id = ObjectId::from_entropy([4; 17]);
    let raise = RaiseLevel { level: Level::FIRST, version: "0.1.0".into() };
    let status = TaskStatus { state: TaskState::Running, ..status() };
    let holding = TaskReport { task, status, held: Some(held()), seen: 0 };
    vec![
        ("raise-level", Action::RaiseLevel(raise)),
        ("destroy-version-forced", Action::DestroyVersion(Class::Secret, destroy(id, true))),
        ("report-tasks-held", Action::ReportTasks(node, vec![holding.clone()])),
        ("report-tasks-seen", Action::ReportTasks(node, vec![TaskReport { seen: 7, ..holding }])),
    ]
}

/// What came with several managers.
fn node_actions() -> Vec<(&'static str, Action)> {
    let node = NodeId::from_entropy([2; 17]);
    vec![
        ("want-epoch-after", Action::WantEpochAfter(Epoch(1))),
        ("use-key", Action::UseEpoch(use_key())),
        ("drop-epochs-before", Action::DropEpochsBefore(Epoch(2))),
        ("admit-node", Action::AdmitNode(Box::new(whole_node()))),
        ("renew-node", Action::RenewNode(node, issued(), None)),
        ("renew-node-proven", Action::RenewNode(node, issued(), Some(KeyPin([5; 32])))),
        (
            "renew-engine",
            Action::RenewNode(node, workers::issued_to_engine(), Some(KeyPin([5; 32]))),
        ),
        ("admit-engine", Action::AdmitNode(Box::new(workers::engine()))),
        ("describe-node", Action::DescribeNode(node, Box::new(workers::described()))),
        ("admit-node-token", Action::AdmitNode(Box::new(node_by_token()))),
        ("create-token", Action::CreateToken(new_token())),
        ("revoke-token", Action::RevokeToken(token_id())),
        ("place-manager", Action::PlaceManager(node, workers::place())),
        ("update-node", Action::UpdateNode(node_update())),
        ("remove-node", Action::RemoveNode(node, true)),
        ("stand-alone", Action::StandAlone(node)),
        ("report-nodes", Action::ReportNodes(vec![(node, NodeStatus::Down)])),
        ("rotate-token", Action::RotateToken(Role::Manager, sealed(11))),
        ("autolock-on", Action::SetAutolock(Some(sealed(12)))),
        ("autolock-off", Action::SetAutolock(None)),
        ("rotate-unlock-key", Action::RotateUnlockKey(sealed(13))),
        ("backups-on", Action::Backup(Step::Set(Some(schedule())))),
        ("backups-off", Action::Backup(Step::Set(None))),
        ("ask-backup", Action::Backup(Step::Ask(node))),
        ("backup-made", Action::Backup(Step::Report(asked(), Ok((7, 900))))),
        ("backup-failed", Action::Backup(Step::Report(asked(), Err("no room".into())))),
    ]
}

fn use_key() -> UseEpoch {
    UseEpoch { epoch: Epoch(2), digest: Some(KeyDigest([7; 32])), fulfils: vec![5, 9] }
}

fn schedule() -> Schedule {
    let recipients = vec!["age1a".into(), "age1b".into()];
    Schedule { every_secs: 3_600, keep: 7, recipients, dir: "/var/backups/coffer".into() }
}

fn asked() -> Asked {
    Asked { node: NodeId::from_entropy([2; 17]), at: Timestamp::from_nanos(1_800_000_000) }
}

fn whole_node() -> Node {
    Node {
        labels: labels(),
        status: NodeStatus::Ready,
        raft_id: Some(9),
        pins: vec![KeyPin([5; 32]), KeyPin([6; 32])],
        certificate: "pem".into(),
        certificate_end_secs: 2_000_000_000,
        level: Level(1),
        ..create_cluster().node
    }
}

fn token_id() -> TokenId {
    TokenId::from_entropy([9; 17])
}

fn node_by_token() -> Node {
    Node { token: Some(token_id()), ..whole_node() }
}

fn new_token() -> NewToken {
    let (id, digest) = (token_id(), TokenDigest([3; 32]));
    NewToken { id, role: Role::Manager, digest, ttl_secs: Some(3_600), uses_max: Some(2) }
}

fn issued() -> Issued {
    let (pin, certificate) = (KeyPin([7; 32]), "pem".into());
    let (end_secs, role) = (2_000_000_000, Role::Worker);
    Issued { pin, certificate, end_secs, role, request: Vec::new(), issuer: Generation(1) }
}

fn node_update() -> NodeUpdate {
    NodeUpdate {
        id: NodeId::from_entropy([2; 17]),
        expected: Some(4),
        role: Some(Role::Manager),
        availability: Some(Availability::Drain),
        labels: Some(labels()),
    }
}

fn payload(action: Action) -> Payload {
    let at = Timestamp::from_nanos(1_800_000_000_000_000_001);
    let actor = Some(Actor { uid: 1000, pid: 77, call: 20, node: None });
    let command = Command { at, request: Some(RequestId([8; 16])), actor, action };
    Payload::Normal(Proposal(Arc::new(command)))
}

#[test]
fn every_payload_reads_as_it_was_written_and_is_written_as_it_always_was() {
    let member = Member { node_id: "n".into(), addr: "192.0.2.1:2377".into() };
    let members = BTreeMap::from([(1, member)]);
    let membership = Membership::new(vec![BTreeSet::from([1])], members).unwrap();
    let commands =
        actions().into_iter().chain(later_actions()).chain(node_actions()).chain(root::actions());
    let commands = commands.map(|(name, action)| (name, payload(action)));
    let own = [("blank", Payload::Blank), ("membership", Payload::Membership(membership))];
    for (name, payload) in commands.chain(own) {
        let bytes = encode_payload(&payload);
        assert_eq!(decode_payload(&bytes[..]).unwrap(), payload, "{name}");
        assert_golden(&format!("entry-{name}"), &bytes);
    }
}

#[test]
fn case_40_52_an_action_of_a_newer_version_stops_rather_than_being_skipped() {
    // A command with an action of number 99, and an entry of an unknown kind.
    let unknown_action = [0x12, 5, 0x08, 1, 0x9a, 0x06, 0];
    for bytes in [unknown_action.as_slice(), &[], &[0x7a, 0]] {
        assert!(matches!(decode_payload(bytes), Err(CodecError::UnknownAction)), "{bytes:?}");
    }
}

/// A command as a program of a later level writes it.
fn newer(level: u32, action: Action) -> Vec<u8> {
    let Payload::Normal(Proposal(command)) = payload(action) else { unreachable!() };
    let command = stored::Command { level, ..command::to_stored(&command) };
    let payload = Some(stored::entry::Payload::Command(command));
    stored::Entry { payload }.encode_to_vec()
}

#[test]
fn case_40_a_command_of_a_newer_level_stops_and_says_what_is_needed() {
    let bytes = newer(3, Action::UseEpoch(Epoch(2).into()));
    let said = decode_payload(&bytes[..]).unwrap_err().to_string();
    assert!(said.contains("feature level 3;") && said.contains("knows 2"), "{said}");
    let next = decode_payload_up_to(Level(3), &bytes[..]).unwrap();
    assert_eq!(next, payload(Action::UseEpoch(Epoch(2).into())), "a program that knows it goes on");
    decode_payload(&newer(1, Action::UseEpoch(Epoch(2).into()))[..]).unwrap();
}

#[test]
fn a_step_up_that_a_program_cannot_follow_stops_it_and_names_the_version() {
    let raise = Action::RaiseLevel(RaiseLevel { level: Level(3), version: "0.9.0".into() });
    let bytes = encode_payload(&payload(raise.clone()));
    let said = decode_payload(&bytes[..]).unwrap_err().to_string();
    assert!(said.contains("feature level 3 of cofferd 0.9.0"), "{said}");
    assert_eq!(decode_payload_up_to(Level(3), &bytes[..]).unwrap(), payload(raise));
}

#[test]
fn case_40_49_a_cluster_of_a_newer_level_is_not_taken_up_and_names_the_version() {
    let mut cluster = object::cluster_to(&create_cluster().cluster);
    assert_eq!(object::cluster_from(cluster.clone()).unwrap().level, Level::FIRST);
    (cluster.level, cluster.level_version) = (3, "0.9.0".into());
    let said = object::cluster_from(cluster).unwrap_err().to_string();
    assert!(said.contains("feature level 3 of cofferd 0.9.0"), "{said}");
}

#[test]
fn case_52_bytes_out_of_range_are_refused_and_never_a_panic() {
    let all = actions().into_iter().chain(later_actions()).chain(node_actions());
    for (name, action) in all.chain(root::actions()) {
        let bytes = encode_payload(&payload(action));
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut altered = bytes.clone();
                altered[at] ^= flip;
                // Most flips change a text or a number into another lawful one; the seal around the
                // log is what refuses them. Here it must only never panic.
                drop(decode_payload(&altered[..]));
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
        let removal = matches!(action, Action::RemoveService(_));
        if !removal {
            let request = Some(RequestId([u8::try_from(index).unwrap(); 16]));
            let at = Timestamp::from_nanos(index);
            state.apply(index, Command { at, request, actor: None, action });
        }
    }
    state
}

#[test]
fn case_c21_a_state_comes_back_from_its_records() {
    let state = state();
    let mut restoring = Restoring::default();
    let start = stored::SnapshotStart {
        clock: state.clock().nanos(),
        index: state.index(),
        epoch: state.epoch().0,
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
    // What waits for changes looks at a state that came back as if all had just changed.
    let shown = |state: &State| {
        let text = format!("{state:?}");
        let (before, rest) = text.split_once("workload_index").unwrap();
        format!("{before}{}", rest.split_once("epoch").unwrap().1)
    };
    assert_eq!(shown(&restored), shown(&state));
    assert_golden("snapshot-records-4", &bytes);
}

#[test]
fn a_certificate_that_was_taken_back_stays_so() {
    let revoked = stored::Revoked { serial: vec![7; 20], at_secs: 5, end_secs: 9 };
    let record = stored::snapshot_record::Record::Revoked(revoked);
    let mut restoring = Restoring::default();
    restore(record.clone(), &mut restoring).unwrap();
    let state = restoring.finish();
    assert_eq!(records_of(&state).collect::<Vec<_>>(), std::slice::from_ref(&record));
    let stored = stored::SnapshotRecord { record: Some(record) };
    assert_golden("snapshot-revoked", &stored.encode_to_vec());
}

#[test]
fn what_is_to_be_done_and_which_key_is_in_use_come_back() {
    let mut state = state();
    let (epoch, wanted) = (Epoch(9), sealed(12));
    let actions = [
        Action::UseEpoch(UseEpoch { epoch, ..use_key() }),
        Action::SetAutolock(Some(Sealed { epoch, ..wanted })),
        Action::StandAlone(NodeId::from_entropy([2; 17])),
    ];
    for (index, action) in (50..).zip(actions) {
        let at = Timestamp::from_nanos(index);
        state.apply(index, Command { at, request: None, actor: None, action });
    }
    let duties =
        Duties { key_after_loss: Some(52), key_after_lock: Some(51), manager_token: Some(52) };
    assert_eq!(state.duties(), duties);
    let mut restoring = Restoring::default();
    restore(stored::snapshot_record::Record::Start(start_of(&state)), &mut restoring).unwrap();
    let restored = restoring.finish();
    assert_eq!((restored.duties(), restored.key_in_use()), (duties, state.key_in_use()));
    assert_eq!(restored.key_in_use().1, use_key().digest);
}

#[test]
fn a_task_comes_back_with_what_it_holds_and_an_older_record_holds_nothing() {
    let mut state = state();
    let node = NodeId::from_entropy([2; 17]);
    let (service, id) = (ServiceId::from_entropy([5; 17]), TaskId::from_entropy([7; 17]));
    let create = TaskChange::Create { id, service, slot: 2, node };
    let at = Timestamp::from_nanos(99);
    let action = Action::ChangeTasks(vec![create]);
    state.apply(99, Command { at, request: None, actor: None, action });
    let object = ObjectId::from_entropy([4; 17]);
    let holders: Vec<_> = state.holders(object).collect();
    assert_eq!(holders.len(), 1);
    let tasks = |record: &stored::snapshot_record::Record| {
        matches!(record, stored::snapshot_record::Record::Task(_))
    };
    let mut restoring = Restoring::default();
    let mut bytes = Vec::new();
    for record in records_of(&state).filter(tasks) {
        let record = stored::SnapshotRecord { record: Some(record) }.encode_to_vec();
        restore(record_of(&record).unwrap(), &mut restoring).unwrap();
        bytes.extend(record);
    }
    assert_eq!(restoring.finish().holders(object).collect::<Vec<_>>(), holders);
    assert_golden("snapshot-tasks-held", &bytes);
    for record in records_of(&state).filter(tasks) {
        let stored::snapshot_record::Record::Task(mut task) = record else { unreachable!() };
        assert_eq!(task.seen, 0, "its node has said nothing since it was made");
        task.held.clear();
        let mut restoring = Restoring::default();
        restore(stored::snapshot_record::Record::Task(task), &mut restoring).unwrap();
        assert_eq!(restoring.finish().holders(object).count(), 0);
    }
}

#[test]
fn every_outcome_reads_as_it_was_written() {
    let kind = ObjectKind::Config;
    let refusals = [
        Refusal::ClusterExists,
        Refusal::NoCluster,
        Refusal::NameTaken { kind: ObjectKind::Secret, name: "n".into() },
        Refusal::NotFound { kind: ObjectKind::Service, reference: "r".into() },
        Refusal::Ambiguous { kind: ObjectKind::Secret, reference: "r".into(), matches: 2 },
        Refusal::InUse { kind, name: name("n"), services: vec!["a".into(), "b".into()] },
        Refusal::OutOfSequence,
        Refusal::OldKey,
        Refusal::NumberTaken,
        Refusal::TokenChanges,
        Refusal::NoVersion { kind, name: name("n"), version: VersionRef::Number(3) },
        Refusal::NoPrevious { kind, name: name("n") },
        Refusal::VersionNeeded { kind, name: name("n"), number: 2, why: "needed".into() },
        Refusal::VersionHeld {
            kind,
            name: name("n"),
            number: 2,
            holders: vec![HolderName { service: "web".into(), tasks: 3 }],
            others: 1,
        },
        Refusal::LabelsTooMany { kind, name: name("n") },
        Refusal::NamedTwice { kind, name: name("n") },
        Refusal::LastManager,
        Refusal::QuorumLoss,
        Refusal::NoLabel { key: "k".into() },
        Refusal::NodeIsManager { id: NodeId::from_entropy([2; 17]) },
        Refusal::NodeIsNotDown { id: NodeId::from_entropy([2; 17]) },
        Refusal::NodeIsEngine { id: NodeId::from_entropy([2; 17]) },
        Refusal::NodesTooMany { max: 3 },
        Refusal::RoleChanged { id: NodeId::from_entropy([2; 17]) },
        Refusal::KeyEnded { id: NodeId::from_entropy([2; 17]) },
        Refusal::KeyTaken,
        Refusal::TokenWorthless { id: token_id(), standing: Standing::UsedUp },
        Refusal::TokensTooMany { max: 3 },
        Refusal::NotFound { kind: ObjectKind::Token, reference: "r".into() },
        Refusal::GrantedSecretsMissing { names: vec!["n".into()] },
    ];
    let made = Outcome::Created(vec![ObjectId::from_entropy([4; 17])]);
    let rotated = Outcome::Rotated(vec![(ObjectId::from_entropy([4; 17]), 7)]);
    let others = [Outcome::Done, made, rotated];
    let outcomes = refusals.into_iter().map(Outcome::Refused).chain(others);
    for outcome in outcomes {
        let stored = outcome_to(&outcome);
        assert_eq!(outcome_from(Some(stored)).unwrap(), outcome);
    }
}

#[test]
fn case_52_55_an_entry_or_a_record_of_a_million_parts_is_refused() {
    // Two bytes for each empty value, name and version.
    let field = |number: u8, bytes: &[u8]| {
        let mut field = vec![number << 3 | 2];
        prost::encoding::encode_varint(u64::try_from(bytes.len()).unwrap(), &mut field);
        [field, bytes.to_vec()].concat()
    };
    let many = |number: u8| field(number, b"").repeat(2 << 20);
    let refused = decode_payload(&field(2, &field(11, &many(2)))[..]).unwrap_err();
    assert!(matches!(refused, CodecError::Bound(BoundError::TooMuch(_))), "{refused}");
    let refused = record_of(&field(4, &many(5))).unwrap_err();
    assert!(matches!(refused, CodecError::Bound(BoundError::TooMuch(_))), "{refused}");
}

#[test]
fn a_task_comes_back_with_what_its_node_had_seen() {
    let task = |seen| Task {
        id: TaskId::from_entropy([7; 17]),
        service: ServiceId::from_entropy([5; 17]),
        created_index: 9,
        created_at: Timestamp::from_nanos(99),
        slot: 2,
        node: NodeId::from_entropy([2; 17]),
        status: TaskStatus { state: TaskState::Running, ..status() },
        desired: TaskState::Running,
        held: held(),
        seen,
    };
    for seen in [9, 12] {
        let record = stored::snapshot_record::Record::Task(object::task_to(&task(seen)));
        let record = stored::SnapshotRecord { record: Some(record) }.encode_to_vec();
        let mut restoring = Restoring::default();
        restore(record_of(&record).unwrap(), &mut restoring).unwrap();
        let state = restoring.finish();
        assert_eq!(state.tasks().iter().next().unwrap().as_ref(), &task(seen));
        if seen == 12 {
            assert_golden("snapshot-tasks-seen", &record);
        }
    }
}
