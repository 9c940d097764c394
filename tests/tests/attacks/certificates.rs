//! The log of what the root signed, and the list of what was taken back.

use std::process::Command;

use tests::cluster::{form, id, nodes};
use tests::{Node, wait_until};

use super::settled;

/// The log as one manager shows it: kind, node and serial number of each certificate.
fn log(node: &Node) -> Vec<[String; 3]> {
    let format = "{{.Kind}}|{{.Node}}|{{.Serial}}";
    let said = node.coffer(&["swarm", "ca", "log", "--format", format]).said();
    let fields = |line: &str| {
        let mut fields = line.split('|').map(str::to_owned);
        std::array::from_fn(|_| fields.next().unwrap_or_default())
    };
    said.lines().map(fields).collect()
}

fn verified(node: &Node) -> String {
    node.coffer(&["swarm", "ca", "log", "--verify"]).said().trim().to_owned()
}

#[test]
fn case_c65_c78_what_is_issued_is_in_one_chain_and_what_is_taken_back_on_a_list() {
    let test = "case_c65_c78_what_is_issued_is_in_one_chain_and_what_is_taken_back_on_a_list";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons = form(&nodes);
    settled(&nodes);
    let ids = nodes.each_ref().map(id);
    let first = log(&nodes[0]);
    let told: Vec<_> = first.iter().map(|[kind, node, _]| (kind.as_str(), node.as_str())).collect();
    let manager = |n: usize| ("manager", ids[n].as_str());
    assert_eq!(told, [("root", ""), manager(0), manager(1), manager(2)]);
    let head = verified(&nodes[0]);
    assert!(head.starts_with("4 certificates, all of them, chain whole, head "), "{head}");
    for node in &nodes[1..] {
        assert_eq!(log(node), first, "every manager has the same");
        assert_eq!(verified(node), head);
    }
    // It outlives the daemon, with what only its audit has.
    daemons.pop().expect("three").end();
    daemons.push(nodes[2].start());
    settled(&nodes);
    assert_eq!(verified(&nodes[2]), head);
    let page = ["swarm", "ca", "log", "-n", "1", "--before", "3", "--format", "{{.Node}}"];
    assert_eq!(nodes[1].coffer(&page).said().trim(), ids[0]);

    let gone = first[3][2].to_uppercase();
    assert!(!revoked(test, &nodes[0]).is_some_and(|list| list.contains(&gone)));
    nodes[0].coffer(&["node", "demote", &ids[2]]).said();
    daemons.pop().expect("three").end();
    wait_until("it is removed", || nodes[0].coffer(&["node", "rm", "-f", &ids[2]]).code == Some(0));
    for node in &nodes[..2] {
        if let Some(list) = revoked(test, node) {
            assert!(list.contains(&gone), "{gone} is wanted: {list}");
        }
    }
}

/// The serial numbers on a manager's list, as OpenSSL reads them, which also checks the root's signature.
fn revoked(test: &str, node: &Node) -> Option<String> {
    let [list, root] = ["crl.pem", "root.pem"].map(|name| node.scratch().path(name));
    std::fs::write(&list, node.coffer(&["swarm", "ca", "crl"]).said()).expect("there is room");
    std::fs::write(&root, node.coffer(&["swarm", "ca"]).said()).expect("there is room");
    let mut openssl = Command::new("openssl");
    openssl.args(["crl", "-noout", "-text", "-in"]).arg(list).arg("-CAfile").arg(root);
    let Ok(read) = openssl.output() else {
        tests::skipped(test, "needs openssl: another reader of the list");
        return None;
    };
    let verdict = String::from_utf8_lossy(&read.stderr).into_owned();
    assert!(read.status.success() && verdict.contains("verify OK"), "{verdict}");
    Some(String::from_utf8_lossy(&read.stdout).replace(':', ""))
}
