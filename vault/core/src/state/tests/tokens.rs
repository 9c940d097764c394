//! Join tokens beside the standing ones: whom they let in, and when no more.

use proptest::prelude::*;

use super::*;
use crate::command::{Issued, NodeUpdate};
use crate::id::TokenId;
use crate::limits::{TOKENS_KEPT_SECS, TOKENS_MAX};
use crate::node::Node;
use crate::table::LookupError;
use crate::token::{NewToken, Standing, Token, TokenDigest};

const SECOND: u64 = 1_000_000_000;

fn token_id(n: u16) -> TokenId {
    let mut drawn = [0; ENTROPY_BYTES];
    drawn[8..10].copy_from_slice(&n.to_le_bytes());
    TokenId::from_entropy(drawn)
}

fn digest(n: u16) -> TokenDigest {
    let mut digest = [0; 32];
    digest[..2].copy_from_slice(&n.to_le_bytes());
    TokenDigest(digest)
}

fn new(n: u16, role: Role, ttl_secs: Option<u64>, uses_max: Option<u32>) -> Action {
    let (id, digest) = (token_id(n), digest(n));
    Action::CreateToken(NewToken { id, role, digest, ttl_secs, uses_max })
}

fn node(n: u16, role: Role) -> Node {
    let Action::CreateCluster(first) = create_cluster() else { unreachable!() };
    let mut drawn = [9; ENTROPY_BYTES];
    drawn[8..10].copy_from_slice(&n.to_le_bytes());
    let mut pin = [7; 32];
    pin[..2].copy_from_slice(&n.to_le_bytes());
    Node { id: NodeId::from_entropy(drawn), role, pins: vec![KeyPin(pin)], ..first.node }
}

/// That node joins with that token.
fn join(n: u16, role: Role, token: u16) -> Action {
    Action::AdmitNode(Box::new(Node { token: Some(token_id(token)), ..node(n, role) }))
}

fn joined(n: u16) -> Outcome {
    Outcome::Created(vec![node(n, Role::Worker).id.object()])
}

fn worthless(n: u16, standing: Standing) -> Outcome {
    Outcome::Refused(Refusal::TokenWorthless { id: token_id(n), standing })
}

fn token(state: &State, n: u16) -> &Token {
    state.tokens().get(token_id(n)).expect("it is remembered")
}

/// A cluster with the token 1 for managers.
fn with_token(ttl_secs: Option<u64>, uses_max: Option<u32>) -> State {
    let mut state = cluster();
    let made = state.run(2, at(20, new(1, Role::Manager, ttl_secs, uses_max)));
    assert_eq!(made, Outcome::Created(vec![token_id(1).object()]));
    state
}

#[test]
fn a_token_lets_in_until_its_end_by_the_time_of_the_entries() {
    let mut state = with_token(Some(10), None);
    assert_eq!(token(&state, 1).ends_at, Some(Timestamp::from_nanos(10 * SECOND + 20)));
    assert_eq!(state.run(3, at(10 * SECOND + 19, join(1, Role::Manager, 1))), joined(1));
    let late = state.run(4, at(10 * SECOND + 20, join(2, Role::Manager, 1)));
    assert_eq!(late, worthless(1, Standing::Expired));
    // A stamp from before, of a leader whose clock is late: time never runs backwards.
    let early = state.run(5, at(20, join(3, Role::Manager, 1)));
    assert_eq!(early, worthless(1, Standing::Expired));
    assert_eq!((token(&state, 1).uses, state.nodes().count()), (1, 2));
}

#[test]
fn case_c50_of_a_thousand_that_join_with_a_token_of_ten_uses_ten_come_in() {
    let mut state = with_token(None, Some(10));
    let outcomes: Vec<_> =
        (0..1_000).map(|n| state.run(3, at(30, join(n, Role::Manager, 1)))).collect();
    for (n, outcome) in (0..).zip(&outcomes) {
        let expected = if n < 10 { joined(n) } else { worthless(1, Standing::UsedUp) };
        assert_eq!(*outcome, expected, "{n}");
    }
    assert_eq!((token(&state, 1).uses, state.nodes().count()), (10, 11));
}

