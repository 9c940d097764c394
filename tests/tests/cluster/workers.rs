//! Workers that run `cofferd`: joining, sessions that outlive managers, leaving, and becoming a manager.

use tests::cluster::{
    form, id, join, leader_of, listed, nodes, status, text, token, voters, wait_listed,
};
use tests::{Daemon, Node, wait_until};

const NO_MANAGER: &str = "This node is not a swarm manager. Worker nodes can't be used";

/// The manager that a worker has its session through; empty while it has none.
fn through(worker: &Node) -> String {
    status(worker).map_or_else(String::new, |status| text(&status, "SessionThrough"))
}

fn work(worker: &Node, first: &Node) -> String {
    let said = join(worker, first, &token(first, "worker")).word();
    assert_eq!(said, "This node joined a swarm as a worker.");
    wait_until("it has a session", || !through(worker).is_empty());
    let own = id(worker);
    wait_listed(first, &own, "Ready");
    own
}

#[test]
fn a_worker_joins_comes_back_and_leaves() {
    let Some(nodes) = nodes::<2>("a_worker_joins_comes_back_and_leaves") else { return };
    let [first, worker] = &nodes;
    let (_manager, daemon) = (first.start_cluster(), worker.start());
    let own = work(worker, first);
    for args in [&["node", "ls"][..], &["secret", "ls"], &["swarm", "join-token", "worker"]] {
        let run = worker.coffer(args);
        assert!(run.stderr.contains(NO_MANAGER), "{run:?}");
    }
    assert_eq!(worker.coffer(&["status"]).code, Some(0));
    let already = worker.coffer(&["swarm", "init"]);
    assert!(already.stderr.contains("already part of a swarm"), "{already:?}");
    let record = first.coffer(&["node", "inspect", &own]).said();
    for part in ["\"OS\": \"linux\"", "\"Role\": \"worker\"", "\"IsDockerEngine\": false"] {
        assert!(record.contains(part), "{part}: {record}");
    }
    daemon.end();
    let _daemon = worker.start();
    wait_until("it has a session again", || !through(worker).is_empty());
    assert_eq!(id(worker), own);
    assert_eq!(worker.coffer(&["swarm", "leave"]).word(), "Node left the swarm.");
    wait_listed(first, &own, "Down");
    assert_eq!(first.coffer(&["node", "rm", &own]).word(), own);
    assert!(!worker.state_dir().join("cluster").exists());
    assert_ne!(work(worker, first), own, "it is somebody new");
}

/// Its session goes through any manager to the one that leads, and is begun anew when that one dies.
#[test]
fn a_workers_session_outlives_the_leader() {
    let Some(nodes) = nodes::<4>("a_workers_session_outlives_the_leader") else { return };
    let mut daemons: Vec<_> = form(&nodes[..3]).into_iter().map(Some).collect();
    let worker = &nodes[3];
    let _daemon = worker.start();
    let own = work(worker, &nodes[1]);
    let managers = [&nodes[0], &nodes[1], &nodes[2]];
    let first = leader_of(&managers).expect("somebody leads");
    daemons[first].take().expect("it runs").kill();
    let left = [1, 2].map(|step| managers[(first + step) % 3]);
    wait_until("somebody else leads", || leader_of(&left).is_some());
    for node in &left {
        node.coffer(&["node", "update", "--availability", "drain", &own]).said();
        node.coffer(&["node", "update", "--availability", "active", &own]).said();
    }
    wait_until("it has a session", || !through(worker).is_empty());
    assert_eq!(listed(left[0], &own), "Ready");
}

#[test]
fn a_worker_is_promoted_and_votes() {
    let Some(nodes) = nodes::<2>("a_worker_is_promoted_and_votes") else { return };
    let [first, worker] = &nodes;
    let (_manager, daemon) = (first.start_cluster(), worker.start());
    let own = work(worker, first);
    first.secret("kept", b"value");
    let said = first.coffer(&["node", "promote", &own]).word();
    assert_eq!(said, format!("Node {own} promoted to a manager in the swarm."));
    wait_until("both vote", || voters(first) == 2);
    wait_until("it is a manager", || voters(worker) == 2);
    assert_eq!(worker.coffer(&["secret", "ls", "--format", "{{.Name}}"]).word(), "kept");
    worker.secret("more", b"value");
    wait_listed(first, &own, "Ready Reachable");
    daemon.end();
    let _daemon: Daemon = worker.start();
    wait_until("it votes again", || voters(worker) == 2);
}
