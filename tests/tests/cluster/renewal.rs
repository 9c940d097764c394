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

/// The record knows two keys of a node: tries that come to nothing must not push out the one that is in use.
#[test]
fn a_certificate_that_cannot_be_written_is_tried_again_and_locks_nobody_out() {
    let test = "a_certificate_that_cannot_be_written_is_tried_again_and_locks_nobody_out";
    let Some(nodes) = nodes::<3>(test) else { return };
    if faketime::library().is_none() {
        return tests::skipped(test, "needs libfaketime: another time of day");
    }
    let nodes = nodes.map(|node| {
        let environment = faketime::environment(&node).expect("it is there");
        node.with_environment(environment)
    });
    form(&nodes).into_iter().for_each(Daemon::end);
    nodes.iter().for_each(|node| faketime::step(node, 75 * DAY));
    let in_the_way = nodes[1].state_dir().join("cluster/identity.new");
    std::fs::create_dir(&in_the_way).expect("the directory is ours");
    let started = nodes.each_ref().map(|node| Daemon::spawn(node, node.cofferd()));
    let daemons = started.map(tests::daemon::Started::ready);
    let failed = || daemons[1].log().matches("certificate was not renewed").count();
    wait_until("it fails three times", || failed() >= 3);
    assert!(writes(&nodes[1], "meanwhile"), "{}", daemons[1].log());
    std::fs::remove_dir(&in_the_way).expect("it is empty");
    wait_until("it is renewed", || daemons[1].log().contains("this manager has a new certificate"));
    assert!(writes(&nodes[1], "afterwards"), "{}", daemons[1].log());
}
