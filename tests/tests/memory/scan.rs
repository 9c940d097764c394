//! The search in the daemon's memory and in that of the helpers of its tasks.

use std::fs;
use std::hint::black_box;

use tests::trace::{Place, may_read_memory_of};
use tests::{Daemon, Node, Run, Trace, skipped, wait_until, wait_until_none};

/// A short password, a page and a bit, and nearly the most.
const SIZES: [usize; 3] = [40, 5_000, 500_000];

/// A daemon whose memory may be read; `None`, said aloud, where it may not.
pub(crate) fn open_to_us<'a>(test: &str, node: &'a Node) -> Option<Daemon<'a>> {
    let daemon = node.start_cluster();
    if !may_read_memory_of(daemon.pid()) {
        skipped(test, "may not read another process's memory (needs root with CAP_SYS_PTRACE)");
        daemon.end();
        return None;
    }
    Some(daemon)
}

/// Where a trace stands in the daemon and in what it started, but for the tasks themselves.
pub(crate) fn places(daemon: &Daemon<'_>, trace: &Trace) -> Vec<Place> {
    let program = |pid: u32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let own = program(daemon.pid()).expect("it runs");
    let helpers = daemon.family().into_iter().map(|one| one.pid);
    let helpers = helpers.filter(|pid| program(*pid).as_ref() == Some(&own));
    // One that has ended meanwhile has no memory.
    helpers.flat_map(|pid| trace.places_in(pid).unwrap_or_default()).collect()
}

/// Nothing is left once the client's connection is gone and its buffers are freed.
#[track_caller]
fn nothing_is_left(daemon: &Daemon<'_>, trace: &Trace, when: &str) {
    wait_until_none(&format!("traces of the value {when}"), || places(daemon, trace));
}

/// Only guarded pages hold it, and they do.
#[track_caller]
fn guarded_pages_alone(daemon: &Daemon<'_>, trace: &Trace, when: &str) {
    let mut found = Vec::new();
    wait_until_none(&format!("traces of the value outside guarded pages {when}"), || {
        found = places(daemon, trace);
        found.iter().filter(|place| !place.is_guarded).cloned().collect()
    });
    assert!(!found.is_empty(), "{when}: it is there to be found");
}

fn refused(run: Run, text: &str) {
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains(text), "{run:?}");
}

#[test]
fn case_37_no_call_leaves_a_value_in_memory() {
    let test = "case_37_no_call_leaves_a_value_in_memory";
    let Some(node) = Node::for_test(test) else { return };
    let Some(daemon) = open_to_us(test, &node) else { return };
    for size in SIZES {
        let trace = Trace::new();
        let value = trace.value(size);
        let left = |when: &str| nothing_is_left(&daemon, &trace, &format!("({size} bytes) {when}"));
        let reading = |args: &[&str]| node.coffer_reading(args, &value);
        reading(&["secret", "create", "db", "-"]).said();
        left("after creating");
        reading(&["secret", "rotate", "db", "-"]).said();
        reading(&["secret", "rotate", "--activate=false", "--label", "blue", "db", "-"]).said();
        left("after rotating");
        refused(reading(&["secret", "create", "db", "-"]), "already exists");
        refused(reading(&["secret", "create", "not/a/name", "-"]), "invalid name");
        refused(reading(&["secret", "rotate", "missing", "-"]), "not found");
        left("after refusals");
        node.coffer(&["secret", "ls"]).said();
        node.coffer(&["secret", "inspect", "db"]).said();
        node.coffer(&["secret", "rollback", "db"]).said();
        left("after reading and rolling back");
        node.coffer(&["secret", "destroy", "-f", "--version", "3", "db"]).said();
        node.coffer(&["secret", "rm", "db"]).said();
        left("after removing");
        configs(&node, &value);
        left("after a config was shown and removed");
    }
    daemon.end();
}

/// Their values are shown: they pass through memory once more.
fn configs(node: &Node, value: &[u8]) {
    node.coffer_reading(&["config", "create", "c", "-"], value).said();
    node.coffer_reading(&["config", "rotate", "c", "-"], value).said();
    assert!(node.coffer(&["config", "inspect", "c"]).said().len() > value.len());
    node.coffer(&["config", "ls"]).said();
    node.coffer(&["config", "rm", "c"]).said();
}

