//! The checkers, on histories that are right and on such that are not.

use super::history::{Answer, Call, What};
use super::order::violations;
use super::wgl::{Verdict, judge};

fn write(start: u64, end: u64, value: u64, version: u32, index: u64) -> Call {
    let answer = Some(Answer { version, index });
    Call { client: 0, manager: 0, key: 0, start, end, what: What::Write { value, answer } }
}

fn lost(start: u64, value: u64) -> Call {
    let what = What::Write { value, answer: None };
    Call { client: 1, manager: 0, key: 0, start, end: u64::MAX, what }
}

fn read(start: u64, end: u64, value: u64, version: u32, index: u64) -> Call {
    let what = What::Read { value, answer: Answer { version, index } };
    Call { client: 2, manager: 0, key: 0, start, end, what }
}

fn is_right(calls: &[Call]) {
    assert_eq!(violations(calls), Vec::<String>::new());
    assert_eq!(judge(calls), Verdict::Linearizable);
}

/// Both find it, or only the one that looks at versions.
fn is_wrong(calls: &[Call], word: &str, is_seen_without_versions: bool) {
    let found = violations(calls);
    assert!(found.iter().any(|one| one.contains(word)), "{word:?} is wanted: {found:?}");
    assert_eq!(judge(calls) == Verdict::NotLinearizable, is_seen_without_versions);
}

#[test]
fn right_histories_are_right() {
    let first = write(0, 10, 1, 1, 5);
    is_right(&[first, read(20, 30, 1, 1, 6)]);
    // Two at a time, in the order that the versions say; a read that saw either.
    is_right(&[first, write(20, 90, 2, 3, 9), write(20, 80, 3, 2, 8), read(30, 70, 3, 2, 8)]);
    // Of unknown outcome: never seen, or seen late.
    is_right(&[first, lost(20, 2), read(30, 40, 1, 1, 6)]);
    is_right(&[first, lost(20, 2), read(30, 40, 1, 1, 6), read(50, 60, 2, 2, 9)]);
    is_right(&[first, lost(20, 2), lost(21, 4), write(30, 40, 3, 3, 9), read(50, 60, 3, 3, 9)]);
}

#[test]
fn a_stale_read_is_found() {
    let first = write(0, 10, 1, 1, 5);
    is_wrong(&[first, write(20, 30, 2, 2, 7), read(40, 50, 1, 1, 6)], "stale", true);
    // Also if its index pretends to be new.
    is_wrong(&[first, write(20, 30, 2, 2, 7), read(40, 50, 1, 1, 9)], "old version", true);
    // A newer read before an older one.
    let two = write(20, 90, 2, 2, 7);
    is_wrong(&[first, two, read(30, 40, 2, 2, 7), read(50, 60, 1, 1, 7)], "old version", true);
}

#[test]
fn a_lost_write_is_found() {
    let calls = [write(0, 10, 1, 1, 5), write(20, 30, 2, 2, 7), read(40, 50, 1, 1, 8)];
    is_wrong(&calls, "old version", true);
    // Overwritten by one that took its number.
    let calls = [write(0, 10, 1, 1, 5), write(20, 30, 2, 2, 7), write(40, 50, 3, 2, 9)];
    is_wrong(&calls, "version 2 of key 0 is 2 and 3", false);
}

#[test]
fn a_doubled_version_is_found() {
    let calls = [write(0, 10, 1, 1, 5), write(20, 30, 2, 2, 7), read(40, 50, 2, 3, 8)];
    is_wrong(&calls, "doubled", false);
}

#[test]
fn a_skipped_version_is_found() {
    let calls = [write(0, 10, 1, 1, 5), write(20, 30, 2, 3, 7)];
    is_wrong(&calls, "versions that nobody wrote", false);
}

#[test]
fn a_value_out_of_nowhere_is_found() {
    let calls = [write(0, 10, 1, 1, 5), read(20, 30, 7, 2, 7)];
    is_wrong(&calls, "nobody wrote 7", true);
    let calls = [write(0, 10, 1, 1, 5), read(20, 30, 2, 2, 7), write(40, 50, 2, 2, 7)];
    is_wrong(&calls, "read before it was written", true);
}
