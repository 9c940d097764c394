//! Rules about `docs/attacks.md`: the tests that it names exist, and say by their names which cases they show.

use std::collections::BTreeSet;

use crate::tree::{assert_none, read, rust_files};

/// A case of the list, as names of tests have it: `37`, `c5`.
type Number = String;

/// A row of the list: its cases, if it has numbers, and the names of tests in it.
struct Row {
    cases: Vec<Number>,
    tests: Vec<String>,
}

#[test]
fn every_test_that_the_list_of_attacks_names_exists() {
    let known = test_names();
    let named = rows().into_iter().flat_map(|row| row.tests);
    assert_none(
        "tests in docs/attacks.md that are not there",
        named.filter(|name| !known.contains(name)).collect(),
    );
}

#[test]
fn tests_say_the_numbers_of_the_cases_that_they_show() {
    let rows = rows().into_iter().filter(|row| !row.cases.is_empty());
    let silent = rows.flat_map(|row| {
        let tests = row
            .tests
            .into_iter()
            .filter(|name| !row.cases.iter().any(|case| cases_of(name).contains(case)));
        tests.collect::<Vec<_>>()
    });
    assert_none("tests in docs/attacks.md without the number of their case", silent.collect());
}

#[test]
fn tests_that_say_a_number_stand_in_the_list_of_attacks() {
    let listed: BTreeSet<String> = rows().into_iter().flat_map(|row| row.tests).collect();
    let numbered = test_names().into_iter().filter(|name| !cases_of(name).is_empty());
    assert_none(
        "tests with a number that docs/attacks.md does not name",
        numbered.filter(|name| !listed.contains(name)).collect(),
    );
}

fn rows() -> Vec<Row> {
    let text = read("docs/attacks.md");
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    cells.map(|(first, rest)| Row { cases: numbers(first), tests: quoted(rest) }).collect()
}

/// `22, 50`, `C5 to C8`, `35a`.
fn numbers(cell: &str) -> Vec<Number> {
    let parts = cell.split(", ").flat_map(|part| {
        let (kind, part) = part.strip_prefix('C').map_or(("", part), |part| ("c", part));
        let (first, last) = part.split_once(" to C").unwrap_or((part, part));
        let number = |text: &str| text.trim_end_matches('a').parse::<u32>().ok();
        let (first, last) = number(first).zip(number(last)).unwrap_or((1, 0));
        (first..=last).map(move |number| format!("{kind}{number}"))
    });
    parts.collect()
}

/// What stands between grave accents and is as long as a test's name.
fn quoted(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let names = quoted.filter(|name| {
        let is_name =
            name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        is_name && name.matches('_').count() > 1
    });
    names.map(str::to_owned).collect()
}

/// The cases in a test's name: `case_22_c5_silent_connections`.
fn cases_of(name: &str) -> Vec<Number> {
    let words = name.strip_prefix("case_").into_iter().flat_map(|rest| rest.split('_'));
    let is_number = |word: &&str| {
        let digits = word.strip_prefix('c').unwrap_or(word);
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
    };
    words.take_while(is_number).map(str::to_owned).collect()
}

/// The functions of all Rust files, tests among them.
fn test_names() -> BTreeSet<String> {
    let files = rust_files();
    let lines = files.iter().flat_map(|file| file.text.lines());
    let names = lines.filter_map(|line| {
        let (_, rest) = line.split_once("fn ")?;
        Some(rest.split_once(['(', '<'])?.0.to_owned())
    });
    names.collect()
}
