//! Autolock with several managers.

use std::net::TcpListener;
use std::process::Command;

use tests::{Daemon, Node, wait_until};
use vault::disk::diskkey::DiskKey;

use super::{disk_key_file, is_locked, key_in, lock, lock_version, parsed, unlock};

/// `cofferd` at an address that it keeps over a restart: others know it by that.
fn cofferd_at(node: &Node, addr: &str) -> Command {
    let usual = node.cofferd();
    let mut command = Command::new(usual.get_program());
    for (name, value) in usual.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .args(usual.get_args().map(|arg| if arg == "127.0.0.1:0" { addr.as_ref() } else { arg }));
    command
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it listens").to_string()
}

/// Has a node join as a manager.
#[track_caller]
fn join<'a>(first: &Node, node: &'a Node) -> Daemon<'a> {
    join_at(first, node, "127.0.0.1:0")
}

#[track_caller]
fn join_at<'a>(first: &Node, node: &'a Node, addr: &str) -> Daemon<'a> {
    let daemon = Daemon::start(node, cofferd_at(node, addr));
    let said = first.coffer(&["swarm", "join-token", "manager"]).said();
    let command = said.lines().find(|line| line.contains("--token")).expect("it is shown");
    let mut words = command.split_whitespace().skip(4);
    let (token, addr) = (words.next().unwrap(), words.next().unwrap());
    node.coffer(&["swarm", "join", "--token", token, addr]).said();
    daemon
}

fn nodes(test: &str, count: usize) -> Option<Vec<Node>> {
    (0..count).map(|_| Node::for_test(test)).collect()
}

#[test]
fn autolock_and_a_new_key_reach_every_manager() {
    let Some(nodes) = nodes("autolock_and_a_new_key_reach_every_manager", 4) else { return };
    let [one, two, three, late] = nodes.as_slice() else { unreachable!("four were made") };
    let first = one.start_cluster();
    let second = join(one, two);
    let address = free_address();
    let third = join_at(one, three, &address);
    one.secret("s", b"value");
    let key = lock(two);
    assert!(lock_version(two).is_some(), "the one that was asked has followed before it answers");
    wait_until("all managers have followed", || {
        [one, two, three].iter().all(|node| lock_version(node) == Some(1))
    });
    let fourth = join(one, late);
    assert_eq!(lock_version(late), Some(1), "its keys were never on its disk in the clear");
    DiskKey::parse_locked(&disk_key_file(late), &parsed(&key)).map(drop).expect("the same key");
    // One is away while the key is rotated.
    third.kill();
    let newer = key_in(&one.coffer(&["swarm", "unlock-key", "--rotate"]).said());
    wait_until("those in reach have followed", || {
        [one, two, late].iter().all(|node| lock_version(node) == Some(2))
    });
    let third = Daemon::start(three, cofferd_at(three, &address));
    assert!(is_locked(three));
    unlock(three, &key);
    wait_until("who was away follows", || lock_version(three) == Some(2));
    wait_until("it is told so", || third.log().contains("the unlock key was rotated"));
    DiskKey::parse_locked(&disk_key_file(three), &parsed(&newer)).map(drop).expect("the new key");
    for daemon in [fourth, third, second, first] {
        daemon.kill();
    }
}

#[test]
fn a_manager_is_unlocked_without_waiting_for_the_others() {
    let Some(nodes) = nodes("a_manager_is_unlocked_without_waiting_for_the_others", 3) else {
        return;
    };
    let [one, two, three] = nodes.as_slice() else { unreachable!("three were made") };
    let daemons = [one.start_cluster(), join(one, two), join(one, three)];
    one.secret("s", b"value");
    let key = lock(one);
    wait_until("all managers have followed", || {
        [one, two, three].iter().all(|node| lock_version(node).is_some())
    });
    for daemon in daemons {
        daemon.kill();
    }
    let alone = one.start();
    unlock(one, &key);
    assert!(!is_locked(one), "it is open, and answers for itself");
    let status = one.coffer(&["status"]);
    assert_eq!(status.code, Some(2), "the cluster has no majority: {}", status.stdout);
    assert_eq!(one.coffer(&["swarm", "leave", "--force"]).said(), "Node left the swarm.\n");
    alone.kill();
}

/// The others are lost for good, and this one's disk is locked.
#[test]
fn a_locked_manager_is_forced_into_a_new_cluster_by_its_unlock_key() {
    let test = "a_locked_manager_is_forced_into_a_new_cluster_by_its_unlock_key";
    let Some(nodes) = nodes(test, 2) else { return };
    let [one, two] = nodes.as_slice() else { unreachable!("two were made") };
    let daemons = [one.start_cluster(), join(one, two)];
    one.secret("s", b"value");
    let key = lock(one);
    wait_until("both have followed", || [one, two].iter().all(|node| lock_version(node).is_some()));
    for daemon in daemons {
        daemon.kill();
    }
    let alone = one.start();
    assert!(is_locked(one));
    let force = ["swarm", "init", "--force-new-cluster", "--yes"];
    let wrong = one.coffer_reading(&force, b"SWMKEY-1-nonsense\n");
    assert!(wrong.code == Some(1) && is_locked(one), "{wrong:?}");
    wait_until("another key may be tried", || {
        let run = one.coffer_reading(&force, format!("{key}\n").as_bytes());
        run.code == Some(0) && run.stdout.contains("is now a manager")
    });
    assert_eq!(one.coffer(&["secret", "ls", "--format", "{{.Name}}"]).word(), "s");
    one.secret("new", b"value");
    alone.kill();
    let again = one.start();
    assert!(is_locked(one), "the new cluster's disk is under the same key");
    unlock(one, &key);
    assert_eq!(one.coffer(&["secret", "ls", "--format", "{{.Name}}"]).said(), "new\ns\n");
    again.end();
}
