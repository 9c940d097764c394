//! What the state keeps of certificates: of which, for how long, and which are taken back.

use pki::issued::{self, ChainError};
use pki::key::{KeyDocument, SigningKey};
use pki::leaf::{LeafPlan, issue_leaf};
use pki::root::{RootPlan, issue_root};
use ring::rand::SystemRandom;

use super::*;
use crate::command::{Action, CreateCluster, Issued as IssuedCommand, NodeUpdate};
use crate::id::NodeId;
use crate::node::KeyPin;
use crate::state::tests::{at, create_cluster, entropy};

const NOW_SECS: u64 = 1_800_000_000;
const DAY_SECS: u64 = 24 * 3_600;

/// A root that signs whatever it is asked for.
struct Root {
    pem: String,
    key: KeyDocument,
    random: SystemRandom,
    cluster: String,
    made: u8,
}

impl Root {
    fn of(cluster: &str) -> Self {
        let random = SystemRandom::new();
        let key = KeyDocument::generate(&random).unwrap();
        let parsed = SigningKey::parse(key.expose(), &random).unwrap();
        let plan = RootPlan { cluster, generation: 1, now_secs: NOW_SECS, serial: [9; 20] };
        let pem = issue_root(&plan, &parsed).unwrap();
        Self { pem, key, random, cluster: cluster.to_owned(), made: 0 }
    }

    fn leaf(&mut self, node: NodeId, role: leaf::Role) -> String {
        self.made += 1;
        let own = KeyDocument::generate(&self.random).unwrap();
        let public = SigningKey::parse(own.expose(), &self.random).unwrap().public_key();
        let plan = LeafPlan {
            cluster: &self.cluster,
            node: node.as_str(),
            role,
            now_secs: NOW_SECS,
            lifetime_secs: 90 * DAY_SECS,
            serial: [self.made; 20],
        };
        let key = SigningKey::parse(self.key.expose(), &self.random).unwrap();
        issue_leaf(&plan, &public, &self.pem, &key).unwrap()
    }
}

fn node_id(n: u8) -> NodeId {
    NodeId::from_entropy(entropy(n))
}

fn at_secs(secs: u64, action: Action) -> crate::command::Command {
    at(secs * 1_000_000_000, action)
}

fn first() -> CreateCluster {
    let Action::CreateCluster(first) = create_cluster() else { unreachable!() };
    *first
}

fn admit(root: &mut Root, n: u8, role: Role) -> Action {
    let certified = if role == Role::Manager { leaf::Role::Manager } else { leaf::Role::Worker };
    let certificate = root.leaf(node_id(n), certified);
    Action::AdmitNode(Box::new(Node {
        id: node_id(n),
        role,
        raft_id: None,
        pins: vec![KeyPin([n; 32])],
        certificate,
        certificate_end_secs: NOW_SECS + 90 * DAY_SECS,
        ..first().node
    }))
}

/// A cluster of one manager, 2, and a manager and a worker that joined, 3 and 4.
fn three() -> (State, Root) {
    let CreateCluster { mut cluster, mut node } = first();
    let mut root = Root::of(cluster.id.as_str());
    cluster.root_certificate.clone_from(&root.pem);
    node.certificate = root.leaf(node.id, leaf::Role::Manager);
    let mut state = State::default();
    let created = Action::CreateCluster(Box::new(CreateCluster { cluster, node }));
    state.run(1, at_secs(NOW_SECS, created));
    state.run(2, at_secs(NOW_SECS, admit(&mut root, 3, Role::Manager)));
    state.run(3, at_secs(NOW_SECS, admit(&mut root, 4, Role::Worker)));
    (state, root)
}

fn verified(issued: &Issued) -> Result<Option<u64>, ChainError> {
    issued::verify(issued.kept().map(|record| &**record), issued.count(), issued.head())
}

