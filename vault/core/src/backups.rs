//! Scheduled backups: what was asked for, when one is due, and which manager makes it. Pure: the time comes in.

use crate::id::NodeId;
use crate::limits::{
    BACKUP_DIR_BYTES_MAX, BACKUP_EVERY_SECS_MAX, BACKUP_EVERY_SECS_MIN, BACKUP_FAILURE_BYTES_MAX,
    BACKUP_KEEP_MAX, BACKUP_LATE_SECS, BACKUP_RECIPIENTS_MAX, BACKUP_RETRY_SECS,
    BACKUP_TAKES_SECS_MAX,
};
use crate::time::Timestamp;

const NS: u64 = 1_000_000_000;

/// What an operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub every_secs: u64,
    /// Files that are kept in the directory of each manager.
    pub keep: u32,
    /// Public keys of age.
    pub recipients: Vec<String>,
    /// An absolute path, on every manager.
    pub dir: String,
}

/// A schedule that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error(
        "a backup every {0} s is refused: {BACKUP_EVERY_SECS_MIN} to {BACKUP_EVERY_SECS_MAX} s, or 0 for none"
    )]
    Every(u64),
    #[error("{0} backups cannot be kept: 1 to {BACKUP_KEEP_MAX} can")]
    Keep(u32),
    #[error(
        "{0} recipients: 1 to {BACKUP_RECIPIENTS_MAX} are taken. Name one: --backup-recipient age1..."
    )]
    Recipients(usize),
    #[error(
        "the backups' directory must be an absolute path of at most {BACKUP_DIR_BYTES_MAX} bytes, on every manager: --backup-dir /path"
    )]
    Dir,
}

impl Schedule {
    /// A schedule in its bounds. That the recipients are keys is known to whoever seals.
    pub fn parse(self) -> Result<Self, ScheduleError> {
        let Self { every_secs, keep, recipients, dir } = &self;
        if !(BACKUP_EVERY_SECS_MIN..=BACKUP_EVERY_SECS_MAX).contains(every_secs) {
            return Err(ScheduleError::Every(*every_secs));
        }
        if !(1..=BACKUP_KEEP_MAX).contains(keep) {
            return Err(ScheduleError::Keep(*keep));
        }
        if recipients.is_empty() || recipients.len() > BACKUP_RECIPIENTS_MAX {
            return Err(ScheduleError::Recipients(recipients.len()));
        }
        let is_plain = dir.starts_with('/') && !dir.contains(['\0', '\n']);
        if !is_plain || dir.len() > BACKUP_DIR_BYTES_MAX {
            return Err(ScheduleError::Dir);
        }
        Ok(self)
    }
}

/// One that was asked for and has not come to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub node: NodeId,
    pub at: Timestamp,
}

/// One that was written, and verified as far as that goes without the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    pub node: NodeId,
    pub at: Timestamp,
    /// The log index that it reflects.
    pub index: u64,
    pub bytes: u64,
}

/// One that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub node: NodeId,
    pub at: Timestamp,
    pub reason: String,
    /// How many failed since the last that was made.
    pub in_a_row: u32,
}

/// What the cluster knows of its scheduled backups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backups {
    pub schedule: Option<Schedule>,
    /// When it was set.
    pub set_at: Timestamp,
    pub asked: Option<Asked>,
    pub made: Option<Made>,
    /// The last failure, unless one was made since.
    pub failed: Option<Failed>,
}

/// A step of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// From now on; none turns it off.
    Set(Option<Schedule>),
    /// The leader has this manager make one.
    Ask(NodeId),
    /// What came of the one that was asked for at that time: the index and the bytes, or why not.
    Report(Asked, Result<(u64, u64), String>),
}

impl Backups {
    /// Takes a step. Returns whether anything changed: a report of one that nobody waits for does not.
    pub(crate) fn step(&mut self, at: Timestamp, step: Step) -> bool {
        match step {
            Step::Set(schedule) => {
                *self = Self { schedule, set_at: at, made: self.made, ..Self::default() };
            }
            Step::Ask(node) => {
                if self.schedule.is_none() {
                    return false;
                }
                self.asked = Some(Asked { node, at });
            }
            Step::Report(asked, _) if self.asked != Some(asked) => return false,
            Step::Report(Asked { node, .. }, Ok((index, bytes))) => {
                (self.asked, self.failed) = (None, None);
                self.made = Some(Made { node, at, index, bytes });
            }
            Step::Report(asked, Err(reason)) => self.fail(asked.node, at, reason),
        }
        true
    }

