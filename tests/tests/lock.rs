//! Autolock: what a locked manager's disk holds, what a locked manager does, and how it is opened again.

#[path = "lock/disk.rs"]
mod disk;
#[path = "lock/locked.rs"]
mod locked;
#[path = "lock/several.rs"]
mod several;

use std::fs;

use tests::{Node, Run, wait_until};
use vault::disk::diskkey::{self, DiskKey};
use vault_core::unlock::UnlockKey;

const LOCKED: &str = "Swarm is encrypted and needs to be unlocked before it can be used. \
                      Please use \"coffer swarm unlock\" to unlock it.";

/// The unlock key in what a command showed.
#[track_caller]
fn key_in(said: &str) -> String {
    let line = said.lines().find_map(|line| line.trim().strip_prefix("SWMKEY-1-"));
    format!("SWMKEY-1-{}", line.unwrap_or_else(|| panic!("no unlock key in {said:?}")))
}

/// Turns autolock on and gives the key. What the daemon adds stands on standard error.
#[track_caller]
fn lock(node: &Node) -> String {
    let run = node.coffer(&["swarm", "update", "--autolock=true"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.starts_with("Swarm updated.\nTo unlock a swarm manager"), "{run:?}");
    key_in(&run.stdout)
}

/// Gives a key, once the pause after a wrong one is over.
fn try_unlock(node: &Node, key: &str) -> Run {
    let mut last = None;
    wait_until("another key may be tried", || {
        let run = node.coffer_reading(&["swarm", "unlock"], format!("{key}\n").as_bytes());
        let is_early = run.stderr.contains("was tried a moment ago");
        last = Some(run);
        !is_early
    });
    last.expect("it was tried once at least")
}

#[track_caller]
fn unlock(node: &Node, key: &str) {
    assert_eq!(try_unlock(node, key).said(), "");
}

fn disk_key_file(node: &Node) -> Vec<u8> {
    fs::read(node.state_dir().join("cluster").join(diskkey::NAME)).expect("there is a cluster")
}

/// The version of the unlock key that a node's disk is under.
fn lock_version(node: &Node) -> Option<u32> {
    DiskKey::lock_version(&disk_key_file(node)).expect("the file is whole")
}

fn parsed(key: &str) -> UnlockKey {
    UnlockKey::parse(key).unwrap_or_else(|_| panic!("not an unlock key"))
}

fn is_locked(node: &Node) -> bool {
    let status = node.coffer(&["status", "--format", "json"]).stdout;
    status.contains("\"Locked\":true")
}