#[test]
fn every_certificate_is_recorded_the_root_first() {
    let (mut state, mut root) = three();
    let again = root.leaf(node_id(4), leaf::Role::Worker);
    let renewal = IssuedCommand {
        pin: KeyPin([40; 32]),
        certificate: again.clone(),
        end_secs: NOW_SECS + 90 * DAY_SECS,
        request: Vec::new(),
        role: Role::Worker,
        issuer: pki::rotation::Generation(1),
    };
    let renew = Action::RenewNode(node_id(4), renewal, Some(KeyPin([4; 32])));
    state.run(4, at_secs(NOW_SECS + 60, renew));
    let node = |n, role| Subject::Node { id: node_id(n).to_string(), role };
    let subjects: Vec<_> =
        state.issued().kept().map(|record| record.facts.subject.clone()).collect();
    let expected = [
        Subject::Authority,
        node(2, leaf::Role::Manager),
        node(3, leaf::Role::Manager),
        node(4, leaf::Role::Worker),
        node(4, leaf::Role::Worker),
    ];
    assert_eq!(subjects, expected);
    assert_eq!(verified(state.issued()), Ok(Some(1)));
    assert!(state.issued().knows(Facts::of(&again).certificate));
    assert!(
        !state.issued().knows(Facts::of(&root.leaf(node_id(4), leaf::Role::Worker)).certificate)
    );
    // Who asks again is told what it has: what was signed for that is given to nobody.
    let count = state.issued().count();
    state.run(5, at_secs(NOW_SECS + 61, admit(&mut root, 4, Role::Worker)));
    assert_eq!(state.issued().count(), count);
}

#[test]
fn the_newest_are_kept_and_the_chain_still_holds() {
    let mut issued = Issued::default();
    let over = u64::try_from(ISSUED_KEPT).unwrap() + 5;
    for number in 0..over {
        issued.push(Timestamp::default(), &number.to_string());
    }
    assert_eq!(
        (issued.count(), issued.kept.len(), issued.known.len()),
        (over, ISSUED_KEPT, ISSUED_KEPT)
    );
    assert!(!issued.is_whole() && !issued.knows(Facts::of("4").certificate));
    assert!(issued.knows(Facts::of("5").certificate));
    assert_eq!(verified(&issued), Ok(Some(6)));
    assert_eq!(issued.since(over - 2).count(), 2);
}

#[test]
fn what_a_node_had_is_taken_back_when_it_goes_and_forgotten_after_its_end() {
    let (mut state, _) = three();
    let serials = |state: &State| {
        state.issued().revoked().map(|(serial, _)| serial.to_vec()).collect::<Vec<_>>()
    };
    let of = |state: &State, n: u8| Facts::of(&state.node(node_id(n)).unwrap().certificate).serial;
    let (manager, worker) = (of(&state, 3), of(&state, 4));
    let heard = [2, 3].map(|n| (node_id(n), crate::node::NodeStatus::Ready)).to_vec();
    state.run(4, at_secs(NOW_SECS + 1, Action::ReportNodes(heard)));
    assert!(serials(&state).is_empty());
    let role = Some(Role::Worker);
    let demote =
        NodeUpdate { id: node_id(3), expected: None, role, availability: None, labels: None };
    let demoted = state.run(5, at_secs(NOW_SECS + 2, Action::UpdateNode(demote)));
    assert_eq!(demoted, crate::command::Outcome::Done);
    assert_eq!(serials(&state), std::slice::from_ref(&manager));
    state.run(6, at_secs(NOW_SECS + 3, Action::RemoveNode(node_id(4), true)));
    let mut both = vec![manager.clone(), worker];
    both.sort();
    assert_eq!(serials(&state), both);
    let taken = state.issued().revoked().find(|(serial, _)| *serial == manager).unwrap().1;
    let end_secs = NOW_SECS + 90 * DAY_SECS;
    assert_eq!(taken, Revoked { at_secs: NOW_SECS + 2, end_secs });
    let late = end_secs + REMOVED_KEPT_SECS;
    state.run(7, at_secs(late, Action::RemoveNode(node_id(3), true)));
    assert!(serials(&state).is_empty());
}

#[test]
fn a_manager_that_brings_a_state_back_alone_takes_back_what_the_others_had() {
    let (state, mut root) = three();
    let own = state.node(node_id(2)).unwrap();
    let certificate = root.leaf(node_id(2), leaf::Role::Manager);
    let alone = state.clone().alone(Node { certificate: certificate.clone(), ..Node::clone(own) });
    assert_eq!(alone.issued().revoked().count(), 2);
    assert!(alone.issued().knows(Facts::of(&certificate).certificate));
    assert_eq!(verified(alone.issued()), Ok(Some(1)));
}
