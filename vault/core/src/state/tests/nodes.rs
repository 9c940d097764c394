//! Nodes: joining, certificates, roles, going.

use std::time::{Duration, Instant};

use super::*;
use crate::command::{Issued, ManagerPlace, NodeUpdate, UseEpoch};
use crate::duty::Duties;
use crate::limits::{NODES_MAX, REMOVED_KEPT_SECS};
use crate::node::{Described, Engine, Machine, Node, NodeStatus};
use crate::seal::KeyDigest;

fn node_id(n: u8) -> NodeId {
    NodeId::from_entropy(entropy(n))
}

fn node(n: u8, role: Role) -> Node {
    let Action::CreateCluster(first) = create_cluster() else { unreachable!() };
    Node {
        id: node_id(n),
        hostname: format!("host-{n}"),
        role,
        status: NodeStatus::Unknown,
        raft_id: None,
        pins: vec![KeyPin([n; 32])],
        ..first.node
    }
}

fn admit(n: u8, role: Role) -> Action {
    Action::AdmitNode(Box::new(node(n, role)))
}

fn change(n: u8, role: Role) -> NodeUpdate {
    NodeUpdate {
        id: node_id(n),
        expected: None,
        role: Some(role),
        availability: None,
        labels: None,
    }
}

/// A cluster of so many managers, the first with the number 2, all heard of.
fn managers(count: u8) -> State {
    let mut state = cluster();
    for n in 3..count + 2 {
        state.run(u64::from(n), at(20, admit(n, Role::Manager)));
    }
    let heard = (2..count + 2).map(|n| (node_id(n), NodeStatus::Ready)).collect();
    state.run(50, at(21, Action::ReportNodes(heard)));
    state
}

#[test]
fn a_manager_gets_the_index_of_its_entry_as_its_number_and_a_worker_gets_none() {
    let mut state = cluster();
    state.run(7, at(20, admit(3, Role::Manager)));
    state.run(8, at(20, admit(4, Role::Worker)));
    assert_eq!(state.node(node_id(3)).unwrap().raft_id, Some(7));
    assert_eq!(state.node(node_id(4)).unwrap().raft_id, None);
    assert_eq!(state.node(node_id(4)).unwrap().meta.version_index, 8);
}

#[test]
fn a_node_is_admitted_once() {
    let mut state = cluster();
    state.run(7, at(20, admit(3, Role::Manager)));
    let again = state.run(8, at(20, admit(3, Role::Manager)));
    assert_eq!(again, Outcome::Created(vec![node_id(3).object()]), "with its key it is the same");
    let other = Node { pins: vec![KeyPin([9; 32])], ..node(3, Role::Manager) };
    let taken = state.run(9, at(20, Action::AdmitNode(Box::new(other))));
    assert!(matches!(taken, Outcome::Refused(Refusal::NameTaken { .. })), "{taken:?}");
    assert_eq!(state.node(node_id(3)).unwrap().raft_id, Some(7));
}

#[test]
fn a_number_in_raft_is_never_used_twice_not_even_by_the_same_node() {
    let mut state = managers(3);
    state.run(60, at(30, Action::UpdateNode(change(3, Role::Worker))));
    assert_eq!(state.node(node_id(3)).unwrap().raft_id, None);
    state.run(61, at(31, Action::UpdateNode(change(3, Role::Manager))));
    assert_eq!(state.node(node_id(3)).unwrap().raft_id, Some(61));
}

#[test]
fn the_last_manager_and_a_quorum_are_not_given_away() {
    let demote = |n| Action::UpdateNode(change(n, Role::Worker));
    let mut alone = cluster();
    let refused = alone.run(60, at(30, demote(2)));
    assert_eq!(refused, Outcome::Refused(Refusal::LastManager));
    let mut three = managers(3);
    let down = vec![(node_id(4), NodeStatus::Down)];
    three.run(60, at(30, Action::ReportNodes(down)));
    let refused = three.run(61, at(31, demote(3)));
    assert_eq!(refused, Outcome::Refused(Refusal::QuorumLoss));
    assert_eq!(three.run(62, at(32, demote(4))), Outcome::Done, "the one that is down may go");
}

