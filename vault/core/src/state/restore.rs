//! Putting a state back together from its parts, as a snapshot brings them.

use std::sync::Arc;

use pki::issued::Record;

use super::{Revoked, State};
use crate::cluster::Cluster;
use crate::command::Outcome;
use crate::duty::Duties;
use crate::id::NodeId;
use crate::node::Node;
use crate::request::RequestId;
use crate::seal::{Epoch, KeyDigest};
use crate::service::Service;
use crate::task::Task;
use crate::time::Timestamp;
use crate::token::Token;
use crate::versioned::{Class, Versioned};

/// The parts of a state, as a snapshot brings them back one by one.
#[derive(Default)]
pub struct Restoring(State);

impl Restoring {
    /// The state's bookkeeping.
    pub fn clock(&mut self, index: u64, clock: Timestamp, epoch: Epoch) {
        self.0.index = index;
        // Whoever waits for a change looks once at what came back.
        self.0.workload_index = index;
        self.0.delivery_index = index;
        self.0.clock = clock;
        self.0.epoch = epoch;
        // That of no rotation, unless more is said.
        self.0.wanted_epoch = epoch;
    }

    /// The cluster.
    pub fn cluster(&mut self, cluster: Cluster) {
        self.0.cluster = Some(Arc::new(cluster));
    }

    /// The epochs of a rotation that may be under way.
    pub fn epochs(&mut self, wanted: Epoch, oldest: Epoch) {
        self.0.wanted_epoch = wanted.max(self.0.epoch);
        self.0.oldest_epoch = oldest;
    }

    /// The key of the epoch in use, if it is known, and what is still to be done.
    pub fn duties(&mut self, key_digest: Option<KeyDigest>, duties: Duties) {
        self.0.key_digest = key_digest;
        self.0.duties = duties;
    }

    /// One node that was removed.
    pub fn removed_node(&mut self, id: NodeId, end_secs: u64) {
        self.0.removed.insert(id, end_secs);
    }

    /// One node.
    pub fn node(&mut self, node: Node) {
        self.0.nodes.insert(node);
    }

    /// One join token beside the standing ones.
    pub fn token(&mut self, token: Token) {
        self.0.tokens.insert(token);
    }

    /// One certificate that was issued, the oldest first.
    pub fn issued(&mut self, record: Record) {
        self.0.issued.insert(record);
    }

    /// One certificate that was taken back.
    pub fn revoked(&mut self, serial: Vec<u8>, revoked: Revoked) {
        self.0.issued.insert_revoked(serial, revoked);
    }

    /// One secret or config.
    pub fn versioned(&mut self, class: Class, object: Versioned) {
        self.0.values_mut(class).insert(object);
    }

    /// One service.
    pub fn service(&mut self, service: Service) {
        for grant in &service.spec.grants {
            self.0.granted.insert((grant.secret, service.id));
        }
        self.0.services.insert(service.id.object(), Arc::new(service));
    }

    /// One task.
    pub fn task(&mut self, task: Task) {
        self.0.tasks.insert(task);
    }

    /// One remembered answer, the oldest first.
    pub fn request(&mut self, id: RequestId, outcome: Outcome) {
        self.0.requests.remember(id, outcome);
    }

    /// The whole state.
    pub fn finish(self) -> State {
        self.0
    }
}
