//! A value that was handed over is found where it was asked for, and nowhere else: not on the disk, not
//! in a log, not in the arguments or the environment of any process.

#[path = "canary/later.rs"]
mod later;
#[path = "canary/search.rs"]
mod search;

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use search::Marker;
use tests::processes::with_argument;
use tests::{Daemon, Node, Scratch, wait_until};

#[test]
fn case_57_a_value_is_nowhere_but_in_its_task_with_text_logs() {
    a_value_is_nowhere_but_in_its_task(
        "case_57_a_value_is_nowhere_but_in_its_task_with_text_logs",
        "text",
    );
}

#[test]
fn a_value_is_nowhere_but_in_its_task_with_json_logs() {
    a_value_is_nowhere_but_in_its_task("a_value_is_nowhere_but_in_its_task_with_json_logs", "json");
}

/// The daemon says all that it can say.
fn talkative<'a>(node: &'a Node, format: &str) -> Daemon<'a> {
    let mut command = node.cofferd();
    command.args(["--log-level", "trace", "--log-format", format]);
    Daemon::start(node, command)
}

fn a_value_is_nowhere_but_in_its_task(test: &str, format: &str) {
    let Some(node) = Node::for_test(test) else { return };
    let markers = [Marker::new(), Marker::new()];
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Looks all the time: an argument or a variable is there for a moment only.
        let watch = scope.spawn(|| search::watch_processes(&markers, &is_over));
        let passed = Passed(&is_over);
        the_way_of_a_value(&node, &markers, format);
        drop(passed);
        assert_eq!(watch.join().unwrap(), Vec::<String>::new());
    });
}

/// Ends the watch, also when the test fails.
struct Passed<'a>(&'a AtomicBool);

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn the_way_of_a_value(node: &Node, markers: &[Marker; 2], format: &str) {
    let daemon = talkative(node, format);
    node.coffer(&["swarm", "init"]).said();
    node.secret("by-stdin", markers[0].text().as_bytes());
    // In a directory of its own, which is not searched: here the value is the user's.
    let own = Scratch::new();
    let file = own.file("value", markers[1].text().as_bytes()).display().to_string();
    node.coffer(&["secret", "create", "by-file", &file]).word();
    nothing_is_found(node, markers, "after creating");
    reading(node, markers);
    nothing_is_found(node, markers, "while a task has it");
    daemon.kill();
    nothing_is_found(node, markers, "after a kill");

    let daemon = talkative(node, format);
    wait_until("the task has read it again", || {
        let out = node.coffer(&["service", "logs", "reader"]).stdout;
        markers.iter().all(|marker| out.contains(marker.text()))
    });
    node.coffer(&["service", "rm", "reader"]).said();
    node.coffer(&["secret", "rm", "by-stdin", "by-file"]).said();
    let name = node.scratch().name();
    wait_until("the task is gone", || with_argument(name).iter().all(|pid| *pid == daemon.pid()));
    nothing_is_found(node, markers, "after removing");
    assert!(daemon.log().contains("cluster founded"), "there is a log to search");
    daemon.end();
    nothing_is_found(node, markers, "after the end");
}

/// The values are where they should be: this proves that they were there to be found.
fn reading(node: &Node, markers: &[Marker; 2]) {
    let script = format!(
        "cat /run/secrets/by-stdin; echo; cat /run/secrets/by-file; echo; exec sleep 1000; : {}",
        node.scratch().name()
    );
    let create = ["service", "create", "-d", "--name", "reader", "--secret", "by-stdin"];
    node.coffer(&[&create[..], &["--secret", "by-file", "--", "sh", "-c", &script]].concat())
        .said();
    for marker in markers {
        let (out, _) = node.logs_with("reader", marker.text());
        assert!(marker.is_in(out.as_bytes()));
    }
}

/// Searches all files of the node, the daemon's output among them, and all processes.
fn nothing_is_found(node: &Node, markers: &[Marker], when: &str) {
    let (files, searched) = search::files_with(markers, node.scratch().folder());
    assert_eq!(files, Vec::<String>::new(), "{when}");
    assert!(searched > 0, "there are files to search");
    assert_eq!(search::processes_with(markers), Vec::<String>::new(), "{when}");
}

#[test]
fn case_57_the_search_finds_what_is_there_in_every_form() {
    let scratch = Scratch::new();
    let marker = Marker::new();
    for (count, form) in marker.forms().iter().enumerate() {
        // Behind zeros and across a border of blocks, as in a log.
        let mut content = vec![0; 3 * 4096 - 7 + count];
        content.extend_from_slice(form);
        content.extend_from_slice(&[0; 9000]);
        let folder = scratch.path(&count.to_string());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), content).unwrap();
        let (found, _) = search::files_with(&[Marker::new()], &folder);
        assert_eq!(found.len(), 0, "another marker is not there");
    }
    let (found, searched) = search::files_with(std::slice::from_ref(&marker), scratch.folder());
    assert_eq!((found.len(), searched), (marker.forms().len(), marker.forms().len()));
    processes_are_searched(&marker);
}

fn processes_are_searched(marker: &Marker) {
    let find = || search::processes_with(std::slice::from_ref(marker));
    let mut by_argument = Command::new("sh");
    by_argument.args(["-c", &format!("read line; : {}", marker.text())]);
    let mut by_variable = Command::new("sh");
    by_variable.args(["-c", "read line"]).env("COFFER_TEST_VALUE", marker.text());
    for (mut command, place) in [(by_argument, "cmdline"), (by_variable, "environ")] {
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let expected = format!("/proc/{}/{place}", child.id());
        wait_until("it is found", || find().contains(&expected));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
    assert_eq!(find(), Vec::<String>::new());
}
