//! Everything that can be given wrongly: a clear error that says what to do, the right exit code, and
//! nothing changed.

#[path = "bad_input/daemon.rs"]
mod daemon;
#[path = "bad_input/links.rs"]
mod links;
#[path = "bad_input/modes.rs"]
mod modes;

use std::fs;
use std::os::unix::process::CommandExt;

use tests::node::is_root;
use tests::{Node, Run, binaries, skipped};

/// A user without rights, who need not have a name.
const SOMEBODY: u32 = 61_237;

const BAD_NAME: &str = "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and \
                        end character must be [a-zA-Z0-9]";
const BAD_SIZE: &str = "secret data must be larger than 0 and less than 512000 bytes";

/// All that the cluster holds, in words.
fn contents(node: &Node) -> String {
    let secrets = node.coffer(&["secret", "ls", "--format", "{{.ID}} {{.Name}}"]).said();
    let services = node.coffer(&["service", "ls", "--format", "{{.ID}} {{.Name}}"]).said();
    let nodes = node.coffer(&["node", "ls", "-q"]).said();
    format!("{secrets}{services}{nodes}")
}

#[test]
fn case_1_names_are_held_to_swarms_rule() {
    let Some(node) = Node::for_test("case_1_names_are_held_to_swarms_rule") else { return };
    let daemon = node.start_cluster();
    let before = contents(&node);
    let too_long = "n".repeat(65);
    for name in ["a/b", "a b", "-a", "a-", ".a", "_", "a\n", "\u{e9}", "a:b", too_long.as_str()] {
        let run = node.coffer_reading(&["secret", "create", "--", name, "-"], b"value");
        run.refused_by_daemon(BAD_NAME);
    }
    let run = node.coffer_reading(&["secret", "create", "", "-"], b"value");
    run.refused_by_daemon("name must be provided");
    assert_eq!(contents(&node), before);
    for name in ["a", "A.b_c-D9", &"n".repeat(64)] {
        node.secret(name, b"value");
    }
    daemon.end();
}

#[test]
fn case_2_a_name_is_taken_whatever_its_case() {
    let Some(node) = Node::for_test("case_2_a_name_is_taken_whatever_its_case") else { return };
    let daemon = node.start_cluster();
    node.secret("db", b"value");
    let before = contents(&node);
    for name in ["db", "DB", "Db"] {
        let run = node.coffer_reading(&["secret", "create", name, "-"], b"other");
        run.refused_by_daemon(&format!("secret {name} already exists"));
    }
    assert_eq!(contents(&node), before);
    daemon.end();
}

#[test]
fn values_are_held_to_swarms_sizes() {
    let Some(node) = Node::for_test("values_are_held_to_swarms_sizes") else { return };
    let daemon = node.start_cluster();
    let before = contents(&node);
    let create = |source: &str, value: &[u8]| {
        node.coffer_reading(&["secret", "create", "value", source], value)
    };
    create("-", b"").refused("error reading from STDIN: data is empty");
    let empty = node.scratch().file("empty", b"").display().to_string();
    create(&empty, b"").refused(&format!("error reading from {empty}: data is empty"));
    for size in [512_000, 600_000, 3_000_000] {
        let value = vec![b'x'; size];
        create("-", &value).refused(BAD_SIZE);
        let file = node.scratch().file("large", &value).display().to_string();
        create(&file, b"").refused(BAD_SIZE);
    }
    assert_eq!(contents(&node), before);
    for (name, size) in [("least", 1), ("most", 511_999)] {
        node.secret(name, &vec![b'x'; size]);
    }
    assert_eq!(sizes_in_a_task(&node), "1\n511999\n");
    daemon.end();
}

/// What a task finds is as long as what was given.
fn sizes_in_a_task(node: &Node) -> String {
    let script = "for f in least most; do cat /run/secrets/$f | wc -c; done; echo done";
    let create = ["service", "create", "-d", "--name", "sizes", "--secret", "least"];
    node.coffer(&[&create[..], &["--secret", "most", "--", "sh", "-c", script]].concat()).said();
    let (out, _) = node.logs_with("sizes", "done");
    let numbers = out.lines().filter_map(|line| line.split_once("    | ").map(|(_, text)| text));
    numbers.filter(|text| *text != "done").map(|text| format!("{text}\n")).collect()
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let Some(node) = Node::for_test("files_that_cannot_be_read_are_named") else { return };
    let daemon = node.start_cluster();
    let before = contents(&node);
    let create = |file: &str| node.coffer(&["secret", "create", "value", file]);
    create("no-such-file")
        .refused("error reading from no-such-file: open no-such-file: no such file or directory");
    let folder = node.scratch().folder().display().to_string();
    create(&folder).refused(&format!("error reading from {folder}: read {folder}: is a directory"));
    node.coffer(&["secret", "create", "value"]).refused("secret file is required");
    // The third word is a file, never the value.
    create("the value itself").refused(
        "error reading from the value itself: open the value itself: no such file or directory",
    );
    assert_eq!(contents(&node), before);
    daemon.end();
}

