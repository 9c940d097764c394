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

#[test]
fn every_call_on_the_wire_stands_in_the_table_of_rights() {
    let described = paths(&read("proto/proto/coffer/v1/control.proto"));
    assert!(described.len() > 30, "the calls are found");
    let known: BTreeSet<String> = CALLS.iter().map(|(_, _, path, _)| (*path).to_owned()).collect();
    assert_eq!(described, known);
}

/// A service that is served has its calls in the file above.
#[test]
fn every_service_that_is_served_is_described() {
    let described = read("proto/proto/coffer/v1/control.proto");
    let served = read("vault/src/rpc.rs");
    let served =
        served.lines().filter_map(|line| line.trim().strip_prefix(".add_service(service!("));
    let served: Vec<_> = served.filter_map(|rest| rest.strip_suffix("Server))")).collect();
    assert_eq!(served.len(), described.matches("\nservice ").count(), "{served:?}");
    for service in served {
        assert!(described.contains(&format!("\nservice {service} {{")), "{service}");
    }
}