#[test]
fn case_c49_the_same_key_with_the_same_token_is_the_same_node_and_one_use() {
    let mut state = with_token(None, Some(1));
    assert_eq!(state.run(3, at(30, join(1, Role::Manager, 1))), joined(1));
    // It drew another ID when it asked again, or asked two managers at one time.
    let again = Node {
        id: NodeId::from_entropy([8; 17]),
        token: Some(token_id(1)),
        ..node(1, Role::Manager)
    };
    let applied = state.apply(4, at(30, Action::AdmitNode(Box::new(again))));
    assert_eq!(applied.outcome, joined(1));
    assert_eq!(applied.events, []);
    assert_eq!((token(&state, 1).uses, state.nodes().count()), (1, 2));
}

#[test]
fn case_c12_c13_a_key_of_another_node_joins_with_no_other_token_and_renews_nobody() {
    let mut state = with_token(None, None);
    state.run(3, at(30, new(2, Role::Manager, None, None)));
    assert_eq!(state.run(4, at(30, join(1, Role::Manager, 1))), joined(1));
    let before = state.node(node(1, Role::Manager).id).cloned();
    let standing = Action::AdmitNode(Box::new(node(1, Role::Manager)));
    for action in [join(1, Role::Manager, 2), join(1, Role::Worker, 1), standing] {
        assert_eq!(state.run(5, at(30, action)), Outcome::Refused(Refusal::KeyTaken));
    }
    assert_eq!(state.node(node(1, Role::Manager).id).cloned(), before);
    assert_eq!(state.run(6, at(30, join(2, Role::Manager, 2))), joined(2));
    let (pin, certificate) = (node(1, Role::Manager).pins[0], "pem".to_owned());
    let issued = Issued {
        pin,
        certificate,
        end_secs: 9,
        role: Role::Manager,
        request: Vec::new(),
        issuer: pki::rotation::Generation(1),
    };
    let other = node(2, Role::Manager);
    let renewed = state.run(7, at(30, Action::RenewNode(other.id, issued, Some(other.pins[0]))));
    assert_eq!(renewed, Outcome::Refused(Refusal::KeyTaken));
}

#[test]
fn case_c45_a_token_lets_nobody_in_as_something_else() {
    let mut state = with_token(None, None);
    let not_found =
        Refusal::NotFound { kind: ObjectKind::Token, reference: token_id(1).to_string() };
    assert_eq!(state.run(3, at(30, join(1, Role::Worker, 1))), Outcome::Refused(not_found));
    let unknown = Refusal::NotFound { kind: ObjectKind::Token, reference: token_id(9).to_string() };
    assert_eq!(state.run(3, at(30, join(1, Role::Manager, 9))), Outcome::Refused(unknown));
}

#[test]
fn a_token_that_is_revoked_lets_nobody_in_and_whom_it_let_in_stays() {
    let mut state = with_token(None, None);
    state.run(3, at(30, join(1, Role::Manager, 1)));
    let applied = state.apply(4, at(40, Action::RevokeToken(token_id(1))));
    assert_eq!((applied.outcome, applied.events.len()), (Outcome::Done, 1));
    let refused = state.run(5, at(50, join(2, Role::Manager, 1)));
    assert_eq!(refused, worthless(1, Standing::Revoked));
    assert!(state.node(node(1, Role::Manager).id).is_some());
    let applied = state.apply(6, at(60, Action::RevokeToken(token_id(1))));
    assert_eq!((applied.outcome, applied.events.len()), (Outcome::Done, 0));
    assert_eq!(token(&state, 1).revoked_at, Some(Timestamp::from_nanos(40)));
    let missing = state.run(7, at(60, Action::RevokeToken(token_id(2))));
    let not_found =
        Refusal::NotFound { kind: ObjectKind::Token, reference: token_id(2).to_string() };
    assert_eq!(missing, Outcome::Refused(not_found));
}

#[test]
fn whoever_knew_the_tokens_of_managers_cannot_come_back_by_them() {
    let revoked = |state: &State| [1, 2].map(|n| token(state, n).revoked_at.is_some());
    let mut state = with_token(None, None);
    state.run(3, at(30, new(2, Role::Worker, None, None)));
    state.run(4, at(30, join(1, Role::Manager, 1)));
    let id = node(1, Role::Manager).id;
    let (role, expected, availability, labels) = (Some(Role::Worker), None, None, None);
    let demote = Action::UpdateNode(NodeUpdate { id, expected, role, availability, labels });
    let mut demoted = state.clone();
    assert_eq!(demoted.run(5, at(50, demote)), Outcome::Done);
    assert_eq!(revoked(&demoted), [true, false], "a demotion");
    let mut alone = state.clone();
    alone.run(5, at(50, Action::StandAlone(NodeId::from_entropy(entropy(2)))));
    assert_eq!(revoked(&alone), [true, false], "a forced cluster");
    let own = state.node(id).unwrap().as_ref().clone();
    assert_eq!(revoked(&state.alone(own)), [true, true], "what was restored");
}

