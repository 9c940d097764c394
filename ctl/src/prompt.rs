//! Asks for a secret on the terminal without showing it, and puts the terminal back as it was.

use std::io;
use std::io::Read;
use std::io::Stdin;

use rustix::termios::LocalModes;
use rustix::termios::OptionalActions;
use rustix::termios::Termios;
use rustix::termios::tcgetattr;
use rustix::termios::tcsetattr;
use zeroize::Zeroize;
use zeroize::Zeroizing;

use crate::limits::PROMPT_BYTES_MAX;
use crate::out;

/// Why nothing usable was typed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PromptError {
    #[error("interrupted; nothing was changed")]
    Interrupted,
    #[error("the two values differ; nothing was changed")]
    Different,
    #[error("a typed value has at most {PROMPT_BYTES_MAX} bytes; give a file instead")]
    TooLong,
    #[error("cannot read from the terminal: {0}; give a file, or '-' for standard input")]
    Terminal(String),
}

/// Asks twice: a stored value cannot be read back, so a slip of the finger would go unseen.
pub(crate) fn ask_twice(secret: &str) -> Result<Zeroizing<Vec<u8>>, PromptError> {
    let quiet = QuietTerminal::enter()?;
    let first = ask(&quiet, &format!("Value of secret {secret} (not shown): "))?;
    if first.is_empty() {
        return Ok(first);
    }
    let second = ask(&quiet, "The same value again: ")?;
    if first == second { Ok(first) } else { Err(PromptError::Different) }
}

/// Asks once, for what is checked by whoever gets it.
pub(crate) fn ask_once(text: &str) -> Result<Zeroizing<Vec<u8>>, PromptError> {
    ask(&QuietTerminal::enter()?, text)
}

/// Asks for the passphrase of a new backup, twice: what a slip of the finger sealed, nobody opens.
pub(crate) fn ask_passphrase_twice() -> Result<Zeroizing<Vec<u8>>, PromptError> {
    let quiet = QuietTerminal::enter()?;
    let first = ask(&quiet, "Passphrase of the backup (not shown): ")?;
    if first.is_empty() {
        return Ok(first);
    }
    let second = ask(&quiet, "The same passphrase again: ")?;
    if first == second { Ok(first) } else { Err(PromptError::Different) }
}

/// Asks for the passphrase that a backup was sealed under.
pub(crate) fn ask_passphrase() -> Result<Zeroizing<Vec<u8>>, PromptError> {
    ask(&QuietTerminal::enter()?, "Passphrase of the backup (not shown): ")
}

fn ask(quiet: &QuietTerminal, text: &str) -> Result<Zeroizing<Vec<u8>>, PromptError> {
    out::prompt(text);
    let line = read_line(Keys(&quiet.stdin));
    out::prompt("\n");
    line
}

/// Standard input past the buffer of the standard library, which nobody would wipe.
struct Keys<'a>(&'a Stdin);

impl Read for Keys<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, buffer)?)
    }
}

/// A terminal that neither echoes nor acts on keys: what Ctrl-C means is decided here,
/// or it would end the program with the echo still off.
struct QuietTerminal {
    stdin: Stdin,
    before: Termios,
}

impl QuietTerminal {
    fn enter() -> Result<Self, PromptError> {
        let stdin = io::stdin();
        let terminal = |error: rustix::io::Errno| PromptError::Terminal(error.to_string());
        let before = tcgetattr(&stdin).map_err(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(&stdin, OptionalActions::Flush, &quiet).map_err(terminal)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for QuietTerminal {
    /// Also forgets what was typed ahead: the rest of a paste is not the shell's to run.
    fn drop(&mut self) {
        tcsetattr(&self.stdin, OptionalActions::Flush, &self.before).ok();
    }
}

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const CTRL_U: u8 = 21;
const BACKSPACE: u8 = 8;
const DELETE: u8 = 127;

/// One line without its end. The buffer never grows: growing would leave copies behind.
fn read_line(mut keys: impl Read) -> Result<Zeroizing<Vec<u8>>, PromptError> {
    let mut line = Zeroizing::new(Vec::with_capacity(PROMPT_BYTES_MAX));
    let mut key = Zeroizing::new([0]);
    loop {
        let count = match keys.read(&mut key[..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(PromptError::Terminal(error.to_string())),
            Ok(count) => count,
        };
        match key[0] {
            _ if count == 0 => return Ok(line),
            b'\r' | b'\n' | CTRL_D => return Ok(line),
            CTRL_C => return Err(PromptError::Interrupted),
            CTRL_U => line.zeroize(),
            BACKSPACE | DELETE => erase_letter(&mut line),
            _ if line.len() == PROMPT_BYTES_MAX => return Err(PromptError::TooLong),
            byte => line.push(byte),
        }
    }
}

/// Takes back a whole letter of UTF-8, not only its last byte.
fn erase_letter(line: &mut Vec<u8>) {
    let is_continuation = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    while line.pop().is_some_and(is_continuation) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_is_left_after_editing() {
        for (typed, expected) in [
            (&b"abc\nrest"[..], Ok(&b"abc"[..])),
            (b"abc\r", Ok(b"abc")),
            (b"abc", Ok(b"abc")),
            (b"ab\x04c", Ok(b"ab")),
            (b"\n", Ok(b"")),
            (b"abx\x7fc\n", Ok(b"abc")),
            (b"a\xc3\xa4\x08b\n", Ok(b"ab")),
            (b"\x7f\x7fa\n", Ok(b"a")),
            (b"wrong\x15right\n", Ok(b"right")),
            (b"ab\x03c\n", Err(PromptError::Interrupted)),
        ] {
            let line = read_line(typed);
            let bytes = line.as_ref().map(|line| line.as_slice());
            assert_eq!(bytes, expected.as_ref().map(|line| *line), "typed {typed:?}");
        }
    }

    #[test]
    fn a_line_past_the_limit_is_refused() {
        let limit = u64::try_from(PROMPT_BYTES_MAX).unwrap();
        let line = read_line(io::repeat(b'x').take(limit)).unwrap();
        assert_eq!(line.len(), PROMPT_BYTES_MAX);
        assert_eq!(read_line(io::repeat(b'x')).err(), Some(PromptError::TooLong));
    }
}