#[test]
fn of_two_managers_that_answer_one_may_be_demoted() {
    let mut two = managers(2);
    assert_eq!(two.run(60, at(30, Action::UpdateNode(change(3, Role::Worker)))), Outcome::Done);
    assert_eq!(two.managers().map(|node| node.id).collect::<Vec<_>>(), [node_id(2)]);
}

#[test]
fn what_an_operator_says_of_a_node_is_in_its_record_and_the_rest_stays() {
    let mut state = managers(2);
    let before = state.node(node_id(3)).unwrap().as_ref().clone();
    let labels = Labels::parse([("rack".to_owned(), "b".to_owned())].into()).unwrap();
    let update = |availability, labels| {
        Action::UpdateNode(NodeUpdate {
            role: None,
            availability,
            labels,
            ..change(3, Role::Worker)
        })
    };
    state.run(60, at(30, update(Some(Availability::Drain), None)));
    state.run(61, at(31, update(None, Some(labels.clone()))));
    let meta = Meta { version_index: 61, updated_at: Timestamp::from_nanos(31), ..before.meta };
    let expected = Node { meta, availability: Availability::Drain, labels, ..before };
    assert_eq!(state.node(node_id(3)).unwrap().as_ref(), &expected);
    assert_eq!(state.workload_index(), 61, "the scheduler looks again");
}

#[test]
fn the_record_allows_the_key_last_seen_and_the_one_issued_after_it() {
    let mut state = cluster();
    state.run(7, at(20, admit(3, Role::Worker)));
    let renew = |n, role| {
        let certificate = format!("pem {n}");
        let issued = Issued {
            pin: KeyPin([n; 32]),
            certificate,
            end_secs: 9,
            role,
            request: Vec::new(),
            issuer: pki::rotation::Generation(1),
        };
        Action::RenewNode(node_id(3), issued, None)
    };
    for n in [10, 11] {
        assert_eq!(state.run(8, at(20, renew(n, Role::Worker))), Outcome::Done);
    }
    let known = state.node(node_id(3)).unwrap();
    assert_eq!(known.pins, [KeyPin([10; 32]), KeyPin([11; 32])]);
    assert_eq!((known.certificate.as_str(), known.certificate_end_secs), ("pem 11", 9));
    assert!(state.node_with_key(KeyPin([3; 32])).is_none(), "the oldest key proves nothing");
    assert_eq!(state.node_with_key(KeyPin([10; 32])).unwrap().id, node_id(3));
    let refused = state.run(9, at(20, renew(12, Role::Manager)));
    assert_eq!(refused, Outcome::Refused(Refusal::RoleChanged { id: node_id(3) }));
}

/// A crash between the commit of a renewal and the file on disk leaves a node with the key that it had.
#[test]
fn the_key_that_a_node_proves_itself_with_outlives_renewals_that_it_never_took_up() {
    let mut state = cluster();
    state.run(7, at(20, admit(3, Role::Worker)));
    let pins = |state: &State| state.node(node_id(3)).unwrap().pins.clone();
    let renew = |proven: u8, n: u8| {
        let (pin, certificate) = (KeyPin([n; 32]), "pem".to_owned());
        let issued = Issued {
            pin,
            certificate,
            end_secs: 9,
            role: Role::Worker,
            request: Vec::new(),
            issuer: pki::rotation::Generation(1),
        };
        Action::RenewNode(node_id(3), issued, Some(KeyPin([proven; 32])))
    };
    for n in [10, 11, 12] {
        assert_eq!(state.run(8, at(20, renew(3, n))), Outcome::Done);
        assert_eq!(pins(&state), [KeyPin([3; 32]), KeyPin([n; 32])]);
    }
    let ended = Outcome::Refused(Refusal::KeyEnded { id: node_id(3) });
    assert_eq!(state.run(9, at(20, renew(11, 13))), ended, "nobody took that one up");
    assert_eq!(state.run(9, at(20, renew(12, 14))), Outcome::Done);
    assert_eq!(
        pins(&state),
        [KeyPin([12; 32]), KeyPin([14; 32])],
        "its first use ends the old one"
    );
    assert_eq!(state.run(9, at(20, renew(3, 15))), ended);
    assert_eq!(state.run(9, at(20, renew(14, 14))), Outcome::Done);
    assert_eq!(pins(&state), [KeyPin([14; 32])], "the same key again");
}

