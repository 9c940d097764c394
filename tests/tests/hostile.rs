//! Calls that no honest client makes: the daemon refuses them, takes little memory for them, records those
//! that are calls at all, and goes on serving everybody else.

#[path = "hostile/connections.rs"]
mod connections;
#[path = "hostile/many.rs"]
mod many;
#[path = "hostile/messages.rs"]
mod messages;
#[path = "hostile/records.rs"]
mod records;

use std::fs;

use tests::{Daemon, Node};

/// A field of `/proc/PID/status`, in KiB.
fn kib(daemon: &Daemon<'_>, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("it is there");
    line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").trim().parse().unwrap()
}

/// It serves as ever, and has not complained of a bug.
#[track_caller]
fn goes_on(node: &Node, daemon: &Daemon<'_>, name: &str) {
    node.secret(name, b"value");
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}
