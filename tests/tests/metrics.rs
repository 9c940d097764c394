//! Health, readiness and metrics of running daemons; and that documents, dashboard and alerts name what there is.

#[path = "metrics/documents.rs"]
mod documents;
#[path = "metrics/listener.rs"]
mod listener;
#[path = "metrics/page.rs"]
mod page;
#[path = "metrics/probes.rs"]
mod probes;

use tests::node::own_address;
use tests::{Daemon, Node};

/// Starts a node that serves metrics at an address of its own.
#[track_caller]
fn start(node: &Node) -> (Daemon<'_>, String) {
    let addr = own_address();
    (start_at(node, &addr), addr)
}

/// The same at this address.
#[track_caller]
fn start_at<'a>(node: &'a Node, addr: &str) -> Daemon<'a> {
    let mut command = node.cofferd();
    command.args(["--metrics-addr", addr]);
    Daemon::start(node, command)
}
