//! Past a bound comes a clear error, and nothing is lost.

use std::fs;
use std::process::Command;

use super::lines;
use rustix::process::Signal;
use tests::{Daemon, Node, wait_until};

#[test]
fn case_54_past_the_memory_budget_writes_are_refused_and_reads_go_on() {
    let test = "case_54_past_the_memory_budget_writes_are_refused_and_reads_go_on";
    let Some(node) = Node::for_test(test) else { return };
    let mut command = node.cofferd();
    command.args(["--memory-budget", "100000"]);
    let daemon = Daemon::start(&node, command);
    node.coffer(&["swarm", "init"]).said();
    node.secret("a", &[b'v'; 60_000]);
    let refused = node.coffer_reading(&["secret", "create", "b", "-"], &[b'v'; 60_000]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("100000 are allowed"), "{refused:?}");
    assert_eq!(lines(&node, &["secret", "ls", "-q"]).len(), 1);
    node.coffer(&["secret", "rm", "a"]).said();
    node.secret("b", &[b'v'; 60_000]);
    daemon.end();
}

#[test]
fn case_55_near_a_full_disk_writes_are_refused_and_go_on_by_themselves() {
    let test = "case_55_near_a_full_disk_writes_are_refused_and_go_on_by_themselves";
    let Some(node) = Node::for_test(test) else { return };
    if !tests::node::is_root() {
        return tests::skipped(test, "needs root, to mount a small disk");
    }
    let state = node.state_dir();
    fs::create_dir_all(&state).unwrap();
    let mount = |args: &[&str]| Command::new("mount").args(args).status().unwrap().success();
    let path = state.to_str().unwrap();
    assert!(mount(&["-t", "tmpfs", "-o", "size=300m,mode=700", "tmpfs", path]));
    let daemon = node.start_cluster();
    node.secret("before", b"v");
    let ballast = state.join("ballast");
    fs::write(&ballast, vec![1_u8; 180 << 20]).unwrap();
    let mut count = 0;
    wait_until("writes are refused", || {
        count += 1;
        let name = format!("during-{count}");
        let run = node.coffer_reading(&["secret", "create", &name, "-"], b"v");
        run.code == Some(1) && run.stderr.contains("the disk is nearly full")
    });
    assert!(lines(&node, &["secret", "ls"]).iter().any(|line| line.contains("before")));
    fs::remove_file(&ballast).unwrap();
    wait_until("writes go on", || {
        node.coffer_reading(&["secret", "create", "after", "-"], b"v").code == Some(0)
    });
    let ended = daemon.end_by(Signal::TERM);
    assert!(ended.status.success(), "{}", ended.log);
    assert!(Command::new("umount").arg(path).status().unwrap().success());
}
