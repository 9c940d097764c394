//! What has versions: a secret or a config. A name, immutable values counted from 1, and labels that say
//! which of them tasks read.

use std::fmt;

use crate::id::ObjectId;
use crate::labels::Labels;
use crate::limits::{VERSIONS_KEPT_DEFAULT, VERSIONS_KEPT_MAX};
use crate::name::{Folded, Named, SecretName};
use crate::seal::{Kind, Sealed};
use crate::time::Timestamp;

mod moves;
mod tags;
mod versions;

pub use moves::{Move, Moves};
pub use tags::{Tags, VersionLabel, VersionLabelError};
pub use versions::Versions;

/// When an object was made and changed, and by which log index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The log index of the last change: what a conditional update names.
    pub version_index: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A secret, or the same that is not secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Secret,
    Config,
}

impl Class {
    /// What its values are sealed as.
    pub fn value_kind(self) -> Kind {
        match self {
            Self::Secret => Kind::SecretValue,
            Self::Config => Kind::ConfigValue,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Secret => "secret",
            Self::Config => "config",
        })
    }
}

/// Names one version: by its number, or by what a label points to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VersionRef {
    Number(u32),
    Label(VersionLabel),
}

impl VersionRef {
    /// Takes a number or a label.
    pub fn parse(text: &str) -> Result<Self, VersionLabelError> {
        match text.parse() {
            Ok(number) => Ok(Self::Number(number)),
            Err(_) => VersionLabel::parse(text).map(Self::Label),
        }
    }
}

impl fmt::Display for VersionRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(out),
            Self::Label(label) => label.fmt(out),
        }
    }
}

/// One immutable value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Counted from 1, never used twice.
    pub number: u32,
    pub created_at: Timestamp,
    pub sealed: Sealed,
}

/// How many versions are kept: a bound that the user may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionLimit(u8);

/// A limit out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version limit is a number from 1 to {VERSIONS_KEPT_MAX}, not {0}")]
pub struct VersionLimitError(u32);

impl VersionLimit {
    /// The largest.
    pub(crate) const MOST: Self = Self(100);

    /// Takes 1 to 100.
    pub fn parse(versions: u32) -> Result<Self, VersionLimitError> {
        let fits = (1..=VERSIONS_KEPT_MAX).contains(&versions);
        let limit = u8::try_from(versions).ok().filter(|_| fits);
        limit.map(Self).ok_or(VersionLimitError(versions))
    }

    /// The number.
    pub fn versions(self) -> u32 {
        self.0.into()
    }
}

impl Default for VersionLimit {
    fn default() -> Self {
        Self::parse(VERSIONS_KEPT_DEFAULT).unwrap_or(Self::MOST)
    }
}

/// A secret or a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    pub id: ObjectId,
    pub meta: Meta,
    pub name: SecretName,
    pub labels: Labels,
    /// Ordered by number, never empty.
    pub versions: Versions,
    /// Invariants: `current` is there; every label points to a version that is kept.
    pub tags: Tags,
    /// Until when labels pointed to versions that they point to no more.
    pub moves: Moves,
    /// The number that the next version gets: above all that ever were.
    pub next: u32,
    pub limit: VersionLimit,
}

impl Versioned {
    /// A new object whose first version is current.
    pub fn first(id: ObjectId, meta: Meta, name: SecretName, sealed: Sealed) -> Self {
        let first = Version { number: 1, created_at: meta.created_at, sealed };
        Self {
            id,
            meta,
            name,
            labels: Labels::default(),
            versions: first.into(),
            tags: Tags::from_iter([(VersionLabel::current(), 1)]),
            moves: Moves::default(),
            next: 2,
            limit: VersionLimit::default(),
        }
    }

    /// The version with this number.
    pub fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// The version that is named.
    pub fn resolve(&self, reference: &VersionRef) -> Option<&Version> {
        match reference {
            VersionRef::Number(number) => self.version(*number),
            VersionRef::Label(label) => self.version(self.tags.get(label)?),
        }
    }

    /// The number of the version that tasks read.
    pub fn current(&self) -> u32 {
        self.tags.get(&VersionLabel::current()).unwrap_or_default()
    }

    /// The version that tasks read.
    pub fn current_version(&self) -> Option<&Version> {
        self.version(self.current())
    }

