//! Bugs that are built in on purpose, each at its real place, to prove that the checks find them
//! (`docs/faults.md`). Compiled with `--cfg planted` alone; a program that is given to anybody has none of it.
//!
//! The shell says once, at its start, which of them is on. The same program stands in for one of a later version, for
//! the check of upgrades.

use std::sync::OnceLock;

/// One bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    AcknowledgedBeforeFlush,
    FlushErrorForgiven,
    VoteAnsweredBeforeStored,
    VoteForgottenAtRestart,
    StaleReadByOldLeader,
    StaleReadByFollower,
    SealedWithoutItsPlace,
    SnapshotWithoutNewest,
    RetryAppliedTwice,
    ForwardedCallerBelieved,
    VersionNumberUsedAgain,
    DamageTakenForTornTail,
    EpochLostAtRestart,
    RemovedMemberBelieved,
    DemotedMemberBelieved,
    NameNotLookedAt,
    ApplyDiffersByNode,
}

impl Bug {
    /// Each, with the name that chooses it.
    pub const ALL: [(Self, &'static str); 17] = [
        (Self::AcknowledgedBeforeFlush, "acknowledged-before-flush"),
        (Self::FlushErrorForgiven, "flush-error-forgiven"),
        (Self::VoteAnsweredBeforeStored, "vote-answered-before-stored"),
        (Self::VoteForgottenAtRestart, "vote-forgotten-at-restart"),
        (Self::StaleReadByOldLeader, "stale-read-by-old-leader"),
        (Self::StaleReadByFollower, "stale-read-by-follower"),
        (Self::SealedWithoutItsPlace, "sealed-without-its-place"),
        (Self::SnapshotWithoutNewest, "snapshot-without-newest"),
        (Self::RetryAppliedTwice, "retry-applied-twice"),
        (Self::ForwardedCallerBelieved, "forwarded-caller-believed"),
        (Self::VersionNumberUsedAgain, "version-number-used-again"),
        (Self::DamageTakenForTornTail, "damage-taken-for-torn-tail"),
        (Self::EpochLostAtRestart, "epoch-lost-at-restart"),
        (Self::RemovedMemberBelieved, "removed-member-believed"),
        (Self::DemotedMemberBelieved, "demoted-member-believed"),
        (Self::NameNotLookedAt, "name-not-looked-at"),
        (Self::ApplyDiffersByNode, "apply-differs-by-node"),
    ];

    /// The bug of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, own)| *own == name).map(|(bug, _)| *bug)
    }
}

static CHOSEN: OnceLock<Bug> = OnceLock::new();

/// Turns a bug on, for good. Only the first one counts.
pub fn plant(bug: Bug) {
    CHOSEN.get_or_init(|| bug);
}

/// Whether a bug is on.
pub fn on(bug: Bug) -> bool {
    CHOSEN.get() == Some(&bug)
}

static LEVEL: OnceLock<u32> = OnceLock::new();

/// Makes this a program of a later version, for good: it knows this feature level, with which updates of an object's
/// labels came.
pub fn know(level: u32) {
    LEVEL.get_or_init(|| level);
}

/// The level that was given.
pub fn level() -> Option<u32> {
    LEVEL.get().copied()
}
