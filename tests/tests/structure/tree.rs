//! The source tree, as the rules see it.

use std::fs;
use std::path::{Path, PathBuf};

use tests::binaries::source_tree;

/// Folders at the top, no others: code has its place in one of them.
pub(crate) const FOLDERS: &[&str] =
    &[".cargo", ".ci", ".git", "ctl", "docs", "fusefs", "pki", "proto", "target", "tests", "vault"];

/// A file of the tree: its path from the root, with `/`, and what it holds.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Whether it stands at one of these places: a file, or a folder with its closing `/`.
    pub(crate) fn is_at(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            if place.ends_with('/') { self.path.starts_with(place) } else { self.path == *place }
        })
    }

    /// Whether all of it is tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.split('/').any(|part| part == "tests")
    }

    /// The lines before its `mod tests`, with their numbers. Tests stand last in a file.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = (1..).zip(self.text.lines());
        lines.take_while(|(_, line)| !line.starts_with("mod tests"))
    }

    /// All lines but comments, with their numbers.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// The text of a file that has to be there.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(source_tree().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text of a file, if it is there.
pub(crate) fn read_if_there(path: &str) -> Option<String> {
    fs::read_to_string(source_tree().join(path)).ok()
}

/// All Rust files.
pub(crate) fn rust_files() -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

/// All files of text, but for what cargo and git keep.
pub(crate) fn files() -> Vec<File> {
    let mut files = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(source_tree().join(&folder)).unwrap().flatten() {
            let path = folder.join(entry.file_name());
            if source_tree().join(&path).is_dir() {
                open.extend(is_source(&path).then_some(path));
            } else if let Ok(text) = fs::read_to_string(source_tree().join(&path)) {
                files.push(File { path: path.to_str().unwrap().to_owned(), text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn is_source(folder: &Path) -> bool {
    let is_built = folder.iter().any(|name| name == "target");
    !is_built && folder.iter().next().is_none_or(|top| top != ".git")
}

/// Whether a word stands in a line by itself, not as a part of another one.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_inner = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, behind) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(is_inner) && !behind.starts_with(is_inner)
    })
}

/// Reports all findings of a rule at once.
#[track_caller]
pub(crate) fn assert_none(rule: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}
