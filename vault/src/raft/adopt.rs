//! Views outside of consensus: as records, put back together, and made the start of a cluster of one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use vault_core::id::ClusterId;
use vault_core::seal::DataKey;

use super::CodecError;
use super::machine::{Reading, View, push_records, write_snapshot};
use super::types::{Member, Membership, StoredMembership};
use crate::disk::folder::Folder;

/// Records that are no whole view.
#[derive(Debug, thiserror::Error)]
#[error("{found} records, {said} were written")]
pub struct IncompleteError {
    pub found: u64,
    pub said: u64,
}

/// A view on its way back from its records.
#[derive(Default)]
pub struct ViewReader(Reading);

impl ViewReader {
    /// Takes the next record.
    pub fn take(&mut self, record: &[u8]) -> Result<(), CodecError> {
        self.0.take(record)
    }

    /// The whole view.
    pub fn finish(self) -> Result<View, IncompleteError> {
        self.0.finish().map_err(|(found, said)| IncompleteError { found, said })
    }
}

impl View {
    /// Gives out its records, in the order in which they are read back.
    pub fn push_records(&self, take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        push_records(self, take)
    }

    /// Writes it as a snapshot into an empty folder: consensus that starts there goes on from it.
    pub fn write_snapshot(
        &self,
        folder: Arc<dyn Folder>,
        key: DataKey<'_>,
        cluster: ClusterId,
    ) -> io::Result<()> {
        write_snapshot(self, folder, key, cluster).map(|_| ())
    }
}

/// The same view with this manager as the only member, whoever took part before. Its Raft ID must not be one
/// that was ever used; the index behind the view's is none, since no manager is made by a leader's first
/// entry.
#[must_use]
pub fn adopt(view: View, raft_id: u64, node_id: &str, addr: &str) -> View {
    let member = Member { node_id: node_id.to_owned(), addr: addr.to_owned() };
    let members = BTreeMap::from([(raft_id, member)]);
    let alone = Membership::new(vec![BTreeSet::from([raft_id])], members);
    let alone = alone.expect("the only voter is a member");
    // As if the view's last entry had made it so: nothing before it counts any more.
    let membership = StoredMembership::new(view.applied, alone);
    View { membership, ..view }
}
