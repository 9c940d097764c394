//! The root is changed while the cluster works.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tests::cluster::{form, leader, nodes, token};
use tests::{Daemon, Node, Run, wait_until};

fn root(node: &Node) -> String {
    node.coffer(&["swarm", "ca"]).said()
}

/// Whether a rotation goes on, as a node knows it.
fn rotates(node: &Node) -> bool {
    node.coffer(&["swarm", "ca", "--status"]).code == Some(0)
}

/// Rotates, and gives what was said.
#[track_caller]
fn rotate(node: &Node) -> String {
    let run = node.coffer(&["swarm", "ca", "--rotate"]);
    // Where the old key may still be.
    assert!(run.code == Some(0) && run.stderr.contains("Backups"), "{run:?}");
    run.stdout
}

/// Works on a cluster until it is stopped, over connections that are there and new ones. Gives the calls that failed,
/// and how many did not.
fn work(nodes: &[&Node], is_over: &AtomicBool) -> (Vec<Run>, usize) {
    let (mut failed, mut done) = (Vec::new(), 0);
    for round in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let node = nodes[round % nodes.len()];
        let name = format!("s{round}");
        let made = node.coffer_reading(&["secret", "create", &name, "-"], b"value");
        let read = nodes[(round + 1) % nodes.len()].coffer(&["secret", "inspect", &name]);
        for run in [made, read] {
            if run.code == Some(0) {
                done += 1;
            } else {
                failed.push(run);
            }
        }
    }
    (failed, done)
}

/// Does something while the cluster works, and gives what came of the work.
#[track_caller]
fn while_working(nodes: &[&Node], action: impl FnOnce()) -> (Vec<Run>, usize) {
    /// Also if the action panics.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let working = scope.spawn(|| work(nodes, &is_over));
        let over = Over(&is_over);
        action();
        drop(over);
        working.join().expect("it works")
    })
}

/// Two in a row, under load.
#[test]
fn case_c59_the_root_is_changed_twice_and_no_call_fails() {
    let test = "case_c59_the_root_is_changed_twice_and_no_call_fails";
    let Some(nodes) = nodes::<3>(test) else { return };
    let daemons = form(&nodes);
    let all = nodes.each_ref();
    let (first, before) = (root(&nodes[0]), token(&nodes[0], "manager"));
    let (failed, done) = while_working(&all, || {
        let said = rotate(&nodes[1]);
        for part in ["desired root digest: sha256:", "rotated TLS certificates: 3/3 nodes"] {
            assert!(said.contains(part), "{said}");
        }
        let second = root(&nodes[0]);
        assert_ne!(second, first);
        assert!(said.contains(&second), "{said}");
        rotate(&nodes[2]);
        assert_ne!(root(&nodes[2]), second);
    });
    let logs = || daemons.iter().map(Daemon::log).collect::<Vec<_>>().join("\n");
    assert!(failed.is_empty(), "{failed:?} of {done}\n{}", logs());
    assert!(done > 10, "{done}");
    // Tokens changed with the root.
    let after = token(&nodes[0], "manager");
    let halves =
        |token: &str| token.rsplit_once('-').map(|(root, own)| (root.to_owned(), own.to_owned()));
    let (old, new) = (halves(&before).expect("two"), halves(&after).expect("two"));
    assert!(old.0 != new.0 && old.1 != new.1, "{before} {after}");
}

/// In whichever step it is by then: the root that was there stays, and another rotation goes through.
#[test]
fn case_c56_a_rotation_is_taken_back_and_the_next_one_goes_through() {
    let test = "case_c56_a_rotation_is_taken_back_and_the_next_one_goes_through";
    let Some(nodes) = nodes::<3>(test) else { return };
    let daemons = form(&nodes);
    let (first, before) = (root(&nodes[0]), token(&nodes[0], "worker"));
    let nothing = nodes[0].coffer(&["swarm", "ca", "--abort"]);
    assert!(nothing.stderr.contains("no rotation of the root goes on"), "{nothing:?}");
    nodes[0].coffer(&["swarm", "ca", "--rotate", "-d"]).said();
    let second = nodes[1].coffer(&["swarm", "ca", "--rotate", "-d"]);
    assert!(second.stderr.contains("a rotation of the root goes on"), "{second:?}");
    let aborted = nodes[1].coffer(&["swarm", "ca", "--abort"]);
    assert_eq!(aborted.code, Some(0), "{aborted:?}");
    assert!(!rotates(&nodes[1]), "it waits for the end");
    assert_eq!((root(&nodes[2]), token(&nodes[2], "worker")), (first.clone(), before));
    assert_ne!(rotate(&nodes[2]), first);
    assert_ne!(root(&nodes[2]), first);
    // What is on the disks by now is enough to find each other again.
    daemons.into_iter().for_each(Daemon::end);
    let started = nodes.each_ref().map(|node| Daemon::spawn(node, node.cofferd()));
    let _daemons = started.map(tests::daemon::Started::ready);
    wait_until("they find each other again", || {
        nodes[1].coffer_reading(&["secret", "create", "again", "-"], b"value").code == Some(0)
    });
}

/// Whoever leads is killed again and again: each leader goes on from the records.
#[test]
fn case_c53_leaders_are_killed_while_the_root_is_changed() {
    let test = "case_c53_leaders_are_killed_while_the_root_is_changed";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    let first = root(&nodes[0]);
    nodes[0].coffer(&["swarm", "ca", "--rotate", "-d"]).said();
    for _ in 0..4 {
        let lead = leader(&nodes.each_ref());
        daemons[lead].take().expect("it runs").kill();
        daemons[lead] = Some(nodes[lead].start());
    }
    for node in &nodes {
        wait_until("the root is another one", || {
            let run = node.coffer(&["swarm", "ca"]);
            run.code == Some(0) && run.stdout != first
        });
    }
    wait_until("it is over", || nodes.iter().all(|node| !rotates(node)));
    for (at, node) in nodes.iter().enumerate() {
        let name = format!("after{at}");
        wait_until("it writes", || {
            node.coffer_reading(&["secret", "create", &name, "-"], b"value").code == Some(0)
        });
    }
}
