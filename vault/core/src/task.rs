//! A task: one instance of a service on one node, and how far it got.

use crate::id::{NodeId, ObjectId, ServiceId, TaskId};
use crate::time::Timestamp;

/// How far a task got. Swarm's states and numbers; a task's state only ever grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskState {
    New,
    Pending,
    Assigned,
    Accepted,
    Preparing,
    Ready,
    Starting,
    Running,
    Complete,
    Shutdown,
    Failed,
    Rejected,
    Remove,
    Orphaned,
}

impl TaskState {
    /// All states in their order, with Swarm's numbers.
    pub const ALL: [(Self, i32); 14] = [
        (Self::New, 0),
        (Self::Pending, 64),
        (Self::Assigned, 192),
        (Self::Accepted, 256),
        (Self::Preparing, 320),
        (Self::Ready, 384),
        (Self::Starting, 448),
        (Self::Running, 512),
        (Self::Complete, 576),
        (Self::Shutdown, 640),
        (Self::Failed, 704),
        (Self::Rejected, 768),
        (Self::Remove, 800),
        (Self::Orphaned, 832),
    ];

    /// Swarm's number of this state.
    pub fn number(self) -> i32 {
        let found = Self::ALL.into_iter().find(|(state, _)| *state == self);
        found.map_or(0, |(_, number)| number)
    }

    /// The state with this number.
    pub fn from_number(number: i32) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|(_, n)| *n == number);
        found.map(|(state, _)| state)
    }

    /// True once nothing of the task runs any more.
    pub fn has_ended(self) -> bool {
        self > Self::Running
    }
}

/// What a node said last about a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStatus {
    pub state: TaskState,
    pub at: Timestamp,
    /// Why it failed; empty when it did not.
    pub error: String,
    /// How its command ended, if it did.
    pub exit_code: Option<i32>,
}

/// One version that a task has: in its files, or on its way there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    pub object: ObjectId,
    pub version: u32,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub id: TaskId,
    pub service: ServiceId,
    /// The log index at which it was made: newer tasks of a slot have greater ones.
    pub created_index: u64,
    pub created_at: Timestamp,
    /// Counted from 1.
    pub slot: u64,
    pub node: NodeId,
    pub status: TaskStatus,
    /// Running, Shutdown (to be stopped, kept as history) or Remove (to be stopped and forgotten).
    pub desired: TaskState,
    /// Ordered, each once; empty once it has ended. As its node said last; until then what it was to get.
    pub held: Vec<Held>,
    /// The last change of values that its node had seen when it said so: what came later may be on its way
    /// there, or there already.
    pub seen: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_ordered_by_their_numbers() {
        for pair in TaskState::ALL.windows(2) {
            assert!(pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1, "{pair:?}");
        }
        for (state, number) in TaskState::ALL {
            assert_eq!(state.number(), number);
            assert_eq!(TaskState::from_number(number), Some(state));
            assert_eq!(state.has_ended(), number > 512, "{state:?}");
        }
        assert_eq!(TaskState::from_number(1), None);
    }
}
