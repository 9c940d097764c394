//! The state of a cluster that one node brings back alone.

use super::{Members, State, Tasks};
use crate::node::Node;
use crate::versioned::Meta;

impl State {
    /// The same state with this node as the only one. The others are known as removed: they have to join
    /// anew, under another ID. Tasks are gone with the nodes that ran them; the services are still there.
    #[must_use]
    pub fn alone(mut self, node: Node) -> Self {
        let others: Vec<_> = self.nodes.values().cloned().collect();
        for other in others {
            if other.id != node.id {
                self.revoke_certificates(self.clock, other.id, None);
            }
            self.removed.insert(other.id, other.certificate_end_secs);
        }
        self.record_issued(self.clock, &node.certificate);
        let meta =
            Meta { version_index: self.index, created_at: self.clock, updated_at: self.clock };
        self.removed.remove(&node.id);
        self.nodes = Members::default();
        self.nodes.insert(Node { meta, ..node });
        self.tasks = Tasks::default();
        // Whoever has the file that this comes from knew all of it.
        self.duties.after_loss(self.index);
        self.tokens.revoke_known(self.clock, None);
        self.workload_index = self.index;
        self.delivery_index = self.index;
        self
    }
}