    /// Labels that point to this version, in order.
    pub fn labels_of(&self, number: u32) -> impl Iterator<Item = &VersionLabel> {
        self.tags.iter().filter(move |(_, at)| *at == number).map(|(label, _)| label)
    }

    /// Makes a version current. The one that was current becomes `previous`.
    pub(crate) fn activate(&mut self, number: u32) {
        let before = self.current();
        if before != number {
            self.tags.insert(VersionLabel::previous(), before);
            self.tags.insert(VersionLabel::current(), number);
        }
        if self.tags.get(&VersionLabel::pending()) == Some(number) {
            self.tags.remove(&VersionLabel::pending());
        }
    }

    /// Notes at `index` which labels no longer point to where they did before. Noting it again changes
    /// nothing.
    pub(crate) fn note_moves(&mut self, before: &Tags, index: u64) {
        let gone = before.iter().filter(|(label, number)| self.tags.get(label) != Some(*number));
        for (label, number) in gone {
            self.moves.insert(Move { label: label.clone(), number, index });
        }
        let Self { moves, versions, .. } = self;
        moves.retain(|one| versions.iter().any(|version| version.number == one.number));
    }

    /// Takes a version out, with its labels.
    pub(crate) fn destroy(&mut self, number: u32) {
        self.versions.retain(|version| version.number != number);
        self.tags.retain(|at| at != number);
    }

    /// Whether there are more versions than the limit.
    pub(crate) fn is_past_limit(&self) -> bool {
        self.surplus(self.limit) > 0
    }

    fn surplus(&self, limit: VersionLimit) -> usize {
        let limit = usize::try_from(limit.versions()).unwrap_or(usize::MAX);
        self.versions.len().saturating_sub(limit)
    }

    /// Drops the oldest versions past a limit, but none that is labelled or `is_needed`.
    pub(crate) fn drop_old(&mut self, limit: VersionLimit, is_needed: impl Fn(u32) -> bool) {
        let surplus = self.surplus(limit);
        let tags = &self.tags;
        let free = |number: &u32| !tags.iter().any(|(_, at)| at == *number) && !is_needed(*number);
        let numbers = self.versions.iter().map(|version| version.number);
        let old: Vec<u32> = numbers.filter(free).take(surplus).collect();
        self.versions.retain(|version| !old.contains(&version.number));
    }

    /// About how much memory it takes: values, and what holds them.
    pub fn memory_bytes(&self) -> u64 {
        const OBJECT: usize = 500;
        const VERSION: usize = 100;
        let labels = self.labels.as_map().iter();
        let labels = labels.map(|(key, value)| key.len().saturating_add(value.len()));
        let versions = self.versions.iter().map(|v| v.sealed.text.len().saturating_add(VERSION));
        let bytes = labels.chain(versions).fold(OBJECT, usize::saturating_add);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

impl Named for Versioned {
    fn folded(&self) -> Folded {
        self.name.folded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::NAME_BYTES_MAX;

    #[test]
    fn labels_and_references_are_as_long_as_a_name_and_are_shown_as_given() {
        let longest = "b".repeat(NAME_BYTES_MAX);
        let label = VersionLabel::parse(&longest).unwrap();
        assert_eq!((label.as_str(), label.to_string()), (longest.as_str(), longest.clone()));
        assert_eq!(VersionLabel::parse(&format!("{longest}b")), Err(VersionLabelError::Form));
        for text in ["7", "blue"] {
            assert_eq!(VersionRef::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            [Class::Secret, Class::Config].map(|class| class.to_string()),
            ["secret", "config"]
        );
    }

    #[test]
    fn an_object_takes_one_block_beside_its_name_and_its_value() {
        // With what a block costs beside it, and the counts of an `Arc`: 192 bytes.
        assert!(size_of::<Versioned>() <= 168, "{} bytes", size_of::<Versioned>());
        let labels = Labels::parse([].into()).unwrap();
        assert_eq!(labels, Labels::default());
        assert!(labels.as_map().is_empty());
    }

    #[test]
    fn version_limits_have_a_range() {
        for (versions, fits) in [(0, false), (1, true), (100, true), (101, false)] {
            assert_eq!(VersionLimit::parse(versions).is_ok(), fits, "{versions}");
        }
        assert_eq!(VersionLimit::parse(VERSIONS_KEPT_MAX), Ok(VersionLimit::MOST));
        assert_eq!(VersionLimit::default().versions(), VERSIONS_KEPT_DEFAULT);
    }
}
