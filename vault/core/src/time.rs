//! A moment, as the leader stamped it. Nothing here knows what time it is.

/// Nanoseconds since 1970 in UTC. Good until the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `ns` nanoseconds after the start of 1970.
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the start of 1970.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the start of 1970.
    pub const fn secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// This moment plus `ns` nanoseconds, or the last moment that there is.
    #[must_use]
    pub const fn plus(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_counted_in_nanoseconds_and_in_whole_seconds() {
        for (ns, secs) in [(0, 0), (999_999_999, 0), (1_000_000_000, 1), (2_500_000_000, 2)] {
            let moment = Timestamp::from_nanos(ns);
            assert_eq!((moment.nanos(), moment.secs()), (ns, secs));
        }
        assert_eq!(Timestamp::from_nanos(5).plus(7), Timestamp::from_nanos(12));
        assert_eq!(Timestamp::from_nanos(u64::MAX).plus(1), Timestamp::from_nanos(u64::MAX));
    }
}
