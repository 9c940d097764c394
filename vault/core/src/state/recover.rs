//! The state of a cluster that one node brings back alone.

use std::sync::Arc;

use imbl::OrdMap;

use super::{State, Tasks};
use crate::node::Node;
use crate::versioned::Meta;

impl State {
    /// The same state with this node as the only one. The others are known as removed: they have to join
    /// anew, under another ID. Tasks are gone with the nodes that ran them; the services are still there.
    #[must_use]
    pub fn alone(mut self, node: Node) -> Self {
        for (id, other) in &self.nodes {
            self.removed.insert(*id, other.certificate_end_secs);
        }
        let meta =
            Meta { version_index: self.index, created_at: self.clock, updated_at: self.clock };
        self.removed.remove(&node.id);
        self.nodes = OrdMap::unit(node.id, Arc::new(Node { meta, ..node }));
        self.tasks = Tasks::default();
        // Whoever has the file that this comes from knew all of it.
        self.duties.after_loss(self.index);
        self.workload_index = self.index;
        self.delivery_index = self.index;
        self
    }
}