#[test]
fn a_refused_join_spends_nothing() {
    let mut state = with_token(None, Some(1));
    let taken = Node {
        id: NodeId::from_entropy(entropy(2)),
        token: Some(token_id(1)),
        ..node(1, Role::Manager)
    };
    let refused = state.run(3, at(30, Action::AdmitNode(Box::new(taken))));
    assert!(matches!(refused, Outcome::Refused(Refusal::NameTaken { .. })), "{refused:?}");
    assert_eq!(token(&state, 1).uses, 0);
}

#[test]
fn tokens_are_bounded_and_those_that_ended_make_room() {
    let mut state = cluster();
    let max = u16::try_from(TOKENS_MAX).unwrap();
    for n in 0..max {
        let ttl_secs = (n < 2).then_some(10 + u64::from(n));
        assert!(matches!(
            state.run(2, at(20, new(n, Role::Worker, ttl_secs, None))),
            Outcome::Created(_)
        ));
    }
    let full = Outcome::Refused(Refusal::TokensTooMany { max: TOKENS_MAX });
    assert_eq!(state.run(3, at(30, new(max, Role::Worker, None, None))), full);
    // The one that ended first goes first, and no more than are needed.
    let made = state.run(4, at(12 * SECOND, new(max, Role::Worker, None, None)));
    assert!(matches!(made, Outcome::Created(_)), "{made:?}");
    let is_kept = |state: &State, n| state.tokens().get(token_id(n)).is_some();
    assert_eq!([0, 1, 2].map(|n| is_kept(&state, n)), [false, true, true]);
    state.run(5, at(13 * SECOND, Action::RevokeToken(token_id(2))));
    let much_later = (TOKENS_KEPT_SECS + 13) * SECOND;
    state.run(6, at(much_later, new(max + 1, Role::Worker, None, None)));
    assert_eq!(
        [1, 2, 3].map(|n| is_kept(&state, n)),
        [false, false, true],
        "all that ended long ago"
    );
}

#[test]
fn a_token_is_made_once_and_found_by_its_id_or_how_that_begins() {
    let mut state = with_token(None, None);
    for again in [new(1, Role::Manager, None, None), {
        let (id, digest) = (token_id(2), digest(1));
        let (role, ttl_secs, uses_max) = (Role::Worker, None, None);
        Action::CreateToken(NewToken { id, role, digest, ttl_secs, uses_max })
    }] {
        let refused = state.run(3, at(30, again));
        assert!(matches!(refused, Outcome::Refused(Refusal::NameTaken { .. })), "{refused:?}");
    }
    state.run(4, at(30, new(2, Role::Worker, None, None)));
    let (first, second) = (token_id(1), token_id(2));
    let shared = first.as_str().bytes().zip(second.as_str().bytes()).take_while(|(a, b)| a == b);
    let (shared, _) = first.as_str().split_at(shared.count());
    let found = |reference: &str| state.tokens().find(reference).map(|token| token.id);
    assert_eq!(found(first.as_str()), Ok(first));
    assert_eq!(found(second.as_str().split_at(shared.len() + 1).0), Ok(second));
    assert_eq!(
        found(shared),
        Err(if shared.is_empty() { LookupError::NotFound } else { LookupError::Ambiguous(2) })
    );
    assert_eq!(found("nothing"), Err(LookupError::NotFound));
    assert_eq!(found(""), Err(LookupError::NotFound));
    let with = |n| state.tokens().with_digest(&digest(n)).map(|token| token.id);
    assert_eq!([with(1), with(2), with(3)], [Some(first), Some(second), None]);
}

