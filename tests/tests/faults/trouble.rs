//! Faults by chance, one after the other, and some of them at one time.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::disk::chance::Chance;

use super::ring::Ring;

/// How long one fault lasts: some elections.
const LASTS_MS: usize = 2_500;
const KINDS: usize = 11;

/// Makes trouble for so long, then puts everything right again.
pub fn make(ring: &Ring, chance: &mut Chance, length: Duration) {
    let start = Instant::now();
    let mut round = 0;
    // Every kind comes once in so many rounds, in an order by chance.
    let mut kinds: Vec<usize> = Vec::new();
    while start.elapsed() < length {
        if kinds.is_empty() {
            kinds = (0..KINDS).collect();
        }
        let kind = kinds.swap_remove(chance.below(kinds.len()));
        let victim = victim(ring, chance);
        let word = one(ring, chance, kind, victim);
        println!("{:>6} ms: {word}", start.elapsed().as_millis());
        sleep(Duration::from_millis(u64::try_from(500 + chance.below(LASTS_MS)).expect("short")));
        round += 1;
        // Now and then the next fault comes on top.
        if round % 3 != 0 {
            ring.heal();
            sleep(Duration::from_millis(300));
        }
    }
    ring.heal();
    ring.wait_until_whole();
}

/// The leader, half of the time.
fn victim(ring: &Ring, chance: &mut Chance) -> usize {
    let any = chance.below(ring.nodes.len());
    if chance.toss() { ring.leader().unwrap_or(any) } else { any }
}

fn one(ring: &Ring, chance: &mut Chance, kind: usize, victim: usize) -> String {
    let count = ring.nodes.len();
    let others = || (0..count).filter(move |other| *other != victim);
    match kind {
        0 | 1 => {
            ring.kill(victim);
            if chance.toss() {
                ring.start(victim);
            }
            format!("{victim} is killed")
        }
        2 => {
            ring.end(victim);
            ring.start(victim);
            format!("{victim} is stopped and started")
        }
        3 => {
            ring.signal(victim, Signal::STOP);
            format!("{victim} is frozen")
        }
        4 => {
            for other in others() {
                ring.rule(victim, other, |rule| rule.is_held = true);
                ring.rule(other, victim, |rule| rule.is_held = true);
            }
            format!("{victim} is cut off")
        }
        5 => {
            others().for_each(|other| ring.rule(victim, other, |rule| rule.is_held = true));
            format!("nobody hears {victim}")
        }
        6 => {
            others().for_each(|other| ring.rule(other, victim, |rule| rule.is_held = true));
            format!("{victim} hears nobody")
        }
        7 => {
            let other = (victim + 1) % count;
            ring.rule(victim, other, |rule| rule.is_held = true);
            ring.rule(other, victim, |rule| rule.is_held = true);
            format!("{victim} and {other} are cut off from each other")
        }
        8 => {
            let delay = u64::try_from(10 + chance.below(150)).expect("short");
            for (from, to) in pairs(count) {
                ring.rule(from, to, |rule| rule.delay_ms = delay);
            }
            format!("everything is {delay} ms late and out of order")
        }
        9 => {
            for (from, to) in pairs(count) {
                ring.rule(from, to, |rule| rule.breaks += 1);
            }
            "every connection breaks".to_owned()
        }
        _ => {
            (0..count).for_each(|at| ring.kill(at));
            (0..count).for_each(|at| ring.start(at));
            "all are killed and started".to_owned()
        }
    }
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |from| (0..count).map(move |to| (from, to)))
}
