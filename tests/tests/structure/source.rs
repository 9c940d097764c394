//! Rules for every file: how long it is, how it starts, what may be written in it.

use crate::tree::{File, assert_none, files, read, read_if_there, rust_files};

/// Lines a source file may have before its tests.
const FILE_LINES_MAX: usize = 600;
const ARCHITECTURE_LINES_MAX: usize = 200;

#[test]
fn files_are_short() {
    let length = |file: File| (file.product_lines().count(), file.path);
    let long = rust_files().into_iter().map(length).filter(|(lines, _)| *lines > FILE_LINES_MAX);
    let long = long.map(|(lines, path)| format!("{path}: {lines} lines")).collect();
    assert_none("files have at most 600 lines before their tests", long);
}

#[test]
fn files_say_what_they_are_for() {
    let silent = rust_files().into_iter().filter(|file| !file.text.starts_with("//!"));
    assert_none("files start with `//!`", silent.map(|file| file.path).collect());
}

#[test]
fn source_is_ascii() {
    let odd = rust_files().into_iter().filter_map(|file| {
        let line = (1..).zip(file.text.lines()).find(|(_, line)| !line.is_ascii())?.0;
        Some(format!("{}:{line}", file.path))
    });
    assert_none("source is ASCII", odd.collect());
}

#[test]
fn what_is_left_to_do_names_its_issue() {
    // Spelled in two parts, or it would be found here.
    let word = concat!("TO", "DO");
    let mut loose = Vec::new();
    for file in rust_files() {
        for (number, line) in (1..).zip(file.text.lines()) {
            let rests = line.match_indices(word).map(|(at, _)| &line[at + word.len()..]);
            loose.extend(
                rests.filter(|rest| !names_issue(rest)).map(|_| format!("{}:{number}", file.path)),
            );
        }
    }
    assert_none("it is written with the number of an issue, as in (#12), or not at all", loose);
}

fn names_issue(rest: &str) -> bool {
    let number = rest.strip_prefix("(#").and_then(|rest| rest.split_once(')'));
    number.is_some_and(|(digits, _)| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[test]
fn no_file_names_a_place_of_one_machine() {
    let places = [["/", "work/"].concat(), ["/", "home/"].concat()];
    let mut named = Vec::new();
    for file in files() {
        for (number, line) in (1..).zip(file.text.lines()) {
            let found = places.iter().any(|place| line.contains(place));
            named.extend(found.then(|| format!("{}:{number}: {line}", file.path)));
        }
    }
    assert_none("paths of one machine", named);
}

#[test]
fn the_architecture_is_told_on_few_pages() {
    let lines = read_if_there("ARCHITECTURE.md").map_or(0, |text| text.lines().count());
    assert!(lines <= ARCHITECTURE_LINES_MAX, "ARCHITECTURE.md has {lines} lines");
}

#[test]
fn every_limit_of_the_core_is_told() {
    let Some(told) = read_if_there("docs/limits.md") else { return };
    let limits = read("vault/core/src/limits.rs");
    let names =
        limits.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 5, "the limits are found");
    let missing = names.into_iter().filter(|name| !told.contains(name)).map(str::to_owned);
    assert_none("docs/limits.md leaves out", missing.collect());
}

/// The gate lets these tests, and no others, be skipped: each of them is a test, and has a reason.
#[test]
fn tests_that_may_be_skipped_are_tests_and_have_reasons() {
    let list = read("tests/skips.allowed");
    let all = rust_files();
    let is_test = |name: &str| all.iter().any(|file| file.text.contains(&format!("fn {name}()")));
    let mut wrong = Vec::new();
    let mut has_reason = false;
    for line in list.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("# ") {
            has_reason = true;
        } else {
            let is_fine = has_reason && (line == "runner" || is_test(line));
            wrong.extend((!is_fine).then(|| line.to_owned()));
            has_reason = false;
        }
    }
    assert_none("tests/skips.allowed", wrong);
}
