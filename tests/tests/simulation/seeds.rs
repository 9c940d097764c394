//! Which seeds run, each in a process of its own, as many at once as there are processors.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::run;

/// How many seeds run unless `COFFER_SIM_SEEDS` says otherwise.
const SEEDS: u64 = 6;
/// The seed that is run twice.
const TWICE: u64 = 20;

#[test]
fn one_seed() {
    let Some(seed) = number("COFFER_SIM_SEED") else { return };
    // A thread of its own: the test's own thread may have drawn already.
    let ended = thread::spawn(move || run::run(seed)).join().expect("the run does not panic");
    let run::Ended { digest, lines, simulated, calls, wrong } = ended;
    println!("seed {seed}: {calls} calls in {simulated:?}, trace {digest:016x} of {lines} lines");
    assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
}

#[test]
fn many_seeds_keep_every_invariant() {
    let first = number("COFFER_SIM_FIRST").unwrap_or(1);
    let end = first + number("COFFER_SIM_SEEDS").unwrap_or(SEEDS);
    let (next, failed) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let start = Instant::now();
    let turn = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end);
    let work = || {
        while let Some(seed) = turn() {
            if let Err(said) = child(seed).map(|said| println!("{said}")) {
                println!("seed {seed} FAILED:\n{said}");
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(seed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (count, took) = (end - first, start.elapsed());
    println!("{count} seeds in {took:?}: {:.0} a minute", count as f64 / took.as_secs_f64() * 60.0);
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let again: Vec<String> = failed.iter().map(|seed| again(*seed)).collect();
    assert!(failed.is_empty(), "{} seeds failed; again with:\n{}", failed.len(), again.join("\n"));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| child(TWICE));
        (one.join().expect("no panic"), child(TWICE))
    });
    assert_eq!(one.expect("the seed is green"), other.expect("the seed is green"));
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

/// How to see one seed again.
fn again(seed: u64) -> String {
    format!("COFFER_SIM_SEED={seed} cargo test -p tests --test simulation one_seed -- --nocapture")
}

/// Runs a seed in a process of its own. Gives its line, or all that it said if it failed.
fn child(seed: u64) -> Result<String, String> {
    let own = std::env::current_exe().expect("this program has a path");
    let ran = Command::new(own)
        .args(["seeds::one_seed", "--exact", "--nocapture"])
        .env("COFFER_SIM_SEED", seed.to_string())
        .env_remove("COFFER_SIM_TELL")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    // On one processor the harness says the test's name before it, in the same line.
    let head = format!("seed {seed}: ");
    let line = said.lines().find_map(|line| line.split_once(&head));
    match line.filter(|_| ran.status.success()) {
        Some((_, line)) => Ok(head + line),
        None => Err(format!("{said}\n{}", String::from_utf8_lossy(&ran.stderr))),
    }
}
