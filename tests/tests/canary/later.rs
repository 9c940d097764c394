//! The same for what comes later: rotated values, values that were refused, tokens, keys.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::thread;

use tests::{KeyFiles, Node, Scratch, wait_until};

use super::search::{self, Marker};
use super::{Passed, nothing_is_found, talkative};

#[test]
fn case_57_values_that_are_rotated_or_refused_are_nowhere() {
    let Some(node) = Node::for_test("case_57_values_that_are_rotated_or_refused_are_nowhere")
    else {
        return;
    };
    let markers: Vec<Marker> = (0..6).map(|_| Marker::new()).collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| search::watch_processes(&markers, &is_over));
        let passed = Passed(&is_over);
        rotate_and_refuse(&node, &markers);
        drop(passed);
        assert_eq!(watch.join().unwrap(), Vec::<String>::new());
    });
}

fn rotate_and_refuse(node: &Node, markers: &[Marker]) {
    let daemon = talkative(node, "text");
    node.coffer(&["swarm", "init"]).said();
    let value = |at: usize| markers[at].text().as_bytes();
    let mut said = Vec::new();
    let mut run = |args: &[&str], at: usize| {
        let run = node.coffer_reading(args, value(at));
        said.push(run.stdout);
        said.push(run.stderr);
        run.code
    };
    assert_eq!(run(&["secret", "create", "db", "-"], 0), Some(0));
    assert_eq!(run(&["secret", "rotate", "db", "-"], 1), Some(0));
    assert_eq!(run(&["secret", "rotate", "--activate=false", "db", "-"], 2), Some(0));
    for refused in [
        &["secret", "create", "DB", "-"][..],
        &["secret", "create", "no/name", "-"],
        &["secret", "rotate", "missing", "-"],
        &["secret", "rotate", "--label", "current", "db", "-"],
    ] {
        assert_eq!(run(refused, 3), Some(1), "{refused:?}");
    }
    // In a directory of its own, which is not searched: here the value is the user's.
    let own = Scratch::new();
    let file = format!("db={}", own.file("value", value(4)).display());
    assert_eq!(run(&["secret", "rotate", &file], 4), Some(0));
    // A value in the wrong place is taken for a file's name, and the user told so: it is his.
    assert_eq!(run(&["secret", "rotate", "db", "no-such-file"], 5), Some(1));
    for read in [&["secret", "inspect", "db"][..], &["secret", "versions", "db"], &["secret", "ls"]]
    {
        assert_eq!(run(read, 5), Some(0));
    }
    let audit = node.coffer(&["audit", "tail", "--format", "json"]).said();
    let all = format!("{audit}{}{}", said.concat(), daemon.log());
    assert!(audit.contains("Secrets/Rotate"), "there is an audit to search");
    assert!(markers.iter().all(|marker| !marker.is_in(all.as_bytes())));
    nothing_is_found(node, markers, "after rotating");
    node.coffer(&["swarm", "rotate-keys", "-d"]).said();
    let keyring = || KeyFiles::of(node).keyring;
    wait_until("one epoch is left", || keyring().epochs().map(|epoch| epoch.0).eq([2]));
    node.coffer(&["secret", "destroy", "-f", "--version", "1", "db"]).said();
    nothing_is_found(node, markers, "after every value was sealed anew");
    daemon.kill();
    nothing_is_found(node, markers, "after a kill");
}

#[test]
fn case_57_tokens_and_keys_are_nowhere_but_where_they_are_kept_or_asked_for() {
    let test = "case_57_tokens_and_keys_are_nowhere_but_where_they_are_kept_or_asked_for";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = talkative(&node, "json");
    node.coffer(&["swarm", "init"]).said();
    let token = |role| node.coffer(&["swarm", "join-token", "-q", role]).word();
    let secret = |token: &str| token.rsplit('-').next().map(str::as_bytes).map(Marker::of).unwrap();
    let mut markers = vec![secret(&token("worker")), secret(&token("manager"))];
    let before = KeyFiles::of(&node);
    markers.push(Marker::of(before.keyring.newest().bytes));
    node.coffer(&["swarm", "rotate-keys", "-d"]).said();
    wait_until("one epoch is left", || {
        KeyFiles::of(&node).keyring.epochs().map(|epoch| epoch.0).eq([2])
    });
    markers.push(Marker::of(KeyFiles::of(&node).keyring.newest().bytes));
    let audit = node.coffer(&["audit", "tail", "--format", "json"]).said();
    assert!(audit.contains("Swarm/JoinTokens"), "there is an audit to search");
    assert!(markers.iter().all(|marker| !marker.is_in(audit.as_bytes())));
    nothing_is_found(&node, &markers, "after tokens were shown and the data key rotated");
    // The disk key lies in the clear, in one file and no other.
    let disk_key = [Marker::of(before.disk_key.expose())];
    let (files, _) = search::files_with(&disk_key, node.scratch().folder());
    let kept = node.state_dir().join("cluster/disk.key");
    assert_eq!(files, [kept.display().to_string()]);
    assert!(disk_key[0].is_in(&fs::read(kept).unwrap()));
    assert!(!disk_key[0].is_in(daemon.log().as_bytes()));
    daemon.end();
    nothing_is_found(&node, &markers, "after the end");
}
