//! Leaving a cluster: first out of the managers, then everything of it is deleted here.

use std::fs;
use std::io;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use vault_core::command::{Action, NodeUpdate};
use vault_core::node::{NodeStatus, Role};

use super::{CallError, Daemon};
use crate::manager::{self, CLUSTER, DRAFT, Manager};
use crate::raft::MemberStatus;
use crate::worker::Word;

/// How long a manager tries to be taken out by the others before it just goes.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why this node does not leave. The texts are Swarm's.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    #[error("This node is not part of a swarm")]
    NotInACluster,
    #[error(
        "You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message."
    )]
    LastManager,
    #[error(
        "You are attempting to leave the swarm on a node that is participating as a manager. {consequence}The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use `--force` to suppress this message."
    )]
    Manager { consequence: String },
    #[error(
        "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message."
    )]
    Locked,
    #[error("cannot delete the cluster's files")]
    Io(#[from] io::Error),
}

impl Daemon {
    /// Leaves the cluster.
    pub async fn leave(&self, is_forced: bool) -> Result<(), LeaveError> {
        let _alone = self.founding.lock().await;
        let manager = match self.manager() {
            Ok(manager) => manager,
            Err(CallError::Worker) => {
                self.stop_working(Word::Leave).await;
                return self.forget_cluster();
            }
            Err(CallError::Locked) if is_forced => return self.forget_cluster(),
            Err(CallError::Locked) => return Err(LeaveError::Locked),
            Err(_) => return Err(LeaveError::NotInACluster),
        };
        if !is_forced {
            return Err(refusal(&manager));
        }
        if !manager.consensus().is_alone() && timeout(PATIENCE, go(&manager)).await.is_err() {
            tracing::warn!("the other managers did not take this one out: remove it there");
        }
        drop(manager);
        self.wind_down().await;
        self.forget_cluster()
    }

    fn forget_cluster(&self) -> Result<(), LeaveError> {
        let home = &self.config.state_dir;
        // One rename, and nothing of it is found any more; what a crash leaves behind is a draft.
        fs::rename(home.join(CLUSTER), home.join(DRAFT))?;
        manager::remove_draft(home)?;
        self.locked.set(false);
        tracing::info!("left the cluster; its files are deleted");
        Ok(())
    }
}

fn refusal(manager: &Manager) -> LeaveError {
    let view = manager.consensus().view();
    let managers = view.state.managers().count();
    if managers < 2 {
        return LeaveError::LastManager;
    }
    let own = manager.node_id();
    let others = view.state.managers().filter(|node| node.id != own);
    let answering = others.filter(|node| node.status == NodeStatus::Ready).count();
    let consequence = if view.state.may_lose(own) {
        String::new()
    } else {
        format!(
            "Removing this node leaves {answering} managers out of {managers}. Without a Raft quorum your swarm will be inaccessible. "
        )
    };
    LeaveError::Manager { consequence }
}

/// Returns once this manager is none of the managers any more.
async fn go(manager: &Manager) {
    let own = manager.node_id();
    let consensus = manager.consensus();
    loop {
        if consensus.standing().is_leader && !consensus.hand_over().await {
            sleep(LOOK_EVERY).await;
            continue;
        }
        let update = NodeUpdate {
            id: own,
            expected: None,
            role: Some(Role::Worker),
            availability: None,
            labels: None,
        };
        match manager.act(Action::UpdateNode(update)).await {
            Ok(_) => break,
            Err(error) => {
                tracing::debug!(%error, "leaving waits");
                sleep(LOOK_EVERY).await;
            }
        }
    }
    // The end of the change is not told to those who are out of it. Once its start is on the disk here, the
    // others need nothing more from this manager.
    let stays = |one: &MemberStatus| one.is_voter && !one.is_going;
    while consensus.standing().of_node(own.as_str()).is_some_and(stays) {
        sleep(LOOK_EVERY).await;
    }
    // The leader hears of it by the answer that is on its way.
    sleep(LOOK_EVERY).await;
}
