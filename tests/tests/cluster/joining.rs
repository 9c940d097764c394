//! Joining: with which token, by whom, and what it leaves.

use pki::token::{JoinToken, RootDigest};
use tests::cluster::{form, join, nodes, token, voters};
use tests::{Node, faketime, wait_until};

const HOUR: i64 = 3_600;
const NO_TOKEN: &str = "A valid join token is necessary to join this cluster";

#[test]
fn three_nodes_become_three_managers_that_vote() {
    let Some(nodes) = nodes::<3>("three_nodes_become_three_managers_that_vote") else { return };
    let daemons = form(&nodes);
    for node in &nodes {
        wait_until("all vote", || voters(node) == 3);
        let format = "{{.Status}} {{.ManagerStatus}}";
        wait_until("all are ready", || {
            let mut lines = node.coffer(&["node", "ls", "--format", format]).said();
            lines = lines.lines().map(str::trim).collect::<Vec<_>>().join(",");
            let mut states: Vec<_> = lines.split(',').collect();
            states.sort_unstable();
            states == ["Ready Leader", "Ready Reachable", "Ready Reachable"]
        });
        assert_eq!(node.coffer(&["status"]).code, Some(0));
    }
    let text = "This node is already part of a swarm. Use \"coffer swarm leave\" to leave this swarm and join another one.";
    let root = nodes[0].coffer(&["swarm", "ca"]).said();
    let token = token(&nodes[0], "manager");
    let known = JoinToken::parse(&token).expect("it is one").root;
    assert!(RootDigest::of(&root) == known, "exactly what stands in the tokens: {root}");
    assert_eq!(nodes[2].coffer(&["swarm", "ca"]).said(), root);
    join(&nodes[1], &nodes[0], &token).refused_by_daemon(text);
    nodes[1].coffer(&["swarm", "init"]).refused_by_daemon(text);
    for daemon in daemons {
        daemon.end();
    }
}

/// A node that was refused is in no cluster, and can join with the right token.
#[test]
fn case_21_c47_a_token_that_does_not_fit_joins_nobody() {
    let Some(nodes) = nodes::<3>("case_21_c47_a_token_that_does_not_fit_joins_nobody") else {
        return;
    };
    let [first, other, new] = &nodes;
    let _daemons = [first.start_cluster(), other.start_cluster(), new.start()];
    let refused = |token: &str, text: &str| {
        let run = join(new, first, token);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:?}");
        assert!(run.stderr.contains(text), "{text:?} is wanted: {run:?}");
        assert!(new.coffer(&["node", "ls"]).stderr.contains("not a swarm manager"));
        assert!(!new.state_dir().join("cluster").exists());
    };
    let good = token(first, "manager");
    refused("SWMTKN-1-nonsense", "join token");
    refused(&token(other, "manager"), "remote CA does not match fingerprint");
    assert_eq!(first.coffer(&["node", "ls", "-q"]).said().lines().count(), 1, "and no record");
    // The last letter of the secret: the root fits, the secret does not.
    let end = if good.ends_with('0') { "1" } else { "0" };
    refused(&format!("{}{end}", &good[..good.len() - 1]), NO_TOKEN);
    first.coffer(&["swarm", "join-token", "--rotate", "manager"]).said();
    refused(&good, NO_TOKEN);
    let nobody = Node::for_test("case_21_c47_a_token_that_does_not_fit_joins_nobody")
        .map(Node::with_address);
    let run = join(new, nobody.as_ref().unwrap(), &good);
    assert!(run.stderr.contains("cannot reach a manager at"), "{run:?}");
    let said = join(new, first, &token(first, "manager")).word();
    assert_eq!(said, "This node joined a swarm as a manager.");
    wait_until("both vote", || voters(first) == 2);
}

#[test]
fn case_c52_a_node_whose_clock_is_off_is_told_by_how_much() {
    let test = "case_c52_a_node_whose_clock_is_off_is_told_by_how_much";
    let Some([first, second]) = nodes::<2>(test) else { return };
    if faketime::library().is_none() {
        return tests::skipped(test, "needs libfaketime: another time of day");
    }
    let environment = faketime::environment(&second).expect("it is there");
    let second = second.with_environment(environment);
    faketime::step(&second, 2 * HOUR);
    let _daemons = [first.start_cluster(), second.start()];
    let token = token(&first, "manager");
    for (offset, text) in [
        (2 * HOUR, "ahead of the manager's: set the one that is wrong"),
        (-2 * HOUR, "behind the manager's"),
        (48 * HOUR, "ahead of"),
        (-48 * HOUR, "behind"),
    ] {
        faketime::step(&second, offset);
        // By a little less or more, since time goes on.
        let hours = format!("clock is {}", offset.unsigned_abs() / 100);
        let near = format!("clock is {}", offset.unsigned_abs() / 100 - 1);
        wait_until("it is told", || {
            let run = join(&second, &first, &token);
            let is_told = run.stderr.contains(&hours) || run.stderr.contains(&near);
            run.code == Some(1) && is_told && run.stderr.contains(text)
        });
        assert_eq!(first.coffer(&["node", "ls", "-q"]).said().lines().count(), 1, "{offset}");
    }
    faketime::step(&second, 0);
    wait_until("it joins", || join(&second, &first, &token).code == Some(0));
}

/// By a token of one use, made on the leader; and by one of an hour, made on a follower.
#[test]
fn managers_join_by_tokens_that_end() {
    let Some(nodes) = nodes::<3>("managers_join_by_tokens_that_end") else { return };
    let [first, second, third] = &nodes;
    let _daemons = [first.start_cluster(), second.start(), third.start()];
    let create = |node: &Node, more: &[&str]| {
        let args = ["swarm", "join-token", "create", "-q"];
        node.coffer(&[&args[..], more].concat()).word()
    };
    let once = create(first, &["--role", "manager", "--uses", "1"]);
    assert_eq!(join(second, first, &once).word(), "This node joined a swarm as a manager.");
    assert!(join(third, first, &once).stderr.contains(NO_TOKEN));
    create(second, &["--role", "worker", "--uses", "1"]);
    let hour = create(second, &["--role", "manager", "--ttl", "1h"]);
    assert_eq!(join(third, second, &hour).word(), "This node joined a swarm as a manager.");
    for node in &nodes {
        wait_until("all vote", || voters(node) == 3);
        let format = "{{.Role}} {{.Status}} {{.Uses}}";
        let listed = node.coffer(&["swarm", "join-token", "ls", "--format", format]).said();
        let expected = "manager good 1\nworker good 0/1\nmanager used up 1/1\n";
        assert_eq!(listed, expected, "the newest first");
    }
    let id = tests::cluster::id(third);
    wait_until("it is demoted", || first.coffer(&["node", "demote", &id]).code == Some(0));
    let left = second.coffer(&["swarm", "join-token", "ls", "--format", "{{.Status}}"]).said();
    assert_eq!(left, "revoked\ngood\nrevoked\n", "who was demoted may have seen them");
}

/// By a manager that is not the leader; and from a pipe, so that the token is in no argument.
#[test]
fn any_manager_lets_others_in() {
    let Some(nodes) = nodes::<3>("any_manager_lets_others_in") else { return };
    let _daemons = form(&nodes[..2]);
    let _third = nodes[2].start();
    let token = token(&nodes[1], "manager");
    let args = ["swarm", "join", "--token", "-", nodes[1].address().unwrap()];
    nodes[2].coffer_reading(&args, token.as_bytes()).said();
    for node in &nodes {
        wait_until("all vote", || voters(node) == 3);
    }
}
