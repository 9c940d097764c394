//! Whom this manager trusts, and on the leader, the rotation of the root.
//!
//! The state says what every node is to trust and whether it is to take a new certificate. A manager follows it by
//! itself; whoever leads looks at what the nodes have, and proposes the next step. Each step does nothing if another
//! one came first, so that a new leader goes on from what the state says.

use std::sync::Arc;
use std::time::Duration;

use pki::rotation::Step as Next;
use tokio::time::{sleep, timeout};
use vault_core::command::{Action, Refusal};
use vault_core::root::{Step, Told};
use vault_core::state::State;

use crate::manager::{CallError, Manager};
use crate::raft::ProposeError;
use crate::renewal::{self, RenewError};

/// After a failure, and between two looks at the nodes while a rotation goes on.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why trust did not follow yet.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Renew(#[from] RenewError),
}

impl FollowError {
    fn is_end(&self) -> bool {
        match self {
            Self::Call(CallError::Propose(ProposeError::Stopped))
            | Self::Renew(
                RenewError::Stopped | RenewError::Call(CallError::Propose(ProposeError::Stopped)),
            ) => true,
            Self::Call(_) | Self::Renew(_) => false,
        }
    }
}

/// Runs until consensus ends.
pub(crate) async fn keep_trust(manager: Arc<Manager>) {
    let mut views = manager.consensus().views();
    let mut leads = manager.consensus().leads();
    loop {
        let view = views.borrow_and_update().clone();
        let is_leading = *leads.borrow_and_update();
        let is_quiet = is_quiet(&manager, &view.state);
        if !is_quiet {
            if look(&manager, &view.state, is_leading).await {
                return;
            }
            sleep(LOOK_EVERY).await;
            continue;
        }
        let seen = view.state.workload_index();
        let changed = async {
            tokio::select! {
                changed = views.wait_for(|view| view.state.workload_index() != seen) => changed.is_ok(),
                changed = leads.changed() => changed.is_ok(),
            }
        };
        // A renewal that was begun before may have brought the roots of before.
        if timeout(Duration::from_secs(5), changed).await == Ok(false) {
            return;
        }
    }
}

/// Follows, and leads on who leads. Whether consensus has ended.
async fn look(manager: &Arc<Manager>, state: &State, leads: bool) -> bool {
    let followed = follow(manager, state).await;
    let driven = if leads { drive(manager).await } else { Ok(()) };
    let failed: Vec<_> = [followed.err(), driven.err()].into_iter().flatten().collect();
    for error in failed.iter().filter(|error| !error.is_end()) {
        let error = crate::lock::chain(error);
        tracing::warn!(error, "the rotation of the root waits; it goes on by itself");
    }
    failed.iter().any(FollowError::is_end)
}

/// Whether nothing is to be done here.
fn is_quiet(manager: &Manager, state: &State) -> bool {
    let rotates = state.cluster().is_some_and(|cluster| cluster.roots.change.is_some());
    let told = state.told(manager.node_id());
    let is_done = |told: Told| {
        !told.is_to_renew && told.ack.is_none() && told.bundle == *manager.tls().roots()
    };
    !rotates && told.is_none_or(is_done)
}

/// Trusts what it is told to, says so once that is on the disk, and takes a new certificate if it is to.
async fn follow(manager: &Arc<Manager>, state: &State) -> Result<(), FollowError> {
    let id = manager.node_id();
    let Some(told) = state.told(id) else { return Ok(()) };
    if told.bundle != *manager.tls().roots() {
        renewal::retrust(manager, told.bundle).await?;
        tracing::info!("this manager trusts other roots from now on");
    }
    if let Some(ack) = told.ack {
        step(manager, Step::Acknowledge(id, ack)).await?;
    }
    if told.is_to_renew {
        renewal::renew(manager).await?;
        tracing::info!("this manager has a certificate of another root");
    }
    Ok(())
}

/// One step. That another one came first is no failure.
async fn step(manager: &Manager, step: Step) -> Result<(), CallError> {
    passed(manager.act(Action::Root(step)).await.map(drop))
}

fn passed(done: Result<(), CallError>) -> Result<(), CallError> {
    match done {
        Err(CallError::Refused(Refusal::Root(refusal))) => {
            tracing::debug!("a step of the rotation of the root was passed over: {refusal}");
            Ok(())
        }
        done => done,
    }
}

/// What the leader does next.
async fn drive(manager: &Manager) -> Result<(), FollowError> {
    let view = manager.read().await?;
    let rotation = view.state.cluster().and_then(|cluster| cluster.roots.change.as_ref());
    let Some(rotation) = rotation.map(|change| change.rotation) else { return Ok(()) };
    let outlook = view.state.root_outlook(Some(manager.node_id()), manager.now().secs());
    let Some(outlook) = outlook else { return Ok(()) };
    match outlook.step {
        Next::Wait => {}
        Next::Enter(phase) => {
            tracing::info!(?phase, stale = outlook.stale.len(), "the rotation of the root goes on");
            step(manager, Step::Enter(rotation.id, phase)).await?;
        }
        Next::Renew(nodes) => step(manager, Step::Ask(rotation.id, nodes)).await?,
        Next::Finish(finish) => {
            passed(manager.finish_root((rotation.id, rotation.phase), finish).await)?;
            tracing::info!(root = finish.signer.0, "the rotation of the root is done");
        }
    }
    Ok(())
}
