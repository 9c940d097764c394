//! Names of objects: one rule for each kind, checked once at the edge.
//!
//! Names are compared without case and shown as they were given.

use std::fmt;
use std::sync::Arc;

use crate::limits::{NAME_BYTES_MAX, SERVICE_NAME_BYTES_MAX, TARGET_BYTES_MAX};

/// Why text is no name. The texts are Swarm's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("name must be provided")]
    Missing,
    #[error(
        "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]"
    )]
    NotASecretName,
    #[error("meta: name must be provided")]
    ServiceMissing,
    #[error("name must be valid as a DNS name component")]
    NotADnsLabel,
    #[error("name must be 63 characters or fewer")]
    ServiceTooLong,
}

/// The name of a secret or a config. Copies share the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretName(Arc<str>);

impl SecretName {
    /// Takes a name by Swarm's rule.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Missing);
        }
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = text.len() <= NAME_BYTES_MAX
            && text.bytes().all(inner)
            && starts_and_ends(text, |byte| byte.is_ascii_alphanumeric());
        if fits { Ok(Self(text.into())) } else { Err(NameError::NotASecretName) }
    }

    /// The name as it is compared: the same text, where it is in lower case already.
    pub fn folded(&self) -> Folded {
        if self.0.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Folded::of(&self.0);
        }
        Folded(Arc::clone(&self.0))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, and not a copy of it.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// The name of a service: one DNS label, with underscores allowed inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName(Box<str>);

impl ServiceName {
    /// Takes a name by Swarm's rule.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::ServiceMissing);
        }
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let ends = starts_and_ends(text, |byte| byte.is_ascii_alphanumeric());
        if !text.bytes().all(inner) || !ends {
            return Err(NameError::NotADnsLabel);
        }
        if text.len() > SERVICE_NAME_BYTES_MAX {
            return Err(NameError::ServiceTooLong);
        }
        Ok(Self(text.into()))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn starts_and_ends(text: &str, fits: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(&fits) && bytes.last().copied().is_some_and(&fits)
}

/// A name as it is compared: in lower case. Copies share the text: a map that shares its structure copies
/// its keys with every change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folded(Arc<str>);

impl Folded {
    /// Folds any text; what is no name then finds nothing.
    pub fn of(text: &str) -> Self {
        let is_folded = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
        if is_folded { Self(text.into()) } else { Self(text.to_lowercase().into()) }
    }

    /// The folded text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Something that has a unique name.
pub trait Named {
    /// The name, folded for comparison.
    fn folded(&self) -> Folded;
}

/// The name of a file below `/run/secrets`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target(Box<str>);

/// Why text is no file name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Swarm's text.
    #[error("malformed file secret reference, invalid target file name provided")]
    Missing,
    #[error("an absolute target is for containers; this runner has files below /run/secrets only")]
    Absolute,
    #[error("a target is one file name: no '/', no control character, not starting with '..'")]
    NotAFileName,
    #[error("a target has at most 255 bytes")]
    TooLong,
}

impl Target {
    /// Takes a plain file name.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.is_empty() {
            return Err(TargetError::Missing);
        }
        if text.starts_with('/') {
            return Err(TargetError::Absolute);
        }
        if text.len() > TARGET_BYTES_MAX {
            return Err(TargetError::TooLong);
        }
        let hidden = text == "." || text.starts_with("..");
        if hidden || text.chars().any(|c| c == '/' || c.is_control()) {
            return Err(TargetError::NotAFileName);
        }
        Ok(Self(text.into()))
    }

    /// The file's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! shown {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    )*};
}
shown!(SecretName, ServiceName, Folded, Target);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_1_secret_names_follow_swarms_rule() {
        let longest = "a".repeat(64);
        let too_long = "a".repeat(65);
        for good in ["a", "A-b_c.d", "0", "my.sec_1", longest.as_str()] {
            assert_eq!(SecretName::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "-a",
            "a-",
            ".a",
            "a.",
            "_a",
            "a_",
            "a b",
            "a/b",
            "a\\b",
            "a\0",
            "a\n",
            "..",
            "%2e",
            "\u{202e}a",
            "\u{e4}",
            too_long.as_str(),
        ] {
            assert_eq!(SecretName::parse(bad), Err(NameError::NotASecretName), "{bad:?}");
        }
        assert_eq!(SecretName::parse(""), Err(NameError::Missing));
    }

    #[test]
    fn secret_names_are_compared_in_lower_case() {
        for (text, folded) in [("Db-Password", "db-password"), ("db_1", "db_1")] {
            let name = SecretName::parse(text).unwrap();
            assert_eq!(name.folded(), Folded::of(text));
            assert_eq!(name.folded().as_str(), folded);
        }
    }

    #[test]
    fn case_1_service_names_are_dns_labels() {
        for (text, expected) in [
            ("web", Ok("web")),
            ("w-e_b", Ok("w-e_b")),
            ("", Err(NameError::ServiceMissing)),
            ("web.1", Err(NameError::NotADnsLabel)),
            ("-web", Err(NameError::NotADnsLabel)),
            ("web-", Err(NameError::NotADnsLabel)),
        ] {
            let parsed = ServiceName::parse(text);
            assert_eq!(
                parsed.as_ref().map(ServiceName::as_str),
                expected.as_ref().copied(),
                "{text}"
            );
        }
        assert_eq!(ServiceName::parse(&"a".repeat(63)).unwrap().as_str().len(), 63);
        assert_eq!(ServiceName::parse(&"a".repeat(64)), Err(NameError::ServiceTooLong));
    }

    #[test]
    fn a_target_is_as_long_as_a_file_name_may_be() {
        let longest = "a".repeat(TARGET_BYTES_MAX);
        assert_eq!(Target::parse(&longest).unwrap().as_str(), longest);
        assert_eq!(Target::parse(&format!("{longest}a")), Err(TargetError::TooLong));
    }

    #[test]
    fn case_3_4_targets_are_plain_file_names() {
        for (text, expected) in [
            ("db", Ok(())),
            (".hidden", Ok(())),
            ("", Err(TargetError::Missing)),
            ("/etc/passwd", Err(TargetError::Absolute)),
            ("../../etc/passwd", Err(TargetError::NotAFileName)),
            ("..data", Err(TargetError::NotAFileName)),
            (".", Err(TargetError::NotAFileName)),
            ("a/b", Err(TargetError::NotAFileName)),
            ("a\0", Err(TargetError::NotAFileName)),
            ("a\n", Err(TargetError::NotAFileName)),
        ] {
            assert_eq!(Target::parse(text).map(|_| ()), expected, "{text:?}");
        }
        assert_eq!(Target::parse(&"a".repeat(256)), Err(TargetError::TooLong));
    }
}