#[test]
fn case_37_a_batch_and_a_rotation_of_the_data_key_leave_no_value_in_memory() {
    let test = "case_37_a_batch_and_a_rotation_of_the_data_key_leave_no_value_in_memory";
    let Some(node) = Node::for_test(test) else { return };
    let Some(daemon) = open_to_us(test, &node) else { return };
    let trace = Trace::new();
    let folder = node.scratch().path("many");
    fs::create_dir(&folder).unwrap();
    for count in 0..100 {
        fs::write(folder.join(format!("s{count}")), trace.value(30 + count * 100)).unwrap();
    }
    node.coffer(&["secret", "create", "--from-dir", folder.to_str().unwrap()]).said();
    nothing_is_left(&daemon, &trace, "after a batch");
    let keyring = node.state_dir().join("cluster/keyring");
    let before = fs::read(&keyring).unwrap();
    node.coffer(&["swarm", "rotate-keys", "-d"]).said();
    wait_until("the data key is another one", || {
        let now = fs::read(&keyring).unwrap();
        now != before && now.len() == before.len()
    });
    nothing_is_left(&daemon, &trace, "after every value was sealed anew");
    daemon.end();
}

#[test]
fn case_37_a_value_that_a_task_has_is_in_guarded_pages_alone() {
    let test = "case_37_a_value_that_a_task_has_is_in_guarded_pages_alone";
    let Some(node) = Node::for_test(test) else { return };
    if fs::File::options().read(true).write(true).open("/dev/fuse").is_err() {
        return skipped(test, "needs /dev/fuse: without it the value is in files in memory");
    }
    let Some(daemon) = open_to_us(test, &node) else { return };
    let (first, second, third) = (Trace::new(), Trace::new(), Trace::new());
    node.coffer_reading(&["secret", "create", "db", "-"], &first.value(70_000)).said();
    // Reads the file again and again, and tells by its length which version it has.
    let script = "while :; do wc -c < /run/secrets/db; sleep 0.1; done";
    let create = ["service", "create", "-q", "-d", "--name", "web", "--secret", "db", "--"];
    node.coffer(&[&create[..], &["sh", "-c", script]].concat()).said();
    node.logs_with("web", "70000");
    guarded_pages_alone(&daemon, &first, "while a task reads it");
    node.coffer_reading(&["secret", "rotate", "db", "-"], &second.value(80_000)).said();
    node.logs_with("web", "80000");
    guarded_pages_alone(&daemon, &second, "after it was rotated under the task");
    // The set before the current one stays, for who is reading it just then; no older one does.
    node.coffer_reading(&["secret", "rotate", "db", "-"], &third.value(90_000)).said();
    node.logs_with("web", "90000");
    guarded_pages_alone(&daemon, &third, "after it was rotated again");
    nothing_is_left(&daemon, &first, "that the task has no more");
    node.coffer(&["service", "rm", "web"]).said();
    nothing_is_left(&daemon, &second, "of the version before, after the task has ended");
    nothing_is_left(&daemon, &third, "after the task has ended");
    node.coffer(&["secret", "rm", "db"]).said();
    daemon.end();
}

/// Without this the other tests might find nothing because they cannot see.
#[test]
fn case_37_the_search_finds_any_piece_in_any_form() {
    let trace = Trace::new();
    let value = trace.value(300);
    let own = std::process::id();
    let hexadecimal: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let pieces = [value[3..18].to_vec(), value[100..117].to_vec(), hexadecimal[7..22].into()];
    for (count, piece) in pieces.iter().enumerate() {
        for shift in 0..8 {
            let mut memory = vec![0_u8; 64];
            memory[shift..shift + piece.len()].copy_from_slice(piece);
            assert!(trace.first_in(&memory).is_some(), "piece {count} at {shift}");
            assert!(Trace::new().first_in(&memory).is_none(), "another trace is not there");
        }
    }
    if may_read_memory_of(own) {
        let seen = trace.places_in(own).unwrap();
        assert!(seen.iter().any(|place| place.region.contains("heap") || !place.is_guarded));
        let guarded = Trace::new();
        let length = value.len();
        let pages = vault_memory::Guarded::filled(length, |bytes| {
            bytes.copy_from_slice(&guarded.value(length));
        });
        let pages = pages.unwrap();
        let seen = guarded.places_in(own).unwrap();
        assert_eq!(seen.iter().any(|place| place.is_guarded), pages.is_locked(), "{seen:?}");
    }
    black_box(value);
}
