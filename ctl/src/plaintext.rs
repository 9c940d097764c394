//! A secret's value on its way in: from a file or standard input into one buffer that is wiped.
//!
//! It is never taken from the command line and never shown.

use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use zeroize::Zeroizing;

use crate::human::os_error;
use crate::limits::READ_BYTES_MAX;
use crate::limits::SECRET_BYTES_MAX;
use crate::prompt;
use crate::prompt::PromptError;

/// The bytes of a secret. Has no Debug, Clone or PartialEq, on purpose.
pub(crate) struct Plaintext(Zeroizing<Vec<u8>>);

/// Why there is no value to send.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("secret file is required")]
    FileMissing,
    #[error("error reading from {file}: open {file}: {reason}")]
    Open { file: String, reason: String },
    #[error("error reading from {file}: read {file}: {reason}")]
    Read { file: String, reason: String },
    #[error("error reading from {0}: data is empty")]
    Empty(String),
    #[error("secret data must be larger than 0 and less than {} bytes", SECRET_BYTES_MAX + 1)]
    TooLarge,
    #[error(transparent)]
    Prompt(#[from] PromptError),
}

impl Plaintext {
    /// Reads the value from where the user said: a file, `-`, or the terminal if nothing was said.
    pub(crate) fn obtain(secret: &str, file: Option<&Path>) -> Result<Self, ReadError> {
        match file {
            Some(path) if path == Path::new("-") => Self::read("STDIN", stdin),
            Some(path) => Self::read(&path.display().to_string(), || File::open(path)),
            None if io::stdin().is_terminal() => {
                Self::sized("the terminal", prompt::ask_twice(secret)?)
            }
            None => Err(ReadError::FileMissing),
        }
    }

    fn read(name: &str, open: impl FnOnce() -> io::Result<File>) -> Result<Self, ReadError> {
        let file = name.to_owned();
        let source = match open() {
            Ok(source) => source,
            Err(error) => return Err(ReadError::Open { file, reason: os_error(&error) }),
        };
        match read_bounded(source) {
            Ok(bytes) => Self::sized(name, bytes),
            Err(error) => Err(ReadError::Read { file, reason: os_error(&error) }),
        }
    }

    fn sized(name: &str, bytes: Zeroizing<Vec<u8>>) -> Result<Self, ReadError> {
        match bytes.len() {
            0 => Err(ReadError::Empty(name.to_owned())),
            length if length > SECRET_BYTES_MAX => Err(ReadError::TooLarge),
            _ => Ok(Self(bytes)),
        }
    }

    /// The buffer itself, for the one request that carries it and wipes it.
    pub(crate) fn danger_into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.0)
    }

    /// A harmless value for a demonstration.
    pub(crate) fn sample(text: &str) -> Self {
        Self(Zeroizing::new(text.as_bytes().to_vec()))
    }
}

/// Standard input without the buffer of the standard library, which nobody would wipe.
fn stdin() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// The buffer has its full size from the start: growing would leave copies behind.
fn read_bounded(mut source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; READ_BYTES_MAX]);
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::fmt::Display;

    use static_assertions::assert_not_impl_any;

    use super::*;

    assert_not_impl_any!(Plaintext: Debug, Display, Clone, PartialEq);

    #[test]
    fn a_value_has_one_byte_at_least_and_the_limit_at_most() {
        for (length, expected) in [
            (0, Err(ReadError::Empty("F".to_owned()))),
            (1, Ok(1)),
            (SECRET_BYTES_MAX, Ok(SECRET_BYTES_MAX)),
            (SECRET_BYTES_MAX + 1, Err(ReadError::TooLarge)),
        ] {
            let bytes = read_bounded(io::repeat(7).take(u64::try_from(length).unwrap())).unwrap();
            let sized = Plaintext::sized("F", bytes).map(|value| value.danger_into_bytes().len());
            assert_eq!(sized, expected, "{length} bytes");
        }
    }

    #[test]
    fn an_endless_source_is_read_no_further_than_twice_the_limit() {
        assert_eq!(read_bounded(io::repeat(7)).unwrap().len(), READ_BYTES_MAX);
    }

    #[test]
    fn the_limit_is_named() {
        let expected = "secret data must be larger than 0 and less than 512000 bytes";
        assert_eq!(ReadError::TooLarge.to_string(), expected);
    }
}
