//! On the leader: another managers' join token, once whoever knew the one before has no data key that opens
//! it. The other duties are data keys: `crate::rotation`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use vault_core::node::Role;

use crate::manager::{AdmitError, CallError, Manager};
use crate::raft::ProposeError;

/// After a failure.
const RETRY: Duration = Duration::from_millis(200);

/// Runs until consensus ends.
pub(crate) async fn keep_duties(manager: Arc<Manager>) {
    let mut views = manager.consensus().views();
    let mut leads = manager.consensus().leads();
    loop {
        let duties = views.borrow_and_update().state.duties();
        if *leads.borrow_and_update() && duties.is_token_due() {
            match manager.rotate_token(Role::Manager).await {
                Ok(_) => {
                    tracing::info!("a manager went: the managers' join token is another one now");
                }
                Err(AdmitError::Call(CallError::Propose(ProposeError::Stopped))) => return,
                Err(error) => {
                    tracing::warn!(%error, "the managers' join token waits to be changed");
                    sleep(RETRY).await;
                    continue;
                }
            }
        }
        let changed = views.wait_for(|view| view.state.duties() != duties);
        tokio::select! {
            changed = changed => if changed.is_err() { return },
            changed = leads.changed() => if changed.is_err() { return },
        }
    }
}
