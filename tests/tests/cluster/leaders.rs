//! Leaders that die, are stopped, are frozen or lose their majority.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tests::cluster::{form, leader, leader_of, nodes, status, text};
use tests::{Daemon, Node, wait_until};
use vault_core::limits::LEADER_SILENT_MS;

/// How long writes may wait for another leader on a busy machine; on an idle one it is well below a second.
const ELECTION: Duration = Duration::from_secs(5);
/// The longest that a call waits without a majority, and some.
const BOUND: Duration = Duration::from_secs(25);

/// For longer than this a leader is not named that is not heard.
const SILENCE: Duration = Duration::from_millis(LEADER_SILENT_MS);

const NO_LEADER: &str = "The swarm does not have a leader.";

fn signal(daemon: &Daemon, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn names(node: &Node) -> String {
    node.coffer(&["secret", "ls", "--format", "{{.Name}}"]).said()
}

#[test]
fn a_killed_leader_is_replaced_and_catches_up_when_it_comes_back() {
    let test = "a_killed_leader_is_replaced_and_catches_up_when_it_comes_back";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    nodes[0].secret("before", b"value");
    for round in 0..3 {
        let old = leader(&nodes.each_ref());
        daemons[old].take().unwrap().kill();
        let start = Instant::now();
        nodes[(old + 1) % 3].secret(&format!("after-{round}"), b"value");
        let gap = start.elapsed();
        assert!(gap < ELECTION, "{gap:?} until a write was taken");
        println!("round {round}: a write was taken {gap:?} after the leader was killed");
        daemons[old] = Some(nodes[old].start());
        let expected = names(&nodes[(old + 1) % 3]);
        assert_eq!(names(&nodes[old]), expected, "who came back reads what it missed");
    }
}

#[test]
fn every_manager_goes_on_naming_the_leader_while_nothing_is_written() {
    let test = "every_manager_goes_on_naming_the_leader_while_nothing_is_written";
    let Some(nodes) = nodes::<3>(test) else { return };
    let _daemons = form(&nodes);
    let quiet_since = Instant::now();
    // Reading asks nothing of a follower's log: only the leader's heartbeats are heard.
    while quiet_since.elapsed() < SILENCE + SILENCE / 2 {
        leader_of(&[&nodes[0]]);
    }
    wait_until("every manager names the same leader", || {
        let named = |node: &Node| status(node).map(|status| text(&status, "LeaderID"));
        let first = named(&nodes[0]).filter(|leader| !leader.is_empty());
        first.is_some() && nodes.iter().all(|node| named(node) == first)
    });
}

#[test]
fn a_manager_that_is_gone_is_asked_again_after_a_moment_only() {
    let test = "a_manager_that_is_gone_is_asked_again_after_a_moment_only";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    let leader = leader(&nodes.each_ref());
    let gone = (leader + 1) % 3;
    daemons[gone].take().unwrap().kill();
    // Somebody else is there now, who hangs up on everybody.
    let listener = TcpListener::bind(nodes[gone].address().unwrap()).unwrap();
    listener.set_nonblocking(true).unwrap();
    nodes[leader].secret("there-is-something-to-send", b"value");
    let (start, mut calls) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(2) {
        match listener.accept() {
            Ok(_) => calls += 1,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    // Ten heartbeats a second, and some for the log; from two managers, should the leader change.
    assert!(calls > 5, "{calls} calls: nobody asks");
    assert!(calls < 120, "{calls} calls in two seconds");
}

#[test]
fn a_leader_that_is_told_to_end_hands_over_first() {
    let Some(nodes) = nodes::<3>("a_leader_that_is_told_to_end_hands_over_first") else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    for round in 0..3 {
        let old = leader(&nodes.each_ref());
        let term = |node| status(node).unwrap()["Term"].as_u64().unwrap();
        let before = term(&nodes[(old + 1) % 3]);
        let ending = daemons[old].take().unwrap();
        let mut longest = Duration::ZERO;
        std::thread::scope(|scope| {
            let ended = scope.spawn(move || ending.end());
            let mut write = 0;
            while !ended.is_finished() || write < 5 {
                let start = Instant::now();
                nodes[(old + 1) % 3].secret(&format!("during-{round}-{write}"), b"value");
                longest = longest.max(start.elapsed());
                write += 1;
            }
            ended.join().unwrap();
        });
        println!("round {round}: the longest write while the leader ended took {longest:?}");
        assert!(longest < ELECTION, "{longest:?}");
        let after = term(&nodes[(old + 1) % 3]);
        assert!(after <= before + 2, "one election, not a row of them: {before} then {after}");
        daemons[old] = Some(nodes[old].start());
    }
}

/// A paused leader comes back, knows nothing of the new one, and must serve nothing old.
#[test]
fn case_46_a_leader_that_was_frozen_reads_nothing_old() {
    let Some(nodes) = nodes::<3>("case_46_a_leader_that_was_frozen_reads_nothing_old") else {
        return;
    };
    let daemons = form(&nodes);
    for round in 0..3 {
        let old = leader(&nodes.each_ref());
        signal(&daemons[old], Signal::STOP);
        let name = format!("while-frozen-{round}");
        nodes[(old + 1) % 3].secret(&name, b"value");
        signal(&daemons[old], Signal::CONT);
        assert!(names(&nodes[old]).contains(&name), "a stale read in round {round}");
    }
}

#[test]
fn without_a_majority_calls_end_in_bounded_time_and_nothing_is_done_twice() {
    let test = "without_a_majority_calls_end_in_bounded_time_and_nothing_is_done_twice";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    let first = leader(&nodes.each_ref());
    let others = [(first + 1) % 3, (first + 2) % 3];
    for other in others {
        daemons[other].take().unwrap().kill();
    }
    let timed = |args: &[&str], input: &[u8]| {
        let start = Instant::now();
        let run = nodes[first].coffer_reading(args, input);
        assert!(start.elapsed() < BOUND, "{:?} for {args:?}", start.elapsed());
        run
    };
    // Each waits for long, so all at one time.
    std::thread::scope(|scope| {
        // Asked at once: it may stand in the log.
        let lost = scope.spawn(|| timed(&["secret", "create", "lost", "-"], b"value"));
        let read = scope.spawn(|| timed(&["secret", "ls"], b""));
        wait_until("it knows that there is no leader", || {
            let run = nodes[first].coffer(&["status"]);
            run.code == Some(2) && run.stdout.contains("there is no leader")
        });
        let refused = timed(&["secret", "create", "refused", "-"], b"value");
        assert!(refused.stderr.contains(NO_LEADER), "{refused:?}");
        let (lost, read) = (lost.join().unwrap(), read.join().unwrap());
        assert_eq!(lost.code, Some(1), "{lost:?}");
        assert!(read.stderr.contains(NO_LEADER), "{read:?}");
    });
    daemons[others[0]] = Some(nodes[others[0]].start());
    nodes[others[0]].secret("again", b"value");
    let names = names(&nodes[first]);
    assert!(names.contains("again\n") && !names.contains("refused"), "{names}");
}

/// All at once, as when the power of a rack goes.
#[test]
fn three_managers_that_are_killed_together_come_back_with_everything() {
    let test = "three_managers_that_are_killed_together_come_back_with_everything";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons = form(&nodes);
    for round in 0..3 {
        nodes[round].secret(&format!("s{round}"), b"value");
        daemons.into_iter().for_each(Daemon::kill);
        daemons = nodes.iter().map(Node::start).collect();
        let expected: String = (0..=round).map(|one| format!("s{one}\n")).collect();
        assert_eq!(names(&nodes[(round + 1) % 3]), expected);
    }
}
