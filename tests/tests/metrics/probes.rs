//! Health and readiness.

use tests::cluster::{join, nodes, token};
use tests::http::{Answer, ask};
use tests::{Node, wait_until};

use crate::{start, start_at};

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: body.to_owned() }
}

#[test]
fn a_node_is_alive_at_once_and_ready_once_it_serves() {
    let Some(node) = Node::for_test("a_node_is_alive_at_once_and_ready_once_it_serves") else {
        return;
    };
    let (daemon, addr) = start(&node);
    assert_eq!(ask(&addr, "/healthz"), answer(200, "alive\n"));
    let unready = ask(&addr, "/readyz");
    assert_eq!(unready.status, 503);
    assert!(unready.body.contains("in no cluster: coffer swarm init"), "{unready:?}");
    node.coffer(&["swarm", "init", "--autolock"]).said();
    assert_eq!(ask(&addr, "/readyz"), answer(200, "ready\n"));
    assert_eq!(ask(&addr, "/nothing").status, 404);
    let key = node.coffer(&["swarm", "unlock-key", "-q"]).word();
    daemon.end();

    let daemon = start_at(&node, &addr);
    assert_eq!(ask(&addr, "/healthz"), answer(200, "alive\n"));
    let unready = ask(&addr, "/readyz");
    assert!(unready.status == 503 && unready.body.contains("locked"), "{unready:?}");
    let page = ask(&addr, "/metrics").body;
    assert!(page.contains("\ncoffer_locked 1\n") && !page.contains("coffer_raft"), "{page}");
    node.coffer_reading(&["swarm", "unlock"], key.as_bytes()).said();
    wait_until("it is ready", || ask(&addr, "/readyz").status == 200);
    assert!(ask(&addr, "/metrics").body.contains("\ncoffer_locked 0\n"));
    daemon.end();
}

#[test]
fn without_a_majority_a_manager_is_alive_and_not_ready() {
    let test = "without_a_majority_a_manager_is_alive_and_not_ready";
    let Some([first, second]) = nodes::<2>(test) else { return };
    let (_one, addr) = start(&first);
    first.coffer(&["swarm", "init"]).said();
    let other = second.start();
    join(&second, &first, &token(&first, "manager")).said();
    wait_until("both are there", || ask(&addr, "/readyz").status == 200);
    other.kill();
    wait_until("it is not ready", || {
        let unready = ask(&addr, "/readyz");
        unready.status == 503 && unready.body.contains("no leader is known")
    });
    assert_eq!(ask(&addr, "/healthz"), answer(200, "alive\n"));
    wait_until("the metric says so", || {
        ask(&addr, "/metrics").body.contains("\ncoffer_raft_leader_known 0\n")
    });
    let again = second.start();
    wait_until("it is ready again", || ask(&addr, "/readyz").status == 200);
    drop(again);
}

#[test]
fn a_daemon_that_is_asked_while_it_ends_leaves_nothing() {
    let Some([node]) = nodes::<1>("a_daemon_that_is_asked_while_it_ends_leaves_nothing") else {
        return;
    };
    let (daemon, addr) = start(&node);
    node.coffer(&["swarm", "init"]).said();
    let asking =
        std::thread::spawn(move || while tests::http::try_ask(&addr, "/readyz").is_some() {});
    daemon.end();
    asking.join().unwrap();
}
