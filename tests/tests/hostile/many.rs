//! Many watchers, many versions, many secrets: bounded time and memory. The sizes are small here; larger
//! ones by `COFFER_TEST_WATCHERS`, `COFFER_TEST_VERSIONS` and `COFFER_TEST_SECRETS`.

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
fn case_54_many_watchers_are_all_told_in_bounded_time_and_memory() {
    let test = "case_54_many_watchers_are_all_told_in_bounded_time_and_memory";
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
fn case_54_thousands_of_versions_leave_no_more_than_are_kept() {
    let test = "case_54_thousands_of_versions_leave_no_more_than_are_kept";
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

/// Secrets of one request.
const BATCH: usize = 1_000;
/// Memory for one secret of a few bytes: the object, its place in the maps, its event, the newest log.
const SECRET_KIB_MAX: u64 = 2;

#[test]
fn case_54_each_of_very_many_secrets_takes_as_much_time_and_memory_as_each_of_few() {
    let test = "case_54_each_of_very_many_secrets_takes_as_much_time_and_memory_as_each_of_few";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    let wire = Wire::of(&node);
    let secrets = size("COFFER_TEST_SECRETS", 20_000);
    let name = |number: usize| format!("s{number:07}");
    let new = |number| {
        let spec = field(1, name(number).as_bytes());
        field(1, &[field(1, &spec), field(2, b"value")].concat())
    };
    let create = |from: usize| {
        let start = Instant::now();
        let batch: Vec<Vec<u8>> = (from..from + BATCH).map(new).collect();
        wire.call("/coffer.v1.Secrets/Create", batch.concat()).unwrap();
        start.elapsed()
    };
    let before = kib(&daemon, "VmRSS");
    let times: Vec<Duration> = (0..secrets / BATCH).map(|batch| create(batch * BATCH)).collect();
    let taken = kib(&daemon, "VmRSS").saturating_sub(before);
    let (few, many) = times.split_at(times.len() / 2);
    let longest = |times: &[Duration]| times.iter().max().copied().unwrap_or_default();
    println!(
        "{secrets} secrets: {taken} KiB; batches: {:?}, then {:?}",
        longest(few),
        longest(many)
    );
    // A snapshot, or a neighbour, may come in between; work that grows with all that is there would not fit.
    assert!(longest(many) < longest(few) * 5 + Duration::from_secs(2));
    let allowed = (16 << 10) + SECRET_KIB_MAX * u64::try_from(secrets).unwrap();
    assert!(taken < allowed, "{taken} KiB");
    let start = Instant::now();
    let page = wire.call("/coffer.v1.Secrets/List", Vec::new()).unwrap();
    assert!(String::from_utf8_lossy(&page).contains(&name(99)) && page.len() < 100 << 10);
    wire.call("/coffer.v1.Secrets/Inspect", field(1, name(secrets - 1).as_bytes())).unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "a page and a look: {:?}", start.elapsed());
    drop(wire);
    daemon.end();
    let daemon = node.start();
    let last = node.coffer(&["secret", "versions", "-q", &name(secrets - 1)]).said();
    assert_eq!(last.lines().count(), 1, "all are there again: {last}");
    daemon.end();
}
