//! What happened to objects, for those who watch. Names no value.

use std::sync::Arc;

use crate::command::ObjectKind;
use crate::id::ObjectId;
use crate::time::Timestamp;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventAction {
    Create,
    Update,
    Remove,
}

/// One change of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The log index of the change. Several events may share one: they happened together.
    pub index: u64,
    pub at: Timestamp,
    pub kind: ObjectKind,
    pub action: EventAction,
    pub id: ObjectId,
    /// The text that the object itself has: a hundred thousand events are remembered.
    pub name: Arc<str>,
}