    fn fail(&mut self, node: NodeId, at: Timestamp, mut reason: String) {
        while reason.len() > BACKUP_FAILURE_BYTES_MAX {
            reason.pop();
        }
        let before = self.failed.as_ref().map_or(0, |failed| failed.in_a_row);
        self.asked = None;
        self.failed = Some(Failed { node, at, reason, in_a_row: before.saturating_add(1) });
    }

    /// When the next one is due; none if there is no schedule.
    pub fn due_at(&self) -> Option<Timestamp> {
        let every_ns = self.schedule.as_ref()?.every_secs.saturating_mul(NS);
        if let Some(failed) = &self.failed {
            // Twice as long each time, and never longer than between two that succeed.
            let doubled = 1_u64.checked_shl(failed.in_a_row.saturating_sub(1)).unwrap_or(u64::MAX);
            let wait_ns = BACKUP_RETRY_SECS.saturating_mul(NS).saturating_mul(doubled);
            return Some(failed.at.plus(wait_ns.min(every_ns)));
        }
        Some(self.made.map_or(self.set_at, |made| made.at.plus(every_ns)))
    }

    /// How long ago the newest should have been made, in seconds; none while it is in time.
    pub fn late_secs(&self, now: Timestamp) -> Option<u64> {
        let every_secs = self.schedule.as_ref()?.every_secs;
        let since = self.made.map_or(self.set_at, |made| made.at.max(self.set_at));
        let due = since.plus(every_secs.saturating_mul(NS));
        let late = now.secs().saturating_sub(due.secs());
        (late > BACKUP_LATE_SECS.max(every_secs)).then_some(late)
    }

    /// Who is to make one now; none if nobody is. Followers go first: the leader has enough to do. Who failed
    /// last comes last.
    pub fn next(&self, now: Timestamp, ready: &[Candidate]) -> Option<NodeId> {
        if self.due_at()? > now {
            return None;
        }
        if let Some(asked) = self.asked
            && now < asked.at.plus(BACKUP_TAKES_SECS_MAX.saturating_mul(NS))
            && ready.iter().any(|one| one.node == asked.node)
        {
            return None;
        }
        let gave_none = self.asked.map(|asked| asked.node);
        let last = || self.failed.as_ref().map(|failed| failed.node);
        let failed = gave_none.or_else(last);
        let rank = |one: &&Candidate| (Some(one.node) == failed, one.is_leader, one.node);
        ready.iter().min_by_key(rank).map(|one| one.node)
    }
}

