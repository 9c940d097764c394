//! Stamps: the times that the leader gives to commands. Pure: the clocks' readings come in as arguments.
//!
//! A stamp never goes back. It runs ahead of the time that really passed by a few seconds at most, unless
//! a majority of the managers' clocks says so. A lone manager is its own majority; its clock has to keep
//! to a jump for a while before it is believed.

use crate::limits::{CLOCK_AWAY_NS, CLOCK_JUMP_HOLDS_NS, STAMP_AHEAD_NS};
use crate::time::Timestamp;

/// The clocks, all read at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Readings<'a> {
    /// This node's clock that only counts what passes, from any start.
    pub steady_ns: u64,
    /// This node's clock of the day.
    pub wall: Timestamp,
    /// How many managers there are, this one among them.
    pub managers: usize,
    /// The clocks of those others that could be asked.
    pub others: &'a [Timestamp],
}

/// What is to be said of this node's clock, measured against the time that passed since the last stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Fine,
    Ahead { by_ns: u64 },
    Behind { by_ns: u64 },
}

/// A stamp, and what is to be said of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    pub at: Timestamp,
    pub clock: Verdict,
    /// Whether stamps go by this node's clock; otherwise they go by the time that passes.
    pub is_followed: bool,
}

/// Gives stamps, each not before the last.
#[derive(Clone, Debug, Default)]
pub struct Stamper {
    last: Timestamp,
    /// Where stamps and steady clock met last. Nothing is known of the time before a start.
    anchor: Option<Anchor>,
    /// The steady clock at the last stamp.
    last_steady_ns: u64,
    jump: Option<Jump>,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    at: Timestamp,
    steady_ns: u64,
}

/// A clock that left its course, and where it went.
#[derive(Clone, Copy, Debug)]
struct Jump {
    seen_ns: u64,
    course: Anchor,
}

impl Anchor {
    /// The time at another reading of the steady clock, if the clock keeps its course.
    fn later(self, steady_ns: u64) -> Timestamp {
        self.at.plus(steady_ns.saturating_sub(self.steady_ns))
    }
}

impl Stamper {
    /// Takes note of a stamp that another manager gave, or that stood in the log.
    pub fn observe(&mut self, steady_ns: u64, stamped: Timestamp) {
        if stamped > self.last {
            (self.last, self.last_steady_ns) = (stamped, steady_ns);
        }
    }

    /// The next stamp.
    pub fn stamp(&mut self, now: Readings<'_>) -> Stamped {
        let Some(anchor) = self.anchor else { return self.first(now) };
        let expected = anchor.later(now.steady_ns);
        let passed = now.steady_ns.saturating_sub(self.last_steady_ns);
        let off = apart(now.wall, expected) > STAMP_AHEAD_NS;
        let is_followed = !off || self.is_believed(now);
        if !off {
            self.jump = None;
        }
        let clock = self.verdict(now.wall, expected);
        if off && is_followed {
            self.jump = None;
            self.anchor = Some(Anchor { at: now.wall, steady_ns: now.steady_ns });
        }
        let target = if is_followed { now.wall } else { expected };
        // A jump that a majority agrees to is taken whole; otherwise each step has its bound.
        let most = self.last.plus(passed).plus(STAMP_AHEAD_NS);
        let target = if off && is_followed { target } else { target.min(most) };
        // Behind the last stamp: half as fast as time passes, until the clock has caught up.
        let at = if target < self.last { self.last.plus(passed / 2) } else { target };
        self.given(now, at);
        Stamped { at, clock, is_followed }
    }

    /// The first stamp after a start. How much time passed since the last one is not known.
    fn first(&mut self, now: Readings<'_>) -> Stamped {
        let is_followed = is_majority(now);
        let (last, at) = (self.last, self.last.max(now.wall));
        let away = if last == Timestamp::default() { 0 } else { apart(now.wall, last) };
        let clock = match now.wall >= last {
            true if away > CLOCK_AWAY_NS => Verdict::Ahead { by_ns: away },
            false if away > STAMP_AHEAD_NS => Verdict::Behind { by_ns: away },
            _ => Verdict::Fine,
        };
        let at = if is_followed { at } else { last };
        let course = if is_followed { now.wall } else { last };
        self.anchor = Some(Anchor { at: course, steady_ns: now.steady_ns });
        self.given(now, at);
        Stamped { at, clock, is_followed }
    }

    /// Whether a clock that left its course is gone along with.
    fn is_believed(&mut self, now: Readings<'_>) -> bool {
        let here = Anchor { at: now.wall, steady_ns: now.steady_ns };
        let same = self
            .jump
            .filter(|jump| apart(jump.course.later(now.steady_ns), now.wall) <= STAMP_AHEAD_NS);
        let jump = same.unwrap_or(Jump { seen_ns: now.steady_ns, course: here });
        self.jump = Some(jump);
        let held = now.steady_ns.saturating_sub(jump.seen_ns);
        is_majority(now) && (now.managers > 1 || held >= CLOCK_JUMP_HOLDS_NS)
    }

    fn verdict(&self, wall: Timestamp, expected: Timestamp) -> Verdict {
        let ahead = wall.nanos().saturating_sub(expected.nanos());
        let behind = expected.max(self.last).nanos().saturating_sub(wall.nanos());
        if ahead > STAMP_AHEAD_NS {
            Verdict::Ahead { by_ns: ahead }
        } else if behind > STAMP_AHEAD_NS {
            Verdict::Behind { by_ns: behind }
        } else {
            Verdict::Fine
        }
    }

    fn given(&mut self, now: Readings<'_>, at: Timestamp) {
        self.last = at;
        self.last_steady_ns = now.steady_ns;
    }
}

/// Whether more than half of all managers' clocks show what this one shows.
fn is_majority(now: Readings<'_>) -> bool {
    let agree = now.others.iter().filter(|other| apart(**other, now.wall) <= STAMP_AHEAD_NS);
    agree.count().saturating_add(1) > now.managers / 2
}

fn apart(a: Timestamp, b: Timestamp) -> u64 {
    a.nanos().abs_diff(b.nanos())
}

#[cfg(test)]
mod tests;
