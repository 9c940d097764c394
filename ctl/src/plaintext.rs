//! A value on its way in: from a file, standard input or a prompt into one buffer that is wiped.
//!
//! It is never taken from the command line. A config's value is no secret, but goes the same way.

use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use zeroize::Zeroizing;

use crate::human::os_error;
use crate::limits::READ_LIMITS;
use crate::objects::Class;
use crate::prompt;
use crate::prompt::PromptError;

/// The bytes of a value. Has no Debug, Clone or PartialEq, on purpose.
pub(crate) struct Plaintext(Zeroizing<Vec<u8>>);

/// Why there is no value to send. The texts are Docker's where it has one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{0} file is required")]
    FileMissing(Class),
    #[error("error reading from {file}: open {file}: {reason}")]
    Open { file: String, reason: String },
    #[error("error reading from {file}: read {file}: {reason}")]
    Read { file: String, reason: String },
    #[error("error reading from {0}: data is empty")]
    Empty(String),
    #[error("Error reading content from \"{file}\": {error}")]
    Config { file: String, error: Box<Self> },
    #[error("{0} data must be larger than 0 and less than {end} bytes", end = .0.value_bytes_max() + 1)]
    TooLarge(Class),
    #[error(transparent)]
    Prompt(#[from] PromptError),
}

impl Plaintext {
    /// Reads the value from where the user said: a file or `-`. If nothing was said, a secret is
    /// asked for on the terminal.
    pub(crate) fn obtain(class: Class, name: &str, file: Option<&Path>) -> Result<Self, ReadError> {
        let Some(path) = file else {
            return match class {
                Class::Secret if io::stdin().is_terminal() => {
                    Self::sized(class, "the terminal", prompt::ask_twice(name)?)
                }
                Class::Secret | Class::Config => Err(ReadError::FileMissing(class)),
            };
        };
        let shown = path.display().to_string();
        let value = if path == Path::new("-") {
            Self::read(class, "STDIN", stdin)
        } else {
            Self::read(class, &shown, || File::open(path))
        };
        value.map_err(|error| match (class, &error) {
            (Class::Secret, _) | (_, ReadError::TooLarge(_)) => error,
            (Class::Config, _) => ReadError::Config { file: shown, error: Box::new(error) },
        })
    }

    fn read(
        class: Class,
        name: &str,
        open: impl FnOnce() -> io::Result<File>,
    ) -> Result<Self, ReadError> {
        let file = name.to_owned();
        let source = match open() {
            Ok(source) => source,
            Err(error) => return Err(ReadError::Open { file, reason: os_error(&error) }),
        };
        // Most files have the size that they say, and one byte more shows that they end there.
        let said = source.metadata().map_or(0, |found| found.len().saturating_add(1));
        let bytes_max = READ_LIMITS * (class.value_bytes_max() + 1);
        match read_bounded(source, usize::try_from(said).unwrap_or(usize::MAX), bytes_max) {
            Ok(bytes) => Self::sized(class, name, bytes),
            Err(error) => Err(ReadError::Read { file, reason: os_error(&error) }),
        }
    }

    fn sized(class: Class, name: &str, bytes: Zeroizing<Vec<u8>>) -> Result<Self, ReadError> {
        match bytes.len() {
            0 => Err(ReadError::Empty(name.to_owned())),
            length if length > class.value_bytes_max() => Err(ReadError::TooLarge(class)),
            _ => Ok(Self(bytes)),
        }
    }

    /// How long the value is.
    pub(crate) fn size_bytes(&self) -> usize {
        self.0.len()
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

/// Reads so much at most. A buffer that was made too small is wiped, not grown: growing would leave
/// copies behind.
fn read_bounded(
    mut source: impl Read,
    said: usize,
    bytes_max: usize,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; said.min(bytes_max)]);
    let mut filled = fill(&mut source, &mut buffer)?;
    if filled == buffer.len() && filled < bytes_max {
        let mut larger = Zeroizing::new(vec![0; bytes_max]);
        let (start, rest) = larger.split_at_mut(filled);
        start.copy_from_slice(&buffer);
        filled += fill(&mut source, rest)?;
        buffer = larger;
    }
    buffer.truncate(filled);
    Ok(buffer)
}

/// Reads until the end or until the buffer is full, and says how much came.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::fmt::Display;

    use static_assertions::assert_not_impl_any;

    use super::*;

    assert_not_impl_any!(Plaintext: Debug, Display, Clone, PartialEq);

    fn source(length: usize) -> impl Read {
        io::repeat(7).take(u64::try_from(length).unwrap())
    }

    #[test]
    fn a_value_has_one_byte_at_least_and_the_limit_at_most() {
        for class in [Class::Secret, Class::Config] {
            let limit = class.value_bytes_max();
            for (length, expected) in [
                (0, Err(ReadError::Empty("F".to_owned()))),
                (1, Ok(1)),
                (limit, Ok(limit)),
                (limit + 1, Err(ReadError::TooLarge(class))),
            ] {
                let bytes = read_bounded(source(length), 0, 2 * limit).unwrap();
                let sized = Plaintext::sized(class, "F", bytes);
                let sized = sized.map(|value| value.danger_into_bytes().len());
                assert_eq!(sized, expected, "{length} bytes of a {class}");
            }
        }
    }

    #[test]
    fn a_file_is_read_whole_whatever_size_it_says() {
        for (length, said) in [(0, 0), (0, 1), (5, 0), (5, 3), (5, 5), (5, 6), (5, 100), (9, 10)] {
            let read = read_bounded(source(length), said, 10).unwrap();
            assert_eq!(read.len(), length, "{length} bytes that say {said}");
            assert!(read.iter().all(|byte| *byte == 7), "{length} bytes that say {said}");
        }
    }

    #[test]
    fn an_endless_source_is_read_no_further_than_the_bound() {
        for said in [0, 3, 10, usize::MAX] {
            assert_eq!(read_bounded(io::repeat(7), said, 10).unwrap().len(), 10, "said {said}");
        }
    }

    #[test]
    fn the_limit_is_named() {
        for (class, expected) in [
            (Class::Secret, "secret data must be larger than 0 and less than 512000 bytes"),
            (Class::Config, "config data must be larger than 0 and less than 1024000 bytes"),
        ] {
            assert_eq!(ReadError::TooLarge(class).to_string(), expected);
        }
    }
}
