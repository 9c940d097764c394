//! Rules about what has one place: the wire's messages, unsafe code, the clock, randomness, consensus.

use crate::tree::{FOLDERS, File, assert_none, has_word, rust_files};

/// Where messages of the wire become checked types, and back. Nothing else names them.
const EDGES: &[&str] = &[
    "proto/",
    "vault/src/rpc.rs",
    "vault/src/rpc/",
    "vault/src/raft/network.rs",
    "vault/src/raft/network/",
    "vault/src/raft/codec.rs",
    "vault/src/raft/codec/",
    "vault/src/raft/machine.rs",
    "ctl/src/client.rs",
    "ctl/src/client/",
    "ctl/src/codec.rs",
    "ctl/tests/",
    "tests/bench/",
];

/// These rules, which have to name what they are about.
const RULES: &[&str] = &["tests/tests/structure/"];

/// Lines of files outside some places for which `is_named` holds.
fn named_outside(places: &[&str], is_named: impl Fn(&File, &str) -> bool) -> Vec<String> {
    let files = rust_files();
    let outside = files.iter().filter(|file| !file.is_at(places) && !file.is_at(RULES));
    let lines =
        outside.flat_map(|file| file.code_lines().map(move |(number, line)| (file, number, line)));
    let named = lines.filter(|(file, _, line)| is_named(file, line));
    named.map(|(file, number, line)| format!("{}:{number}: {}", file.path, line.trim())).collect()
}

/// The same, but for tests.
fn named_by_product_outside(places: &[&str], is_named: impl Fn(&str) -> bool) -> Vec<String> {
    let files = rust_files();
    let outside = files.iter().filter(|file| !file.is_at(places) && !file.is_test());
    let lines = outside
        .flat_map(|file| file.product_lines().map(move |(number, line)| (file, number, line)));
    let named = lines.filter(|(_, _, line)| !line.trim_start().starts_with("//") && is_named(line));
    named.map(|(file, number, line)| format!("{}:{number}: {}", file.path, line.trim())).collect()
}

#[test]
fn every_folder_at_the_top_is_known() {
    let entries = std::fs::read_dir(tests::binaries::source_tree()).unwrap().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let unknown = names.filter(|name| !FOLDERS.contains(&name.as_str()));
    assert_none("folders at the top that are not known", unknown.collect());
}

#[test]
fn messages_of_the_wire_are_named_at_the_edges_alone() {
    let is_crate = |line: &str| {
        // As a path's first part; a module of another crate may have the same name.
        line.match_indices("proto::").any(|(at, _)| {
            let before = &line[..at];
            !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                || before.ends_with("use ::")
        }) || ["use proto;", "use proto as "].iter().any(|form| line.contains(form))
    };
    assert_none("only edges name proto", named_outside(EDGES, |_, line| is_crate(line)));
}

#[test]
fn unsafe_code_is_in_one_package_of_the_product_alone() {
    let forms =
        ["{", "fn ", "impl", "trait ", "extern "].map(|form| format!("{} {form}", "unsafe"));
    let attribute = format!("#[{}(", "unsafe");
    let is_unsafe = |_: &File, line: &str| {
        forms.iter().any(|form| line.contains(form)) || line.contains(&attribute)
    };
    // The other one is for tests, and no package of the product may name it.
    let places = ["vault/memory/", "tests/fate/"];
    assert_none("unsafe code is in vault/memory", named_outside(&places, is_unsafe));
}

#[test]
fn the_clock_is_read_in_one_place_of_each_program() {
    let call = ["SystemTime", "now"].join("::");
    let places = ["vault/src/clock.rs", "ctl/src/clock.rs"];
    assert_none("clocks", named_outside(&places, |_, line| line.contains(&call)));
}

#[test]
fn consensus_is_named_in_one_module_alone() {
    let is_named = |_: &File, line: &str| has_word(line, "openraft");
    let places = ["vault/src/raft.rs", "vault/src/raft/"];
    assert_none("only vault/src/raft names openraft", named_outside(&places, is_named));
}

#[test]
fn randomness_is_drawn_in_one_place() {
    let call = ["SystemRandom", "new"].join("::");
    let drawn = named_by_product_outside(&["vault/src/entropy.rs"], |line| line.contains(&call));
    assert_none("only vault/src/entropy.rs draws randomness", drawn);
}
