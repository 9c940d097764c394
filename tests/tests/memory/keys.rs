//! Keys in memory: in locked pages, and gone when they are destroyed.

use std::fs;

use tests::trace::regions;
use tests::{KeyFiles, Node, Trace, skipped, wait_until, wait_until_none};

use super::scan::{open_to_us, places};

#[test]
fn case_38_keys_are_in_pages_that_are_locked_and_left_out_of_dumps() {
    let test = "case_38_keys_are_in_pages_that_are_locked_and_left_out_of_dumps";
    let Some(node) = Node::for_test(test) else { return };
    let Some(daemon) = open_to_us(test, &node) else { return };
    if daemon.log().contains("memory cannot be locked") {
        skipped(test, "the limit of locked memory is too low");
        return daemon.end();
    }
    let keys = KeyFiles::of(&node);
    for (name, key) in [("disk", keys.disk_key.expose()), ("data", keys.keyring.newest().bytes)] {
        let found = Trace::of(key).places_in(daemon.pid()).unwrap();
        assert!(found.iter().any(|place| place.is_guarded), "the {name} key: {found:?}");
    }
    for region in regions(daemon.pid()).unwrap() {
        let has = |wanted: &str| region.flags.iter().any(|flag| flag == wanted);
        assert_eq!(has("wf"), has("lo"), "what is guarded is locked: {}", region.line);
        assert_eq!(has("wf"), has("dd"), "and left out of dumps: {}", region.line);
    }
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    assert_ne!(locked.trim(), "0 kB");
    daemon.end();
}

#[test]
fn case_37_a_data_key_that_was_destroyed_is_nowhere_in_memory() {
    let test = "case_37_a_data_key_that_was_destroyed_is_nowhere_in_memory";
    let Some(node) = Node::for_test(test) else { return };
    let Some(daemon) = open_to_us(test, &node) else { return };
    node.secret("db", b"value");
    let old = Trace::of(KeyFiles::of(&node).keyring.newest().bytes);
    assert!(!places(&daemon, &old).is_empty(), "it is there to be found");
    node.coffer(&["swarm", "rotate-keys", "-d"]).said();
    wait_until("one epoch is left", || {
        let ring = KeyFiles::of(&node).keyring;
        ring.newest().epoch.0 == 2 && ring.epochs().count() == 1
    });
    wait_until_none("traces of the old data key", || places(&daemon, &old));
    daemon.end();
}
