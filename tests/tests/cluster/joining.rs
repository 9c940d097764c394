//! Joining: with which token, by whom, and what it leaves.

use tests::cluster::{form, join, nodes, token, voters};
use tests::{Node, wait_until};

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
    let token = token(&nodes[0], "manager");
    join(&nodes[1], &nodes[0], &token).refused_by_daemon(text);
    nodes[1].coffer(&["swarm", "init"]).refused_by_daemon(text);
    for daemon in daemons {
        daemon.end();
    }
}

/// A node that was refused is in no cluster, and can join with the right token.
#[test]
fn a_token_that_does_not_fit_joins_nobody() {
    let Some(nodes) = nodes::<3>("a_token_that_does_not_fit_joins_nobody") else { return };
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
    refused(&token(first, "worker"), "joins managers alone");
    assert_eq!(first.coffer(&["node", "ls", "-q"]).said().lines().count(), 1, "and no record");
    // The last letter of the secret: the root fits, the secret does not.
    let end = if good.ends_with('0') { "1" } else { "0" };
    refused(&format!("{}{end}", &good[..good.len() - 1]), NO_TOKEN);
    first.coffer(&["swarm", "join-token", "--rotate", "manager"]).said();
    refused(&good, NO_TOKEN);
    let nobody = Node::for_test("a_token_that_does_not_fit_joins_nobody").map(Node::with_address);
    let run = join(new, nobody.as_ref().unwrap(), &good);
    assert!(run.stderr.contains("cannot reach a manager at"), "{run:?}");
    let said = join(new, first, &token(first, "manager")).word();
    assert_eq!(said, "This node joined a swarm as a manager.");
    wait_until("both vote", || voters(first) == 2);
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