#[test]
fn a_manager_is_demoted_before_it_is_removed_and_a_ready_node_goes_only_by_force() {
    let mut state = managers(3);
    let remove = |force| Action::RemoveNode(node_id(3), force);
    let refused = state.run(60, at(30, remove(true)));
    assert_eq!(refused, Outcome::Refused(Refusal::NodeIsManager { id: node_id(3) }));
    state.run(61, at(31, Action::UpdateNode(change(3, Role::Worker))));
    assert_eq!(state.node(node_id(3)).unwrap().status, NodeStatus::Down, "nobody hears of it");
    state.run(62, at(31, Action::ReportNodes(vec![(node_id(3), NodeStatus::Ready)])));
    let refused = state.run(62, at(32, remove(false)));
    assert_eq!(refused, Outcome::Refused(Refusal::NodeIsNotDown { id: node_id(3) }));
    assert_eq!(state.run(63, at(33, remove(true))), Outcome::Done);
    assert!(state.node(node_id(3)).is_none() && state.was_removed(node_id(3)));
    let again = state.run(64, at(34, admit(3, Role::Worker)));
    assert!(matches!(again, Outcome::Refused(_)), "a removed node never comes back as itself");
}

#[test]
fn removed_nodes_are_forgotten_once_their_certificates_are_long_ended() {
    let mut state = managers(3);
    let secs = |secs: u64| secs * 1_000_000_000;
    for n in [3, 4] {
        state.run(60, at(30, admit(n + 10, Role::Worker)));
    }
    state.run(61, at(secs(1), Action::RemoveNode(node_id(13), true)));
    let end = 2_000_000_000 + 7 * 24 * 3_600;
    state.run(62, at(secs(end - 1), Action::RemoveNode(node_id(14), true)));
    assert!(state.was_removed(node_id(13)));
    state.run(63, at(secs(end), admit(20, Role::Worker)));
    state.run(64, at(secs(end), Action::RemoveNode(node_id(20), true)));
    assert!(!state.was_removed(node_id(13)));
}

/// So many had joined in one hour, and their certificates ended in one hour.
#[expect(clippy::disallowed_methods, reason = "a test may ask how long it takes")]
#[test]
fn case_54_very_many_removed_nodes_are_forgotten_at_one_instant_in_bounded_time() {
    let removed = 20_000_u32;
    let mut parts = Restoring::default();
    parts.cluster(Cluster::clone(cluster().cluster().unwrap()));
    for n in 0..removed {
        parts.removed_node(numbered(n), 2_000_000_000);
    }
    let mut state = parts.finish();
    let secs = |secs: u64| secs * 1_000_000_000;
    let end = 2_000_000_000 + REMOVED_KEPT_SECS;
    let mut remove_one = |index, n, now| {
        state.run(index, at(secs(now), admit(n, Role::Worker)));
        let start = Instant::now();
        let done = state.run(index + 1, at(secs(now), Action::RemoveNode(node_id(n), true)));
        assert_eq!(done, Outcome::Done);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        state.removed_nodes().count()
    };
    let known = usize::try_from(removed).unwrap();
    assert_eq!(remove_one(10, 3, end - 1), known + 1);
    assert_eq!(remove_one(20, 4, end), 1, "the one that goes now, and not the one of before");
}

fn numbered(n: u32) -> NodeId {
    let mut entropy = entropy(0);
    entropy[1..5].copy_from_slice(&n.to_be_bytes());
    NodeId::from_entropy(entropy)
}

