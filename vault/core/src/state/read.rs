//! Reading the state.

use std::sync::Arc;

use super::{State, Tasks, Values};
use crate::cluster::Cluster;
use crate::duty::Duties;
use crate::feature::Level;
use crate::id::NodeId;
use crate::node::Node;
use crate::request::Requests;
use crate::seal::{Epoch, KeyDigest};
use crate::service::Service;
use crate::table::Table;
use crate::time::Timestamp;
use crate::versioned::{Class, Versioned};

impl State {
    /// The last entry that this state reflects.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The latest time that any entry brought.
    pub fn clock(&self) -> Timestamp {
        self.clock
    }

    /// The last entry that changed a node, a service or a task.
    pub fn workload_index(&self) -> u64 {
        self.workload_index
    }

    /// The cluster, once there is one.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.as_ref()
    }

    /// Which commands every member knows.
    pub fn level(&self) -> Level {
        self.cluster.as_ref().map_or(Level::FIRST, |cluster| cluster.level)
    }

    /// Counts the changes of the unlock key: what each manager's disk has to follow.
    pub fn lock_version(&self) -> u32 {
        self.cluster.as_ref().map_or(0, |cluster| cluster.lock_version)
    }

    /// All nodes, ordered by ID.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// The epoch that values are to be sealed under once there is a key.
    pub fn wanted_epoch(&self) -> Epoch {
        self.wanted_epoch
    }

    /// The oldest epoch that something may be sealed under.
    pub fn oldest_epoch(&self) -> Epoch {
        self.oldest_epoch
    }

    /// The epoch that new values are sealed under, and which key it is, as far as that was said.
    pub fn key_in_use(&self) -> (Epoch, Option<KeyDigest>) {
        (self.epoch, self.key_digest)
    }

    /// What whoever leads still has to do.
    pub fn duties(&self) -> Duties {
        self.duties
    }

    /// Whether a node was removed, and could still show a certificate.
    pub fn was_removed(&self, id: NodeId) -> bool {
        self.removed.contains_key(&id)
    }

    /// Nodes that were removed, with when their last certificates end.
    pub fn removed_nodes(&self) -> impl Iterator<Item = (NodeId, u64)> {
        self.removed.iter().map(|(id, end_secs)| (*id, *end_secs))
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(&id)
    }

    /// The last entry that changed which value some label points to.
    pub fn delivery_index(&self) -> u64 {
        self.delivery_index
    }

    /// The epoch that new values are sealed under.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// All secrets.
    pub fn secrets(&self) -> &Table<Versioned> {
        self.secrets.table()
    }

    /// All configs.
    pub fn configs(&self) -> &Table<Versioned> {
        self.configs.table()
    }

    /// All objects of a class.
    pub fn of_class(&self, class: Class) -> &Table<Versioned> {
        self.values(class).table()
    }

    /// About how much memory secrets and configs take.
    pub fn memory_bytes(&self) -> u64 {
        self.secrets.memory_bytes().saturating_add(self.configs.memory_bytes())
    }

    /// Sealed values under epochs before this one: what a rotation still has to do.
    pub fn sealed_before(&self, epoch: Epoch) -> u64 {
        let own = self.cluster.iter().flat_map(|cluster| cluster.own());
        let own = own.filter(|(_, _, sealed)| sealed.epoch < epoch).count();
        let own = u64::try_from(own).unwrap_or(u64::MAX);
        let values =
            self.secrets.sealed_before(epoch).saturating_add(self.configs.sealed_before(epoch));
        own.saturating_add(values)
    }

    pub(super) fn values(&self, class: Class) -> &Values {
        match class {
            Class::Secret => &self.secrets,
            Class::Config => &self.configs,
        }
    }

    /// All services.
    pub fn services(&self) -> &Table<Service> {
        &self.services
    }

    /// All tasks.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The answers that are remembered.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }
}
