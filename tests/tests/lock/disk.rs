//! A locked manager's disk: no key on it in the clear, and no crash while it is being locked that loses it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tests::{KeyFiles, Node, wait_until};
use vault::disk::diskkey::DiskKey;
use vault::disk::folder::RealFolder;
use vault::disk::keyring::Keyring;
use vault::disk::log::{LogKey, verify};
use vault::disk::node::Membership;

use super::{disk_key_file, is_locked, key_in, lock, lock_version, parsed, unlock};

/// All files below a directory.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found
}

#[track_caller]
fn assert_nowhere(node: &Node, what: &str, needle: &[u8]) {
    for (name, bytes) in files(&node.state_dir()) {
        assert!(!bytes.windows(needle.len()).any(|part| part == needle), "{what} is in {name}");
    }
}

/// A key of its own from one generation's bytes.
fn alone(bytes: &[u8; 32]) -> DiskKey {
    DiskKey::filled(|key| key.copy_from_slice(bytes)).unwrap()
}

#[test]
fn case_35_a_locked_disk_holds_no_key_in_the_clear() {
    let Some(node) = Node::for_test("case_35_a_locked_disk_holds_no_key_in_the_clear") else {
        return;
    };
    let daemon = node.start_cluster();
    node.secret("s", b"value");
    let before = KeyFiles::of(&node);
    let identity = fs::read(node.state_dir().join("cluster/identity")).unwrap();
    let key = lock(&node);
    daemon.kill();
    let file = disk_key_file(&node);
    let Ok(disk_key) = DiskKey::parse_locked(&file, &parsed(&key)) else {
        panic!("it opens with the key that was shown");
    };
    assert_ne!(disk_key.expose(), before.disk_key.expose(), "the disk key is new");
    assert_nowhere(&node, "the old disk key", before.disk_key.expose());
    assert_nowhere(&node, "the new disk key", disk_key.expose());
    assert_nowhere(&node, "the unlock key", parsed(&key).expose());
    assert_nowhere(&node, "the unlock key's text", key.as_bytes());
    assert_nowhere(&node, "a data key", before.keyring.newest().bytes);
    let cluster = node.state_dir().join("cluster");
    let read = |name| fs::read(cluster.join(name)).unwrap();
    assert_ne!(read("identity"), identity, "the node's key is new");
    let own = Membership::parse(disk_key.expose(), &read("node")).expect("under the new key");
    let ring = Keyring::parse(disk_key.expose(), &own.context(), &read("keyring"));
    assert!(ring.is_ok(), "under the new key");
    // The whole log is under the new key, and nothing of it is left under the old one.
    let folder = RealFolder::open(&cluster.join("log")).unwrap();
    let log_key = |bytes| LogKey { context: own.context(), disk_key: Arc::new(alone(bytes)) };
    verify(&folder, &log_key(disk_key.expose())).expect("it opens");
    assert!(verify(&folder, &log_key(before.disk_key.expose())).is_err());
    let spares = fs::read_dir(cluster.join("log")).unwrap().map(|entry| entry.unwrap());
    let spares = spares.filter(|one| one.file_name().to_string_lossy().starts_with("spare"));
    for spare in spares {
        assert!(fs::read(spare.path()).unwrap().iter().all(|byte| *byte == 0), "{spare:?}");
    }
    let daemon = node.start();
    unlock(&node, &key);
    node.coffer(&["audit", "verify"]).said();
    daemon.end();
}

/// Wherever it is killed: either it is not locked, or whoever locked it has seen the key.
#[test]
fn case_35_a_crash_while_the_disk_is_being_locked_loses_nothing() {
    let Some(node) = Node::for_test("case_35_a_crash_while_the_disk_is_being_locked_loses_nothing")
    else {
        return;
    };
    let mut daemon = node.start_cluster();
    node.secret("s", b"value");
    let (mut was_locked, mut key) = (0, None);
    for delay in [0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 130, 160, 200] {
        let mut command = node.coffer_command(&["swarm", "update", "--autolock=true"]);
        let shown = thread::scope(|scope| {
            let run = scope.spawn(|| tests::Run::of(&mut command, b""));
            // Not a wait for something: a point in time, whatever goes on there.
            thread::sleep(Duration::from_millis(delay));
            daemon.kill();
            run.join().unwrap().stdout
        });
        if shown.contains("SWMKEY-1-") {
            key = Some(key_in(&shown));
        }
        daemon = node.start();
        if is_locked(&node) {
            was_locked += 1;
            unlock(&node, key.as_ref().expect("the key was shown before the disk was locked"));
        }
        assert_eq!(node.coffer(&["secret", "ls", "--format", "{{.Name}}"]).said(), "s\n");
        if let Some(shown) = &key {
            wait_until("what was begun is brought to its end", || lock_version(&node).is_some());
            assert_eq!(&node.coffer(&["swarm", "unlock-key", "-q"]).word(), shown);
            let off = node.coffer(&["swarm", "update", "--autolock=false"]);
            assert_eq!(off.said(), "Swarm updated.\n");
            assert_eq!(lock_version(&node), None);
            key = None;
        } else {
            // Begun without the answer: it goes on by itself, and the key can be asked for.
            let now = node.coffer(&["swarm", "unlock-key", "-q"]);
            if now.code == Some(0) {
                key = Some(now.word());
            }
        }
    }
    assert!(was_locked > 0, "some crashes came after the lock");
    daemon.end();
}
