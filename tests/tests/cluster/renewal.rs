//! Certificates end after 90 days; managers renew their own long before.

use tests::cluster::{form, nodes, status};
use tests::{Daemon, Node, faketime, wait_until};

const DAY: i64 = 86_400;

/// When the certificate of a manager ends, as it says itself: seconds since 1970.
fn end(node: &Node) -> Option<i64> {
    status(node)?["CertificateEnd"].as_i64()
}

/// The day that a manager's clock shows, as it records what is asked.
fn day(node: &Node) -> String {
    node.coffer(&["config", "ls", "--stale"]).said();
    let newest = node.coffer(&["audit", "tail", "-n", "1", "--format", "{{.Time}}"]).said();
    newest.chars().take_while(|letter| *letter != 'T').collect()
}

fn writes(node: &Node, name: &str) -> bool {
    node.coffer_reading(&["secret", "create", name, "-"], b"value").code == Some(0)
}

#[test]
fn managers_renew_their_certificates_and_outlive_the_first_ones() {
    let test = "managers_renew_their_certificates_and_outlive_the_first_ones";
    let Some(nodes) = nodes::<3>(test) else { return };
    if faketime::library().is_none() {
        return tests::skipped(test, "needs libfaketime: another time of day");
    }
    let nodes = nodes.map(|node| {
        let environment = faketime::environment(&node).expect("it is there");
        node.with_environment(environment)
    });
    let daemons = form(&nodes);
    let first = nodes.each_ref().map(|node| end(node).expect("it has one"));
    daemons.into_iter().for_each(Daemon::end);
    // Past four fifths of 90 days everybody is due.
    nodes.iter().for_each(|node| faketime::step(node, 75 * DAY));
    let started = nodes.each_ref().map(|node| Daemon::spawn(node, node.cofferd()));
    let daemons = started.map(tests::daemon::Started::ready);
    for (node, first) in nodes.iter().zip(first) {
        wait_until("it is renewed", || end(node).is_some_and(|end| end > first + 70 * DAY));
    }
    // Past the end of the first ones, and of every connection that was made with them.
    let before = nodes.each_ref().map(day);
    nodes.iter().for_each(|node| faketime::step(node, 100 * DAY));
    for (node, before) in nodes.iter().zip(before) {
        wait_until("its clock moves", || day(node) != before);
    }
    for (at, node) in nodes.iter().enumerate() {
        wait_until("it writes", || writes(node, &format!("later{at}")));
        wait_until("it reads", || node.coffer(&["secret", "ls"]).code == Some(0));
    }
    daemons.into_iter().for_each(Daemon::end);
    let started = nodes.each_ref().map(|node| Daemon::spawn(node, node.cofferd()));
    let _daemons = started.map(tests::daemon::Started::ready);
    wait_until("they find each other again", || writes(&nodes[0], "again"));
    for node in &nodes {
        let log = std::fs::read_to_string(node.scratch().path("cofferd.err")).expect("it is there");
        assert!(log.contains("this manager has a new certificate"), "{log}");
    }
}
