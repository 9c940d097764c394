//! Checks by somebody who calls managers in another's name.

use std::time::{Duration, Instant};

use prost::Message;
use tests::cluster::{form, id, leader, listed, voters, wait_listed};
use tests::peers::{
    Actor, LogId, OneValue, ProposeRequest, RemoveCommand, Vote, VoteRequest, VoteResponse,
};
use tests::{Daemon, Impostor, Node, wait_until};

use super::{Verdict, proves};

/// For managers alone. Who does not lead says so.
const READ_INDEX: &str = "/coffer.v1.Raft/ReadIndex";
/// A term that no election of a test comes near.
const FAR_TERM: u64 = 1_000_000;

/// Nothing is asked for.
#[derive(Clone, PartialEq, Message)]
struct Empty {}

#[test]
fn case_12_who_hands_a_call_on_is_named_in_the_audit() {
    let check = "case_12_who_hands_a_call_on_is_named_in_the_audit";
    proves(check, &["forwarded-caller-believed"], |planted| {
        let nodes = planted.nodes::<3>();
        let _daemons = form(&nodes);
        let first = leader(&nodes.each_ref());
        let (liar, blamed) = ((first + 1) % 3, (first + 2) % 3);
        let impostor = Impostor::of(&nodes[liar]);
        // A config that is not there: the refusal is a record, too.
        let remove = Some(OneValue { class: 1, id: "a".repeat(25) });
        let actor = Actor { uid: 4_321, pid: 1, call: 33, node: id(&nodes[blamed]) };
        let request =
            ProposeRequest { command: Some(RemoveCommand { actor: Some(actor), remove }) };
        let answer = impostor.call(&nodes[first], "/coffer.v1.Raft/Propose", &request);
        answer.map_err(|status| status.to_string())?;
        let shown = nodes[first].coffer(&["audit", "tail", "-n", "50", "--format", "json"]).said();
        let record = shown.lines().find(|line| line.contains("4321"));
        let record = record.ok_or_else(|| format!("it is not in the audit: {shown}"))?;
        let named = format!("\"Node\":\"{}\"", impostor.id());
        if record.contains(&named) { Ok(()) } else { Err(record.to_owned()) }
    });
}

fn three_ready(nodes: &[Node; 3]) {
    for node in nodes {
        let own = id(node);
        wait_until("all vote", || voters(node) == 3);
        wait_until("all are ready", || listed(&nodes[0], &own).starts_with("Ready"));
    }
}

fn is_heard(impostor: &Impostor, by: &Node) -> bool {
    match impostor.call(by, READ_INDEX, &Empty {}) {
        Err(status) => status.code() == tonic::Code::FailedPrecondition,
        Ok(_) => true,
    }
}

fn is_not_heard(impostor: &Impostor, by: &Node) -> Verdict {
    match impostor.call(by, READ_INDEX, &Empty {}) {
        Err(status) if status.code() == tonic::Code::PermissionDenied => Ok(()),
        Err(status) => Err(format!("heard, or refused for another reason: {status}")),
        Ok(_) => Err("it is answered".to_owned()),
    }
}

fn demoted<'a>(nodes: &'a [Node; 3], daemons: Vec<Daemon<'a>>) -> (Impostor, Vec<Daemon<'a>>) {
    three_ready(nodes);
    let impostor = Impostor::of(&nodes[2]);
    assert!(is_heard(&impostor, &nodes[0]), "a manager is heard");
    nodes[0].coffer(&["node", "demote", &impostor.id()]).said();
    for node in &nodes[..2] {
        wait_until("two vote", || voters(node) == 2);
        // Read so that it is new: the change of the record came before that of the voters.
        listed(node, &impostor.id());
    }
    (impostor, daemons)
}

#[test]
fn case_11_13_14_who_was_demoted_is_not_heard() {
    proves("case_11_13_14_who_was_demoted_is_not_heard", &["demoted-member-believed"], |planted| {
        let nodes = planted.nodes::<3>();
        let daemons = form(&nodes);
        let (impostor, _daemons) = demoted(&nodes, daemons);
        is_not_heard(&impostor, &nodes[0])?;
        is_not_heard(&impostor, &nodes[1])
    });
}

#[test]
fn case_11_13_14_who_was_removed_is_not_heard() {
    proves("case_11_13_14_who_was_removed_is_not_heard", &["removed-member-believed"], |planted| {
        let nodes = planted.nodes::<3>();
        let daemons = form(&nodes);
        let (impostor, mut daemons) = demoted(&nodes, daemons);
        daemons.pop().expect("three were started").kill();
        wait_listed(&nodes[0], &impostor.id(), "Down");
        nodes[0].coffer(&["node", "rm", &impostor.id()]).said();
        for node in &nodes[..2] {
            // A linearizable read: its record is gone here, too.
            wait_until("it is gone", || listed(node, &impostor.id()).is_empty());
            is_not_heard(&impostor, node)?;
        }
        Ok(())
    });
}

/// Of three managers two are gone, and somebody asks the third one for its vote in their names: first for the one
/// whose vote outranks the other.
#[test]
fn a_vote_outlives_a_restart() {
    proves("a_vote_outlives_a_restart", &["vote-forgotten-at-restart"], |planted| {
        let nodes = planted.nodes::<3>();
        let mut daemons = form(&nodes);
        three_ready(&nodes);
        let mut candidates = [1, 2].map(|at| Impostor::of(&nodes[at]));
        // In one term a vote of a higher number outranks a lower one, and not the other way round.
        candidates.sort_by_key(|one| std::cmp::Reverse(one.raft_id()));
        daemons.drain(1..).for_each(Daemon::kill);
        wait_until("it votes for the first", || is_granted(&candidates[0], &nodes[0]));
        daemons.pop().expect("one is left").kill();
        let _daemon = Daemon::try_start(&nodes[0], nodes[0].cofferd()).map_err(|e| e.log)?;
        let start = Instant::now();
        // It might refuse at first for another reason.
        while start.elapsed() < Duration::from_secs(3) {
            if is_granted(&candidates[1], &nodes[0]) {
                return Err("it voted for one that its vote outranked".to_owned());
            }
        }
        Ok(())
    });
}

fn is_granted(candidate: &Impostor, by: &Node) -> bool {
    let vote = Some(Vote { term: FAR_TERM, node: candidate.raft_id(), committed: false });
    let last = Some(LogId { term: FAR_TERM - 1, node: candidate.raft_id(), index: FAR_TERM });
    let request = VoteRequest { vote, last, is_rehearsal: false, is_hand_over: false };
    let answer = candidate.call(by, "/coffer.v1.Raft/Vote", &request);
    answer.is_ok_and(|answer| VoteResponse::decode(&answer[..]).is_ok_and(|vote| vote.granted))
}
