//! The rotation of the data key, and the audit.

use std::fs;

use super::{audit, versions_of};
use rustix::process::Signal;
use tests::{Node, wait_until};

#[test]
fn case_33_a_rotation_of_the_data_key_loses_nothing_even_if_it_is_killed() {
    let test = "case_33_a_rotation_of_the_data_key_loses_nothing_even_if_it_is_killed";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    let folder = node.scratch().path("many");
    fs::create_dir(&folder).unwrap();
    for count in 0..2_000 {
        fs::write(folder.join(format!("s{count}")), vec![b'v'; 1_000]).unwrap();
    }
    node.coffer(&["secret", "create", "--from-dir", folder.to_str().unwrap()]).said();
    node.secret("db", b"kept");
    let keyring = node.state_dir().join("cluster/keyring");
    let before = fs::read(&keyring).unwrap();
    node.coffer(&["swarm", "rotate-keys", "-d"]).said();
    daemon.kill();

    let daemon = node.start();
    wait_until("one epoch is left", || fs::read(&keyring).unwrap().len() == before.len());
    assert_ne!(fs::read(&keyring).unwrap(), before);
    assert_eq!(versions_of(&node, "db").len(), 1);
    let create = ["service", "create", "-q", "-d", "--name", "web", "--secret", "db", "--"];
    node.coffer(&[&create[..], &["sh", "-c", "cat /run/secrets/db; echo; sleep 100"]].concat())
        .said();
    node.logs_with("web", "kept");
    daemon.end();
}

#[test]
fn case_55_57_58_every_call_leaves_one_record_and_no_name() {
    let Some(node) = Node::for_test("case_55_57_58_every_call_leaves_one_record_and_no_name")
    else {
        return;
    };
    let daemon = node.start_cluster();
    let id = node.secret("canary-name", b"canary-value");
    node.coffer_reading(&["secret", "create", "canary-name", "-"], b"x")
        .refused_by_daemon("secret canary-name already exists");
    node.coffer(&["secret", "ls"]).said();
    let calls: Vec<_> = audit(&node).iter().map(|record| record.to_string()).collect();
    let creates: Vec<_> = calls.iter().filter(|call| call.contains("Secrets/Create")).collect();
    assert_eq!(creates.len(), 2, "{calls:#?}");
    assert!(creates[0].contains(&id) && creates[1].contains("AlreadyExists"), "{creates:#?}");
    assert_eq!(calls.iter().filter(|call| call.contains("Secrets/List")).count(), 1);
    assert!(calls.iter().all(|call| !call.contains("canary")), "{calls:#?}");
    daemon.kill();

    // The record of a change is as safe as the change; that of a read may be lost within its bound.
    let daemon = node.start();
    let calls: Vec<_> = audit(&node).iter().map(|record| record.to_string()).collect();
    assert_eq!(
        calls.iter().filter(|call| call.contains("Secrets/Create")).count(),
        2,
        "{calls:#?}"
    );
    let verified = node.coffer(&["audit", "verify"]).said();
    assert!(verified.contains("chain whole"), "{verified}");
    daemon.end();
}

#[test]
fn an_end_is_not_held_up_by_those_who_follow() {
    let Some(node) = Node::for_test("an_end_is_not_held_up_by_those_who_follow") else { return };
    let daemon = node.start_cluster();
    let mut follower = node.coffer_command(&["events"]).spawn().unwrap();
    wait_until("the follower is recorded", || {
        audit(&node).iter().any(|record| record.to_string().contains("Events/Watch"))
    });
    let ended = daemon.end_by(Signal::TERM);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    follower.wait().unwrap();
}
