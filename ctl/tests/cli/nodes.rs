//! Joining, leaving, nodes and the status screen against the fake daemon.

use crate::fake::Fake;
use crate::support::Run;
use crate::verbs::failed;
use crate::verbs::printed;

#[test]
fn a_node_joins_with_a_token_from_the_line_or_from_standard_input() {
    let fake = Fake::start();
    let joined = printed("This node joined a swarm as a manager.\n");
    let join = |token, addr| ["swarm", "join", "--token", token, addr];
    assert_eq!(fake.run(&join("SWMTKN-1-m", "10.0.0.1:2377"), b""), joined);
    assert_eq!(fake.run(&join("-", "10.0.0.1:2377"), b"SWMTKN-1-m\n"), joined);
    let refused = failed("", "Error response from daemon: invalid join token\n");
    assert_eq!(fake.run(&join("other", "10.0.0.1:2377"), b""), refused);
    let late = fake.run(&join("SWMTKN-1-m", "10.0.0.1:1"), b"");
    assert_eq!(late.code, Some(0));
    assert!(late.stdout.starts_with("Timeout was reached before node joined."), "{late:?}");
}

#[test]
fn a_token_that_is_too_long_or_missing_is_refused_before_anything_is_sent() {
    let fake = Fake::start();
    let none = fake.run(&["swarm", "join", "10.0.0.1:2377"], b"");
    assert!(none.code == Some(1) && none.stderr.contains("a token is needed"), "{none:?}");
    let long = fake.run(&["swarm", "join", "--token", "-", "10.0.0.1:2377"], &[b'a'; 5_000]);
    assert!(long.code == Some(1) && long.stderr.contains("longer than any token"), "{long:?}");
}

#[test]
fn a_node_leaves_with_force_alone() {
    let fake = Fake::start();
    assert_eq!(fake.run(&["swarm", "leave", "--force"], b""), printed("Node left the swarm.\n"));
    let text = "Error response from daemon: Use `--force` to ignore this message.\n";
    assert_eq!(fake.run(&["swarm", "leave"], b""), failed("", text));
}

#[test]
fn a_token_that_is_rotated_is_shown_as_swarm_shows_it() {
    let fake = Fake::start();
    let shown = "Successfully rotated worker join token.\n\n\
                 To add a worker to this swarm, run the following command:\n\n    \
                 coffer swarm join --token SWMTKN-1-w2 127.0.0.1:2377\n\n";
    assert_eq!(fake.run(&["swarm", "join-token", "--rotate", "worker"], b""), printed(shown));
    let quiet = fake.run(&["swarm", "join-token", "--rotate", "-q", "manager"], b"");
    assert_eq!(quiet, printed("SWMTKN-1-m2\n"));
}

#[test]
fn promoting_and_demoting_say_what_they_did_and_what_was_so_already() {
    let fake = Fake::start();
    for (args, text) in [
        (["node", "promote", "hand"], "Node hand promoted to a manager in the swarm.\n"),
        (["node", "promote", "host"], "Node host is already a manager.\n"),
        (["node", "demote", "host"], "Manager host demoted in the swarm.\n"),
        (["node", "demote", "hand"], "Node hand is already a worker.\n"),
    ] {
        assert_eq!(fake.run(&args, b""), printed(text), "{args:?}");
    }
    let roles: Vec<_> = fake.kept().node_updates.iter().map(|update| update.role).collect();
    assert_eq!(roles, [Some(1), Some(0)]);
}

#[test]
fn an_update_says_what_changes_and_prints_what_was_typed() {
    let fake = Fake::start();
    let args = ["node", "update", "--availability", "drain", "--label-add", "a=b", "host"];
    assert_eq!(fake.run(&args, b""), printed("host\n"));
    let args = ["node", "update", "--label-rm", "a", "--label-add", "c", "host"];
    assert_eq!(fake.run(&args, b""), printed("host\n"));
    let updates = fake.kept().node_updates.clone();
    assert_eq!((updates[0].availability, updates[0].role), (Some(2), None));
    assert_eq!(updates[0].label_add.get("a").map(String::as_str), Some("b"));
    assert_eq!(
        (updates[1].availability, updates[1].label_rm.as_slice()),
        (None, &["a".to_owned()][..])
    );
    assert_eq!(updates[1].label_add.get("c").map(String::as_str), Some(""));
    let wrong = fake.run(&["node", "update", "--availability", "gone", "host"], b"");
    assert!(
        wrong.code == Some(1) && wrong.stderr.contains("invalid availability gone"),
        "{wrong:?}"
    );
}

#[test]
fn nodes_are_removed_one_by_one_and_the_refusals_come_last() {
    let fake = Fake::start();
    let forced = fake.run(&["node", "rm", "--force", "a", "b"], b"");
    assert_eq!(forced, printed("a\nb\n"));
    let text = "Error response from daemon: node a is not down and can't be removed\n";
    assert_eq!(fake.run(&["node", "rm", "a"], b""), failed("", text));
}

#[test]
fn inspect_shows_a_node_in_dockers_shape() {
    let fake = Fake::start();
    let run = fake.run(
        &["node", "inspect", "--format", "{{.Description.Hostname}} {{.Spec.Role}}", "host"],
        b"",
    );
    assert_eq!(run, printed("host manager\n"));
    let run = fake.run(&["node", "inspect", "nobody"], b"");
    assert_eq!(run, failed("[]\n", "Error response from daemon: node nobody not found\n"));
}

#[test]
fn the_exit_code_of_status_tells_healthy_from_not() {
    let fake = Fake::start();
    let Run { code, stdout, stderr } = fake.run(&["status"], b"");
    assert_eq!((code, stderr.as_str()), (Some(2), ""));
    assert!(stdout.contains("!! there is no leader\n   start managers\n"), "{stdout}");
    fake.run(&["swarm", "init"], b"");
    let run = fake.run(&["status"], b"");
    assert!(run.code == Some(0) && run.stdout.contains("Healthy."), "{run:?}");
    let run = fake.run(&["status", "--format", "json"], b"");
    assert!(run.stdout.starts_with("{\"Healthy\":true,\"ClusterID\":\"C\""), "{run:?}");
    let run = fake.run(&["status", "--format", "xml"], b"");
    assert!(run.code == Some(1) && run.stderr.contains("unknown format xml"), "{run:?}");
}
