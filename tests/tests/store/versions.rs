//! Versions of a secret, also through a `kill -9`, and what running tasks see of them.

use super::{holders_of, lines, pair, versions_of};
use tests::{Node, wait_until};

#[test]
fn versions_come_and_go_and_outlive_a_kill() {
    let Some(node) = Node::for_test("versions_come_and_go_and_outlive_a_kill") else { return };
    let daemon = node.start_cluster();
    node.secret("db", b"one");
    let rotate = |args: &[&str], value: &[u8]| {
        node.coffer_reading(&[&["secret", "rotate"], args].concat(), value).word()
    };
    assert_eq!(rotate(&["db", "-"], b"two"), "db version 2");
    assert_eq!(
        rotate(&["--activate=false", "--label", "blue", "db", "-"], b"three"),
        "db version 3"
    );
    let expected = [pair("3", "blue,pending"), pair("2", "current"), pair("1", "previous")];
    assert_eq!(versions_of(&node, "db"), expected);
    daemon.kill();

    let daemon = node.start();
    assert_eq!(versions_of(&node, "db"), expected);
    node.coffer(&["secret", "activate", "db"]).said();
    let activated = [pair("3", "blue,current"), pair("2", "previous"), pair("1", "")];
    assert_eq!(versions_of(&node, "db"), activated);
    node.coffer(&["secret", "rollback", "db"]).said();
    let back = [pair("3", "blue,previous"), pair("2", "current"), pair("1", "")];
    assert_eq!(versions_of(&node, "db"), back);
    node.coffer(&["secret", "destroy", "-f", "--version", "2", "db"]).refused_by_daemon(
        "version 2 of secret 'db' is what tasks read: activate another version first",
    );
    node.coffer(&["secret", "destroy", "-f", "--version", "1", "db"]).said();
    assert_eq!(versions_of(&node, "db"), back[..2]);
    daemon.end();
}

#[test]
fn a_rotation_reaches_a_running_task_and_several_change_as_one() {
    let test = "a_rotation_reaches_a_running_task_and_several_change_as_one";
    let Some(node) = Node::for_test(test) else { return };
    if !fusefs_works() {
        return tests::skipped(test, "needs /dev/fuse");
    }
    let daemon = node.start_cluster();
    node.secret("user", b"u1");
    node.secret("pass", b"p1");
    // Reads both as one set, for ever; says each new pair.
    let script = "old=; while :; do cd /run/secrets/..data/ 2>/dev/null || continue; \
                  new=$(cat user)/$(cat pass); cd /; \
                  [ \"$new\" = \"$old\" ] || { echo \"$new\"; old=$new; }; done";
    let create = ["service", "create", "-q", "-d", "--name", "web", "--secret", "user"];
    let create = [&create[..], &["--secret", "pass", "--", "sh", "-c", script]].concat();
    node.coffer(&create).said();
    node.logs_with("web", "u1/p1");
    let (user, pass) = (node.scratch().path("u"), node.scratch().path("p"));
    for round in 2..6 {
        std::fs::write(&user, format!("u{round}")).unwrap();
        std::fs::write(&pass, format!("p{round}")).unwrap();
        let both = [format!("user={}", user.display()), format!("pass={}", pass.display())];
        node.coffer(&["secret", "rotate", &both[0], &both[1]]).said();
        node.logs_with("web", &format!("u{round}/p{round}"));
        // The task has switched: it holds the new versions alone.
        let newest = format!("{round} web 1");
        for secret in ["user", "pass"] {
            wait_until("the switch is told", || holders_of(&node, secret)[0] == newest);
            let older = &holders_of(&node, secret)[1..];
            assert!(older.iter().all(|line| line.ends_with("  0")), "{older:?}");
        }
    }
    // Nobody holds what came before, so it may go.
    node.coffer(&["secret", "destroy", "-y", "--version", "4", "user"]).said();
    let (seen, _) = node.logs_with("web", "u5/p5");
    for line in seen.lines() {
        let (user, pass) = line.rsplit_once('u').unwrap().1.split_once("/p").unwrap();
        assert_eq!(user, pass, "one new and one old in {line}");
    }
    daemon.end();
}

