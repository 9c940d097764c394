//! Every stored byte, damaged: refused with the file and the offset named, never a panic, never half an
//! answer. What a torn write cannot be told from is cut and reported, and is the very last batch alone.
//!
//! The files are those of a real cluster. They are read through the library, which is quick enough to
//! try thousands of damages, and a few times by the real daemon.

#[path = "damage/files.rs"]
mod files;
#[path = "damage/lengths.rs"]
mod lengths;
#[path = "damage/log.rs"]
mod log;
#[path = "damage/memory.rs"]
mod memory;
#[path = "damage/snapshot.rs"]
mod snapshot;

use std::fs;
use std::path::PathBuf;

use tests::Node;

/// One bit, another one at each place.
fn flip(bytes: &mut [u8], at: usize) {
    bytes[at] ^= 1 << (at % 8);
}

/// A refusal names the file and where in it.
#[track_caller]
fn assert_names(refusal: &str, file: &str, case: &str) {
    assert!(refusal.contains(file), "{case}: the file is not named: {refusal}");
    assert!(refusal.contains("offset "), "{case}: no offset is named: {refusal}");
}

/// Where the cluster's files are.
fn cluster(node: &Node) -> PathBuf {
    node.state_dir().join("cluster")
}

/// A cluster that has ended, after three lives: its log has three segments.
fn ended_cluster(test: &str) -> Option<Node> {
    // Small segments: each of thousands of damaged copies is read whole.
    let node = Node::for_test(test)?.with_log_segments_of(64 << 10);
    node.start_cluster().end();
    for life in 0..2 {
        let daemon = node.start();
        for count in 0..4 {
            node.secret(&format!("s-{life}-{count}"), &vec![b'v'; 1 + 900 * count]);
        }
        daemon.end();
    }
    Some(node)
}

fn read(node: &Node, name: &str) -> Vec<u8> {
    fs::read(cluster(node).join(name)).unwrap()
}