#[test]
fn a_cluster_has_as_many_nodes_as_it_may_have_and_no_more() {
    let mut parts = Restoring::default();
    parts.cluster(Cluster::clone(cluster().cluster().unwrap()));
    for n in 1..u32::try_from(NODES_MAX).unwrap() {
        parts.node(Node { id: numbered(n), pins: Vec::new(), ..node(3, Role::Worker) });
    }
    let mut state = parts.finish();
    assert!(matches!(state.run(10, at(20, admit(3, Role::Worker))), Outcome::Created(_)));
    let refused = state.run(11, at(20, admit(4, Role::Worker)));
    assert_eq!(refused, Outcome::Refused(Refusal::NodesTooMany { max: NODES_MAX }));
}

#[test]
fn a_node_is_found_by_id_host_or_unique_prefix() {
    let state = managers(3);
    let id = node_id(3).to_string();
    assert_eq!(state.find_node(&id).unwrap().id, node_id(3));
    assert_eq!(state.find_node("host-3").unwrap().id, node_id(3));
    assert_eq!(state.find_node(id.split_at(20).0).unwrap().id, node_id(3));
    assert!(state.find_node("").is_err() && state.find_node("nobody").is_err());
}

#[test]
fn what_a_manager_says_of_itself_is_in_its_record() {
    let mut state = managers(3);
    let place = ManagerPlace {
        addr: "192.0.2.9:1".into(),
        hostname: "new".into(),
        engine_version: "9".into(),
        level: Level(2),
    };
    assert!(!place.is_known_of(state.node(node_id(3)).unwrap()));
    state.run(60, at(30, Action::PlaceManager(node_id(3), place.clone())));
    let node = state.node(node_id(3)).unwrap();
    assert!(place.is_known_of(node));
    for other in [
        ManagerPlace { addr: "192.0.2.9:2".into(), ..place.clone() },
        ManagerPlace { hostname: "old".into(), ..place.clone() },
        ManagerPlace { engine_version: "8".into(), ..place.clone() },
        ManagerPlace { level: Level(1), ..place },
    ] {
        assert!(!other.is_known_of(node), "{other:?}");
    }
    assert_eq!((node.addr.as_str(), node.hostname.as_str()), ("192.0.2.9:1", "new"));
    assert_eq!((node.engine_version.as_str(), node.level), ("9", Level(2)));
}

#[test]
fn a_managers_word_on_its_address_needs_a_proof_unless_its_record_says_so() {
    let mut state = cluster();
    for (n, role, addr) in [
        (3, Role::Manager, "a3"),
        (4, Role::Manager, "a4"),
        (5, Role::Manager, ""),
        (6, Role::Worker, "a6"),
    ] {
        let joined = Node { addr: addr.into(), ..node(n, role) };
        state.run(u64::from(n), at(20, Action::AdmitNode(Box::new(joined))));
    }
    for (n, addr, expected) in [
        (3, "a3", Some(PlaceProof::Nothing)),
        (3, "a9", Some(PlaceProof::Answer)),
        (3, "a4", Some(PlaceProof::Answer)),
        (5, "a9", Some(PlaceProof::Nothing)),
        (5, "a6", Some(PlaceProof::Nothing)),
        (5, "a4", Some(PlaceProof::SilenceOf(node_id(4)))),
        (6, "a6", None),
        (77, "a9", None),
    ] {
        assert_eq!(state.place_proof(node_id(n), addr), expected, "{n} at {addr}");
    }
    assert_eq!(state.manager_at(node_id(3), "a4"), Some(node_id(4)));
    assert_eq!(state.manager_at(node_id(4), "a4"), None);
}

#[test]
fn hearing_of_a_node_does_not_make_an_operators_change_stale() {
    let mut state = managers(3);
    let seen = state.node(node_id(3)).unwrap().meta.version_index;
    state.run(60, at(30, Action::ReportNodes(vec![(node_id(3), NodeStatus::Down)])));
    let update = NodeUpdate { expected: Some(seen), ..change(3, Role::Manager) };
    assert_eq!(state.run(61, at(31, Action::UpdateNode(update.clone()))), Outcome::Done);
    let stale = state.run(62, at(32, Action::UpdateNode(update)));
    assert_eq!(stale, Outcome::Refused(Refusal::OutOfSequence));
}

