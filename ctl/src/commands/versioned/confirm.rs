//! Asks before something is gone for good.

use std::io;
use std::io::BufRead;
use std::io::IsTerminal;

use super::VersionedError;
use crate::limits::ANSWER_BYTES_MAX;
use crate::out;

/// Asks on the terminal. Without one nobody can answer, and that is a no.
pub(crate) fn ask(question: &str) -> Result<(), VersionedError> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(VersionedError::NobodyToAsk);
    }
    out::prompt(&format!("{question} [y/N] "));
    if is_yes(stdin.lock()) { Ok(()) } else { Err(VersionedError::Cancelled) }
}

fn is_yes(answer: impl BufRead) -> bool {
    let mut line = String::new();
    let read = answer.take(ANSWER_BYTES_MAX).read_line(&mut line);
    read.is_ok() && ["y", "yes"].contains(&line.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        for (answer, expected) in [
            ("y\n", true),
            ("Y\n", true),
            (" yes \n", true),
            ("y", true),
            ("", false),
            ("\n", false),
            ("n\n", false),
            ("yess\n", false),
            ("\ny\n", false),
        ] {
            assert_eq!(is_yes(answer.as_bytes()), expected, "{answer:?}");
        }
        assert!(!is_yes([b'y', 0xff, b'\n'].as_slice()));
    }
}
