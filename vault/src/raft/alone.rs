//! A cluster that lost its quorum, taken up by one manager: all that its disk holds, entries whose outcome
//! nobody knows among them, as a snapshot in which it is the only voter.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use openraft::RaftLogReader;
use openraft::storage::RaftLogStorage;
use vault_core::id::ClusterId;
use vault_core::time::Timestamp;

use super::consensus::StartError;
use super::machine::{Done, Machine, Shelf, View, write_view};
use super::store::LogStore;
use super::types::{LeaderId, LogId, Member, Membership, StoredMembership, Vote};
use crate::audit::Audit;
use crate::disk::folder::Folder;
use crate::disk::log::{self, Chance, LogKey};
use crate::entropy;
use crate::keys::Keys;

/// Where a manager's store lies.
pub struct Store {
    pub cluster: ClusterId,
    pub keys: Arc<Keys>,
    pub log_key: LogKey,
    pub log_place: log::Place,
    pub log_options: log::Options,
    pub snapshot_folder: Arc<dyn Folder>,
    pub audit: Audit,
}

/// What a manager's disk holds, whatever the others hold.
pub struct Remains {
    pub term: u64,
    pub last_index: u64,
    /// When the last entry was stamped.
    pub at: Timestamp,
    /// The managers, by their nodes' IDs.
    pub members: Vec<String>,
    view: View,
    vote_term: u64,
}

impl Store {
    /// Reads the newest snapshot and all of the log.
    pub async fn remains(self) -> Result<Remains, StartError> {
        let Self { cluster, keys, log_key, log_place, log_options, snapshot_folder, audit } = self;
        let shelf = Shelf { folder: snapshot_folder, keys, audit: audit.clone(), cluster };
        let machine = Machine::restore(shelf)?;
        let chance = Chance {
            entropy: Box::new(entropy::random::<32>),
            fault: Box::new(|fault| crate::end::after_disk_fault(&fault)),
        };
        let opened = log::open_with(log_place, log_key, log_options, chance, &mut |_, _| {});
        let (recovered, writer) = opened?;
        let mut log = LogStore::new(recovered, writer)?;
        let mut next = machine.applied_index().map_or(0, |index| index.saturating_add(1));
        let mut done = Done::default();
        loop {
            let entries = log.limited_get_log_entries(next, u64::MAX).await;
            let entries = entries.map_err(StartError::Remains)?;
            let Some(last) = entries.last() else { break };
            next = last.log_id.index().saturating_add(1);
            for entry in entries {
                machine.apply_one(entry, &mut done);
            }
        }
        audit.written(done.audited());
        let vote = log.read_vote().await.map_err(StartError::Remains)?;
        let view = machine.views().borrow().clone();
        let term = view.applied.map_or(0, |id| id.committed_leader_id().term);
        let members = view.membership.membership().nodes();
        Ok(Remains {
            term,
            last_index: view.applied_index(),
            at: view.state.clock(),
            members: members.map(|(_, member)| member.node_id.clone()).collect(),
            vote_term: vote.map_or(0, |vote| vote.leader_id.term).max(term),
            view,
        })
    }
}

impl Remains {
    /// Where a manager is reached, as the others knew it.
    pub fn addr_of(&self, node_id: &str) -> String {
        let mut members = self.view.membership.membership().nodes();
        let found = members.find(|(_, member)| member.node_id == node_id);
        found.map_or_else(String::new, |(_, member)| member.addr.clone())
    }

    /// Writes them as those of a cluster with one manager, into another place.
    pub async fn write(
        mut self,
        to: Store,
        raft_id: u64,
        node_id: &str,
        addr: &str,
    ) -> Result<(), StartError> {
        let member = Member { node_id: node_id.to_owned(), addr: addr.to_owned() };
        let members = BTreeMap::from([(raft_id, member)]);
        let membership = Membership::new(vec![BTreeSet::from([raft_id])], members);
        let membership = membership.map_err(|error| StartError::Raft(error.to_string()))?;
        // Nobody else knows of this entry, and nobody else is asked any more.
        let last = self
            .view
            .applied
            .unwrap_or_else(|| LogId::new(LeaderId { term: 0, node_id: raft_id }, 0));
        self.view.applied = Some(last);
        self.view.membership = StoredMembership::new(Some(last), membership);
        let Store { cluster, keys, log_key, log_place, log_options, snapshot_folder, audit } = to;
        let shelf = Shelf { folder: snapshot_folder, keys, audit, cluster };
        let view = self.view;
        let written = tokio::task::spawn_blocking(move || write_view(&view, &shelf)).await;
        written.map_err(io::Error::other).flatten().map_err(StartError::Remains)?;
        let chance = Chance {
            entropy: Box::new(entropy::random::<32>),
            fault: Box::new(|fault| crate::end::after_disk_fault(&fault)),
        };
        let opened = log::open_with(log_place, log_key, log_options, chance, &mut |_, _| {});
        let (recovered, writer) = opened?;
        let mut log = LogStore::new(recovered, writer)?;
        // The next term is above any that this manager ever took part in.
        let vote = Vote::new(self.vote_term, raft_id);
        log.save_vote(&vote).await.map_err(StartError::Remains)
    }
}
