//! Restoring a cluster that has autolock.

use tests::{Node, wait_until};

use super::{IDENTITY, file, save, text};

/// The unlock key in what a command showed.
#[track_caller]
fn key_in(said: &str) -> String {
    let key = said.split_whitespace().find(|word| word.starts_with("SWMKEY-1-"));
    key.unwrap_or_else(|| panic!("no unlock key in {said:?}")).to_owned()
}

fn unlock(node: &Node, key: &str) -> tests::Run {
    node.coffer_reading(&["swarm", "unlock"], format!("{key}\n").as_bytes())
}

#[test]
fn a_restored_cluster_has_an_unlock_key_of_its_own() {
    let test = "a_restored_cluster_has_an_unlock_key_of_its_own";
    let (Some(old), Some(new)) = (Node::for_test(test), Node::for_test(test)) else { return };
    let daemon = old.start_cluster();
    old.secret("pw", b"behind a lock");
    let before = key_in(&old.coffer(&["swarm", "update", "--autolock=true"]).stdout);
    let backup = text(&save(&old, "locked.age"));
    daemon.end();
    let key = file(&new, "key.txt", IDENTITY.as_bytes());

    let other = new.start();
    let said = new.coffer(&["backup", "restore", "-i", &key, &backup]).said();
    assert!(said.contains("The unlock key is new as well."), "{said}");
    let after = key_in(&said);
    assert_ne!(after, before);
    assert_eq!(new.coffer(&["swarm", "unlock-key", "-q"]).said().trim(), after);
    other.end();

    let other = new.start();
    assert_eq!(unlock(&new, &before).code, Some(1), "who knew the old one opens nothing");
    wait_until("the pause after a wrong key is over", || unlock(&new, &after).code == Some(0));
    assert!(new.coffer(&["secret", "ls", "-q"]).said().lines().count() == 1);
    other.end();
}
