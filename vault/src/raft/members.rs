//! Who takes part in Raft, and changing that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::async_runtime::{Instant, WatchReceiver};
use openraft::error::{ClientWriteError, Fatal, RaftError};
use openraft::{Raft, ServerState};

use vault_core::limits::LEADER_SILENT_MS;

use super::machine::Machine;
use super::types::{Member, Types};

/// How Raft stands, as this manager sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub term: u64,
    /// The leader's Raft ID, where one is known.
    pub leader: Option<u64>,
    pub is_leader: bool,
    /// The last entry of this manager's log.
    pub last_index: u64,
    pub applied_index: u64,
    pub snapshot_index: u64,
    /// On the leader: since when no majority has answered.
    pub millis_since_quorum: Option<u64>,
    /// Whether the set of voters is in the middle of a change.
    pub is_changing: bool,
    pub members: Vec<MemberStatus>,
}

/// One manager in Raft's membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    pub raft_id: u64,
    pub node_id: String,
    pub addr: String,
    pub is_voter: bool,
    /// Whether it votes only until the change that is under way is done.
    pub is_going: bool,
    /// On the leader: the last entry that this manager is known to have on disk.
    pub matched: Option<u64>,
    /// On the leader: milliseconds since it last answered.
    pub silent_millis: Option<u64>,
}

/// A change of the members that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum MemberChangeError {
    #[error("this manager is not the leader")]
    NotLeader,
    #[error("another change of the managers is under way")]
    Busy,
    #[error("the managers did not change: {0}")]
    Failed(String),
}

impl Standing {
    /// Whether this is a leader that no majority has answered for a while.
    pub fn has_lost_quorum(&self) -> bool {
        self.is_leader && self.millis_since_quorum.is_some_and(|millis| millis >= LEADER_SILENT_MS)
    }

    /// The leader as a member.
    pub fn leader_member(&self) -> Option<&MemberStatus> {
        let leader = self.leader?;
        self.members.iter().find(|member| member.raft_id == leader)
    }

    /// A member by its node.
    pub fn of_node(&self, node_id: &str) -> Option<&MemberStatus> {
        self.members.iter().find(|member| member.node_id == node_id)
    }
}

/// Returns once who takes part, as log and snapshot say, is shown by the metrics, too: a manager of several
/// would take itself for a lone one until then.
pub(super) async fn show(raft: &Raft<Types, Machine>) -> Result<(), Fatal<Types>> {
    let known = raft
        .with_raft_state(|state| state.membership_state.effective().membership().nodes().count())
        .await?;
    let mut metrics = raft.server_metrics();
    while metrics.borrow_watched().membership_config.membership().nodes().count() < known {
        if metrics.changed().await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The same, without all else. It is asked for each command.
pub(super) fn has_lost_quorum(raft: &Raft<Types, Machine>) -> bool {
    let metrics = raft.data_metrics();
    let acked = metrics.borrow_watched().last_quorum_acked;
    // Nobody but a leader is acknowledged anything.
    acked.is_some_and(|acked| acked.elapsed() >= Duration::from_millis(LEADER_SILENT_MS))
}

pub(super) fn standing(raft: &Raft<Types, Machine>) -> Standing {
    // Copied at once: Raft's core waits while it is borrowed.
    let metrics = raft.metrics().borrow_watched().clone();
    let membership = metrics.membership_config.membership();
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let next = membership.get_joint_config().last().cloned().unwrap_or_default();
    let beat = metrics.heartbeat.clone().unwrap_or_default();
    let matched = metrics.replication.clone().unwrap_or_default();
    let members = membership.nodes().map(|(id, member)| MemberStatus {
        raft_id: *id,
        node_id: member.node_id.clone(),
        addr: member.addr.clone(),
        is_voter: voters.contains(id),
        is_going: voters.contains(id) && !next.contains(id),
        matched: matched.get(id).copied().flatten().map(|id| id.index()),
        silent_millis: beat
            .get(id)
            .copied()
            .flatten()
            .map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)),
    });
    Standing {
        term: metrics.current_term,
        leader: metrics.current_leader,
        is_leader: metrics.state == ServerState::Leader,
        last_index: metrics.last_log_index.unwrap_or(0),
        applied_index: metrics.last_applied.map_or(0, |id| id.index()),
        snapshot_index: metrics.snapshot.map_or(0, |id| id.index()),
        millis_since_quorum: metrics
            .last_quorum_acked
            .map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)),
        is_changing: membership.get_joint_config().len() > 1,
        members: members.collect(),
    }
}

/// Has a manager follow the log without a vote.
pub(super) async fn add_learner(
    raft: &Raft<Types, Machine>,
    raft_id: u64,
    node_id: &str,
    addr: &str,
) -> Result<(), MemberChangeError> {
    let member = Member { node_id: node_id.to_owned(), addr: addr.to_owned() };
    outcome(raft.add_learner(raft_id, member, false).await)
}

/// Records that a member is reached elsewhere now.
pub(super) async fn move_member(
    raft: &Raft<Types, Machine>,
    raft_id: u64,
    node_id: &str,
    addr: &str,
) -> Result<(), MemberChangeError> {
    let member = Member { node_id: node_id.to_owned(), addr: addr.to_owned() };
    let change = openraft::ChangeMembers::SetNodes(BTreeMap::from([(raft_id, member)]));
    outcome(raft.change_membership(change, true).await)
}

/// Makes these the voters. Who is none of them any more leaves.
pub(super) async fn set_voters(
    raft: &Raft<Types, Machine>,
    voters: BTreeSet<u64>,
) -> Result<(), MemberChangeError> {
    outcome(raft.change_membership(voters, false).await)
}

/// Takes members out that have no vote.
pub(super) async fn remove_learners(
    raft: &Raft<Types, Machine>,
    learners: BTreeSet<u64>,
) -> Result<(), MemberChangeError> {
    let change = openraft::ChangeMembers::RemoveNodes(learners);
    outcome(raft.change_membership(change, false).await)
}

fn outcome<T>(
    changed: Result<T, RaftError<Types, ClientWriteError<Types>>>,
) -> Result<(), MemberChangeError> {
    match changed {
        Ok(_) => Ok(()),
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
            Err(MemberChangeError::NotLeader)
        }
        Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error))) => {
            let text = error.to_string();
            match error {
                openraft::error::ChangeMembershipError::InProgress(_) => {
                    Err(MemberChangeError::Busy)
                }
                _ => Err(MemberChangeError::Failed(text)),
            }
        }
        Err(other) => Err(MemberChangeError::Failed(other.to_string())),
    }
}
