//! The store through the real binaries: versions, batches, configs, events, the audit, keys, bounds, calls
//! that are sent again.

#[path = "store/again.rs"]
mod again;
#[path = "store/bounds.rs"]
mod bounds;
#[path = "store/keys.rs"]
mod keys;
#[path = "store/versions.rs"]
mod versions;

use serde_json::Value;
use tests::Node;

/// The lines of a list.
fn lines(node: &Node, args: &[&str]) -> Vec<String> {
    node.coffer(args).said().lines().map(str::to_owned).collect()
}

/// The holders of each version, newest first: number, services, tasks.
fn holders_of(node: &Node, secret: &str) -> Vec<String> {
    lines(node, &["secret", "versions", "--format", "{{.Version}} {{.HeldBy}} {{.Tasks}}", secret])
}

/// The number and labels of each version, newest first.
fn versions_of(node: &Node, secret: &str) -> Vec<(String, String)> {
    let said = node.coffer(&["secret", "versions", "--format", "{{.Version}} {{.Labels}}", secret]);
    let pair = |line: &str| {
        let (number, labels) = line.split_once(' ').unwrap_or((line, ""));
        (number.to_owned(), labels.to_owned())
    };
    said.said().lines().map(pair).collect()
}

fn pair(number: &str, labels: &str) -> (String, String) {
    (number.to_owned(), labels.to_owned())
}

/// The audit's records, oldest first.
fn audit(node: &Node) -> Vec<Value> {
    let said = node.coffer(&["audit", "tail", "-n", "1000", "--format", "json"]).said();
    said.lines().map(|line| serde_json::from_str(line).expect("a record is JSON")).collect()
}