/// Of two services, each with a version of its own and with a task that takes its time to end.
#[test]
fn a_version_is_destroyed_once_no_task_holds_it_or_by_force() {
    let test = "a_version_is_destroyed_once_no_task_holds_it_or_by_force";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    node.secret("db", b"one");
    for value in [&b"two"[..], b"three"] {
        node.coffer_reading(&["secret", "rotate", "db", "-"], value).said();
    }
    let script = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let mut ids = vec![];
    for (name, grant) in [("one", "db@1"), ("two", "db@2")] {
        let create = ["service", "create", "-q", "-d", "--name", name, "--secret", grant];
        ids.push(node.coffer(&[&create[..], &["--", "sh", "-c", script]].concat()).word());
        node.logs_with(name, "ready");
    }
    assert_eq!(holders_of(&node, "db"), ["3  0", "2 two 1", "1 one 1"]);
    let listed = node.coffer(&["secret", "ls", "--format", "{{.HeldBy}}"]).said();
    assert_eq!(listed, "2: two (1); 1: one (1)\n");
    node.coffer(&["secret", "destroy", "-f", "--version", "1", "db"]).refused_by_daemon(
        "version 1 of secret 'db' is what a service was granted by its number or label",
    );
    // Tasks outlive their service, and what they hold stays with them.
    node.coffer(&["service", "rm", "one", "two"]).said();
    let destroy = |sure: &str, version: &str| {
        node.coffer(&["secret", "destroy", sure, "--version", version, "db"])
    };
    destroy("-y", "1").refused_by_daemon(&format!(
        "version 1 of secret 'db' is held by 1 task: {} (1). Wait until they have switched, \
         or destroy it with --force: they keep what they have",
        ids[0]
    ));
    destroy("-f", "1").said();
    wait_until("the task has ended", || holders_of(&node, "db") == ["3  0", "2  0"]);
    destroy("-y", "2").said();
    assert_eq!(holders_of(&node, "db"), ["3  0"]);
    daemon.end();
}

/// With files by FUSE the task switches, with files in memory it keeps what it has: its node says so either way.
#[test]
fn a_version_that_came_and_went_is_destroyed_once_the_node_has_said_that_nobody_has_it() {
    let test =
        "a_version_that_came_and_went_is_destroyed_once_the_node_has_said_that_nobody_has_it";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    node.secret("db", b"one");
    let script = "echo ready; while :; do sleep 0.05; done";
    let create = ["service", "create", "-q", "-d", "--name", "web", "--secret", "db"];
    node.coffer(&[&create[..], &["--", "sh", "-c", script]].concat()).said();
    node.logs_with("web", "ready");
    let rotate = |value| drop(node.coffer_reading(&["secret", "rotate", "db", "-"], value).said());
    let destroy = |version| {
        wait_until("nobody has it", || {
            node.coffer(&["secret", "destroy", "-y", "--version", version, "db"]).code == Some(0)
        });
    };
    rotate(b"two");
    rotate(b"three");
    destroy("2");
    // There and back again: in the end nothing changed for the task.
    rotate(b"four");
    node.coffer(&["secret", "rollback", "db"]).said();
    destroy("4");
    daemon.end();
}

fn fusefs_works() -> bool {
    std::fs::File::options().read(true).write(true).open("/dev/fuse").is_ok()
}

#[test]
fn case_9_a_batch_is_made_whole_or_not_at_all() {
    let Some(node) = Node::for_test("case_9_a_batch_is_made_whole_or_not_at_all") else { return };
    let daemon = node.start_cluster();
    let folder = node.scratch().path("many");
    std::fs::create_dir(&folder).unwrap();
    for count in 0..300 {
        std::fs::write(folder.join(format!("s{count}")), format!("value {count}")).unwrap();
    }
    let from = folder.to_str().unwrap();
    assert_eq!(lines(&node, &["secret", "create", "--from-dir", from]).len(), 300);
    assert_eq!(lines(&node, &["secret", "ls", "-q"]).len(), 300);
    std::fs::write(folder.join("new"), "value").unwrap();
    let refused = node.coffer(&["secret", "create", "--from-dir", from]);
    assert!(refused.stderr.contains("already exists"), "{refused:?}");
    assert_eq!(lines(&node, &["secret", "ls", "-q"]).len(), 300);
    let wanted = lines(&node, &["secret", "ls", "-q", "-f", "name=S29"]);
    assert_eq!(wanted.len(), 11, "s29 and s290 to s299");
    daemon.end();
}

#[test]
fn a_configs_value_is_shown_and_a_secrets_is_not() {
    let Some(node) = Node::for_test("a_configs_value_is_shown_and_a_secrets_is_not") else {
        return;
    };
    let daemon = node.start_cluster();
    node.secret("s", b"hidden");
    node.coffer_reading(&["config", "create", "c", "-"], b"shown").said();
    let config = node.coffer(&["config", "inspect", "c"]).said();
    assert!(config.contains("\"Data\": \"c2hvd24=\""), "{config}");
    let secret = node.coffer(&["secret", "inspect", "s"]).said();
    assert!(!secret.contains("Data") && !secret.contains("aGlkZGVu"), "{secret}");
    daemon.end();
}

#[test]
fn events_tell_what_happened_from_an_index_on() {
    let Some(node) = Node::for_test("events_tell_what_happened_from_an_index_on") else { return };
    let daemon = node.start_cluster();
    node.secret("db", b"one");
    node.coffer_reading(&["secret", "rotate", "db", "-"], b"two").said();
    node.coffer(&["secret", "rm", "db"]).said();
    let mut seen = vec![];
    wait_until("all three events are told", || {
        let said =
            lines(&node, &["events", "--since", "0", "--no-follow", "--filter", "type=secret"]);
        seen = said.iter().map(|line| line.split(' ').nth(2).unwrap_or("").to_owned()).collect();
        seen.len() == 3
    });
    assert_eq!(seen, ["create", "update", "remove"]);
    daemon.end();
}