#[derive(Clone, Debug)]
enum Step {
    Create(u16, bool, Option<u8>, Option<u8>),
    Revoke(u16),
    /// A node, with a key, by a token or a standing one.
    Join(u16, u8, Option<u16>),
    /// A node takes a key, having proved another.
    Renew(u16, u8, u8),
    Remove(u16),
    Demote(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let (token, node, key) = (0..3_u16, 0..6_u16, 0..6_u8);
    let least = prop::option::of(1..4_u8);
    prop_oneof![
        2 => (token.clone(), any::<bool>(), least.clone(), least)
            .prop_map(|(n, manager, ttl, uses)| Step::Create(n, manager, ttl, uses)),
        1 => token.clone().prop_map(Step::Revoke),
        6 => (node.clone(), key.clone(), prop::option::of(token))
            .prop_map(|(n, key, token)| Step::Join(n, key, token)),
        3 => (node.clone(), key.clone(), key).prop_map(|(n, old, new)| Step::Renew(n, old, new)),
        1 => node.clone().prop_map(Step::Remove),
        1 => node.prop_map(Step::Demote),
    ]
}

fn action(state: &State, step: &Step) -> Action {
    let pin = |key: u8| KeyPin([100 + key; 32]);
    match *step {
        Step::Create(n, is_manager, ttl, uses) => {
            let role = if is_manager { Role::Manager } else { Role::Worker };
            new(n, role, ttl.map(u64::from), uses.map(u32::from))
        }
        Step::Revoke(n) => Action::RevokeToken(token_id(n)),
        Step::Join(n, key, by) => {
            let role = by.and_then(|by| state.tokens().get(token_id(by))).map(|token| token.role);
            let node = node(n, role.unwrap_or(Role::Worker));
            let (token, pins) = (by.map(token_id), vec![pin(key)]);
            Action::AdmitNode(Box::new(Node { pins, token, ..node }))
        }
        Step::Renew(n, old, new) => {
            let id = node(n, Role::Worker).id;
            let role = state.node(id).map_or(Role::Worker, |node| node.role);
            let (pin_new, certificate) = (pin(new), "pem".to_owned());
            let issued = Issued {
                pin: pin_new,
                certificate,
                end_secs: 9,
                role,
                request: Vec::new(),
                issuer: pki::rotation::Generation(1),
            };
            Action::RenewNode(id, issued, Some(pin(old)))
        }
        Step::Remove(n) => Action::RemoveNode(node(n, Role::Worker).id, true),
        Step::Demote(n) => {
            let (id, role) = (node(n, Role::Worker).id, Some(Role::Worker));
            let (expected, availability, labels) = (None, None, None);
            Action::UpdateNode(NodeUpdate { id, expected, role, availability, labels })
        }
    }
}

/// One node for each key, which is found by it; and by no other.
fn invariant_a_key_is_one_nodes(state: &State) {
    let mut seen = Vec::new();
    for node in state.nodes() {
        assert!(node.pins.len() <= 2, "{node:?}");
        for pin in &node.pins {
            assert_eq!(state.node_with_key(*pin).map(|found| found.id), Some(node.id));
            assert!(!seen.contains(pin), "{pin:?} is of two nodes");
            seen.push(*pin);
        }
    }
    for key in 0..6 {
        let found = state.node_with_key(KeyPin([100 + key; 32]));
        assert!(found.is_none_or(|node| node.is_proven_by(KeyPin([100 + key; 32]))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn case_c21_c49_c50_whatever_is_asked_a_use_is_a_node_and_a_key_is_one_nodes(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut state = cluster();
        let mut again = state.clone();
        let mut admitted: Vec<(TokenId, NodeId)> = Vec::new();
        for (index, step) in (2_u64..).zip(&steps) {
            let command = at(index * SECOND, action(&state, step));
            let known: Vec<_> = state.nodes().map(|node| node.id).collect();
            let applied = state.apply(index, command.clone());
            prop_assert_eq!(&applied, &again.apply(index, command));
            if matches!(applied.outcome, Outcome::Refused(_)) {
                prop_assert!(applied.events.is_empty(), "a refusal does nothing: {:?}", applied);
            }
            let new = state.nodes().filter(|node| !known.contains(&node.id));
            admitted.extend(new.filter_map(|node| Some((node.token?, node.id))));
            for token in state.tokens().iter() {
                let uses = admitted.iter().filter(|(by, _)| *by == token.id).count();
                prop_assert_eq!(u32::try_from(uses).unwrap(), token.uses);
                prop_assert!(token.uses_max.is_none_or(|max| token.uses <= max));
            }
            invariant_a_key_is_one_nodes(&state);
        }
        prop_assert_eq!(format!("{state:?}"), format!("{again:?}"));
    }
}
