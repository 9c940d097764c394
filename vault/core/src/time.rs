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
