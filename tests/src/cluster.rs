//! Several managers on this host, each with a loopback address of its own.

use prost::Message;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::messages::{KeyStatus, KeyStatusResponse};
use crate::node::Node;
use crate::run::Run;
use crate::wait::{wait_for, wait_until};
use crate::wire::Wire;

/// So many nodes for a test. `None`, said aloud, where no daemon can run.
pub fn nodes<const COUNT: usize>(test: &str) -> Option<[Node; COUNT]> {
    let made: Option<Vec<Node>> = (0..COUNT).map(|_| Node::for_test(test)).collect();
    let made = made?.into_iter().map(Node::with_address).collect::<Vec<_>>();
    Some(made.try_into().unwrap_or_else(|_| unreachable!("so many were made")))
}

/// Starts the nodes and makes them one cluster: the first founds it, and all of them vote.
#[track_caller]
pub fn form(nodes: &[Node]) -> Vec<Daemon<'_>> {
    let (first, others) = nodes.split_first().expect("there is one at least");
    let mut daemons = vec![first.start_cluster()];
    let token = token(first, "manager");
    for node in others {
        daemons.push(node.start());
        let said = join(node, first, &token).word();
        assert_eq!(said, "This node joined a swarm as a manager.");
    }
    daemons
}

/// A standing join token.
#[track_caller]
pub fn token(node: &Node, role: &str) -> String {
    node.coffer(&["swarm", "join-token", "-q", role]).word()
}

/// Has a node join by another one.
pub fn join(node: &Node, other: &Node, token: &str) -> Run {
    let address = other.address().expect("it has one");
    node.coffer(&["swarm", "join", "--token", token, address])
}

/// What a node knows of its cluster, also without a majority.
pub fn status(node: &Node) -> Option<Value> {
    serde_json::from_str(&node.coffer(&["status", "--format", "json"]).stdout).ok()
}

/// The ID of a node in its cluster.
#[track_caller]
pub fn id(node: &Node) -> String {
    text(&status(node).expect("it is in a cluster"), "NodeID")
}

/// A text in an answer.
pub fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or_default().to_owned()
}

/// Which of the nodes leads: the one that says so of itself and has heard of a majority lately.
pub fn leader_of(nodes: &[&Node]) -> Option<usize> {
    nodes.iter().position(|node| {
        status(node).is_some_and(|status| {
            let own = text(&status, "NodeID");
            !own.is_empty() && own == text(&status, "LeaderID")
        })
    })
}

/// The same, once there is one.
#[track_caller]
pub fn leader(nodes: &[&Node]) -> usize {
    wait_for("a leader", || leader_of(nodes))
}

/// How many managers vote, as a node sees it.
pub fn voters(node: &Node) -> usize {
    let status = status(node);
    let managers = status.as_ref().and_then(|status| status["Managers"].as_array());
    managers.map_or(0, |all| all.iter().filter(|one| one["Voter"] == true).count())
}

/// The state of a node, as another one lists it: "Ready Reachable", say. Empty if it is not listed.
pub fn listed(by: &Node, id: &str) -> String {
    let format = "{{.ID}} {{.Status}} {{.ManagerStatus}}";
    let lines = by.coffer(&["node", "ls", "--format", format]).stdout;
    let line = lines.lines().find_map(|line| line.strip_prefix(id));
    line.unwrap_or_default().trim().to_owned()
}

/// Waits until a node lists another one so.
#[track_caller]
pub fn wait_listed(by: &Node, id: &str, expected: &str) {
    wait_until(&format!("{id} is {expected:?}"), || listed(by, id) == expected);
}

/// What a manager says of the data keys; nothing while it does not answer.
pub fn keys(node: &Node) -> Option<KeyStatus> {
    let answer = Wire::of(node).call("/coffer.v1.Swarm/KeyStatus", Vec::new()).ok()?;
    KeyStatusResponse::decode(&answer[..]).ok()?.status
}

/// Waits until all of these use one data key of a newer epoch than this one, and have no older key left. One
/// that was made by a leader that was lost may be there besides.
#[track_caller]
pub fn wait_for_newer_key(nodes: &[&Node], before: u32) -> u32 {
    wait_for("one newer data key everywhere", || {
        let all: Option<Vec<_>> = nodes.iter().map(|node| keys(node)).collect();
        let all = all?;
        let epoch = all[0].epoch;
        let is_done = |one: &KeyStatus| {
            let is_alone = one.epochs_kept.iter().min() == Some(&epoch);
            one.epoch == epoch && one.values_left == 0 && is_alone
        };
        (epoch > before && all.iter().all(is_done)).then_some(epoch)
    })
}
