//! A second opinion that believes no index and no version: is there an order of one key's calls, within their
//! starts and ends, in which every read gives the last write? The search of Wing and Gong with Lowe's memory.

use std::collections::HashSet;

use super::history::Call;

/// Steps after which the search gives up. Far above what a history of a sound register takes.
const STEPS_MAX: usize = 3_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    NotLinearizable,
    /// The search was given up.
    Unknown,
}

/// Judges the calls of one key.
pub fn judge(calls: &[Call]) -> Verdict {
    let mut calls = calls.to_vec();
    // A write of unknown outcome that nobody read may as well not have been.
    let read: HashSet<u64> =
        calls.iter().filter(|call| !call.is_write()).map(Call::value).collect();
    calls.retain(|call| call.end != u64::MAX || read.contains(&call.value()));
    calls.sort_by_key(|call| (call.start, call.end));
    Search { calls: &calls, seen: HashSet::new(), steps: 0 }.run()
}

struct Search<'a> {
    calls: &'a [Call],
    /// Which calls were placed, and the value after them.
    seen: HashSet<(Vec<u64>, u64)>,
    steps: usize,
}

/// One decision: what was placed, and where the search goes on if that leads nowhere.
struct Placed {
    call: usize,
    value_before: u64,
}

impl Search<'_> {
    fn run(&mut self) -> Verdict {
        let mut done = vec![0_u64; self.calls.len().div_ceil(64)];
        let (mut value, mut from, mut path) = (0, 0, Vec::<Placed>::new());
        loop {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Verdict::Unknown;
            }
            if self.is_over(&done) {
                return Verdict::Linearizable;
            }
            if let Some(call) = self.next(&done, value, from) {
                path.push(Placed { call, value_before: value });
                set(&mut done, call, true);
                value = self.calls[call].value();
                from = 0;
                continue;
            }
            let Some(Placed { call, value_before }) = path.pop() else {
                return Verdict::NotLinearizable;
            };
            set(&mut done, call, false);
            (value, from) = (value_before, call + 1);
        }
    }

    /// What must have happened has been placed.
    fn is_over(&self, done: &[u64]) -> bool {
        (0..self.calls.len()).all(|at| is_set(done, at) || self.calls[at].end == u64::MAX)
    }

    /// The next call that may come now, from one on, in a state that was not tried yet.
    fn next(&mut self, done: &[u64], value: u64, from: usize) -> Option<usize> {
        let open = |at: &usize| !is_set(done, *at);
        let first_end = (0..self.calls.len()).filter(open).map(|at| self.calls[at].end).min()?;
        for at in (from..self.calls.len()).filter(open) {
            let call = &self.calls[at];
            if call.start > first_end {
                return None;
            }
            if !call.is_write() && call.value() != value {
                continue;
            }
            let mut after = done.to_vec();
            set(&mut after, at, true);
            if self.seen.insert((after, call.value())) {
                return Some(at);
            }
        }
        None
    }
}

fn is_set(bits: &[u64], at: usize) -> bool {
    bits[at / 64] & (1 << (at % 64)) != 0
}

fn set(bits: &mut [u64], at: usize, to: bool) {
    if to {
        bits[at / 64] |= 1 << (at % 64);
    } else {
        bits[at / 64] &= !(1 << (at % 64));
    }
}