#[test]
fn what_is_not_there_is_said_in_swarms_words() {
    let Some(node) = Node::for_test("what_is_not_there_is_said_in_swarms_words") else { return };
    let daemon = node.start_cluster();
    node.secret("there", b"value");
    let before = contents(&node);
    for verb in
        [&["secret", "rm"][..], &["service", "rm"], &["service", "ps"], &["service", "logs"]]
    {
        let run = node.coffer(&[verb, &["missing"]].concat());
        run.refused_by_daemon(&format!("{} missing not found", verb[0]));
    }
    for kind in ["secret", "service"] {
        let run = node.coffer(&[kind, "inspect", "missing"]);
        let text = format!("Error response from daemon: {kind} missing not found\n");
        let expected = Run { code: Some(1), stdout: "[]\n".to_owned(), stderr: text };
        assert_eq!(run, expected);
    }
    let create = ["service", "create", "-d", "--name", "web", "--secret", "missing", "true"];
    node.coffer(&create).refused("secret not found: missing");
    assert_eq!(contents(&node), before);
    // What is there goes, although the other is not.
    let run = node.coffer(&["secret", "rm", "missing", "there"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "there\n"), "{run:?}");
    daemon.end();
}

#[test]
fn case_1_services_are_held_to_swarms_rules() {
    let Some(node) = Node::for_test("case_1_services_are_held_to_swarms_rules") else { return };
    let daemon = node.start_cluster();
    node.secret("pw", b"value");
    let before = contents(&node);
    let long = "n".repeat(64);
    for (args, text) in [
        (&["--name", "a.b"][..], "name must be valid as a DNS name component"),
        (&["--name", ""], "meta: name must be provided"),
        (&["--name", long.as_str()], "name must be 63 characters or fewer"),
    ] {
        let run = node.coffer(&[&["service", "create", "-d"], args, &["true"]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{args:?}: {run:?}");
        assert!(run.stderr.contains(text), "{args:?}: {run:?}");
    }
    for secret in ["source=pw,target=a/b", "source=pw,target=.."] {
        let create = ["service", "create", "-d", "--name", "web", "--secret", secret, "true"];
        let run = node.coffer(&create);
        assert!(matches!(run.code, Some(1 | 125)), "{secret}: {run:?}");
        assert!(!run.stderr.is_empty() && run.stdout.is_empty(), "{secret}: {run:?}");
    }
    let twice = ["--secret", "pw", "--secret", "source=pw,target=pw"];
    let run = node
        .coffer(&[&["service", "create", "-d", "--name", "web"], &twice[..], &["true"]].concat());
    run.refused("duplicate secret target for pw not allowed");
    assert_eq!(contents(&node), before);
    daemon.end();
}

#[test]
fn before_init_every_command_says_what_to_do() {
    let Some(node) = Node::for_test("before_init_every_command_says_what_to_do") else { return };
    let daemon = node.start();
    let file = node.scratch().file("value", b"value").display().to_string();
    for args in [
        &["secret", "ls"][..],
        &["secret", "create", "a", &file],
        &["secret", "rm", "a"],
        &["secret", "inspect", "a"],
        &["service", "ls"],
        &["service", "create", "-d", "--name", "web", "true"],
        &["service", "rm", "web"],
        &["service", "ps", "web"],
        &["service", "logs", "web"],
        &["node", "ls"],
        &["swarm", "join-token", "worker"],
    ] {
        let run = node.coffer(args);
        let expected = "Error response from daemon: This node is not a swarm manager. Use \
                        \"coffer swarm init\" or \"coffer swarm join\" to connect this node to swarm \
                        and try again.\n";
        assert_eq!((run.code, run.stderr.as_str()), (Some(1), expected), "{args:?}: {run:?}");
        assert!(matches!(run.stdout.as_str(), "" | "[]\n"), "{args:?}: {run:?}");
    }
    let left: Vec<_> = fs::read_dir(node.state_dir()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "nothing but the lock: {left:?}");
    daemon.end();
}

#[test]
fn a_second_init_is_refused_in_swarms_words() {
    let Some(node) = Node::for_test("a_second_init_is_refused_in_swarms_words") else { return };
    let daemon = node.start_cluster();
    node.secret("pw", b"value");
    let before = contents(&node);
    for args in [&["swarm", "init"][..], &["swarm", "init", "--advertise-addr", "192.0.2.1"]] {
        node.coffer(args).refused_by_daemon(
            "This node is already part of a swarm. Use \"coffer swarm leave\" to leave this swarm and \
             join another one.",
        );
    }
    assert_eq!(contents(&node), before);
    daemon.end();
}

#[test]
fn an_init_with_a_bad_address_founds_nothing() {
    let Some(node) = Node::for_test("an_init_with_a_bad_address_founds_nothing") else { return };
    let daemon = node.start();
    for (address, text) in [
        ("host", "advertise address must be an IP address with an optional port, not \"host\""),
        ("0.0.0.0", "advertise address must be one that others can reach, not \"0.0.0.0\""),
    ] {
        node.coffer(&["swarm", "init", "--advertise-addr", address]).refused_by_daemon(text);
    }
    assert!(!node.state_dir().join("cluster").exists());
    node.coffer(&["swarm", "init"]).said();
    daemon.end();
}

#[test]
fn case_8_a_user_without_rights_is_kept_out_and_told_what_to_do() {
    let test = "case_8_a_user_without_rights_is_kept_out_and_told_what_to_do";
    if !is_root() {
        return skipped(test, "needs root, to be another user");
    }
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    node.secret("pw", b"value");
    let (coffer, _) = binaries::installed(node.scratch());
    for args in [&["secret", "ls"][..], &["secret", "rm", "pw"], &["swarm", "init"]] {
        let run = Run::of(node.coffer_at(&coffer, args).uid(SOMEBODY).gid(SOMEBODY), b"");
        run.refused(&format!(
            "cannot reach cofferd at unix://{}: permission denied; run this as root, or be in the \
             group coffer",
            node.socket().display()
        ));
    }
    assert_eq!(node.coffer(&["secret", "ls", "--format", "{{.Name}}"]).said(), "pw\n");
    daemon.end();
}