/// A manager that is heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub node: NodeId,
    pub is_leader: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId::from_entropy([n; 17])
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_nanos(secs * NS)
    }

    fn schedule(every_secs: u64) -> Schedule {
        Schedule { every_secs, keep: 7, recipients: vec!["age1x".into()], dir: "/b".into() }
    }

    /// Three managers, of which the first leads.
    fn ready() -> Vec<Candidate> {
        [1, 2, 3].map(|n| Candidate { node: node(n), is_leader: n == 1 }).into()
    }

    #[test]
    fn a_schedule_is_held_to_its_bounds() {
        type Change = fn(&mut Schedule);
        let rows: [(Change, Option<ScheduleError>); 15] = [
            (|_| {}, None),
            (|one| one.every_secs = 2, None),
            (|one| one.every_secs = 1, Some(ScheduleError::Every(1))),
            (|one| one.every_secs = BACKUP_EVERY_SECS_MAX, None),
            (|one| one.every_secs = u64::MAX, Some(ScheduleError::Every(u64::MAX))),
            (|one| one.keep = 1_000, None),
            (|one| one.keep = 1_001, Some(ScheduleError::Keep(1_001))),
            (|one| one.keep = 0, Some(ScheduleError::Keep(0))),
            (|one| one.recipients.clear(), Some(ScheduleError::Recipients(0))),
            (|one| one.recipients = vec!["age1x".into(); 100], None),
            (
                |one| one.recipients = vec!["age1x".into(); 101],
                Some(ScheduleError::Recipients(101)),
            ),
            (|one| one.dir = "b".into(), Some(ScheduleError::Dir)),
            (|one| one.dir = "/b\n".into(), Some(ScheduleError::Dir)),
            (|one| one.dir = "/".repeat(2_048), None),
            (|one| one.dir = "/".repeat(2_049), Some(ScheduleError::Dir)),
        ];
        for (change, refused) in rows {
            let mut one = schedule(3_600);
            change(&mut one);
            assert_eq!(one.clone().parse().err(), refused, "{one:?}");
        }
    }

    #[test]
    fn the_first_is_due_at_once_and_the_next_after_its_time() {
        let mut backups = Backups::default();
        assert_eq!((backups.due_at(), backups.next(at(9), &ready())), (None, None));
        assert!(!backups.step(at(9), Step::Ask(node(2))), "nobody asked for one");
        assert!(backups.step(at(10), Step::Set(Some(schedule(100)))));
        let maker = backups.next(at(10), &ready()).unwrap();
        assert_eq!(maker, node(2), "a follower");
        backups.step(at(11), Step::Ask(maker));
        let asked = Asked { node: maker, at: at(11) };
        assert_eq!((backups.asked, backups.next(at(12), &ready())), (Some(asked), None));
        let other = Asked { node: maker, at: at(5) };
        assert!(!backups.step(at(12), Step::Report(other, Ok((1, 1)))), "one of before");
        assert!(backups.step(at(13), Step::Report(asked, Ok((40, 900)))));
        let made = Made { node: maker, at: at(13), index: 40, bytes: 900 };
        assert_eq!((backups.made, backups.asked), (Some(made), None));
        assert!(!backups.step(at(14), Step::Report(asked, Ok((40, 900)))), "once");
        assert_eq!(backups.next(at(112), &ready()), None);
        assert_eq!(backups.next(at(113), &ready()), Some(node(2)));
        backups.step(at(114), Step::Set(None));
        assert_eq!(
            (backups.made, backups.due_at()),
            (Some(made), None),
            "what was made is still known"
        );
    }

    #[test]
    fn a_manager_that_fails_or_is_lost_is_followed_by_another() {
        let mut backups = Backups::default();
        backups.step(at(0), Step::Set(Some(schedule(3_600))));
        backups.step(at(0), Step::Ask(node(2)));
        let alive = [ready()[0], ready()[2]];
        assert_eq!(backups.next(at(1), &alive), Some(node(3)), "it went");
        assert_eq!(
            backups.next(at(1), &alive[..1]),
            Some(node(1)),
            "the leader, if nobody else is there"
        );
        let late = at(BACKUP_TAKES_SECS_MAX);
        assert_eq!(backups.next(late, &ready()), Some(node(3)), "it took too long");
        let mut waits = Vec::new();
        let mut now = 0;
        for _ in 0..9 {
            let asked = backups.asked.unwrap();
            backups.step(at(now), Step::Report(asked, Err("no room".into())));
            let due = backups.due_at().unwrap().secs();
            waits.push(due - now);
            assert_eq!(backups.next(at(due - 1), &ready()), None);
            now = due;
            let next = backups.next(at(now), &ready()).unwrap();
            assert_ne!(next, asked.node);
            backups.step(at(now), Step::Ask(next));
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
        assert_eq!(backups.failed.as_ref().unwrap().in_a_row, 9);
    }

    #[test]
    fn one_that_is_long_overdue_is_late() {
        let mut backups = Backups::default();
        backups.step(at(0), Step::Set(Some(schedule(1_000))));
        assert_eq!(backups.late_secs(at(2_000)), None);
        assert_eq!(backups.late_secs(at(2_100)), Some(1_100));
        backups.step(at(2_100), Step::Ask(node(1)));
        let asked = backups.asked.unwrap();
        backups.step(at(2_101), Step::Report(asked, Ok((1, 1))));
        assert_eq!(backups.late_secs(at(2_102)), None);
        let long = "\u{e9}".repeat(BACKUP_FAILURE_BYTES_MAX);
        backups.step(at(3_200), Step::Ask(node(1)));
        let asked = backups.asked.unwrap();
        backups.step(at(3_200), Step::Report(asked, Err(long)));
        assert_eq!(backups.failed.unwrap().reason.len(), BACKUP_FAILURE_BYTES_MAX);
    }

    #[test]
    fn time_before_a_schedule_was_set_makes_nothing_late() {
        let mut backups = Backups::default();
        backups.step(at(50_000), Step::Set(Some(schedule(1_000))));
        assert_eq!(backups.due_at(), Some(at(50_000)));
        assert_eq!(backups.late_secs(at(52_000)), None);
        assert_eq!(backups.late_secs(at(52_001)), Some(1_001));
    }

    #[test]
    fn one_of_a_quick_schedule_is_late_only_after_minutes() {
        let mut backups = Backups::default();
        backups.step(at(0), Step::Set(Some(schedule(2))));
        assert_eq!(backups.late_secs(at(602)), None);
        assert_eq!(backups.late_secs(at(603)), Some(601));
    }
}
