//! Who somebody is, is what his certificate proves; what he may do, the record says.

use tests::cluster::{form, listed, nodes, voters, wait_listed};
use tests::{Impostor, Node, wait_until};
use tonic::{Code, Status};
use vault_core::access::{CALLS, Who};

use super::{Empty, settled};

fn code(answer: Result<Vec<u8>, Status>) -> Code {
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// Every call that is for managers or operators is refused by each of these.
fn assert_shut_out(impostor: &Impostor, by: &[&Node], may: &[Who]) {
    for (_, _, path, who) in CALLS.iter().filter(|(.., who)| !may.contains(who)) {
        for node in by {
            let call = || code(impostor.call(node, path, &Empty {}));
            // Connections of somebody who lost a right are closed, and a call may be on its way just then.
            let code = Some(call()).filter(|code| *code != Code::Unknown).unwrap_or_else(call);
            assert_eq!(code, Code::PermissionDenied, "{path}, for {who:?}");
        }
    }
}

/// The certificate still says manager; the record says worker, and not even that in the end.
#[test]
fn case_11_13_14_47_who_was_demoted_or_removed_may_make_no_managers_call() {
    let test = "case_11_13_14_47_who_was_demoted_or_removed_may_make_no_managers_call";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons = form(&nodes);
    settled(&nodes);
    let impostor = Impostor::of(&nodes[2]);
    // A manager may not act as an operator either.
    assert_shut_out(&impostor, &[&nodes[0]], &[Who::Managers, Who::Nodes, Who::Anybody]);
    nodes[0].coffer(&["node", "demote", &impostor.id()]).said();
    let left = [&nodes[0], &nodes[1]];
    for node in left {
        wait_until("two vote", || voters(node) == 2);
        // Read so that it is new.
        listed(node, &impostor.id());
    }
    assert_shut_out(&impostor, &left, &[Who::Nodes, Who::Anybody]);
    daemons.pop().expect("three were started").kill();
    wait_listed(&nodes[0], &impostor.id(), "Down");
    nodes[0].coffer(&["node", "rm", &impostor.id()]).said();
    for node in left {
        assert!(listed(node, &impostor.id()).is_empty());
    }
    assert_shut_out(&impostor, &left, &[Who::Anybody]);
}

#[test]
fn case_12_nobody_is_who_he_says_unless_his_certificate_says_so() {
    let test = "case_12_nobody_is_who_he_says_unless_his_certificate_says_so";
    let Some(nodes) = nodes::<3>(test) else { return };
    let _daemons = form(&nodes);
    settled(&nodes);
    let (impostor, other) = (Impostor::of(&nodes[2]), Impostor::of(&nodes[1]));
    let honest = impostor.envelope(&nodes[0]);
    let read =
        |envelope| impostor.call_as(&nodes[0], envelope, "/coffer.v1.Raft/ReadIndex", &Empty {});
    assert!(!matches!(code(read(&honest)), Code::PermissionDenied | Code::Internal));
    let mut lie = honest.clone();
    lie.from = other.raft_id().to_string();
    assert_eq!(code(read(&lie)), Code::PermissionDenied);
}

#[test]
fn case_41_calls_of_another_cluster_time_or_receiver_are_refused() {
    let test = "case_41_calls_of_another_cluster_time_or_receiver_are_refused";
    let Some(nodes) = nodes::<3>(test) else { return };
    let _daemons = form(&nodes);
    settled(&nodes);
    let impostor = Impostor::of(&nodes[2]);
    let honest = impostor.envelope(&nodes[0]);
    let with = |change: fn(&mut tests::impostor::Envelope)| {
        let mut envelope = honest.clone();
        change(&mut envelope);
        envelope
    };
    for envelope in [
        with(|envelope| envelope.cluster = "a".repeat(25)),
        with(|envelope| envelope.cluster.clear()),
        with(|envelope| envelope.epoch = "77".to_owned()),
        with(|envelope| envelope.epoch = "-1".to_owned()),
        with(|envelope| envelope.to = "77".to_owned()),
        with(|envelope| envelope.from = envelope.to.clone()),
        with(|envelope| envelope.from = "many".to_owned()),
    ] {
        for path in ["Vote", "Heartbeat", "ReadIndex", "Propose", "HandOver"] {
            let path = format!("/coffer.v1.Raft/{path}");
            let code = code(impostor.call_as(&nodes[0], &envelope, &path, &Empty {}));
            assert_eq!(code, Code::FailedPrecondition, "{path} {envelope:?}");
        }
    }
}
