//! A manager that joins a cluster with much to catch up, while others write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tests::cluster::{form, join, leader, nodes, token, voters};
use tests::wire::field;
use tests::{Wire, wait_until};

/// About 40 MB of values.
const SECRETS: usize = 80;
const SECRET_BYTES: usize = 500_000;
/// The longest that a write may take meanwhile: a hundred times what it takes on an idle machine.
const STALL: Duration = Duration::from_secs(3);
/// Writes before anybody joins, to compare with.
const BEFORE: usize = 300;

fn create(wire: &Wire, name: &str, value: &[u8]) -> Duration {
    let value = [field(1, &field(1, name.as_bytes())), field(2, value)].concat();
    let start = Instant::now();
    wire.call("/coffer.v1.Secrets/Create", field(1, &value)).expect("it is taken");
    start.elapsed()
}

/// Half of them, one in a hundred, the longest.
fn say(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    let longest = at(100);
    println!(
        "{what}: {} writes, p50 {:?}, p99 {:?}, {longest:?} at the most",
        times.len(),
        at(50),
        at(99)
    );
    longest
}

#[test]
fn a_manager_with_40_mb_to_catch_up_joins_and_no_write_waits_for_it() {
    let test = "a_manager_with_40_mb_to_catch_up_joins_and_no_write_waits_for_it";
    let Some(nodes) = nodes::<4>(test) else { return };
    let _daemons = form(&nodes[..3]);
    for node in &nodes[..3] {
        wait_until("all vote", || voters(node) == 3);
    }
    let lead = &nodes[leader(&[&nodes[0], &nodes[1], &nodes[2]])];
    let wire = Wire::of(lead);
    for number in 0..SECRETS {
        create(&wire, &format!("large-{number}"), &vec![b'v'; SECRET_BYTES]);
    }
    let before = (0..BEFORE).map(|number| create(&wire, &format!("before-{number}"), b"value"));
    say("before", before.collect());
    let _fourth = nodes[3].start();
    let (token, votes) = (token(lead, "manager"), AtomicBool::new(false));
    let (meanwhile, took) = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let going_on = (0..).take_while(|_| !votes.load(Ordering::Relaxed));
            let times = going_on.map(|number| create(&wire, &format!("small-{number}"), b"value"));
            times.collect::<Vec<_>>()
        });
        let start = Instant::now();
        join(&nodes[3], lead, &token).said();
        wait_until("it votes", || voters(lead) == 4);
        let took = start.elapsed();
        votes.store(true, Ordering::Relaxed);
        (writing.join().expect("each write is taken"), took)
    });
    let all = SECRETS + BEFORE + meanwhile.len();
    println!("it joined and had its vote after {took:?}");
    let longest = say("meanwhile", meanwhile);
    assert!(longest < STALL, "{longest:?}");
    wait_until("it has all of them", || {
        nodes[3].coffer(&["secret", "ls", "-q"]).stdout.lines().count() == all
    });
}
