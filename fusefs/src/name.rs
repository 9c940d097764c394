//! The checked words of a tree: the identity of a subtree and the name of a file.
//!
//! Nothing here knows what a name stands for.

use std::borrow::Borrow;

/// The longest file name, in bytes: what the kernel can look up.
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// The identity of one task's subtree. It is a random number, so that nobody can name another
/// task's subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubtreeId(u64);

impl SubtreeId {
    /// Takes eight bytes of fresh randomness.
    pub fn from_random(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// The number itself, for records.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The name of the subtree's directory below the hidden root.
    pub(crate) fn segment(self) -> String {
        format!("{:016x}", self.0)
    }

    /// The subtree that a name below the hidden root stands for.
    pub(crate) fn of_segment(segment: &[u8]) -> Option<Self> {
        let text = str::from_utf8(segment).ok().filter(|text| text.len() == 16)?;
        let id = Self(u64::from_str_radix(text, 16).ok()?);
        // One spelling only: upper case and signs would be other names for the same thing.
        (id.segment() == text).then_some(id)
    }
}

/// Why a text is no file name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// No name at all.
    #[error("file name is empty")]
    Empty,
    /// The kernel cannot look it up.
    #[error("file name has {bytes} bytes, at most {NAME_BYTES_MAX} are allowed")]
    TooLong {
        /// Bytes of the name that was asked for.
        bytes: usize,
    },
    /// A path, not a name.
    #[error("file name has a slash at byte {at}")]
    Slash {
        /// Offset of the first one.
        at: usize,
    },
    /// NUL, a line end, or another character that no listing shows faithfully.
    #[error("file name has a control character at byte {at}")]
    Control {
        /// Offset of the first one.
        at: usize,
    },
    /// The directory itself.
    #[error("file name is a single dot")]
    Dot,
    /// Names that start with two dots belong to the file system.
    #[error("file name starts with two dots")]
    TwoDots,
}

/// The name of a file in a subtree: 1 to 255 bytes, no slash, no control character, not `.`, and
/// not starting with `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

impl FileName {
    /// Takes a text that obeys the rules above.
    pub fn parse(text: &str) -> Result<Self, FileNameError> {
        if text.is_empty() {
            return Err(FileNameError::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(FileNameError::TooLong { bytes: text.len() });
        }
        if let Some(at) = text.find('/') {
            return Err(FileNameError::Slash { at });
        }
        if let Some(at) = text.find(char::is_control) {
            return Err(FileNameError::Control { at });
        }
        if text == "." {
            return Err(FileNameError::Dot);
        }
        if text.starts_with("..") {
            return Err(FileNameError::TwoDots);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for FileName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_3_a_file_name_is_held_to_the_rules() {
        let long = "n".repeat(256);
        for (text, expected) in [
            ("token", None),
            (".hidden", None),
            ("a b", None),
            ("", Some(FileNameError::Empty)),
            (".", Some(FileNameError::Dot)),
            ("..", Some(FileNameError::TwoDots)),
            ("..data", Some(FileNameError::TwoDots)),
            ("a/b", Some(FileNameError::Slash { at: 1 })),
            ("a\0b", Some(FileNameError::Control { at: 1 })),
            ("a\n", Some(FileNameError::Control { at: 1 })),
            ("\u{85}", Some(FileNameError::Control { at: 0 })),
            (&long, Some(FileNameError::TooLong { bytes: 256 })),
        ] {
            let told = FileName::parse(text).err();
            assert_eq!(told, expected, "{text:?}");
        }
        assert_eq!(FileName::parse(&"n".repeat(255)).unwrap().as_str().len(), 255);
    }

    #[test]
    fn a_subtree_has_one_spelling() {
        let id = SubtreeId::from_random([0xab, 1, 2, 3, 4, 5, 6, 0xcd]);
        let segment = id.segment();
        assert_eq!(SubtreeId::of_segment(segment.as_bytes()), Some(id));
        for other in [segment.to_uppercase(), format!("0{segment}"), "+".repeat(16), String::new()]
        {
            assert_eq!(SubtreeId::of_segment(other.as_bytes()), None, "{other:?}");
        }
    }
}
