//! Calls that fail or hang: nothing is acknowledged that is not stored, everybody who waits is told, and
//! the next start finds a log.

use std::sync::mpsc::TryRecvError;
use std::time::Instant;

use rustix::io::Errno;
use tests::disk::chance::Chance;
use tests::disk::power::Outage;
use tests::disk::{Call, Failure, FaultyDisk};
use vault::disk::log::{LogError, Record};

use crate::model::{Known, at, entry, open, submit, vote, write};

fn failure(call: Call, after: usize, errno: Errno) -> Failure {
    Failure { call, after, errno, for_ever: false }
}

#[test]
fn a_flush_that_fails_once_ends_the_log_for_all_who_wait_and_all_who_come() {
    let mut chance = Chance::new(Chance::seed());
    let disk = FaultyDisk::default();
    let log = open(&disk, &mut chance).unwrap();
    write(&log.writer, vec![entry(0, 10)]);
    disk.hang(true);
    let first = submit(&log.writer, vec![entry(1, 10)]);
    disk.wait_for_hanging_flush();
    let waiting: Vec<_> = (2..5).map(|at| submit(&log.writer, vec![entry(at, 10)])).collect();
    disk.fail(failure(Call::Flush, 0, Errno::IO));
    disk.hang(false);
    let later = submit(&log.writer, vec![entry(5, 10)]);
    for answer in std::iter::once(first).chain(waiting).chain([later]) {
        let answer = answer.recv().expect("every submission is answered");
        assert!(answer.is_err(), "acknowledged after a flush had failed");
    }
    assert_eq!(log.faults.recv().unwrap().to_string(), "log: flushing 0000000000000001.seg failed");
    let after = submit(&log.writer, vec![entry(6, 10)]);
    assert!(after.recv().expect("every submission is answered").is_err());
    drop(log.writer);
    assert!(log.faults.recv().is_err(), "the fault was told twice");
}

/// The cache still shows what the disk never got: the next start must not count it as stored.
#[test]
fn what_a_failed_flush_left_readable_is_stored_before_it_counts() {
    let mut chance = Chance::new(Chance::seed());
    let disk = FaultyDisk::default();
    let log = open(&disk, &mut chance).unwrap();
    write(&log.writer, vec![entry(0, 10)]);
    disk.fail(failure(Call::Flush, 0, Errno::IO));
    let refused = submit(&log.writer, vec![entry(1, 5000)]);
    assert!(refused.recv().expect("every submission is answered").is_err());
    drop(log);
    let again = open(&disk, &mut chance).unwrap();
    let found = again.known.clone();
    write(&again.writer, vec![vote(3)]);
    drop(again);
    let mut outage = Outage::of(&disk);
    while outage.step().is_some() {}
    let lost = FaultyDisk::from(outage.image(&[]));
    let after = open(&lost, &mut chance).unwrap();
    assert_eq!(after.known, found.after(&[vote(3)]));
}

#[test]
fn nothing_is_acknowledged_while_a_flush_hangs() {
    let mut chance = Chance::new(Chance::seed());
    let disk = FaultyDisk::default();
    let log = open(&disk, &mut chance).unwrap();
    disk.hang(true);
    let first = submit(&log.writer, vec![entry(0, 10)]);
    disk.wait_for_hanging_flush();
    let second = submit(&log.writer, vec![entry(1, 10)]);
    for answer in [&first, &second] {
        assert_eq!(answer.try_recv().err(), Some(TryRecvError::Empty));
    }
    disk.hang(false);
    for answer in [first, second] {
        answer.recv().expect("every submission is answered").unwrap();
    }
}

/// A life in which segments are filled, released and used again; every submission with what holds then.
fn submissions() -> Vec<Vec<Record>> {
    let mut all = vec![vec![vote(1)]];
    for index in 0..24 {
        all.push(vec![entry(index, 3000)]);
        if index % 8 == 7 {
            all.push(vec![Record::Purge(at(index - 2)), vote(index)]);
        }
    }
    all
}

