//! Managers that were away while the log went on without them.

use std::path::Path;
use std::process::Command;

use tests::cluster::{form, leader, nodes, status, wait_for_newer_key};
use tests::{Daemon, Node, wait_until};

/// Small files of the log: a snapshot is due, and what is behind it goes, after some hundred KiB.
const SEGMENT: u32 = 65_536;

fn snapshot_index(node: &Node) -> u64 {
    status(node).unwrap()["SnapshotIndex"].as_u64().unwrap()
}

fn applied(node: &Node) -> u64 {
    status(node).unwrap()["AppliedIndex"].as_u64().unwrap()
}

/// Writes until the snapshots of these have passed an index and the log behind them is gone.
pub(crate) fn write_past(nodes: &[&Node], index: u64) {
    let value = vec![b'x'; 60_000];
    let mut count = 0;
    // The log behind a snapshot goes with the next look at it, which is before the next snapshot is made.
    for _ in 0..2 {
        let past = |node: &Node| snapshot_index(node).max(index + 8);
        let past: Vec<_> = nodes.iter().map(|node| (*node, past(node))).collect();
        while past.iter().any(|(node, past)| snapshot_index(node) <= *past) {
            let name = format!("big-{count}");
            nodes[0].coffer_reading(&["secret", "create", &name, "-"], &value).said();
            count += 1;
            assert!(count < 400, "the log gets long and no snapshot comes");
        }
    }
}

#[test]
fn a_manager_that_was_away_while_the_log_was_purged_gets_a_snapshot() {
    let test = "a_manager_that_was_away_while_the_log_was_purged_gets_a_snapshot";
    let Some(nodes) = nodes::<3>(test) else { return };
    let nodes = nodes.map(|node| node.with_log_segments_of(SEGMENT));
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    let away = (leader(&nodes.each_ref()) + 1) % 3;
    daemons[away].take().unwrap().kill();
    let here = [(away + 1) % 3, (away + 2) % 3];
    let before = applied(&nodes[here[0]]);
    write_past(&here.map(|one| &nodes[one]), before);
    daemons[away] = Some(nodes[away].start());
    let names = |node: &Node| node.coffer(&["secret", "ls", "--format", "{{.Name}}"]).said();
    assert_eq!(names(&nodes[away]), names(&nodes[here[0]]));
    assert!(snapshot_index(&nodes[away]) > before, "it was brought up by a snapshot");
    nodes[away].secret("after", b"value");
    // And what it took lasts.
    daemons[away].take().unwrap().kill();
    daemons[away] = Some(nodes[away].start());
    assert_eq!(names(&nodes[away]), names(&nodes[here[1]]));
}

/// The snapshot that it gets is sealed under a key that it has never seen.
#[test]
fn case_42_a_manager_that_missed_a_key_rotation_and_the_log_comes_back() {
    let test = "case_42_a_manager_that_missed_a_key_rotation_and_the_log_comes_back";
    let Some(nodes) = nodes::<3>(test) else { return };
    let nodes = nodes.map(|node| node.with_log_segments_of(SEGMENT));
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    nodes[0].coffer_reading(&["config", "create", "c", "-"], b"shown").said();
    let away = (leader(&nodes.each_ref()) + 1) % 3;
    daemons[away].take().unwrap().kill();
    let here = [(away + 1) % 3, (away + 2) % 3];
    let (one, other) = (&nodes[here[0]], &nodes[here[1]]);
    let before = applied(one);
    one.coffer(&["swarm", "rotate-keys"]).said();
    let newer = wait_for_newer_key(&[one, other], 1);
    write_past(&[one, other], before);
    daemons[away] = Some(nodes[away].start());
    let shown =
        |node: &Node| node.coffer(&["config", "inspect", "--format", "{{.Spec.Data}}", "c"]).stdout;
    wait_until("it opens what is sealed under the new key", || shown(&nodes[away]) == "c2hvd24=\n");
    assert_eq!(wait_for_newer_key(&nodes.each_ref(), 1), newer);
    daemons.into_iter().flatten().for_each(Daemon::end);
}

/// Everything that one manager has on its disk, from before a change that it had taken.
#[test]
fn case_29_an_older_copy_of_a_managers_whole_disk_serves_nothing_old() {
    let test = "case_29_an_older_copy_of_a_managers_whole_disk_serves_nothing_old";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    nodes[0].coffer_reading(&["config", "create", "c", "-"], b"old").said();
    let away = (leader(&nodes.each_ref()) + 1) % 3;
    let (back, here) = (&nodes[away], &nodes[(away + 1) % 3]);
    let shown =
        |node: &Node| node.coffer(&["config", "inspect", "--format", "{{.Spec.Data}}", "c"]).stdout;
    assert_eq!(shown(back), "b2xk\n");
    daemons[away].take().unwrap().kill();
    let older = back.scratch().path("older");
    copy(&back.state_dir(), &older);
    daemons[away] = Some(back.start());
    here.coffer_reading(&["config", "rotate", "c", "-"], b"new").said();
    wait_until("it has taken the change", || shown(back) == "bmV3\n");
    daemons[away].take().unwrap().kill();
    std::fs::remove_dir_all(back.state_dir()).unwrap();
    copy(&older, &back.state_dir());
    daemons[away] = Some(back.start());
    wait_until("it has caught up, and shows nothing old before", || {
        let said = shown(back);
        assert_ne!(said, "b2xk\n", "what is old is not current");
        said == "bmV3\n"
    });
    back.secret("after", b"value");
    assert_eq!(shown(here), "bmV3\n", "and the others go on");
    daemons.into_iter().flatten().for_each(Daemon::end);
}

/// With modes and owners, which are looked at.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}
