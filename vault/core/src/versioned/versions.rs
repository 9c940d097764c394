//! The versions that are kept of one object. Most objects have one, which takes no room of its own.

use std::ops::{Deref, DerefMut};
use std::slice;

use super::Version;

/// Versions in the order that they were added in. Read as a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions(Kept);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    One(Version),
    /// Not one.
    Several(Box<[Version]>),
}

impl Versions {
    /// Adds a version behind the others.
    pub fn push(&mut self, version: Version) {
        *self = self.iter().cloned().chain([version]).collect();
    }

    /// Keeps some of the versions.
    pub fn retain(&mut self, is_kept: impl Fn(&Version) -> bool) {
        if !self.iter().all(&is_kept) {
            *self = self.iter().filter(|version| is_kept(version)).cloned().collect();
        }
    }
}

impl Deref for Versions {
    type Target = [Version];

    fn deref(&self) -> &[Version] {
        match &self.0 {
            Kept::One(version) => slice::from_ref(version),
            Kept::Several(versions) => versions,
        }
    }
}

impl DerefMut for Versions {
    fn deref_mut(&mut self) -> &mut [Version] {
        match &mut self.0 {
            Kept::One(version) => slice::from_mut(version),
            Kept::Several(versions) => versions,
        }
    }
}

impl<'a> IntoIterator for &'a Versions {
    type Item = &'a Version;
    type IntoIter = slice::Iter<'a, Version>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Version> for Versions {
    fn from(only: Version) -> Self {
        Self(Kept::One(only))
    }
}

impl FromIterator<Version> for Versions {
    fn from_iter<I: IntoIterator<Item = Version>>(versions: I) -> Self {
        let mut versions = versions.into_iter();
        match (versions.next(), versions.next()) {
            (Some(only), None) => Self::from(only),
            (first, second) => {
                let start = first.into_iter().chain(second);
                Self(Kept::Several(start.chain(versions).collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{Epoch, NONCE_BYTES, Sealed};
    use crate::time::Timestamp;

    fn version(number: u32) -> Version {
        let sealed = Sealed { epoch: Epoch(1), nonce: [0; NONCE_BYTES], text: [0][..].into() };
        Version { number, created_at: Timestamp::default(), sealed }
    }

    fn numbers(versions: &Versions) -> Vec<u32> {
        versions.iter().map(|version| version.number).collect()
    }

    #[test]
    fn versions_are_a_list_however_many_there_are() {
        let mut versions = Versions::from(version(1));
        assert_eq!(numbers(&versions), [1]);
        for number in 2..=4 {
            versions.push(version(number));
        }
        assert_eq!(numbers(&versions), [1, 2, 3, 4]);
        versions.retain(|version| version.number != 2);
        assert_eq!(numbers(&versions), [1, 3, 4]);
        versions.retain(|version| version.number == 3);
        assert_eq!(versions, Versions::from(version(3)), "one is kept as one");
        for count in 0..4 {
            let all: Versions = (0..count).map(version).collect();
            assert_eq!(numbers(&all), (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_version_is_changed_where_it_stands() {
        for count in [1, 3] {
            let mut versions: Versions = (1..=count).map(version).collect();
            versions.iter_mut().for_each(|version| version.sealed.epoch = Epoch(2));
            assert!(versions.iter().all(|version| version.sealed.epoch == Epoch(2)), "{count}");
        }
    }

    #[test]
    fn one_version_takes_no_more_than_itself() {
        assert_eq!(size_of::<Versions>(), size_of::<Version>());
    }
}
