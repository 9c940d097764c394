//! Real tasks of the process runner, on a real kernel: as root, as root of a user namespace, and
//! from a daemon without privilege. It brings its own `main`, because the runner starts its own
//! program again. It needs root and skips aloud without it. `cargo test --test runner -- PART` runs
//! the tests named so.

#[path = "runner/cases.rs"]
mod cases;
#[path = "runner/fixture.rs"]
mod fixture;
#[path = "runner/look.rs"]
mod look;
#[path = "runner/reach.rs"]
mod reach;
#[path = "runner/rootless.rs"]
mod rootless;
#[path = "runner/stops.rs"]
mod stops;
#[path = "runner/times.rs"]
mod times;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fixture::Case;

/// How long one case may take.
const LIMIT: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let first = arguments.first().map(String::as_str);
    match first {
        Some("launch") => vault::runner::launch::main(),
        Some("daemon-to-kill") => fixture::daemon_to_kill(&arguments[1]),
        Some("inside-user-namespace") => run(&[rootless::CASES], ""),
        Some("attack") => fixture::attack(&arguments[1..]),
        Some("resolver") => run(&[reach::RESOLVER], ""),
        Some("without-privilege") => run(&[rootless::WITHOUT_PRIVILEGE], ""),
        Some("time") => times::time_launches(),
        // Asked by tools that list tests.
        Some("--list") => ExitCode::SUCCESS,
        _ if !rustix::process::geteuid().is_root() => {
            tests::skipped("runner", "needs root");
            println!("\ntest result: ok. 0 passed; 0 failed; all need root\n");
            ExitCode::SUCCESS
        }
        _ => {
            let program = fixture::Installed::new();
            let part = arguments.iter().find(|word| !word.starts_with('-'));
            let outcome = run(&[cases::CASES, reach::CASES, stops::CASES], part.map_or("", |p| p));
            drop(program);
            outcome
        }
    }
}

/// Runs the cases whose names hold `part`, and reports as cargo's own harness does.
fn run(tables: &[&[(&str, Case)]], part: &str) -> ExitCode {
    // As the daemon is.
    let hardened = rustix::process::DumpableBehavior::NotDumpable;
    rustix::process::set_dumpable_behavior(hardened).unwrap();
    // One for all: a runtime that ends takes with it what is about to reap the last helper.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let cases = tables.iter().copied().flatten().copied();
    let (chosen, others): (Vec<_>, Vec<_>) = cases.partition(|(name, _)| name.contains(part));
    println!("\nrunning {} tests", chosen.len());
    let start = Instant::now();
    let mut failed = 0;
    for (name, case) in &chosen {
        let outcome = catch_unwind(|| {
            runtime.block_on(async { tokio::time::timeout(LIMIT, case()).await.expect("in time") });
        });
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        failed += usize::from(outcome.is_err());
    }
    println!(
        "\ntest result: {}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; \
         finished in {:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        chosen.len() - failed,
        others.len(),
        start.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
