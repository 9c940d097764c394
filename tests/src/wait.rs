//! Waiting for what other processes bring about, and saying aloud what is not tested.

use std::fmt::Debug;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take that usually takes less than a second. The machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Returns once the condition holds; panics with `what` if it does not within `PATIENCE`.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        thread::sleep(PAUSE);
    }
}

/// Returns what there is once there is something; panics with `what` if there is not within `PATIENCE`.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    wait_until(what, || {
        found = look();
        found.is_some()
    });
    found.expect("it was waited for")
}

/// Returns once nothing is left; panics with what is, if it does not go away within `PATIENCE`.
#[track_caller]
pub fn wait_until_none<T: Debug>(what: &str, mut left: impl FnMut() -> Vec<T>) {
    let start = Instant::now();
    loop {
        let found = left();
        if found.is_empty() {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{what}, after {} s: {found:?}", PATIENCE.as_secs());
        thread::sleep(PAUSE);
    }
}

/// Says that a test does not run here. Written past the capturing of the test harness: a skip that
/// nobody sees is a hole. `tests/skips.allowed` lists those that may be seen in the gate.
pub fn skipped(test: &str, reason: &str) {
    // A closed standard error leaves nobody to tell.
    writeln!(std::io::stderr(), "SKIPPED: {test}: {reason}").ok();
}