#[test]
fn a_token_is_not_exchanged_for_one_under_an_old_key() {
    let mut state = cluster();
    state.run(5, at(20, Action::UseEpoch(Epoch(2).into())));
    let refused = state.run(6, at(21, Action::RotateToken(Role::Worker, sealed())));
    assert_eq!(refused, Outcome::Refused(Refusal::OldKey));
    let newer = Sealed { epoch: Epoch(2), ..sealed() };
    let done = state.run(7, at(22, Action::RotateToken(Role::Worker, newer.clone())));
    assert_eq!(done, Outcome::Done);
    let cluster = state.cluster().unwrap();
    assert_eq!((&cluster.worker_token, cluster.meta.version_index), (&newer, 7));
}

#[test]
fn a_rotation_is_wanted_once_and_old_epochs_go_when_nothing_needs_them() {
    let mut state = cluster();
    for index in [5, 6] {
        state.run(index, at(20, Action::WantEpochAfter(Epoch(1))));
    }
    assert_eq!(state.wanted_epoch(), Epoch(2), "asked twice, wanted once");
    state.run(7, at(21, Action::UseEpoch(Epoch(2).into())));
    state.run(8, at(22, Action::WantEpochAfter(Epoch(2))));
    assert_eq!(state.wanted_epoch(), Epoch(2), "one at a time");
    state.run(9, at(23, Action::DropEpochsBefore(Epoch(2))));
    assert_eq!(state.oldest_epoch(), Epoch(1), "the tokens are still under the old key");
    let reseal = |kind| Resealed {
        what: SealedAt::Own(kind),
        sealed: Sealed { epoch: Epoch(2), ..sealed() },
    };
    state.run(10, at(24, Action::Reseal(Kind::OWN.map(reseal).into())));
    state.run(11, at(25, Action::DropEpochsBefore(Epoch(2))));
    assert_eq!(state.oldest_epoch(), Epoch(2));
}

#[test]
fn whoever_is_left_alone_is_the_only_manager_and_the_others_prove_nothing_any_more() {
    let mut state = managers(3);
    state.run(60, at(30, Action::StandAlone(node_id(3))));
    let managers: Vec<_> = state.managers().map(|node| node.id).collect();
    assert_eq!(managers, [node_id(3)]);
    for n in [2, 4] {
        let node = state.node(node_id(n)).unwrap();
        assert_eq!((node.role, node.raft_id, node.status), (Role::Worker, None, NodeStatus::Down));
        assert!(node.pins.is_empty(), "its certificate opens nothing");
    }
    assert_eq!(state.node(node_id(3)).unwrap().raft_id, Some(3), "it keeps its number");
}

#[test]
fn the_unlock_key_is_set_once_exchanged_while_it_is_there_and_taken_away() {
    let mut state = cluster();
    let key = |n| Sealed { nonce: [n; 24], ..sealed() };
    let kept = |state: &State| {
        let cluster = state.cluster().unwrap();
        (cluster.sealed(Kind::UnlockKey).map(|key| key.nonce[0]), cluster.lock_version)
    };
    let refused = state.run(5, at(20, Action::RotateUnlockKey(key(1))));
    assert_eq!(refused, Outcome::Refused(Refusal::OutOfSequence), "there is none to be exchanged");
    state.run(6, at(21, Action::SetAutolock(None)));
    assert_eq!(kept(&state), (None, 0));
    state.run(7, at(22, Action::SetAutolock(Some(key(2)))));
    assert_eq!(kept(&state), (Some(2), 1));
    state.run(8, at(23, Action::SetAutolock(Some(key(3)))));
    assert_eq!(kept(&state), (Some(2), 1), "two who turn it on get the same key");
    state.run(9, at(24, Action::RotateUnlockKey(key(4))));
    assert_eq!(kept(&state), (Some(4), 2));
    assert_eq!(state.cluster().unwrap().meta.version_index, 9);
    state.run(10, at(25, Action::UseEpoch(Epoch(2).into())));
    let old = state.run(11, at(26, Action::RotateUnlockKey(key(5))));
    assert_eq!(old, Outcome::Refused(Refusal::OldKey));
    state.run(12, at(27, Action::SetAutolock(None)));
    assert_eq!(kept(&state), (None, 3), "a manager that was away sees that it changed");
}

