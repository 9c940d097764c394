//! The small files, byte for byte, and what the real daemon says of a damaged one.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tests::{Daemon, Node};
use vault::disk::diskkey::{self, DiskKey};
use vault::disk::keyring::{self, Keyring};
use vault::disk::node::{self, Membership};

use crate::{assert_names, cluster, ended_cluster, flip, read};

/// Tries every damage to one file: each byte flipped, each length cut, one byte more.
fn refused_however_damaged(name: &str, file: &[u8], refusal: impl Fn(&[u8]) -> Option<String>) {
    assert_eq!(refusal(file), None, "{name} is sound");
    for at in 0..file.len() {
        let mut altered = file.to_vec();
        flip(&mut altered, at);
        let case = format!("{name}, byte {at}");
        let text = refusal(&altered).unwrap_or_else(|| panic!("{case}: was read"));
        assert_names(&text, name, &case);
        let text = refusal(&file[..at]).unwrap_or_else(|| panic!("{name} cut at {at}: was read"));
        assert!(text.contains(name), "{name} cut at {at}: the file is not named: {text}");
    }
    assert!(refusal(&[file, &[0]].concat()).is_some(), "{name} with a byte more: was read");
}

#[test]
fn case_27_small_files_are_refused_whatever_byte_is_damaged() {
    let test = "case_27_small_files_are_refused_whatever_byte_is_damaged";
    let Some(node) = ended_cluster(test) else { return };
    let file = read(&node, diskkey::NAME);
    let refusal = |bytes: &[u8]| DiskKey::parse(bytes).err().map(|error| error.to_string());
    refused_however_damaged(diskkey::NAME, &file, refusal);

    let key = DiskKey::parse(&file).ok().unwrap();
    let file = read(&node, node::NAME);
    let refusal =
        |bytes: &[u8]| Membership::parse(key.expose(), bytes).err().map(|error| error.to_string());
    refused_however_damaged(node::NAME, &file, refusal);

    let context = Membership::parse(key.expose(), &file).unwrap().context();
    let file = read(&node, keyring::NAME);
    let refusal = |bytes: &[u8]| {
        Keyring::parse(key.expose(), &context, bytes).err().map(|error| error.to_string())
    };
    refused_however_damaged(keyring::NAME, &file, refusal);
}

#[test]
fn the_daemon_does_not_start_from_damaged_files_and_says_where_they_are_damaged() {
    let test = "the_daemon_does_not_start_from_damaged_files_and_says_where_they_are_damaged";
    let Some(node) = ended_cluster(test) else { return };
    let first = "log/0000000000000001.seg";
    for (name, at) in [
        (diskkey::NAME, 40),
        (diskkey::NAME, 0),
        (node::NAME, 8),
        (node::NAME, 50),
        (keyring::NAME, 60),
        (first, 20),
        (first, 4096 + 100),
        ("log/0000000000000002.seg", 2 * 4096 + 70),
        ("log.mark", 20),
        ("log.mark", 100),
    ] {
        let path = cluster(&node).join(name);
        flip_in_file(&path, at);
        refused(&node, name, at);
        flip_in_file(&path, at);
    }
    // It was the damage that kept it from starting, and it has touched nothing.
    let daemon = node.start();
    assert_eq!(node.coffer(&["secret", "ls", "-q"]).said().lines().count(), 8);
    daemon.end();
}

#[test]
fn the_daemon_does_not_start_without_one_of_its_files() {
    let test = "the_daemon_does_not_start_without_one_of_its_files";
    let Some(node) = ended_cluster(test) else { return };
    for (name, text) in [
        (diskkey::NAME, "cannot open disk.key"),
        (node::NAME, "cannot open node"),
        (keyring::NAME, "cannot open keyring"),
        ("log/0000000000000002.seg", "segment 2 is missing"),
        ("log/0000000000000001.seg", "entries before index"),
        ("log/0000000000000003.seg", "log/0000000000000003.seg is missing"),
        ("log.mark", "reading log.mark failed"),
        ("audit.mark", "reading audit.mark failed"),
        ("audit/0000000000000003.seg", "log/0000000000000003.seg is missing"),
    ] {
        let (path, aside) = (cluster(&node).join(name), node.scratch().path("aside"));
        fs::rename(&path, &aside).unwrap();
        let ended = Daemon::try_start(&node, node.cofferd()).err().expect("a file is missing");
        assert_eq!(ended.status.code(), Some(1), "{name}: {}", ended.log);
        assert!(ended.log.contains(text), "{name}: {}", ended.log);
        fs::rename(&aside, &path).unwrap();
    }
    node.start().end();
}

#[track_caller]
fn refused(node: &Node, name: &str, at: usize) {
    let case = format!("{name}, byte {at}");
    let ended = Daemon::try_start(node, node.cofferd()).err();
    let ended = ended.unwrap_or_else(|| panic!("{case}: it started"));
    assert_eq!(ended.status.code(), Some(1), "{case}: {}", ended.log);
    let said = ended.log.lines().rfind(|line| line.contains("ERROR")).unwrap_or_default();
    assert_names(said, name, &case);
    assert!(!node.socket().exists(), "{case}: nothing is served");
}

fn flip_in_file(path: &Path, at: usize) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let offset = u64::try_from(at).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}
