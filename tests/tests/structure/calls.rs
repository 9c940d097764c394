//! Every call on the wire stands in the table of rights, and nothing else does.

use std::collections::BTreeSet;

use vault_core::access::CALLS;

use crate::tree::read;

/// The paths of all calls that a description of services has.
fn paths(text: &str) -> BTreeSet<String> {
    let word = |line: &str, before: &str| {
        let rest = line.trim_start().strip_prefix(before)?;
        Some(rest.split([' ', '(', ';']).next()?.to_owned())
    };
    let package = text.lines().find_map(|line| word(line, "package ")).expect("it has a name");
    let mut service = String::new();
    let mut paths = BTreeSet::new();
    for line in text.lines() {
        if let Some(name) = word(line, "service ") {
            service = name;
        } else if let Some(call) = word(line, "rpc ") {
            paths.insert(format!("/{package}.{service}/{call}"));
        }
    }
    paths
}

const DESCRIBED: [&str; 4] = [
    "proto/proto/coffer/v1/control.proto",
    "proto/proto/coffer/v1/peers.proto",
    "proto/proto/docker/swarmkit/v1/ca.proto",
    "proto/proto/docker/swarmkit/v1/dispatcher.proto",
];

#[test]
fn case_8_every_call_on_the_wire_stands_in_the_table_of_rights() {
    let described: BTreeSet<_> = DESCRIBED.iter().flat_map(|file| paths(&read(file))).collect();
    assert!(described.len() > 40, "the calls are found");
    let known: BTreeSet<String> = CALLS.iter().map(|(_, _, path, _)| (*path).to_owned()).collect();
    assert_eq!(described, known);
}

/// A service that is served, on the socket or on the node port, has its calls in the files above.
#[test]
fn case_8_every_service_that_is_served_is_described() {
    let described = DESCRIBED.map(read).concat().to_lowercase();
    let between = |text: &str, before: &str, after: &str| -> BTreeSet<String> {
        let parts = text.split(before).skip(1);
        parts.filter_map(|part| Some(part.split(after).next()?.to_lowercase())).collect()
    };
    let on_socket = between(&read("vault/src/rpc/dispatch.rs"), "answer!(", "_server::");
    let on_port = between(&read("vault/src/rpc/node_port.rs"), ".add_service(service!(", "Server,");
    let served: BTreeSet<_> = on_socket.union(&on_port).cloned().collect();
    assert_eq!(served.len(), described.matches("\nservice ").count(), "{served:?}");
    for service in served {
        assert!(described.contains(&format!("\nservice {service} {{")), "{service}");
    }
}
