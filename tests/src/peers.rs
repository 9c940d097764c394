//! Some of the messages between managers, written out here as in `messages`.

use prost::Message;

#[derive(Clone, Copy, PartialEq, Message)]
pub struct LogId {
    #[prost(uint64, tag = "1")]
    pub term: u64,
    #[prost(uint64, tag = "2")]
    pub node: u64,
    #[prost(uint64, tag = "3")]
    pub index: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Vote {
    #[prost(uint64, tag = "1")]
    pub term: u64,
    #[prost(uint64, tag = "2")]
    pub node: u64,
    #[prost(bool, tag = "3")]
    pub committed: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct VoteRequest {
    #[prost(message, optional, tag = "1")]
    pub vote: Option<Vote>,
    #[prost(message, optional, tag = "2")]
    pub last: Option<LogId>,
    #[prost(bool, tag = "3")]
    pub is_rehearsal: bool,
    #[prost(bool, tag = "4")]
    pub is_hand_over: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct VoteResponse {
    #[prost(message, optional, tag = "1")]
    pub vote: Option<Vote>,
    #[prost(bool, tag = "2")]
    pub granted: bool,
    #[prost(message, optional, tag = "3")]
    pub last: Option<LogId>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(message, optional, tag = "1")]
    pub id: Option<LogId>,
    #[prost(bytes = "vec", tag = "2")]
    pub payload: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AppendRequest {
    #[prost(message, optional, tag = "1")]
    pub vote: Option<Vote>,
    #[prost(message, optional, tag = "2")]
    pub previous: Option<LogId>,
    #[prost(message, repeated, tag = "3")]
    pub entries: Vec<Entry>,
    #[prost(message, optional, tag = "4")]
    pub committed: Option<LogId>,
}

/// One of the three is there.
#[derive(Clone, PartialEq, Message)]
pub struct AppendResponse {
    #[prost(message, optional, tag = "1")]
    pub kept: Option<Kept>,
    #[prost(message, optional, tag = "2")]
    pub conflict: Option<Kept>,
    #[prost(message, optional, tag = "3")]
    pub higher_vote: Option<Vote>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Kept {
    #[prost(message, optional, tag = "1")]
    pub upto: Option<LogId>,
}

/// A piece of a snapshot: its head, or bytes.
#[derive(Clone, PartialEq, Message)]
pub struct SnapshotPiece {
    #[prost(message, optional, tag = "1")]
    pub head: Option<SnapshotHead>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub bytes: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SnapshotHead {
    #[prost(message, optional, tag = "1")]
    pub vote: Option<Vote>,
    #[prost(message, optional, tag = "2")]
    pub last: Option<LogId>,
    #[prost(message, optional, tag = "3")]
    pub membership_at: Option<LogId>,
    /// A stored membership.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub membership: Option<Vec<u8>>,
}

/// A proposal that takes a config away, in the name of somebody.
#[derive(Clone, PartialEq, Message)]
pub struct ProposeRequest {
    #[prost(message, optional, tag = "1")]
    pub command: Option<RemoveCommand>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RemoveCommand {
    #[prost(message, optional, tag = "3")]
    pub actor: Option<Actor>,
    #[prost(message, optional, tag = "12")]
    pub remove: Option<OneValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Actor {
    #[prost(uint32, tag = "1")]
    pub uid: u32,
    #[prost(uint32, tag = "2")]
    pub pid: u32,
    #[prost(uint32, tag = "3")]
    pub call: u32,
    #[prost(string, tag = "4")]
    pub node: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct OneValue {
    #[prost(uint32, tag = "1")]
    pub class: u32,
    #[prost(string, tag = "2")]
    pub id: String,
}
