//! The root's rotation: its commands, and what stands of it in clusters and nodes.

use pki::rotation::{Ack, Manner, Options, Phase, Rotation};
use vault_core::root::{Begin, Change, RootRefusal, Step};

use super::*;

const OPTIONS: Options = Options { grace_secs: 30, is_for_all: true };
const ACK: Ack = Ack { rotation: 7, turn: 2 };

fn begin() -> Begin {
    Begin {
        id: 7,
        to: Generation(2),
        manner: Manner::Careful,
        options: OPTIONS,
        certificate: "new".into(),
        key: sealed(15),
        link: "link".into(),
        back_link: "back".into(),
        lifetime_secs: Some(3_600),
    }
}

pub(super) fn actions() -> Vec<(&'static str, Action)> {
    let node = NodeId::from_entropy([2; 17]);
    let tokens = Some(Box::new([sealed(16), sealed(17)]));
    let resealed = Resealed { what: SealedAt::Root(Generation(2)), sealed: sealed(18) };
    let renewed = Issued { issuer: Generation(2), ..issued() };
    let steps = [
        ("begin-root", Step::Begin(Box::new(begin()))),
        ("enter-root", Step::Enter(7, Phase::Retiring)),
        ("ask-root", Step::Ask(7, vec![node])),
        ("acknowledge-root", Step::Acknowledge(node, ACK)),
        ("abort-root", Step::Abort(7)),
        ("finish-root", Step::Finish(7, Phase::Retiring, tokens)),
        ("finish-root-back", Step::Finish(7, Phase::Withdrawing, None)),
    ];
    let steps = steps.into_iter().map(|(name, step)| (name, Action::Root(step)));
    let others = [
        ("reseal-root", Action::Reseal(vec![resealed])),
        ("renew-node-root", Action::RenewNode(node, renewed, None)),
    ];
    steps.chain(others).collect()
}

#[test]
fn a_cluster_whose_root_changes_reads_as_it_was_written() {
    let (id, from, to) = (7, Generation(3), Generation(4));
    let rotation =
        Rotation { id, from, to, manner: Manner::Reversed, phase: Phase::Reissuing, since_secs: 9 };
    let Begin { certificate, key, link, back_link, .. } = begin();
    let (options, generation) = (OPTIONS, to);
    let change = Change { rotation, options, generation, certificate, key, link, back_link };
    let roots = Roots {
        generation: from,
        last_used: to,
        last_rotation: id,
        change: Some(Box::new(change)),
        links: vec!["a".into(), "b".into()],
        denied: vec![KeyPin([4; 32])],
        lifetime_secs: Some(7_200),
    };
    let cluster = Cluster { roots, ..create_cluster().cluster };
    assert_eq!(object::cluster_from(object::cluster_to(&cluster)).unwrap(), cluster);
    assert!(object::cluster_to(&create_cluster().cluster).roots.is_none(), "as it always was");
}

#[test]
fn what_a_node_trusts_reads_as_it_was_written() {
    let (issuer, ack) = (Generation(2), Some(ACK));
    let trust = NodeTrust { issuer, asked_secs: Some(5), ack, heard_secs: 6 };
    let node = Node { trust, ..whole_node() };
    assert_eq!(node::node_from(node::node_to(&node)).unwrap(), node);
    assert!(node::node_to(&whole_node()).trust.is_none(), "as it always was");
}

#[test]
fn refusals_of_rotations_read_as_they_were_written() {
    use RootRefusal::{
        Compromised, Exhausted, Nothing, OutOfStep, Running, Signer, TakenBack, TooLate,
    };
    let all = [Running, Exhausted, Nothing, OutOfStep, TooLate, TakenBack, Compromised, Signer];
    for refusal in all {
        let outcome = Outcome::Refused(Refusal::Root(refusal));
        assert_eq!(outcome_from(Some(outcome_to(&outcome))).unwrap(), outcome);
    }
}
