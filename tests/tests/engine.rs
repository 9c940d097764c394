//! A stock Docker Engine as a worker of managers that run `cofferd`: it speaks as it always does.

use serde_json::Value;
use tests::engine::Engine;
use tests::{Node, cluster, faketime, skipped, wait_for, wait_until};

const DAY: i64 = 86_400;
const PORT: u16 = 2377;

/// The manager that the engine is to find, on an address that it reaches.
fn manager(engine: &Engine, test: &str) -> Option<Node> {
    Some(Node::for_test(test)?.listening_at(&engine.host(PORT)))
}

fn inspect(by: &Node, id: &str) -> Value {
    let said = by.coffer(&["node", "inspect", id]).said();
    let all: Value = serde_json::from_str(&said).expect("it is JSON");
    all[0].clone()
}

/// The only worker that a manager lists: its ID.
fn worker(by: &Node) -> Option<String> {
    let format = "{{.ID}} {{.ManagerStatus}}";
    let lines = by.coffer(&["node", "ls", "--format", format]).stdout;
    let mut ids = lines.lines().filter_map(|line| line.strip_suffix(' '));
    ids.next().map(str::to_owned)
}

#[test]
fn an_engine_joins_as_a_worker_and_is_shown_drained_and_removed() {
    let test = "an_engine_joins_as_a_worker_and_is_shown_drained_and_removed";
    let Some(engine) = Engine::for_test(test) else { return };
    let Some(node) = manager(&engine, test) else { return };
    let daemon = node.start_cluster();
    let refused = engine.join(&engine.host(PORT), &cluster::token(&node, "manager"));
    assert!(refused.body.contains("a Docker Engine is a worker here"), "{refused:?}");
    assert_eq!(worker(&node), None, "nothing was issued, and there is no record");
    let left = engine.leave();
    assert!([200, 503].contains(&left.status), "{left:?}");
    let token = cluster::token(&node, "worker");
    let joined = engine.join(&engine.host(PORT), &token);
    assert_eq!(joined.status, 200, "{joined:?}\n{}", engine.log());
    let id = wait_for("it is listed", || worker(&node));
    cluster::wait_listed(&node, &id, "Ready");
    assert_eq!(engine.swarm()["NodeID"], id.as_str());
    let record = inspect(&node, &id);
    let described = &record["Description"];
    let version = described["Engine"]["EngineVersion"].as_str().unwrap_or_default();
    assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{record}");
    assert_eq!(described["Engine"]["Labels"]["shelf"], "3", "{record}");
    assert_eq!(described["Platform"]["OS"], "linux", "{record}");
    assert_eq!(record["Spec"]["Role"], "worker");
    let promoted = node.coffer(&["node", "promote", &id]);
    assert!(promoted.stderr.contains("is a Docker Engine"), "{promoted:?}");
    node.coffer(&["node", "update", "--availability", "drain", &id]).said();
    assert_eq!(inspect(&node, &id)["Spec"]["Availability"], "drain");
    let kept = node.coffer(&["node", "rm", &id]);
    assert!(kept.stderr.contains("is not down and can't be removed"), "{kept:?}");
    node.coffer(&["node", "rm", "--force", &id]).said();
    wait_until("it is refused", || engine.log().contains("may not make this call"));
    assert_eq!(worker(&node), None);
    assert_eq!(engine.leave().status, 200);
    // As somebody else, with the same token.
    assert_eq!(engine.join(&engine.host(PORT), &token).status, 200);
    let again = wait_for("it is listed", || worker(&node));
    assert_ne!(again, id);
    daemon.end();
}

/// Issued by a manager whose clock was 75 days behind, the certificate is four fifths through its life: the engine
/// renews it as it would any other day, and goes on over new connections.
#[test]
fn an_engine_renews_its_certificate() {
    let test = "an_engine_renews_its_certificate";
    let Some(engine) = Engine::for_test(test) else { return };
    if faketime::library().is_none() {
        return skipped(test, "needs libfaketime: another time of day");
    }
    let Some(node) = manager(&engine, test) else { return };
    let node = {
        let environment = faketime::environment(&node).expect("it is there");
        node.with_environment(environment)
    };
    faketime::step(&node, -75 * DAY);
    let _daemon = node.start_cluster();
    let joined = engine.join(&engine.host(PORT), &cluster::token(&node, "worker"));
    assert_eq!(joined.status, 200, "{joined:?}\n{}", engine.log());
    let id = wait_for("it is listed", || worker(&node));
    cluster::wait_listed(&node, &id, "Ready");
    let end = || inspect(&node, &id)["CertificateEnd"].as_u64().unwrap_or_default();
    let first = end();
    faketime::step(&node, 0);
    wait_until("it has a newer certificate", || end() > first + 70 * DAY.unsigned_abs());
    cluster::wait_listed(&node, &id, "Ready");
}
