//! A text that is nowhere by chance, and the search for it in every form that it may have been given.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tests::processes::pids;
use tests::scratch::random_name;

/// Bytes compared at once: most of a log's file is zeros.
const BLOCK: usize = 4096;

/// A value to be searched for.
pub(crate) struct Marker {
    text: String,
    forms: Vec<Vec<u8>>,
}

impl Marker {
    /// A new one, unlike any other.
    pub(crate) fn new() -> Self {
        let text = format!("canary-{}{}", random_name(), random_name());
        Self { forms: forms_of(text.as_bytes()), text }
    }

    /// Bytes that somebody else made: a key, the secret of a token.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { forms: forms_of(bytes), text: String::from_utf8_lossy(bytes).into_owned() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// As it is, in hexadecimal, in base64 at each of the three places in a group.
    pub(crate) fn forms(&self) -> &[Vec<u8>] {
        &self.forms
    }

    /// Whether it is there in any form.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| contains(bytes, form))
    }
}

fn forms_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let lower: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![bytes.to_vec(), lower.to_uppercase().into_bytes(), lower.into_bytes()];
    for url in [false, true] {
        forms.extend((0..3).map(|shift| inner_base64(&bytes[shift..], url)));
    }
    forms
}

/// Whole groups of three bytes only: what stands before and behind does not change these.
fn inner_base64(bytes: &[u8], url: bool) -> Vec<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |six: usize| match (letters[six], url) {
        (b'+', true) => b'-',
        (b'/', true) => b'_',
        (letter, _) => letter,
    };
    let groups = bytes.chunks_exact(3).map(|group| {
        let bits = group.iter().fold(0, |bits, byte| (bits << 8) | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| letter((bits >> shift) & 63))
    });
    groups.flatten().collect()
}

fn contains(bytes: &[u8], form: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == form[0]) {
        if rest[at..].starts_with(form) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// The files below a folder in which a marker stands, and how many were searched.
pub(crate) fn files_with(markers: &[Marker], folder: &Path) -> (Vec<String>, usize) {
    let (mut found, mut searched) = (Vec::new(), 0);
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            let (below, more) = files_with(markers, &path);
            found.extend(below);
            searched += more;
        } else if kind.is_file() {
            // A file that was removed meanwhile is searched under its next name, or is gone.
            let bytes = without_empty_blocks(&fs::read(&path).unwrap_or_default());
            searched += 1;
            let is_there = markers.iter().any(|marker| marker.is_in(&bytes));
            found.extend(is_there.then(|| path.display().to_string()));
        }
    }
    (found, searched)
}

/// Leaves out blocks of zeros. No marker starts or ends with so many, so none is torn apart by this.
fn without_empty_blocks(bytes: &[u8]) -> Vec<u8> {
    let zeros = [0; BLOCK];
    let mut kept = Vec::new();
    for block in bytes.chunks(BLOCK) {
        if block != &zeros[..block.len()] {
            kept.extend_from_slice(block);
        }
    }
    kept
}

/// The arguments and environments of processes in which a marker stands, as far as this user may look.
pub(crate) fn processes_with(markers: &[Marker]) -> Vec<String> {
    let files = pids()
        .into_iter()
        .flat_map(|pid| ["cmdline", "environ"].map(|name| format!("/proc/{pid}/{name}")));
    let holds = |file: &String| {
        let bytes = fs::read(file).unwrap_or_default();
        markers.iter().any(|marker| marker.is_in(&bytes))
    };
    files.filter(holds).collect()
}

/// Looks at all processes again and again, until it is told that it is over.
pub(crate) fn watch_processes(markers: &[Marker], is_over: &AtomicBool) -> Vec<String> {
    let mut found = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        found.extend(processes_with(markers));
    }
    found
}
