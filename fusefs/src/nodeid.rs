//! Node ids: a keyed function of what a node is, so that they are the same after a restart with the
//! same key and cannot be guessed without it.
//!
//! They hide nothing by themselves; the kernel's export of file handles is off as well.

#[expect(deprecated, reason = "the one keyed hash of std that is fixed for all releases")]
use std::hash::SipHasher;

use std::hash::Hasher as _;

/// A node id as the kernel sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ino(pub(crate) u64);

/// The hidden root of the superblock.
pub(crate) const ROOT: Ino = Ino(1);

/// What a node id is computed from, so that two kinds of node never share an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    TopDirectory,
    SetDirectory,
    TopFile,
    SetFile,
    Revision,
}

impl Domain {
    fn tag(self) -> u8 {
        match self {
            Self::TopDirectory => 1,
            Self::SetDirectory => 2,
            Self::TopFile => 3,
            Self::SetFile => 4,
            Self::Revision => 5,
        }
    }
}

/// The keyed function.
pub(crate) struct NodeIds {
    key: (u64, u64),
}

impl NodeIds {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let number = u128::from_le_bytes(key);
        let low = u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default();
        let high = u64::try_from(number >> 64).unwrap_or_default();
        Self { key: (low, high) }
    }

    /// The function's value; each part is framed by its length, so that no two lists of parts meet.
    pub(crate) fn value(&self, domain: Domain, parts: &[&[u8]]) -> u64 {
        #[expect(deprecated, reason = "as at its import")]
        let mut hasher = SipHasher::new_with_keys(self.key.0, self.key.1);
        hasher.write(&[domain.tag()]);
        for part in parts {
            let len = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hasher.write(&len.to_le_bytes());
            hasher.write(part);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_framed() {
        let ids = NodeIds::new([7; 16]);
        let joined = ids.value(Domain::TopFile, &[b"ab", b"c"]);
        assert_ne!(joined, ids.value(Domain::TopFile, &[b"a", b"bc"]));
        assert_ne!(joined, ids.value(Domain::SetFile, &[b"ab", b"c"]));
    }

    #[test]
    fn a_value_stays_what_it_was() {
        // A takeover rebuilds the ids under open descriptors, so a change here breaks upgrades.
        let ids = NodeIds::new([7; 16]);
        // Computed by another program: SipHash-2-4 of 03, the two lengths in eight bytes, the parts.
        assert_eq!(ids.value(Domain::TopFile, &[b"ab", b"c"]), 1_920_339_562_076_738_283);
    }
}
