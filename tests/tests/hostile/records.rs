//! Calls that are refused, or do not read, leave their record, too.

use std::process::Command;

use serde_json::Value;
use tests::wire::{field, varint};
use tests::{Node, Wire, wait_until};
use tonic::Code;

/// Call and outcome of each record, oldest first, of those that are not about the audit itself.
fn records(node: &Node) -> Vec<(String, String)> {
    let said = node.coffer(&["audit", "tail", "-n", "1000", "--format", "json"]).said();
    let records = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pairs = records.map(|record| (text(&record["Call"]), text(&record["Outcome"])));
    pairs.filter(|(call, _)| !call.contains("Audit/")).collect()
}

/// The same, once the founding is told: records are written a moment after the answer.
fn told(node: &Node) -> Vec<(String, String)> {
    let mut all = Vec::new();
    wait_until("the founding is recorded", || {
        all = records(node);
        !all.is_empty()
    });
    all
}

#[test]
fn case_58_calls_that_are_refused_or_do_not_read_are_recorded() {
    let test = "case_58_calls_that_are_refused_or_do_not_read_are_recorded";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    let before = told(&node).len();
    let wire = Wire::of(&node);
    let deep = varint(1000 << 3 | 3).repeat(1_000);
    let spec = field(1, &field(1, b"../canary"));
    let calls = [
        ("/coffer.v1.Secrets/Reveal", vec![], Code::Unimplemented),
        ("/coffer.v2.Secrets/Create", vec![], Code::Unimplemented),
        ("/coffer.v1.Secrets/Create", vec![0xff; 10], Code::Internal),
        ("/coffer.v1.Secrets/List", deep, Code::Internal),
        ("/coffer.v1.Secrets/Create", vec![], Code::InvalidArgument),
        ("/coffer.v1.Secrets/Create", field(1, &spec), Code::InvalidArgument),
        ("/coffer.v1.Secrets/Inspect", field(1, b"missing"), Code::NotFound),
        ("/coffer.v1.Secrets/Destroy", field(1, b"missing"), Code::NotFound),
        ("/coffer.v1.Services/Logs", field(1, b"missing"), Code::NotFound),
        ("/coffer.v1.Swarm/Init", vec![], Code::FailedPrecondition),
    ];
    for (count, (path, message, code)) in calls.into_iter().enumerate() {
        assert_eq!(wire.code(path, message), code, "{path}");
        let mut all = Vec::new();
        wait_until("the call is recorded", || {
            all = records(&node);
            all.len() > before + count
        });
        let (call, outcome) = all.last().expect("there are records");
        let known = if code == Code::Unimplemented { "" } else { path };
        assert_eq!((call.as_str(), outcome), (known, &format!("{code:?}")), "{all:?}");
    }
    assert_eq!(records(&node).len() - before, 10, "one record each");
    daemon.end();
}

#[test]
fn case_8_whoever_is_not_let_in_by_the_socket_makes_no_call() {
    let test = "case_8_whoever_is_not_let_in_by_the_socket_makes_no_call";
    let Some(node) = Node::for_test(test) else { return };
    if !tests::node::is_root() {
        return tests::skipped(test, "needs root, to be another user");
    }
    let daemon = node.start_cluster();
    let before = told(&node);
    let (coffer, _) = tests::binaries::installed(node.scratch());
    let mut command: Command = node.coffer_at(&coffer, &["secret", "ls"]);
    std::os::unix::process::CommandExt::uid(&mut command, 61_239);
    assert_eq!(tests::Run::of(&mut command, b"").code, Some(1));
    assert_eq!(records(&node), before);
    daemon.end();
}
