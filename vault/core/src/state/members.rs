//! The nodes' records, found by ID and by the keys that they pin.

use std::sync::Arc;

use imbl::OrdMap;

use crate::id::NodeId;
use crate::node::{KeyPin, Node};

/// All nodes. Invariant: a key leads to the node whose record pins it; no other record does.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    records: OrdMap<NodeId, Arc<Node>>,
    keys: OrdMap<KeyPin, NodeId>,
}

impl Members {
    pub(super) fn get(&self, id: &NodeId) -> Option<&Arc<Node>> {
        self.records.get(id)
    }

    /// The node that a key proves.
    pub(super) fn with_key(&self, pin: KeyPin) -> Option<&Arc<Node>> {
        self.keys.get(&pin).and_then(|id| self.records.get(id))
    }

    pub(super) fn contains(&self, id: &NodeId) -> bool {
        self.records.contains_key(id)
    }

    /// Ordered by ID.
    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.records.values()
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Puts a record in place of the one before.
    pub(super) fn insert(&mut self, node: Node) {
        self.forget_keys(node.id);
        for pin in &node.pins {
            self.keys.insert(*pin, node.id);
        }
        self.records.insert(node.id, Arc::new(node));
    }

    pub(super) fn remove(&mut self, id: &NodeId) {
        self.forget_keys(*id);
        self.records.remove(id);
    }

    fn forget_keys(&mut self, id: NodeId) {
        let pins = self.records.get(&id).map(|node| node.pins.clone()).unwrap_or_default();
        for pin in pins {
            if self.keys.get(&pin) == Some(&id) {
                self.keys.remove(&pin);
            }
        }
    }
}
