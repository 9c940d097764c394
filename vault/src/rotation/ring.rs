//! Data keys between managers: fetched by one that misses some, spread before a new one is used.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::timeout;
use vault_core::limits::FORWARD_MS_MAX;
use vault_core::roster::has_majority;
use vault_core::seal::{Epoch, KEY_BYTES, KeyDigest};
use zeroize::Zeroizing;

use crate::keys::KeyChangeError;
use crate::manager::{CallError, Manager};
use crate::rpc;

/// Data keys by epoch, on their way between managers.
pub type Carried = BTreeMap<Epoch, Zeroizing<[u8; KEY_BYTES]>>;

/// Keys that did not get from one manager to another.
#[derive(Debug, thiserror::Error)]
pub(super) enum RingError {
    #[error("no manager in reach has the data keys that this one misses")]
    Nobody,
    #[error("only {kept} of {voters} managers have the new data key on disk; a majority must")]
    TooFew { kept: usize, voters: usize },
    #[error(transparent)]
    Keys(#[from] KeyChangeError),
    #[error(transparent)]
    Call(#[from] CallError),
}

const PATIENCE: Duration = Duration::from_millis(FORWARD_MS_MAX);

/// Fetches the keyring from another manager: the leader, or whoever has it.
pub(super) async fn fetch(
    manager: &Manager,
    meant: (Epoch, Option<KeyDigest>),
) -> Result<(), RingError> {
    let standing = manager.consensus().standing();
    let own = manager.node_id().to_string();
    let mut others: Vec<_> =
        standing.members.iter().filter(|member| member.node_id != own).collect();
    others.sort_by_key(|member| Some(member.raft_id) != standing.leader);
    for member in others {
        let call = rpc::peers::keyring(manager.dialer(), &member.addr, &member.node_id);
        match timeout(PATIENCE, call).await {
            Ok(Ok(keys)) => {
                if manager.keys().take_meant(&keys, meant)? {
                    return Ok(());
                }
                tracing::debug!(node = member.node_id, "it misses the key that is meant, too");
            }
            Ok(Err(error)) => tracing::debug!(node = member.node_id, %error, "no keyring"),
            Err(_) => tracing::debug!(node = member.node_id, "no keyring in time"),
        }
    }
    Err(RingError::Nobody)
}

/// Has every manager in reach keep the keys of this one, a majority of the voters at least.
pub(super) async fn spread(manager: &Manager) -> Result<(), RingError> {
    let mut standing = manager.consensus().standing();
    let own = manager.node_id().to_string();
    // Not to one that was demoted and is not out of Raft yet.
    let view = manager.read().await?;
    let managers: BTreeSet<_> = view.state.managers().map(|node| node.id.to_string()).collect();
    standing.members.retain(|member| managers.contains(&member.node_id));
    let voters = standing.members.iter().filter(|member| member.is_voter).count();
    let keys = manager.keys().carried();
    let calls =
        standing.members.iter().filter(|member| member.node_id != own).map(|member| {
            let call =
                rpc::peers::keep_keys(manager.dialer(), &member.addr, &member.node_id, &keys);
            async move {
                (member.is_voter, timeout(PATIENCE, call).await.is_ok_and(|kept| kept.is_ok()))
            }
        });
    let kept = futures_util::future::join_all(calls).await;
    let kept = 1 + kept.into_iter().filter(|(is_voter, is_kept)| *is_voter && *is_kept).count();
    if has_majority(kept, voters) { Ok(()) } else { Err(RingError::TooFew { kept, voters }) }
}
