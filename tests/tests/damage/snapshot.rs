//! A snapshot that a real cluster wrote: damage anywhere in it is refused.

use std::fs;

use tests::{Daemon, Node, wait_until};
use vault::disk::diskkey::{self, DiskKey};
use vault::disk::keyring::{self, Keyring};
use vault::disk::node::{self, Membership};
use vault::disk::snapshot::read_records;

use crate::{assert_names, cluster, flip, read};

/// As large as a secret may be: a snapshot is due once 32 MiB were written.
const VALUE_BYTES: usize = 511_999;
const SECRETS_MAX: usize = 80;
const HEAD_BYTES: usize = 48;
const PIECE_HEAD: usize = 8;
const TAG: usize = 16;
/// So many places, spread over the file, are damaged besides the heads.
const SPREAD: usize = 24;

/// A cluster that has written a snapshot and has ended; its snapshot's name.
fn cluster_with_a_snapshot(test: &str) -> Option<(Node, String)> {
    let node = Node::for_test(test)?;
    let daemon = node.start_cluster();
    let folder = cluster(&node).join("snapshots");
    let snapshot = || {
        let names = fs::read_dir(&folder).unwrap().flatten();
        let mut names = names.filter_map(|entry| entry.file_name().into_string().ok());
        names.find(|name| name.ends_with(".snap"))
    };
    let value = vec![b'v'; VALUE_BYTES];
    let mut count = 0;
    while snapshot().is_none() && count < SECRETS_MAX {
        node.secret(&format!("s-{count}"), &value);
        count += 1;
    }
    wait_until("a snapshot is written", || snapshot().is_some());
    daemon.end();
    // A start with a long log may write the next one in its place.
    let daemon = node.start();
    assert_eq!(node.coffer(&["secret", "ls", "-q"]).said().lines().count(), count);
    daemon.end();
    let name = snapshot().expect("there is one from now on");
    Some((node, name))
}

#[test]
fn case_27_a_damaged_snapshot_is_refused() {
    let test = "case_27_a_damaged_snapshot_is_refused";
    let Some((node, name)) = cluster_with_a_snapshot(test) else { return };
    let key = DiskKey::parse(&read(&node, diskkey::NAME)).ok().unwrap();
    let membership = Membership::parse(key.expose(), &read(&node, node::NAME)).unwrap();
    let ring = read(&node, keyring::NAME);
    let ring = Keyring::parse(key.expose(), &membership.context(), &ring).ok().unwrap();
    let refusal = |bytes: &[u8]| {
        let records = read_records(&name, bytes, &ring, membership.cluster, |_| Some(()));
        records.err().map(|refused| refused.to_string())
    };
    let mut bytes = read(&node, &format!("snapshots/{name}"));
    assert_eq!(refusal(&bytes), None);
    for at in places(&bytes) {
        flip(&mut bytes, at);
        let case = format!("byte {at}");
        let text = refusal(&bytes).unwrap_or_else(|| panic!("{case}: was read"));
        assert_names(&text, &name, &case);
        flip(&mut bytes, at);
    }
    for length in [0, 10, HEAD_BYTES, bytes.len() / 2, bytes.len() - 1] {
        assert!(refusal(&bytes[..length]).is_some(), "cut at {length}");
    }
    the_daemon_says_where(&node, &name, bytes);
}

/// The head, the heads and tags of the first and last pieces, and some bytes all over the file.
fn places(bytes: &[u8]) -> Vec<usize> {
    let mut pieces = Vec::new();
    let mut at = HEAD_BYTES;
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let end = at + PIECE_HEAD + usize::try_from(length).unwrap() + TAG;
        pieces.push(at..end);
        at = end;
    }
    let (first, last) = (pieces.first().unwrap(), pieces.last().unwrap());
    let heads = [first, last].into_iter().flat_map(|piece| piece.start..piece.start + PIECE_HEAD);
    let tags = [first.end - TAG, first.end - 1, last.end - TAG, last.end - 1];
    let spread = (0..bytes.len()).step_by(bytes.len() / SPREAD);
    (0..HEAD_BYTES).chain(heads).chain(tags).chain(spread).collect()
}

fn the_daemon_says_where(node: &Node, name: &str, mut bytes: Vec<u8>) {
    let at = bytes.len() / 2;
    flip(&mut bytes, at);
    fs::write(cluster(node).join("snapshots").join(name), bytes).unwrap();
    let ended = Daemon::try_start(node, node.cofferd()).err().expect("its snapshot is damaged");
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log);
    let said = ended.log.lines().rfind(|line| line.contains("ERROR")).unwrap_or_default();
    assert_names(said, &format!("snapshots/{name}"), "the daemon");
}