#[test]
fn a_node_that_brings_the_cluster_back_is_alone_and_the_others_count_as_removed() {
    let before = managers(3);
    let index = before.index();
    let alone = before.alone(Node { raft_id: Some(99), ..node(9, Role::Manager) });
    assert_eq!(alone.nodes().map(|node| node.id).collect::<Vec<_>>(), [node_id(9)]);
    assert_eq!(alone.node(node_id(9)).unwrap().raft_id, Some(99));
    assert_eq!(alone.node(node_id(9)).unwrap().meta.version_index, index);
    for n in 2..5 {
        assert!(alone.was_removed(node_id(n)), "node {n}");
    }
    assert!(!alone.was_removed(node_id(9)));
    assert!(alone.tasks().is_empty());
    assert_eq!((alone.workload_index(), alone.delivery_index()), (index, index));
}

fn use_epoch(epoch: u32, fulfils: &[u64]) -> Action {
    let digest = Some(KeyDigest([7; 32]));
    Action::UseEpoch(UseEpoch { epoch: Epoch(epoch), digest, fulfils: fulfils.to_vec() })
}

/// Whoever leads by then has to do it: it stands in the state until the very command that does it.
#[test]
fn what_a_manager_knew_is_exchanged_after_it_went_or_is_still_to_be() {
    let mut state = managers(3);
    assert_eq!(state.duties(), Duties::default());
    state.run(60, at(30, Action::UpdateNode(change(3, Role::Worker))));
    let both = Duties { key_after_loss: Some(60), manager_token: Some(60), ..Duties::default() };
    assert_eq!(state.duties(), both);
    // A token that the one that went can open, and a rotation that was under way before it went.
    state.run(61, at(31, Action::RotateToken(Role::Manager, sealed())));
    state.run(62, at(32, use_epoch(2, &[])));
    assert_eq!((state.duties(), state.epoch()), (both, Epoch(2)));
    let refused = state.run(63, at(33, admit(9, Role::Manager)));
    assert_eq!(refused, Outcome::Refused(Refusal::TokenChanges), "by the token that it knew");
    assert!(matches!(state.run(64, at(33, admit(8, Role::Worker))), Outcome::Created(_)));
    state.run(65, at(34, use_epoch(4, &[60])));
    assert_eq!(state.key_in_use().1, Some(KeyDigest([7; 32])));
    state.run(66, at(35, Action::RotateToken(Role::Worker, sealed_under(4))));
    assert!(state.duties().is_token_due());
    state.run(67, at(36, Action::RotateToken(Role::Manager, sealed_under(4))));
    assert_eq!(state.duties(), Duties::default());
    assert!(matches!(state.run(68, at(37, admit(9, Role::Manager))), Outcome::Created(_)));
}

fn sealed_under(epoch: u32) -> Sealed {
    Sealed { epoch: Epoch(epoch), ..sealed() }
}

#[test]
fn a_key_of_a_number_that_is_in_use_already_is_another_leaders_and_changes_nothing() {
    let mut state = managers(3);
    state.run(60, at(30, use_epoch(2, &[])));
    state.run(61, at(30, Action::UpdateNode(change(3, Role::Worker))));
    let other = UseEpoch { epoch: Epoch(2), digest: Some(KeyDigest([8; 32])), fulfils: vec![61] };
    state.run(62, at(31, Action::UseEpoch(other)));
    assert_eq!(state.key_in_use().1, Some(KeyDigest([7; 32])));
    assert_eq!(state.duties().key_after_loss, Some(61));
}

#[test]
fn autolock_that_goes_on_asks_for_a_key_and_going_off_takes_that_back() {
    let mut state = cluster();
    state.run(5, at(20, Action::SetAutolock(Some(sealed()))));
    state.run(6, at(20, Action::SetAutolock(Some(sealed()))));
    assert_eq!(state.duties(), Duties { key_after_lock: Some(5), ..Duties::default() });
    state.run(7, at(21, Action::SetAutolock(None)));
    assert_eq!(state.duties(), Duties::default());
}

