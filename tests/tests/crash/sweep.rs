//! The power goes, or the process dies, at every operation of a log's life, also twice in a row.

use std::ops::RangeInclusive;
use std::time::Instant;

use tests::disk::chance::Chance;
use tests::disk::power::Outage;
use tests::disk::{FaultyDisk, Operation};
use vault::disk::log::Record;

use crate::model::{Known, Log, Story, acknowledged, at, entry, handed_over, life, open, write};

/// Failures that are told in full.
const TOLD: usize = 5;

/// What was tried, and what went wrong.
struct Sweep {
    name: &'static str,
    seed: u64,
    started: Instant,
    states: usize,
    failures: Vec<String>,
}

impl Sweep {
    fn start(name: &'static str) -> (Self, Chance) {
        let seed = Chance::seed();
        let sweep = Self { name, seed, started: Instant::now(), states: 0, failures: Vec::new() };
        (sweep, Chance::new(seed))
    }

    fn tried(&mut self, place: &str, result: Result<(), String>) {
        self.states += 1;
        self.failures.extend(result.err().map(|failure| format!("{place}: {failure}")));
    }

    fn end(self) {
        let Self { name, seed, started, states, failures } = self;
        let rate = f64::from(u32::try_from(states).unwrap()) / started.elapsed().as_secs_f64();
        println!("{name}: {states} states, {rate:.0} states/s, COFFER_SEED={seed}");
        let told = failures.iter().take(TOLD).cloned().collect::<Vec<_>>().join("\n");
        assert!(failures.is_empty(), "{name}: {} of {states} failed:\n{told}", failures.len());
    }
}

/// Opens a log after an outage: it must hold what it held after one of these submissions.
fn reopen(
    disk: &FaultyDisk,
    states: &[Known],
    allowed: RangeInclusive<usize>,
    chance: &mut Chance,
) -> Result<(Log, usize), String> {
    let log = open(disk, chance).map_err(|error| format!("refused: {error}"))?;
    let found = allowed.clone().rev().find(|at| states[*at] == log.known);
    let found = found.ok_or_else(|| {
        let wanted: Vec<_> = states[allowed].iter().map(Known::brief).collect();
        format!("holds {}, should hold one of {wanted:#?}", log.known.brief())
    })?;
    Ok((log, found))
}

/// The log opens and holds what it should; one in three takes more, and keeps that too.
fn survives(
    disk: &FaultyDisk,
    states: &[Known],
    allowed: RangeInclusive<usize>,
    chance: &mut Chance,
) -> Result<(), String> {
    let (log, found) = reopen(disk, states, allowed, chance)?;
    if chance.below(3) > 0 {
        return Ok(());
    }
    let more = vec![entry(log.known.next(), 50)];
    let expected = states[found].after(&more);
    write(&log.writer, more);
    drop(log);
    let again = open(disk, chance).map_err(|error| format!("refused after more: {error}"))?;
    let is_same = again.known == expected;
    is_same.then_some(()).ok_or_else(|| format!("after more: {}", again.known.brief()))
}

/// Walks through a story; calls back where an outage makes a difference, with the states that may come
/// back.
fn walk(story: &Story, mut here: impl FnMut(&Outage, RangeInclusive<usize>)) {
    let mut outage = Outage::of(&story.disk);
    let (mut handed, mut acked) = (0, 0);
    while let Some(operation) = outage.step() {
        if let Operation::Mark(mark) = operation {
            handed = handed_over(mark).unwrap_or(handed);
            let Some(number) = acknowledged(mark) else { continue };
            acked = number;
        }
        here(&outage, acked..=handed);
    }
}

#[test]
fn an_outage_anywhere_loses_nothing_that_was_acknowledged() {
    let (mut sweep, mut chance) = Sweep::start("outage");
    let story = life(&mut chance, 70);
    walk(&story, |outage, allowed| {
        for image in outage.images(&mut chance, 6) {
            let result = survives(&image.into(), &story.states, allowed.clone(), &mut chance);
            sweep.tried(&format!("operation {}", outage.position()), result);
        }
    });
    sweep.end();
}

/// The start after a first crash is cut short by a second one.
fn second_outage(
    sweep: &mut Sweep,
    disk: &FaultyDisk,
    place: &str,
    states: &[Known],
    allowed: RangeInclusive<usize>,
    chance: &mut Chance,
) {
    let before = disk.recording().1.len();
    let (log, found) = match reopen(disk, states, allowed.clone(), chance) {
        Ok(opened) => opened,
        Err(failure) => return sweep.tried(place, Err(failure)),
    };
    // From here on, what was found may have been told to others.
    disk.mark(0);
    let more = vec![entry(log.known.next(), 5_000)];
    let with_more = [states[found].clone(), states[found].after(&more)];
    write(&log.writer, more);
    disk.mark(1);
    drop(log);
    let mut outage = Outage::of(disk);
    let (mut is_open, mut is_acked) = (false, false);
    while let Some(operation) = outage.step() {
        is_open |= matches!(operation, Operation::Mark(0));
        is_acked |= matches!(operation, Operation::Mark(1));
        if outage.position() <= before {
            continue;
        }
        let images = outage.images(chance, 1);
        let disk = FaultyDisk::from(images[chance.below(images.len())].clone());
        let result = match (is_open, is_acked) {
            (false, _) => reopen(&disk, states, allowed.clone(), chance),
            (true, false) => reopen(&disk, &with_more, 0..=1, chance),
            (true, true) => reopen(&disk, &with_more, 1..=1, chance),
        };
        sweep.tried(&format!("{place}, then {}", outage.position() - before), result.map(|_| ()));
    }
}

#[test]
fn a_killed_process_and_then_an_outage_lose_nothing_either() {
    let (mut sweep, mut chance) = Sweep::start("kill, outage");
    let story = life(&mut chance, 70);
    walk(&story, |outage, allowed| {
        let place = format!("killed at {}", outage.position());
        let disk = outage.killed();
        second_outage(&mut sweep, &disk, &place, &story.states, allowed, &mut chance);
    });
    sweep.end();
}

#[test]
fn two_outages_in_a_row_lose_nothing_either() {
    let (mut sweep, mut chance) = Sweep::start("outage, outage");
    let story = life(&mut chance, 70);
    walk(&story, |outage, allowed| {
        let place = format!("outage at {}", outage.position());
        let images = outage.images(&mut chance, 1);
        let disk = FaultyDisk::from(images[chance.below(images.len())].clone());
        second_outage(&mut sweep, &disk, &place, &story.states, allowed, &mut chance);
    });
    sweep.end();
}

#[test]
fn an_orderly_end_is_never_told_as_a_torn_one() {
    let mut chance = Chance::new(Chance::seed());
    let mut story = Story::begin(&mut chance);
    for index in 0..60 {
        story.write(vec![entry(index, 1 + chance.below(3000))]);
        if index % 3 == 2 {
            story.write(vec![Record::Purge(at(index - 1))]);
        }
        if index % 7 == 6 {
            story.restart(&mut chance);
        }
    }
    let names = story.disk.image().names();
    assert!(names.len() < 8, "segments are used again: {names:?}");
}
