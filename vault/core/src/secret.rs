//! A secret: a name with versions, each of them one sealed value that never changes.

use crate::id::SecretId;
use crate::labels::Labels;
use crate::name::{Folded, Named, SecretName};
use crate::seal::Sealed;
use crate::time::Timestamp;

/// When an object was made and changed, and by which log index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The log index of the last change: what a conditional update names.
    pub version_index: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// One immutable value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVersion {
    /// Counted from 1.
    pub number: u32,
    pub created_at: Timestamp,
    pub sealed: Sealed,
}

/// A secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    pub id: SecretId,
    pub meta: Meta,
    pub name: SecretName,
    pub labels: Labels,
    /// Ordered by number, never empty.
    pub versions: Vec<SecretVersion>,
    /// The number of the version that tasks read.
    pub current: u32,
}

impl Secret {
    /// The version that tasks read.
    pub fn current_version(&self) -> Option<&SecretVersion> {
        self.versions.iter().find(|version| version.number == self.current)
    }
}

impl Named for Secret {
    fn folded(&self) -> Folded {
        Folded::of(self.name.as_str())
    }
}
