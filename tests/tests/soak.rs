//! As many writes as three managers take, with snapshots and purging all the time and followers that stop and
//! come back: consensus must not end by itself. openraft has an open fault there (#2116: what is applied late
//! is gone from the log already).
//!
//! `COFFER_SOAK_MINUTES=10 cargo test --release -p tests --test soak -- --nocapture`

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use prost::Message;
use rustix::process::Signal;
use tests::cluster::{form, leader, nodes, status, voters};
use tests::messages::{CreateValuesRequest, NewValue, NewVersion, RotateValuesRequest, ValueSpec};
use tests::{Node, Wire, wait_until};

/// In the gate.
const SHORT: Duration = Duration::from_secs(15);
const WRITERS: usize = 16;
/// Files of the log so small that a snapshot is due, and the log behind it goes, all the time.
const SEGMENT_BYTES: u32 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(3);

fn name(writer: usize) -> String {
    format!("soak-{writer}")
}

fn create(node: &Node, writer: usize) {
    let spec = Some(ValueSpec { name: name(writer) });
    let value = NewValue { spec, value: vec![b'v'; 1_024], version_limit: 2 };
    let request = CreateValuesRequest { values: vec![value], request_id: Vec::new() };
    Wire::of(node).call("/coffer.v1.Configs/Create", request.encode_to_vec()).expect("it is made");
}

fn write(node: &Node, writer: usize, is_over: &AtomicBool, done: &AtomicU64) {
    let wire = Wire::lazy(node);
    let version = NewVersion { reference: name(writer), value: vec![b'v'; 1_024], expected: 0 };
    let request = RotateValuesRequest {
        versions: vec![version],
        keep_pending: false,
        label: String::new(),
        request_id: Vec::new(),
    };
    let request = request.encode_to_vec();
    while !is_over.load(Ordering::Relaxed) {
        let answer = wire.call_within(PATIENCE, "/coffer.v1.Configs/Rotate", request.clone());
        if answer.is_some_and(|answer| answer.is_ok()) {
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn consensus_outlives_writes_snapshots_and_followers_that_stop() {
    let test = "consensus_outlives_writes_snapshots_and_followers_that_stop";
    let minutes = std::env::var("COFFER_SOAK_MINUTES").ok();
    let minutes = minutes.map(|text| text.parse::<u64>().expect("this is a number of minutes"));
    let length = minutes.map_or(SHORT, |minutes| Duration::from_secs(60 * minutes).max(SHORT));
    let Some(nodes) = nodes::<3>(test) else { return };
    let nodes = nodes.map(|node| node.with_log_segments_of(SEGMENT_BYTES));
    let mut daemons = form(&nodes);
    for node in &nodes {
        wait_until("all vote", || voters(node) == 3);
    }
    (0..WRITERS).for_each(|writer| create(&nodes[0], writer));
    let (is_over, done, start) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
    let first = leader(&nodes.each_ref());
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (node, is_over, done) = (&nodes[first], &is_over, &done);
            scope.spawn(move || write(node, writer, is_over, done));
        }
        let mut round = 0;
        while start.elapsed() < length && daemons.iter_mut().all(|daemon| !daemon.has_ended()) {
            let away = (first + 1 + round % 2) % 3;
            // Some times the log goes on without it for longer than it is kept, some times not.
            daemons[away].signal(Signal::STOP);
            thread::sleep(Duration::from_millis(if round % 3 == 0 { 2_500 } else { 300 }));
            daemons[away].signal(Signal::CONT);
            thread::sleep(Duration::from_millis(700));
            round += 1;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let took = start.elapsed();
    for daemon in &mut daemons {
        assert!(!daemon.has_ended(), "a manager ended:\n{}", daemon.log());
        assert!(!daemon.log().contains("ended by itself"), "{}", daemon.log());
    }
    let index = |node| status(node).and_then(|status| status["SnapshotIndex"].as_u64());
    let (done, snapshot) = (done.into_inner(), index(&nodes[first]).unwrap_or_default());
    println!("{done} writes in {took:.0?}; the newest snapshot stands at {snapshot}");
    assert!(done > 100 && snapshot > 100, "{done} writes, snapshot at {snapshot}");
    for node in &nodes {
        wait_until("everybody goes on", || node.coffer(&["config", "ls"]).code == Some(0));
    }
}
