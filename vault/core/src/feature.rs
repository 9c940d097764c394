//! The feature level: which commands every member of the cluster knows. It only rises, and a command that
//! needs a higher level than the cluster has is not proposed, so that a rolling upgrade needs no pause.
//!
//! A new command, or a new meaning of an old one, gets a line in `since` and raises `KNOWN`.

use std::fmt;

use crate::command::Action;

/// A step in what the log may hold, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(pub u32);

impl Level {
    /// What every version of the program knows; also of entries that name no level.
    pub const FIRST: Self = Self(1);
    /// The highest level that this version knows.
    const KNOWN: Self = Self(2);

    /// The highest level that this program knows.
    pub fn known() -> Self {
        #[cfg(planted)]
        if let Some(level) = crate::planted::level() {
            return Self(level);
        }
        Self::KNOWN
    }
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The cluster has not reached the level that a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this needs feature level {needed}, and the cluster is at level {level}. The level rises by itself once every manager runs a version of cofferd that knows it"
)]
pub struct LevelTooLow {
    pub needed: Level,
    pub level: Level,
}

/// The level at which an action came: the cluster must have reached it before it is proposed.
pub fn since(action: &Action) -> Level {
    #[cfg(planted)]
    if let (Some(level), Action::Update(..)) = (crate::planted::level(), action) {
        return Level(level);
    }
    match action {
        Action::CreateCluster(_)
        | Action::Create(..)
        | Action::Remove(..)
        | Action::Rotate(..)
        | Action::Activate(..)
        | Action::Rollback(..)
        | Action::DestroyVersion(..)
        | Action::Update(..)
        | Action::CreateService(..)
        | Action::RemoveService(_)
        | Action::ChangeTasks(_)
        | Action::ReportTasks(..)
        | Action::AdmitNode(_)
        | Action::RenewNode(..)
        | Action::PlaceManager(..)
        | Action::DescribeNode(..)
        | Action::UpdateNode(_)
        | Action::RemoveNode(..)
        | Action::StandAlone(_)
        | Action::ReportNodes(_)
        | Action::RotateToken(..)
        | Action::CreateToken(_)
        | Action::RevokeToken(_)
        | Action::SetAutolock(_)
        | Action::RotateUnlockKey(_)
        | Action::Backup(_)
        | Action::WantEpochAfter(_)
        | Action::UseEpoch(_)
        | Action::DropEpochsBefore(_)
        | Action::Reseal(_)
        | Action::RaiseLevel(_) => Level::FIRST,
        Action::Root(_) => Level(2),
    }
}

/// What a node must know to apply an action: a step up is also a question to those who cannot follow.
pub fn needed_to_apply(action: &Action) -> Level {
    if let Action::RaiseLevel(raise) = action { raise.level } else { since(action) }
}

/// Whether something that came at level `needed` may be proposed to a cluster at this level.
pub fn permit(needed: Level, level: Level) -> Result<(), LevelTooLow> {
    if needed > level { Err(LevelTooLow { needed, level }) } else { Ok(()) }
}

/// The level that the cluster can go to: the highest that every member knows, and never down.
pub fn next_level(current: Level, members: &[Level]) -> Level {
    members.iter().copied().min().map_or(current, |least| least.max(current))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_49_the_level_rises_to_what_every_member_knows_and_never_falls() {
        for (current, members, expected) in [
            (1, &[][..], 1),
            (1, &[1], 1),
            (1, &[2], 2),
            (1, &[3, 2, 5], 2),
            (1, &[3, 1, 5], 1),
            (3, &[2], 3),
            (3, &[5, 4], 4),
        ] {
            let members: Vec<_> = members.iter().copied().map(Level).collect();
            assert_eq!(next_level(Level(current), &members), Level(expected), "{members:?}");
        }
    }

    #[test]
    fn a_newer_command_waits_for_the_cluster_and_the_refusal_says_for_what() {
        for (needed, level, may) in [(1, 1, true), (2, 2, true), (1, 2, true), (2, 1, false)] {
            assert_eq!(permit(Level(needed), Level(level)).is_ok(), may, "{needed} at {level}");
        }
        let refused = permit(Level(2), Level(1)).unwrap_err().to_string();
        assert!(refused.starts_with("this needs feature level 2, and the cluster is at level 1."));
    }
}
