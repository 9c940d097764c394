//! Real managers behind proxies, clients that never stop, and faults by a seed: afterwards the history of what
//! the clients were told must be one that a single machine could have given, and everybody must go on.
//!
//! `COFFER_FAULTS_MINUTES=30 COFFER_SEED=17 cargo test -p tests --test faults -- --nocapture`

#[path = "faults/checks.rs"]
mod checks;
#[path = "faults/clients.rs"]
mod clients;
#[path = "faults/history.rs"]
mod history;
#[path = "faults/order.rs"]
mod order;
#[path = "faults/ring.rs"]
mod ring;
#[path = "faults/trouble.rs"]
mod trouble;
#[path = "faults/wgl.rs"]
mod wgl;

use std::path::PathBuf;
use std::time::Duration;

use history::Call;
use tests::disk::chance::Chance;
use wgl::Verdict;

/// How long faults come in the gate, and with five managers there.
const SHORT: Duration = Duration::from_secs(50);
const SHORT_OF_FIVE: Duration = Duration::from_secs(25);

#[test]
fn case_44_46_three_managers_stay_one_machine_whatever_happens_to_them() {
    run::<3>("case_44_46_three_managers_stay_one_machine_whatever_happens_to_them", SHORT);
}

#[test]
fn case_44_46_five_managers_stay_one_machine_whatever_happens_to_them() {
    run::<5>("case_44_46_five_managers_stay_one_machine_whatever_happens_to_them", SHORT_OF_FIVE);
}

/// Without it no clock steps in the runs above, which would otherwise not be said.
#[test]
fn the_clock_of_one_process_can_be_set() {
    let test = "the_clock_of_one_process_can_be_set";
    let Some(node) = tests::Node::for_test(test) else { return };
    let Some(environment) = tests::faketime::environment(&node) else {
        return tests::skipped(test, "libfaketime is not here and cannot be downloaded");
    };
    tests::faketime::step(&node, -3_600);
    let seconds = |environment: Vec<(String, String)>| {
        let mut date = std::process::Command::new("date");
        let said = date.arg("+%s").envs(environment).output().expect("date is there").stdout;
        String::from_utf8_lossy(&said).trim().parse::<i64>().expect("it is a number")
    };
    let away = seconds(Vec::new()) - seconds(environment);
    assert!((3_590..3_610).contains(&away), "{away} s");
}

fn run<const COUNT: usize>(test: &str, short: Duration) {
    if !tests::node::is_root() {
        return tests::skipped(test, "needs root: who dials is read from /proc");
    }
    let minutes = std::env::var("COFFER_FAULTS_MINUTES").ok();
    let minutes = minutes.map(|text| text.parse::<u64>().expect("this is a number of minutes"));
    let length = minutes.map_or(short, |minutes| Duration::from_secs(60 * minutes));
    let seed = Chance::seed();
    println!(
        "again with: COFFER_SEED={seed} COFFER_FAULTS_MINUTES={} cargo test -p tests --test faults {test} -- --nocapture",
        length.as_secs().div_ceil(60)
    );
    let nodes = ring::nodes::<COUNT>(test);
    let Some(nodes) = nodes else { return };
    let ring = ring::Ring::form(test, &nodes, seed);
    let mut chance = Chance::new(seed);
    let make = || trouble::make(&ring, &mut chance, length);
    let (calls, stuck) = clients::during(ring.nodes, make);
    drop(ring);
    judge(test, &calls, stuck, seed);
}

/// Both checkers, and whether everybody went on. The history is kept if one of them says no.
fn judge(test: &str, calls: &[Call], mut wrong: Vec<String>, seed: u64) {
    wrong.extend(order::violations(calls));
    let mut unknown = 0;
    for key in 0..clients::KEYS {
        let own: Vec<Call> = calls.iter().filter(|call| call.key == key).copied().collect();
        match wgl::judge(&own) {
            Verdict::Linearizable => {}
            Verdict::NotLinearizable => wrong.push(format!("key {key} is not linearizable")),
            Verdict::Unknown => unknown += 1,
        }
    }
    let writes = calls.iter().filter(|call| call.is_write());
    let lost = writes.clone().filter(|call| call.answer().is_none()).count();
    println!(
        "seed {seed}: {} calls, {} writes, {lost} of them of unknown outcome; {unknown} keys of {} not judged by search",
        calls.len(),
        writes.count(),
        clients::KEYS
    );
    if !wrong.is_empty() {
        let kept: PathBuf = std::env::temp_dir().join(format!("coffer-{test}-{seed}.txt"));
        std::fs::write(&kept, history::text(calls)).expect("it can be written");
        wrong.truncate(20);
        panic!("seed {seed}, history in {}:\n{}", kept.display(), wrong.join("\n"));
    }
}