/// How a life went with a failure in it.
struct Outcome {
    acknowledged: usize,
    handed_over: usize,
}

/// Lives until a submission fails. Nothing may be acknowledged after that.
fn live(disk: &FaultyDisk, chance: &mut Chance, place: &str) -> Outcome {
    let mut outcome = Outcome { acknowledged: 0, handed_over: 0 };
    let log = match open(disk, chance) {
        Ok(log) => log,
        Err(LogError::Io { .. }) => return outcome,
        Err(other) => panic!("{place}: {other}"),
    };
    let mut has_failed = false;
    for records in submissions() {
        let answer = submit(&log.writer, records);
        let answer = answer.recv().unwrap_or_else(|_| panic!("{place}: no answer"));
        assert!(!(has_failed && answer.is_ok()), "{place}: acknowledged after a failure");
        has_failed |= answer.is_err();
        outcome.handed_over +=
            usize::from(!has_failed || outcome.handed_over == outcome.acknowledged);
        outcome.acknowledged += usize::from(answer.is_ok());
    }
    drop(log.writer);
    let told = log.faults.try_iter().count();
    assert!(told <= 1 && (told == 1 || !has_failed), "{place}: told of {told} faults");
    outcome
}

#[test]
fn every_call_may_fail_once_or_for_ever_and_the_next_start_finds_all_that_was_acknowledged() {
    let (mut chance, started) = (Chance::new(Chance::seed()), Instant::now());
    let mut states = vec![Known::default()];
    for records in submissions() {
        states.push(states[states.len() - 1].after(&records));
    }
    let calls =
        [Call::Create, Call::Write, Call::Flush, Call::Rename, Call::Remove, Call::FlushNames];
    let kinds = calls.into_iter().flat_map(|call| {
        [(Errno::IO, false), (Errno::NOSPC, true)].map(|(errno, for_ever)| Failure {
            call,
            after: 0,
            errno,
            for_ever,
        })
    });
    let lives: usize = kinds.map(|kind| lives_with(kind, &states, &mut chance)).sum();
    println!("{lives} lives with a failure in {:?}", started.elapsed());
}

/// Lets every call of a kind fail, one in each life, until a life has no more of them.
fn lives_with(kind: Failure, states: &[Known], chance: &mut Chance) -> usize {
    for after in 0.. {
        let disk = FaultyDisk::default();
        disk.fail(Failure { after, ..kind });
        let place = format!("{kind:?} after {after}");
        let outcome = live(&disk, chance, &place);
        let allowed = outcome.acknowledged..=outcome.handed_over;
        comes_back(&disk, &states[allowed], chance, &place);
        if outcome.acknowledged + 1 == states.len() {
            return after + 1;
        }
    }
    unreachable!("a life has an end")
}

/// Both a new process and one after an outage find one of these states, and go on with it.
fn comes_back(disk: &FaultyDisk, states: &[Known], chance: &mut Chance, place: &str) {
    let mut outage = Outage::of(disk);
    while outage.step().is_some() {}
    let images = outage.images(chance, 1);
    let after_outage = images[chance.below(images.len())].clone();
    for image in [disk.image(), after_outage] {
        let log = open(&image.into(), chance).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert!(states.contains(&log.known), "{place}: {}", log.known.brief());
        write(&log.writer, vec![entry(log.known.next(), 9000)]);
    }
}

#[test]
fn a_log_that_is_purged_at_any_time_never_lacks_a_file_for_its_next_segment() {
    let mut chance = Chance::new(Chance::seed());
    for life in 0..20 {
        let disk = FaultyDisk::default();
        let log = open(&disk, &mut chance).unwrap();
        for index in 0..100 {
            let answer = submit(&log.writer, vec![entry(index, chance.below(6000))]);
            let answer = answer.recv().expect("every submission is answered");
            assert!(answer.is_ok(), "life {life}: {}", log.faults.recv().unwrap());
            if chance.below(6) == 0 {
                let upto = index.saturating_sub(chance.number() % 12);
                write(&log.writer, vec![Record::Purge(at(upto))]);
            }
        }
    }
}
