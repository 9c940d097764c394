//! What an operator does to nodes.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use vault_core::command::{Action, NodeUpdate, ObjectKind, Refusal};
use vault_core::id::NodeId;
use vault_core::labels::Labels;
use vault_core::node::{Availability, Node, Role};
use vault_core::state::State;

use super::{CallError, Daemon};
use crate::manager::{self, Asked, Changed, Manager};

/// What changes about a node.
#[derive(Clone, Debug, Default)]
pub struct NodeChange {
    pub role: Option<Role>,
    pub availability: Option<Availability>,
    pub label_add: std::collections::BTreeMap<String, String>,
    pub label_rm: Vec<String>,
    pub expected: Option<u64>,
}

/// How long somebody who demoted a manager waits for it to be out of Raft, and how often it is looked at.
const OUT_PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Another change of the same node came in between so often.
const TRIES: usize = 10;

impl Daemon {
    /// Changes a node.
    pub async fn update_node(
        &self,
        asked: Asked,
        reference: &str,
        change: NodeChange,
    ) -> Result<Changed, CallError> {
        for tries_left in (0..TRIES).rev() {
            let (manager, view) = self.view().await?;
            let node = find(&view.state, reference)?;
            let update = update(node, &change)?;
            let is_demotion = node.role == Role::Manager && change.role == Some(Role::Worker);
            if is_demotion && node.id == manager.node_id() && view.state.may_lose(node.id) {
                // Whoever is to go does not lead while it is taken out.
                manager.consensus().hand_over().await;
            }
            let may_try = change.expected.is_none() && asked.request.is_none() && tries_left > 0;
            let changed = match manager.act_for(asked.clone(), Action::UpdateNode(update)).await {
                Err(manager::CallError::Refused(Refusal::OutOfSequence)) if may_try => continue,
                changed => changed?,
            };
            // What a former manager knows is made worthless by the leader, once it is out of Raft.
            if is_demotion {
                wait_until_out(&manager, node.id).await;
            }
            return Ok(changed);
        }
        Err(manager::CallError::Refused(Refusal::OutOfSequence).into())
    }

    /// Removes a node for good.
    pub async fn remove_node(
        &self,
        asked: Asked,
        reference: &str,
        is_forced: bool,
    ) -> Result<Changed, CallError> {
        let (manager, view) = self.view().await?;
        let id = find(&view.state, reference)?.id;
        let changed = manager.act_for(asked, Action::RemoveNode(id, is_forced)).await?;
        manager.dialer().keep(|node_id| NodeId::parse(node_id).is_ok_and(|other| other != id));
        Ok(changed)
    }
}

/// A demoted manager still has its vote for a moment, and nobody elects it: were the leader lost just then, and the
/// newest entry on the demoted one alone, nobody could be elected. So whoever demoted it hears of it once it is out.
async fn wait_until_out(manager: &Manager, id: NodeId) {
    if id == manager.node_id() {
        // Nobody tells it that it is out.
        return;
    }
    let id = id.to_string();
    let votes = || {
        let members = manager.consensus().standing().members;
        members.iter().any(|member| member.node_id == id && member.is_voter)
    };
    let out = async {
        while votes() {
            sleep(LOOK_EVERY).await;
        }
    };
    // Past that it goes on by itself.
    timeout(OUT_PATIENCE, out).await.ok();
}

fn find<'a>(
    state: &'a State,
    reference: &str,
) -> Result<&'a std::sync::Arc<Node>, manager::CallError> {
    let found = state.find_node(reference);
    found.map_err(|failed| Refusal::lookup(ObjectKind::Node, reference, failed).into())
}

fn update(node: &Node, change: &NodeChange) -> Result<NodeUpdate, manager::CallError> {
    let mut labels = node.labels.as_map().clone();
    for key in &change.label_rm {
        if labels.remove(key).is_none() {
            return Err(Refusal::NoLabel { key: key.clone() }.into());
        }
    }
    labels.extend(change.label_add.clone());
    let labels = Labels::parse(labels).map_err(manager::CallError::Labels)?;
    let is_changed = labels != node.labels;
    Ok(NodeUpdate {
        id: node.id,
        // Labels are changed as they were read.
        expected: change.expected.or_else(|| is_changed.then_some(node.meta.version_index)),
        role: change.role,
        availability: change.availability,
        labels: is_changed.then_some(labels),
    })
}
