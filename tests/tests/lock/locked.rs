//! A locked manager: what it answers, and with what it opens.

use tests::Node;

use super::{LOCKED, is_locked, key_in, lock, try_unlock, unlock};

/// Other well-formed keys.
const OTHER: &str = "SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

#[test]
fn case_35_a_restarted_manager_serves_nothing_but_its_unlocking() {
    let Some(node) = Node::for_test("case_35_a_restarted_manager_serves_nothing_but_its_unlocking")
    else {
        return;
    };
    let daemon = node.start_cluster();
    node.secret("kept-before", b"value");
    let key = lock(&node);
    node.secret("kept-after", b"value");
    daemon.end();
    let daemon = node.start();
    for command in [
        &["secret", "ls"][..],
        &["secret", "inspect", "kept-before"],
        &["config", "ls"],
        &["service", "ls"],
        &["node", "ls"],
        &["swarm", "init"],
        &["swarm", "join-token", "worker"],
        &["swarm", "unlock-key"],
        &["swarm", "update", "--autolock=false"],
        &["swarm", "rotate-keys"],
        &["audit", "tail"],
        &["audit", "verify"],
        &["events", "--since", "0"],
    ] {
        let run = node.coffer(command);
        let text = format!("Error response from daemon: {LOCKED}\n");
        assert_eq!((run.code, run.stderr), (Some(1), text), "{command:?}");
        assert!(!run.stdout.contains("kept"), "{command:?}");
    }
    let status = node.coffer(&["status"]);
    assert_eq!(status.code, Some(2));
    assert!(status.stdout.contains("this manager is locked"), "{}", status.stdout);
    assert!(!status.stdout.contains("kept"), "{}", status.stdout);
    node.coffer(&["swarm", "leave"]).refused_by_daemon(
        "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.",
    );
    try_unlock(&node, "nonsense").refused_by_daemon("invalid key string");
    try_unlock(&node, "").refused_by_daemon("invalid key string");
    let wrong = "swarm could not be unlocked: invalid key provided";
    try_unlock(&node, OTHER).refused_by_daemon(wrong);
    let at_once = node.coffer_reading(&["swarm", "unlock"], key.as_bytes());
    assert!(at_once.stderr.contains("was tried a moment ago"), "{at_once:?}");
    assert!(is_locked(&node));
    unlock(&node, &key);
    let names = node.coffer(&["secret", "ls", "--format", "{{.Name}}"]).said();
    assert_eq!(names, "kept-after\nkept-before\n");
    try_unlock(&node, &key).refused("Error: swarm is not locked");
    let audit = node.coffer(&["audit", "tail", "-n", "1000"]).said();
    let tried = audit.lines().filter(|line| line.contains("Swarm/Unlock") && !line.contains("Key"));
    assert!(tried.count() >= 5, "those from before it was open are there, too: {audit}");
    assert!(!daemon.log().contains("SWMKEY"), "no key in the log");
    daemon.end();
}

#[test]
fn case_35_a_locked_manager_can_leave_by_force() {
    let Some(node) = Node::for_test("case_35_a_locked_manager_can_leave_by_force") else { return };
    let daemon = node.start();
    node.coffer(&["swarm", "unlock"]).refused("Error: This node is not part of a swarm");
    key_in(&node.coffer(&["swarm", "init", "--autolock"]).said());
    daemon.kill();
    let daemon = node.start();
    assert!(is_locked(&node));
    assert_eq!(node.coffer(&["swarm", "leave", "--force"]).said(), "Node left the swarm.\n");
    assert!(!node.state_dir().join("cluster").exists());
    node.coffer(&["swarm", "unlock"]).refused("Error: This node is not part of a swarm");
    node.coffer(&["swarm", "init"]).said();
    daemon.end();
}

#[test]
fn a_cluster_that_is_founded_locked_opens_after_a_crash() {
    let Some(node) = Node::for_test("a_cluster_that_is_founded_locked_opens_after_a_crash") else {
        return;
    };
    let daemon = node.start();
    let key = key_in(&node.coffer(&["swarm", "init", "--autolock"]).said());
    node.secret("s", b"value");
    assert_eq!(node.coffer(&["swarm", "unlock-key", "-q"]).word(), key);
    daemon.kill();
    let daemon = node.start();
    unlock(&node, &key);
    assert_eq!(node.coffer(&["secret", "ls", "--format", "{{.Name}}"]).said(), "s\n");
    daemon.end();
}

#[test]
fn case_34_a_rotated_key_opens_and_the_old_one_does_not() {
    let Some(node) = Node::for_test("case_34_a_rotated_key_opens_and_the_old_one_does_not") else {
        return;
    };
    let daemon = node.start_cluster();
    node.coffer(&["swarm", "unlock-key"]).refused("no unlock key is set");
    node.coffer(&["swarm", "unlock-key", "--rotate"])
        .refused_by_daemon("cannot rotate because autolock is not turned on");
    let old = lock(&node);
    let said = node.coffer(&["swarm", "unlock-key", "--rotate"]).said();
    assert!(said.starts_with("Successfully rotated manager unlock key.\n\n"), "{said}");
    let new = key_in(&said);
    assert_ne!(old, new);
    daemon.kill();
    let daemon = node.start();
    let wrong = "swarm could not be unlocked: invalid key provided";
    try_unlock(&node, &old).refused_by_daemon(wrong);
    unlock(&node, &new);
    assert_eq!(node.coffer(&["swarm", "update", "--autolock=false"]).said(), "Swarm updated.\n");
    daemon.kill();
    let daemon = node.start();
    assert!(!is_locked(&node), "off is off");
    let newest = lock(&node);
    assert!(newest != new && newest != old);
    daemon.end();
}
