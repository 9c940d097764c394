//! Raft's messages: openraft's to protobuf and back. What is read is checked.

use openraft::entry::RaftEntry;
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult, VoteRequest};
use openraft::raft::{TransferLeaderRequest, VoteResponse};
use proto::{stored, v1};

use crate::disk::log::Position;
use crate::raft::codec::{self, CodecError, decode_payload, encode_payload};
use crate::raft::types::{
    Entry, LogId, SnapshotMeta, StoredMembership, Types, Vote, log_id, position,
};

pub(super) fn id_to(id: &LogId) -> stored::LogId {
    let Position { term, node, index } = position(id);
    stored::LogId { term, node, index }
}

pub(super) fn id_from(id: stored::LogId) -> LogId {
    let stored::LogId { term, node, index } = id;
    log_id(Position { term, node, index })
}

pub(super) fn vote_to(vote: &Vote) -> v1::RaftVote {
    let (term, node) = (vote.leader_id.term, vote.leader_id.node_id);
    v1::RaftVote { term, node, committed: vote.committed }
}

pub(super) fn vote_from(vote: Option<v1::RaftVote>) -> Result<Vote, CodecError> {
    let v1::RaftVote { term, node, committed } = needed("vote", vote)?;
    Ok(if committed { Vote::new_committed(term, node) } else { Vote::new(term, node) })
}

fn needed<T>(field: &'static str, value: Option<T>) -> Result<T, CodecError> {
    value.ok_or(CodecError::Missing { field })
}

pub(super) fn ask_to(request: &VoteRequest<Types>, is_rehearsal: bool) -> v1::RaftVoteRequest {
    v1::RaftVoteRequest {
        vote: Some(vote_to(&request.vote)),
        last: request.last_log_id.as_ref().map(id_to),
        is_rehearsal,
        is_hand_over: request.leadership_transfer,
    }
}

pub(super) fn ask_from(request: v1::RaftVoteRequest) -> Result<VoteRequest<Types>, CodecError> {
    let mut asked = VoteRequest::new(vote_from(request.vote)?, request.last.map(id_from));
    asked.leadership_transfer = request.is_hand_over;
    Ok(asked)
}

pub(super) fn granted_to(response: &VoteResponse<Types>) -> v1::RaftVoteResponse {
    v1::RaftVoteResponse {
        vote: Some(vote_to(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(id_to),
    }
}

pub(super) fn granted_from(
    response: v1::RaftVoteResponse,
) -> Result<VoteResponse<Types>, CodecError> {
    let last = response.last.map(id_from);
    Ok(VoteResponse::new(vote_from(response.vote)?, last, response.granted))
}

pub(super) fn append_to(request: &AppendEntriesRequest<Types>) -> v1::RaftAppendRequest {
    let entry = |entry: &Entry| v1::RaftEntry {
        id: Some(id_to(&entry.log_id)),
        payload: encode_payload(&entry.payload).into(),
    };
    v1::RaftAppendRequest {
        vote: Some(vote_to(&request.vote)),
        previous: request.prev_log_id.as_ref().map(id_to),
        entries: request.entries.iter().map(entry).collect(),
        committed: request.leader_commit.as_ref().map(id_to),
    }
}

/// Entries must follow each other without a hole: what is handed to Raft is what the sender's log holds.
pub(super) fn append_from(
    request: v1::RaftAppendRequest,
) -> Result<AppendEntriesRequest<Types>, CodecError> {
    let prev_log_id = request.previous.map(id_from);
    let mut next = prev_log_id.as_ref().map_or(0, |id| id.index().saturating_add(1));
    let mut entries = Vec::with_capacity(request.entries.len());
    for entry in request.entries {
        let id = id_from(needed("log ID", entry.id)?);
        if id.index() != next {
            return Err(CodecError::Range { field: "log ID" });
        }
        next = next.saturating_add(1);
        entries.push(Entry::new(id, decode_payload(entry.payload)?));
    }
    Ok(AppendEntriesRequest {
        vote: vote_from(request.vote)?,
        prev_log_id,
        entries,
        leader_commit: request.committed.map(id_from),
    })
}

pub(super) fn appended_to(result: &StreamAppendResult<Types>) -> v1::RaftAppendResponse {
    use v1::raft_append_response::Answer;
    let answer = match result {
        Ok(upto) => Answer::Kept(v1::RaftKept { upto: upto.as_ref().map(id_to) }),
        Err(StreamAppendError::Conflict(expected)) => {
            Answer::Conflict(v1::RaftConflict { expected: Some(id_to(expected)) })
        }
        Err(StreamAppendError::HigherVote(vote)) => Answer::HigherVote(vote_to(vote)),
    };
    v1::RaftAppendResponse { answer: Some(answer) }
}

pub(super) fn appended_from(
    response: v1::RaftAppendResponse,
) -> Result<StreamAppendResult<Types>, CodecError> {
    use v1::raft_append_response::Answer;
    Ok(match needed("answer", response.answer)? {
        Answer::Kept(kept) => Ok(kept.upto.map(id_from)),
        Answer::Conflict(conflict) => {
            let expected = needed("expected", conflict.expected)?;
            Err(StreamAppendError::Conflict(id_from(expected)))
        }
        Answer::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote_from(Some(vote))?)),
    })
}

pub(super) fn meta_to(vote: &Vote, meta: &SnapshotMeta) -> v1::RaftSnapshotHead {
    v1::RaftSnapshotHead {
        vote: Some(vote_to(vote)),
        last: meta.last_log_id.as_ref().map(id_to),
        membership_at: meta.last_membership.log_id().as_ref().map(id_to),
        membership: Some(codec::membership_to(meta.last_membership.membership())),
    }
}

pub(super) fn meta_from(head: v1::RaftSnapshotHead) -> Result<(Vote, SnapshotMeta), CodecError> {
    let membership = codec::membership_from(head.membership)?;
    let meta = SnapshotMeta {
        last_log_id: head.last.map(id_from),
        last_membership: StoredMembership::new(head.membership_at.map(id_from), membership),
    };
    Ok((vote_from(head.vote)?, meta))
}

pub(super) fn hand_over_to(request: &TransferLeaderRequest<Types>) -> v1::RaftHandOverRequest {
    v1::RaftHandOverRequest {
        from: Some(vote_to(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().map(id_to),
    }
}

pub(super) fn hand_over_from(
    request: v1::RaftHandOverRequest,
) -> Result<TransferLeaderRequest<Types>, CodecError> {
    let last = request.last.map(id_from);
    Ok(TransferLeaderRequest::new(vote_from(request.from)?, request.to, last))
}
