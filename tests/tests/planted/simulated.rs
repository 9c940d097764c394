//! The simulation (`docs/simulation.md`) finds bugs, too: with each of these, one of the first seeds is red for the
//! reason that the bug has, and a seed that found one is green without it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Seeds that may run until one is red. The rarest bug of them is met by every fourth seed.
const SEEDS: u64 = 24;
/// Within so much time one of them is, on two busy processors.
const FOUND_WITHIN: Duration = Duration::from_secs(180);

/// A bug, and what the simulation says of it: one of these.
type Found = (&'static str, &'static [&'static str]);

/// Looked for each time.
const ALWAYS: [Found; 2] = [
    ("acknowledged-before-flush", &["old version of key ", "stale: "]),
    ("stale-read-by-old-leader", &["stale: "]),
];
/// Looked for with `COFFER_PLANTED_SEEDS`.
const AT_LEISURE: [Found; 5] = [
    ("stale-read-by-follower", &["is gone", "stale: "]),
    ("snapshot-without-newest", &["is gone"]),
    ("retry-applied-twice", &["versions that nobody wrote", "doubled: "]),
    // A leader of a term that is over: Raft's own library finds it and ends, and that manager does not go on.
    ("vote-forgotten-at-restart", &["not within "]),
    ("epoch-lost-at-restart", &["this node's keyring does not have"]),
];

#[test]
fn the_simulation_finds_bugs() {
    let simulation = tests::planted::simulation();
    let at_leisure = std::env::var_os("COFFER_PLANTED_SEEDS").map_or(&[][..], |_| &AT_LEISURE);
    let mut found_by = 0;
    for (bug, words) in ALWAYS.iter().chain(at_leisure) {
        let start = Instant::now();
        let found = (1..=SEEDS).find_map(|seed| Some((seed, red(&simulation, Some(bug), seed)?)));
        let took = start.elapsed();
        let (seed, said) = found.unwrap_or_else(|| panic!("{SEEDS} seeds do not find {bug}"));
        let line = said.lines().find(|line| words.iter().any(|one| line.contains(one)));
        let line =
            line.unwrap_or_else(|| panic!("{bug}: seed {seed} says none of {words:?}: {said}"));
        println!("{bug}: found by seed {seed} after {took:.1?}: {line}");
        assert!(took < FOUND_WITHIN, "it took {took:?} to find {bug}");
        found_by = seed;
    }
    assert_eq!(red(&simulation, None, found_by), None, "seed {found_by} of the sound program");
}

/// Runs a seed. Gives what it said, if it is red.
fn red(simulation: &Path, bug: Option<&str>, seed: u64) -> Option<String> {
    let ran = Command::new(simulation)
        .args(["seeds::one_seed", "--exact", "--nocapture"])
        .env("COFFER_SIM_SEED", seed.to_string())
        .env_remove("COFFER_SIM_TELL")
        .envs(bug.map(|bug| ("COFFER_PLANTED", bug)))
        .output()
        .expect("it starts");
    (!ran.status.success()).then(|| String::from_utf8_lossy(&ran.stderr).into_owned())
}
