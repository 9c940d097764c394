//! Proof that the checks can fail: the program with bugs that are built in on purpose, each of which must be
//! found by its check within its time, while the same program without a bug passes (`docs/faults.md`).

#[path = "planted/alone.rs"]
mod alone;
#[path = "planted/disks.rs"]
mod disks;
#[path = "planted/peers.rs"]
mod peers;
#[path = "planted/several.rs"]
mod several;
#[path = "planted/simulated.rs"]
mod simulated;
#[path = "planted/upgrade.rs"]
mod upgrade;

use std::time::{Duration, Instant};

use tests::{BadDisk, Node};

/// Within so much time a bug is found, on two busy processors.
const FOUND_WITHIN: Duration = Duration::from_secs(60);

/// What a check says: nothing, or what is wrong.
type Verdict = Result<(), String>;

/// Nodes whose program has one bug, or none.
struct Planted {
    bug: Option<&'static str>,
    test: String,
}

impl Planted {
    fn node(&self) -> Node {
        let node = Node::for_test(&self.test).expect("it was asked whether one can run");
        let environment: Vec<(&str, &str)> =
            self.bug.iter().map(|bug| ("COFFER_PLANTED", *bug)).collect();
        node.running(tests::planted::program(), &environment)
    }

    fn nodes<const COUNT: usize>(&self) -> [Node; COUNT] {
        std::array::from_fn(|_| self.node().with_address())
    }

    fn disk(&self, node: &Node) -> BadDisk {
        BadDisk::under(node, &self.test).expect("it was asked whether one can be had")
    }
}

/// Runs a check on the sound program and on one with each of these bugs.
fn proves(check: &str, bugs: &[&'static str], run: fn(&Planted) -> Verdict) {
    if !tests::node::is_root() {
        return tests::skipped(check, "needs root: bad disks, and programs that others may start");
    }
    if !std::path::Path::new("/dev/fuse").exists() {
        return tests::skipped(check, "needs /dev/fuse: bad disks are file systems of their own");
    }
    tests::planted::program();
    for bug in std::iter::once(None).chain(bugs.iter().copied().map(Some)) {
        let start = Instant::now();
        let verdict = run(&Planted { bug, test: check.to_owned() });
        let took = start.elapsed();
        match (bug, verdict) {
            (None, verdict) => assert_eq!(verdict, Ok(()), "{check}: of the sound program"),
            (Some(bug), Ok(())) => panic!("{check} does not find {bug}"),
            (Some(bug), Err(found)) => {
                println!("{bug}: found by {check} in {took:.1?}: {found}");
                assert!(took < FOUND_WITHIN, "{check} took {took:?} to find {bug}");
            }
        }
    }
}

/// Each bug, with the check that finds it: the table of `docs/faults.md`.
const FOUND_BY: [(&str, &str); 17] = [
    ("acknowledged-before-flush", "case_44_nothing_acknowledged_is_lost_when_the_power_goes"),
    ("flush-error-forgiven", "case_45_nothing_is_acknowledged_after_a_flush_that_failed"),
    ("vote-answered-before-stored", "nobody_is_elected_by_a_vote_that_is_not_on_a_disk"),
    ("vote-forgotten-at-restart", "a_vote_outlives_a_restart"),
    ("stale-read-by-old-leader", "a_manager_that_is_cut_off_reads_nothing_old"),
    ("stale-read-by-follower", "a_manager_that_is_cut_off_reads_nothing_old"),
    ("sealed-without-its-place", "what_an_older_version_sealed_opens"),
    ("snapshot-without-newest", "everything_is_there_after_a_snapshot"),
    ("retry-applied-twice", "a_request_that_is_sent_again_acts_once"),
    ("forwarded-caller-believed", "case_12_who_hands_a_call_on_is_named_in_the_audit"),
    ("version-number-used-again", "no_version_number_is_used_twice"),
    ("damage-taken-for-torn-tail", "damage_in_the_log_is_refused"),
    ("epoch-lost-at-restart", "every_value_opens_after_a_rotation_and_a_restart"),
    ("removed-member-believed", "case_11_13_14_who_was_removed_is_not_heard"),
    ("demoted-member-believed", "case_11_13_14_who_was_demoted_is_not_heard"),
    ("name-not-looked-at", "a_name_is_taken_once"),
    ("apply-differs-by-node", "all_managers_hold_the_same"),
];

#[test]
fn every_bug_has_a_check_that_is_told_of() {
    let known: Vec<&str> = FOUND_BY.iter().map(|(bug, _)| *bug).collect();
    assert_eq!(tests::planted::names(), known);
    let told = tests::binaries::source_tree().join("docs/faults.md");
    let told = std::fs::read_to_string(told).expect("it is there");
    for (bug, check) in FOUND_BY {
        let row = told.lines().find(|line| line.contains(&format!("`{bug}`")));
        let row = row.unwrap_or_else(|| panic!("docs/faults.md leaves out {bug}"));
        assert!(row.contains(&format!("`{check}`")), "{row}");
    }
}

/// Whoever installs Coffer gets none of it.
#[test]
fn the_program_that_is_given_away_has_no_bug_built_in() {
    for program in [tests::binaries::cofferd(), tests::binaries::coffer()] {
        let bytes = std::fs::read(&program).expect("it is there");
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(holds("--state-dir") || holds("COFFER_HOST"), "the search finds what is there");
        assert!(!holds("COFFER_PLANTED"), "{}", program.display());
        for (bug, _) in FOUND_BY {
            assert!(!holds(bug), "{bug} in {}", program.display());
        }
    }
}
