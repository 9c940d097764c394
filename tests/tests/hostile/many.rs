//! Many watchers, many versions, many secrets: bounded time and memory. The sizes are small here; larger
//! ones by `COFFER_TEST_WATCHERS` and `COFFER_TEST_VERSIONS`.

use std::time::{Duration, Instant};

use tests::wire::{Stream, field};
use tests::{Node, Wire};
use vault_core::limits::VERSIONS_KEPT_DEFAULT;

use super::{goes_on, kib};

/// Calls that may be open on one connection (`STREAMS_PER_CONNECTION_MAX`).
const STREAMS_MAX: usize = 1_000;
/// Memory for one watcher: its queue, its task, its place in the transport.
const WATCHER_KIB_MAX: u64 = 64;

fn size(name: &str, small: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(small)
}

#[test]
fn many_watchers_are_all_told_in_bounded_time_and_memory() {
    let test = "many_watchers_are_all_told_in_bounded_time_and_memory";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    let count = size("COFFER_TEST_WATCHERS", 1_500);
    let before = kib(&daemon, "VmRSS");
    let wires: Vec<_> = (0..count.div_ceil(STREAMS_MAX)).map(|_| Wire::of(&node)).collect();
    let watch = |wire| Wire::stream(wire, "/coffer.v1.Events/Watch", Vec::new()).unwrap();
    let places = wires.iter().flat_map(|wire| std::iter::repeat_n(wire, STREAMS_MAX));
    let mut watchers: Vec<Stream<'_>> = places.take(count).map(watch).collect();
    let start = Instant::now();
    let id = node.secret("seen-by-all", b"value");
    assert!(start.elapsed() < Duration::from_secs(10), "a write waits for no watcher");
    for watcher in &mut watchers {
        let event = watcher.message().unwrap().expect("it goes on");
        assert!(String::from_utf8_lossy(&event).contains(&id));
    }
    let (taken, told) = (kib(&daemon, "VmRSS").saturating_sub(before), start.elapsed());
    println!("{count} watchers: {taken} KiB, told in {told:?}");
    let allowed = WATCHER_KIB_MAX * u64::try_from(count).unwrap();
    assert!(taken < allowed, "{taken} KiB for {count} watchers");
    drop(watchers);
    drop(wires);
    goes_on(&node, &daemon, "after");
    daemon.end();
}

#[test]
fn thousands_of_versions_leave_no_more_than_are_kept() {
    let test = "thousands_of_versions_leave_no_more_than_are_kept";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    node.secret("db", b"value");
    let wire = Wire::of(&node);
    let value = vec![b'v'; 10_000];
    let rotate = field(1, &[field(1, b"db"), field(2, &value)].concat());
    let versions = size("COFFER_TEST_VERSIONS", 2_000);
    let rotate_all = |count| {
        let start = Instant::now();
        for _ in 0..count {
            wire.call("/coffer.v1.Secrets/Rotate", rotate.clone()).unwrap();
        }
        start.elapsed()
    };
    let first = rotate_all(versions / 2);
    let before = kib(&daemon, "VmRSS");
    let second = rotate_all(versions / 2);
    let grown = kib(&daemon, "VmRSS").saturating_sub(before);
    println!("{versions} versions: {first:?}, then {second:?} and {grown} KiB more");
    let kept = node.coffer(&["secret", "versions", "-q", "db"]).said();
    let expected = usize::try_from(VERSIONS_KEPT_DEFAULT).unwrap();
    assert_eq!(kept.lines().count(), expected, "{kept}");
    // The log's entries are kept in memory up to the next snapshot, their values with them; beyond that
    // and what is kept there is nothing that grows.
    assert!(grown < 64 << 10, "{grown} KiB");
    daemon.end();
}
