//! Any manager takes any request, and reads what any other has acknowledged.

use tests::Node;
use tests::cluster::{form, nodes};

#[test]
fn any_manager_takes_any_request_and_reads_what_another_acknowledged() {
    let test = "any_manager_takes_any_request_and_reads_what_another_acknowledged";
    let Some(nodes) = nodes::<3>(test) else { return };
    let _daemons = form(&nodes);
    let names = |node: &Node| node.coffer(&["secret", "ls", "--format", "{{.Name}}"]).said();
    let mut expected = String::new();
    for round in 0..10 {
        let (writer, reader) = (&nodes[round % 3], &nodes[(round + 1) % 3]);
        let id = writer.secret(&format!("s{round}"), b"value");
        expected.push_str(&format!("s{round}\n"));
        assert_eq!(names(reader), expected);
        assert_eq!(reader.coffer(&["secret", "inspect", "--format", "{{.ID}}", &id]).word(), id);
    }
    for round in 0..6 {
        let (writer, reader) = (&nodes[(round + 2) % 3], &nodes[round % 3]);
        writer.coffer_reading(&["secret", "rotate", "s0", "-"], b"next").said();
        let versions = reader.coffer(&["secret", "versions", "s0", "--format", "{{.Version}}"]);
        let newest = (round + 2).to_string();
        assert!(versions.said().lines().any(|line| line.contains(&newest)), "{newest}");
    }
    nodes[1].coffer(&["secret", "create", "s1", "/dev/null"]).code.expect("it ended");
    let taken = nodes[1].coffer_reading(&["secret", "create", "s1", "-"], b"value");
    assert!(taken.stderr.contains("already exists"), "a follower passes refusals on: {taken:?}");
    let removed = nodes[2].coffer(&["secret", "rm", "s1"]).word();
    assert_eq!(removed, "s1");
    assert!(!names(&nodes[0]).contains("s1\n"));
    // Configs show their value: sealed by one manager, opened by another.
    nodes[1].coffer_reading(&["config", "create", "c", "-"], b"shown").said();
    let data = nodes[2].coffer(&["config", "inspect", "--format", "{{.Spec.Data}}", "c"]).word();
    assert_eq!(data, "c2hvd24=");
}

/// A call that came by a follower is in the audit of every manager.
#[test]
fn what_a_follower_passed_on_is_recorded_everywhere() {
    let test = "what_a_follower_passed_on_is_recorded_everywhere";
    let Some(nodes) = nodes::<3>(test) else { return };
    let _daemons = form(&nodes);
    for (name, by) in [("a", &nodes[1]), ("b", &nodes[2])] {
        let id = by.secret(name, b"value");
        let is_recorded = |node: &Node| {
            let tail = node.coffer(&["audit", "tail"]).stdout;
            tail.lines().any(|line| line.contains("Secrets/Create") && line.contains(&id))
        };
        for node in &nodes {
            tests::wait_until("it is recorded", || is_recorded(node));
        }
    }
}

/// Without a majority nothing new can be known, but what is known can be looked at; and what was seen on one manager
/// is never missing on another, for whoever says what he saw.
#[test]
fn a_manager_shows_what_it_knows_to_whoever_asks_for_no_more() {
    let test = "a_manager_shows_what_it_knows_to_whoever_asks_for_no_more";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons = form(&nodes);
    nodes[0].secret("first", b"value");
    let index = nodes[0].coffer(&["secret", "inspect", "-f", "{{.Version.Index}}", "first"]).word();
    for node in &nodes {
        let seen = node.coffer(&["secret", "ls", "--at-least", &index, "--format", "{{.Name}}"]);
        assert_eq!(seen.word(), "first");
    }
    daemons.drain(1..).for_each(tests::Daemon::kill);
    let alone = &nodes[0];
    assert!(alone.coffer(&["secret", "ls"]).stderr.contains("does not have a leader"));
    let node_id =
        alone.coffer(&["node", "inspect", "--stale", "--format", "{{.ID}}", "self"]).word();
    for args in [
        &["secret", "ls", "--stale", "--format", "{{.Name}}"][..],
        &["secret", "ls", "--at-least", &index, "--format", "{{.Name}}"],
        &["secret", "inspect", "--stale", "-f", "{{.Spec.Name}}", "first"],
    ] {
        assert_eq!(alone.coffer(args).word(), "first", "{args:?}");
    }
    for args in [
        &["secret", "versions", "--stale", "first"][..],
        &["config", "ls", "--stale"],
        &["node", "ls", "--stale"],
        &["node", "inspect", "--at-least", &index, &node_id],
        &["service", "ls", "--stale"],
    ] {
        assert_eq!(alone.coffer(args).code, Some(0), "{args:?}");
    }
    let early = alone.coffer(&["secret", "ls", "--at-least", "1000000"]);
    let text = "this manager has followed the log to index";
    assert!(early.code == Some(1) && early.stderr.contains(text), "{early:?}");
    let both = alone.coffer(&["secret", "ls", "--stale", "--at-least", "1"]);
    assert_eq!(both.code, Some(125), "{both:?}");
}
