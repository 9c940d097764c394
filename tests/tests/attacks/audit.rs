//! The audit, when its file goes or what is to be told would forge lines.

use std::fs;

use prost::Message;
use rustix::process::Signal;
use tests::cluster::{form, id, nodes};
use tests::{Impostor, Node, wait_until};
use tonic::Code;

use super::settled;

/// What a manager says of itself.
#[derive(Clone, PartialEq, Message)]
struct AdmitRequest {
    #[prost(string, tag = "1")]
    addr: String,
    #[prost(string, tag = "2")]
    hostname: String,
    #[prost(string, tag = "3")]
    engine_version: String,
}

fn verified(node: &Node) -> tests::Run {
    node.coffer(&["audit", "verify"])
}

/// Whoever turns logs over sends a signal and moves files: the one changes nothing, the other is found.
#[test]
fn case_55_an_audit_that_is_moved_away_is_missed_and_a_hang_up_ends_nothing() {
    let test = "case_55_an_audit_that_is_moved_away_is_missed_and_a_hang_up_ends_nothing";
    let Some(node) = Node::for_test(test) else { return };
    let mut daemon = node.start_cluster();
    node.secret("before", b"value");
    daemon.signal(Signal::HUP);
    wait_until("it says so", || daemon.log().contains("SIGHUP"));
    node.secret("after", b"value");
    assert!(!daemon.has_ended());
    assert!(verified(&node).said().contains("chain whole"));
    daemon.end();
    let folder = node.state_dir().join("cluster/audit");
    let moved = node.scratch().path("moved");
    fs::rename(&folder, &moved).unwrap();
    let refused = tests::Daemon::try_start(&node, node.cofferd()).err().expect("it is missed");
    assert!(refused.log.contains(".seg is missing"), "{}", refused.log);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::rename(&moved, &folder).unwrap();
    let daemon = node.start();
    assert!(verified(&node).said().contains("chain whole"));
    daemon.end();
}

/// A line end in what a manager says of itself would make lines in others' logs and screens.
#[test]
fn case_55_what_a_manager_says_of_itself_makes_no_lines_of_its_own() {
    let test = "case_55_what_a_manager_says_of_itself_makes_no_lines_of_its_own";
    let Some(nodes) = nodes::<2>(test) else { return };
    let _daemons = form(&nodes);
    settled(&nodes);
    let impostor = Impostor::of(&nodes[1]);
    let addr = nodes[1].address().unwrap().to_owned();
    for (hostname, version) in [
        ("host\nERROR the disk is gone", "1"),
        ("host\u{1b}[2J", "1"),
        ("host", "1\r\n2"),
        ("host\u{202e}", "1"),
        ("", "1"),
    ] {
        let place = AdmitRequest {
            addr: addr.clone(),
            hostname: hostname.to_owned(),
            engine_version: version.to_owned(),
        };
        let refused = impostor.call(&nodes[0], "/coffer.v1.Managers/Admit", &place);
        let code = refused.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code, Code::InvalidArgument, "{hostname:?} {version:?}");
    }
    let shown = nodes[0].coffer(&["node", "inspect", &id(&nodes[1])]).said();
    assert!(!shown.contains("2J") && !shown.contains("disk is gone"), "{shown}");
}
