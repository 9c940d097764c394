//! Backups that are made by themselves: who makes them, what is kept, and what is said when they fail.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use tests::cluster::{form, id, leader, nodes, status, text};
use tests::{Node, faketime, skipped, wait_for, wait_until};

use super::{IDENTITY, OTHER, RECIPIENT, file};

const UPDATE: [&str; 6] =
    ["swarm", "update", "--backup-every", "2s", "--backup-recipient", RECIPIENT];

fn backups(node: &Node) -> Value {
    status(node).map_or(Value::Null, |status| status["Backups"].clone())
}

/// Names of the backups in a directory, oldest first.
fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).map(|all| all.flatten().collect::<Vec<_>>());
    let names = entries.unwrap_or_default().into_iter();
    let mut names: Vec<_> = names.map(|one| one.file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

fn warned(node: &Node, text: &str) -> bool {
    let status = status(node).unwrap_or_default();
    let warnings = status["Warnings"].as_array().cloned().unwrap_or_default();
    warnings.iter().any(|one| one["Text"].as_str().unwrap_or_default().contains(text))
}

#[test]
fn a_cluster_of_a_day_without_any_is_warned_of() {
    let test = "a_cluster_of_a_day_without_any_is_warned_of";
    let Some(node) = Node::for_test(test) else { return };
    let Some(environment) = faketime::environment(&node) else {
        return skipped(test, "needs libfaketime");
    };
    let node = node.with_environment(environment);
    let _daemon = node.start_cluster();
    assert!(!warned(&node, "no backups are scheduled"));
    faketime::step(&node, 86_400);
    wait_until("it is warned of", || warned(&node, "no backups are scheduled"));
    let status = node.coffer(&["status"]);
    assert_eq!(status.code, Some(0), "it is healthy all the same: {status:?}");
    let dir = node.scratch().path("backups");
    let at = ["--backup-dir", dir.to_str().unwrap()];
    node.coffer(&[&UPDATE[..], &at[..]].concat()).said();
    wait_until("it is not any more", || !warned(&node, "no backups are scheduled"));
}

#[test]
fn a_follower_makes_them_and_the_newest_are_kept() {
    let test = "a_follower_makes_them_and_the_newest_are_kept";
    let Some(nodes) = nodes::<2>(test) else { return };
    let _daemons = form(&nodes);
    let dir = nodes[0].scratch().path("backups");
    let at = dir.to_str().unwrap();
    nodes[0].secret("pw", b"a secret that is saved");
    let kept = ["--backup-keep", "2", "--backup-dir", at];
    nodes[1].coffer(&[&UPDATE[..], &kept[..]].concat()).said();
    let leads = leader(&[&nodes[0], &nodes[1]]);
    let made = wait_for("one was made", || {
        let backups = backups(&nodes[0]);
        (backups["LastVerifiedAt"].as_i64()? > 0).then_some(backups)
    });
    assert_eq!(text(&made, "LastVerifiedNodeID"), id(&nodes[1 - leads]), "{made}");
    assert_eq!((&made["EverySecs"], &made["Keep"]), (&2.into(), &2.into()), "{made}");
    let first = files(&dir).first().cloned().expect("it is there");
    wait_until("it went when others came", || {
        let files = files(&dir);
        files.len() <= 3 && !files.contains(&first)
    });
    nodes[0].coffer(&["swarm", "update", "--backup-every", "0"]).said();
    wait_until("nobody makes any", || backups(&nodes[1])["EverySecs"] == 0);
    wait_until("two are left, and no draft", || {
        let all = fs::read_dir(&dir).unwrap().count();
        all == 2 && files(&dir).len() == 2
    });
    // Each is a backup like any other, of mode 0600, and opens with the recipient's key alone.
    let newest = dir.join(files(&dir).last().unwrap());
    assert_eq!(fs::metadata(&newest).unwrap().permissions().mode() & 0o777, 0o600);
    let (key, other) = (
        file(&nodes[0], "key.txt", IDENTITY.as_bytes()),
        file(&nodes[0], "other.txt", OTHER.as_bytes()),
    );
    let newest = newest.to_str().unwrap();
    let said = nodes[0].coffer(&["backup", "verify", "-i", &key, newest]).said();
    assert!(said.contains("1 secrets"), "{said}");
    assert_ne!(nodes[0].coffer(&["backup", "verify", "-i", &other, newest]).code, Some(0));
    let bytes = fs::read(newest).unwrap();
    assert!(!bytes.windows(22).any(|window| window == b"a secret that is saved"));
}

#[test]
fn a_failure_is_told_and_the_next_try_mends_it() {
    let Some(node) = Node::for_test("a_failure_is_told_and_the_next_try_mends_it") else { return };
    let daemon = node.start_cluster();
    let dir = node.scratch().path("backups");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    let at = dir.to_str().unwrap();
    node.coffer(&[&UPDATE[..], &["--backup-dir", at]].concat()).said();
    wait_until("the failure is told", || warned(&node, "the last backup failed"));
    let failed = backups(&node);
    assert!(text(&failed, "Failure").contains("chmod go-w"), "{failed}");
    assert!(failed["FailedInARow"].as_u64() >= Some(1), "{failed}");
    assert!(files(&dir).is_empty(), "nothing is there that is no backup");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    wait_until("it is made", || backups(&node)["LastVerifiedAt"].as_i64() > Some(0));
    wait_until("nothing is said any more", || !warned(&node, "the last backup failed"));
    // A restart does not forget it.
    let before = backups(&node)["LastVerifiedIndex"].as_u64();
    daemon.end();
    let daemon = node.start();
    wait_until("the next is made", || backups(&node)["LastVerifiedIndex"].as_u64() > before);
    daemon.end();
}

#[test]
fn a_schedule_that_makes_no_sense_changes_nothing() {
    let Some(node) = Node::for_test("a_schedule_that_makes_no_sense_changes_nothing") else {
        return;
    };
    let daemon = node.start_cluster();
    for (args, expected) in [
        (&["--backup-keep", "3"][..], "say how often, with --backup-every"),
        (&["--backup-every", "6h"], "Name one: --backup-recipient"),
        (&["--backup-every", "6h", "--backup-recipient", RECIPIENT], "must be an absolute path"),
        (
            &["--backup-every", "6h", "--backup-recipient", "age1no", "--backup-dir", "/b"],
            "recipient 1 is no public key of age",
        ),
        (
            &["--backup-every", "1s", "--backup-recipient", RECIPIENT, "--backup-dir", "/b"],
            "a backup every 1 s is refused",
        ),
    ] {
        let run = node.coffer(&[&["swarm", "update"], args].concat());
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.contains(expected), "{expected}: {run:?}");
    }
    assert_eq!(backups(&node)["EverySecs"], 0);
    daemon.end();
}
