//! Faults by chance, one after the other, and some of them at one time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::disk::chance::Chance;
use tests::faketime;

use super::ring::Ring;

/// How long one fault lasts: some elections.
const LASTS_MS: usize = 2_500;
const KINDS: usize = 19;
/// How far clocks are set: an hour and a year, both ways.
const STEPS_SECS: [i64; 4] = [3_600, -3_600, 31_536_000, -31_536_000];

/// Makes trouble for so long, then puts everything right again.
pub fn make(ring: &Ring, chance: &mut Chance, length: Duration) {
    let (start, is_over) = (Instant::now(), AtomicBool::new(false));
    thread::scope(|scope| {
        let guest = scope.spawn(|| come_and_go(ring, &is_over, start));
        one_after_the_other(ring, chance, start, length);
        is_over.store(true, Ordering::Relaxed);
        println!("a guest came {} times", guest.join().expect("the guest goes"));
    });
    ring.wait_until_whole();
}

fn one_after_the_other(ring: &Ring, chance: &mut Chance, start: Instant, length: Duration) {
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
        10 => {
            (0..count).for_each(|at| ring.kill(at));
            (0..count).for_each(|at| ring.start(at));
            "all are killed and started".to_owned()
        }
        11 => {
            for (from, to) in pairs(count) {
                ring.rule(from, to, |rule| rule.lost_percent = 5);
            }
            "one piece in twenty is lost and sent again".to_owned()
        }
        12 | 13 if ring.has_clocks => {
            let seconds = STEPS_SECS[chance.below(STEPS_SECS.len())];
            faketime::step(&ring.nodes[victim], seconds);
            format!("the clock of {victim} steps by {seconds} s")
        }
        _ => disk(ring, chance, kind),
    }
}

/// What can happen to the one disk that can go bad.
fn disk(ring: &Ring, chance: &mut Chance, kind: usize) -> String {
    let Some((at, disk)) = ring.disk() else { return "nothing".to_owned() };
    let what = match kind {
        12 | 14 => {
            disk.set(|trouble| trouble.is_full = true);
            "is full"
        }
        13 | 15 => {
            disk.set(|trouble| trouble.fails_writes = true);
            "fails at writes"
        }
        16 => {
            disk.set(|trouble| trouble.fails_flushes = 1);
            "fails at a flush"
        }
        17 => {
            disk.set(|trouble| trouble.hangs = true);
            "hangs"
        }
        _ => {
            disk.set(|trouble| trouble.flush_ms = 50);
            sleep(Duration::from_millis(u64::try_from(200 + chance.below(500)).expect("short")));
            ring.kill(at);
            "loses its power while it is slow"
        }
    };
    format!("the disk of {at} {what}")
}

/// Comes, gets a vote, and goes again, until it is all over. Whatever fails for the trouble that others are in
/// is tried again; it never comes a second time while it is still counted.
pub fn come_and_go(ring: &Ring, is_over: &AtomicBool, start: Instant) -> usize {
    let goes_on = || !is_over.load(Ordering::Relaxed);
    let mut visits = 0;
    while goes_on() {
        if !ring.join(ring.guest) {
            ring.guest.coffer(&["swarm", "leave", "--force"]);
            continue;
        }
        visits += 1;
        let id = tests::cluster::id(ring.guest);
        println!("{:>6} ms: a guest has come: {id}", start.elapsed().as_millis());
        sleep(Duration::from_millis(1_500));
        let by = &ring.nodes[visits % ring.nodes.len()];
        if visits % 2 == 0 {
            by.coffer(&["node", "demote", &id]);
        }
        ring.guest.coffer(&["swarm", "leave", "--force"]);
        // Without a majority it leaves all the same, and is counted until somebody says otherwise.
        while goes_on() && by.coffer(&["node", "rm", "--force", &id]).code != Some(0) {
            by.coffer(&["node", "demote", &id]);
            sleep(Duration::from_millis(100));
        }
    }
    visits
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |from| (0..count).map(move |to| (from, to)))
}
