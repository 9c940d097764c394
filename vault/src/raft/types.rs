//! openraft's types, filled in with ours.

use std::fmt;
use std::sync::Arc;

use vault_core::command::{Command, Outcome};

use crate::disk::log::Position;

/// A command on its way through the log. Shown as nothing but that.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::raft) struct Proposal(pub Arc<Command>);

impl fmt::Debug for Proposal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("command")
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("command")
    }
}

/// What applying an entry gave; nothing for entries that are Raft's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::raft) struct Answer(pub Option<Outcome>);

/// A manager, as Raft's membership knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::raft) struct Member {
    pub node_id: String,
    /// Where other managers reach it: "IP:PORT".
    pub addr: String,
}

impl fmt::Display for Member {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} at {}", self.node_id, self.addr)
    }
}

openraft::declare_raft_types!(
    /// Everything that openraft is generic over.
    pub(in crate::raft) Types:
        D = Proposal,
        R = Answer,
        NodeId = u64,
        Node = Member,
);

pub(super) type ServerMetrics = openraft::metrics::RaftServerMetrics<Types>;
pub(super) type LeaderId = openraft::type_config::alias::CommittedLeaderIdOf<Types>;
pub(super) type LogId = openraft::type_config::alias::LogIdOf<Types>;
pub(super) type Vote = openraft::type_config::alias::VoteOf<Types>;
pub(super) type Entry = openraft::type_config::alias::EntryOf<Types>;
pub(super) type Payload = openraft::EntryPayload<Proposal, u64, Member>;
pub(super) type Membership = openraft::Membership<u64, Member>;
pub(super) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub(super) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;

pub(super) type Snapshot =
    openraft::type_config::alias::SnapshotOf<Types, super::machine::SnapshotFile>;

/// A log ID of openraft as a place in our log.
pub(super) fn position(id: &LogId) -> Position {
    let leader = id.committed_leader_id();
    Position { term: leader.term, node: leader.node_id, index: id.index() }
}

/// A place in our log as openraft's log ID.
pub(super) fn log_id(position: Position) -> LogId {
    let leader = LeaderId { term: position.term, node_id: position.node };
    LogId::new(leader, position.index)
}