#[test]
fn whoever_comes_back_alone_exchanges_what_others_may_know() {
    let mut state = managers(3);
    state.run(60, at(30, Action::StandAlone(node_id(3))));
    assert_eq!(state.duties().key_after_loss, Some(60));
    let restored = managers(3).alone(node(9, Role::Manager));
    assert_eq!(restored.duties().manager_token, Some(50));
    assert_eq!(restored.duties().key_after_loss, Some(50));
}

fn engine(n: u8) -> Node {
    Node { engine: Some(Engine { request: vec![n] }), ..node(n, Role::Worker) }
}

#[test]
fn a_docker_engine_is_a_worker_for_good() {
    let mut state = managers(2);
    let manager = Node { role: Role::Manager, ..engine(5) };
    let refused = Outcome::Refused(Refusal::NodeIsEngine { id: node_id(5) });
    assert_eq!(state.run(60, at(22, Action::AdmitNode(Box::new(manager)))), refused);
    assert!(state.node(node_id(5)).is_none(), "and there is no record of it");
    state.run(61, at(22, Action::AdmitNode(Box::new(engine(5)))));
    let promoted = Action::UpdateNode(change(5, Role::Manager));
    assert_eq!(state.run(62, at(23, promoted)), refused);
    assert_eq!(state.node(node_id(5)).unwrap().role, Role::Worker);
}

#[test]
fn an_engines_record_has_its_latest_request_and_that_of_no_other_node_has_one() {
    let mut state = managers(2);
    state.run(60, at(22, Action::AdmitNode(Box::new(engine(5)))));
    state.run(61, at(22, admit(6, Role::Worker)));
    for (n, expected) in [(5, Some(Engine { request: vec![9] })), (6, None)] {
        let (pin, certificate, role) = (KeyPin([n + 50; 32]), "pem".into(), Role::Worker);
        let issued = Issued {
            pin,
            certificate,
            end_secs: 9,
            role,
            request: vec![9],
            issuer: pki::rotation::Generation(1),
        };
        let renewed = Action::RenewNode(node_id(n), issued, Some(KeyPin([n; 32])));
        assert_eq!(state.run(62, at(23, renewed)), Outcome::Done);
        assert_eq!(state.node(node_id(n)).unwrap().engine, expected, "{n}");
    }
}

#[test]
fn a_worker_is_ready_once_it_said_what_it_is_and_says_it_again_only_if_it_changed() {
    let mut state = managers(2);
    state.run(60, at(22, admit(5, Role::Worker)));
    let machine = Machine { os: "linux".into(), ..Machine::default() };
    let said = |version: &str| {
        let (hostname, engine_version) = ("worker".into(), version.into());
        let said =
            Described { hostname, engine_version, level: Level(1), machine: machine.clone() };
        Action::DescribeNode(node_id(5), Box::new(said))
    };
    let index = state.node(node_id(5)).unwrap().meta.version_index;
    assert_eq!(state.apply(61, at(23, said("1"))).events.len(), 1);
    let node = state.node(node_id(5)).unwrap();
    assert_eq!((node.hostname.as_str(), node.status), ("worker", NodeStatus::Ready));
    assert_eq!((&node.machine, node.meta.version_index), (&machine, index));
    assert_eq!(state.apply(62, at(24, said("1"))).events, []);
    assert_eq!(state.apply(63, at(24, said("2"))).events.len(), 1);
    // A manager speaks in another way.
    let said =
        Described { hostname: "x".into(), engine_version: "x".into(), level: Level(1), machine };
    state.run(64, at(25, Action::DescribeNode(node_id(3), Box::new(said))));
    assert_eq!(state.node(node_id(3)).unwrap().hostname, "host-3");
    assert_eq!(
        state.run(
            65,
            at(
                25,
                Action::DescribeNode(
                    node_id(9),
                    Box::new(Described {
                        hostname: String::new(),
                        engine_version: String::new(),
                        level: Level(1),
                        machine: Machine::default(),
                    })
                )
            )
        ),
        Outcome::Refused(not_found(ObjectKind::Node, node_id(9).object()))
    );
}
