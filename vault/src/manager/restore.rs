//! Bringing a cluster back from a backup, with this node as its only manager.
//!
//! Everything is made in a draft folder, as when a cluster is founded: until that is renamed, nothing happened.

use std::io;
use std::path::Path;
use std::sync::Arc;

use vault_core::cluster::Cluster;
use vault_core::id::NodeId;
use vault_core::node::Role;
use vault_core::recovery::next_epoch;
use vault_core::seal::{self, OpenError};
use vault_memory::GuardError;

use super::admission::{AdmitError, IssueError};
use super::found::{own_identity, own_node, remove_draft};
use super::{
    CLUSTER, CallError, DRAFT, Files, Founding, Limits, Locked, LockingError, Manager,
    ManagerError, SNAPSHOTS,
};
use crate::backup::Contents;
use crate::disk::diskkey::DiskKey;
use crate::disk::folder::{Folder, RealFolder};
use crate::disk::node::Membership;
use crate::raft::adopt;
use crate::{clock, entropy};

/// Why no cluster was brought back. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("cannot write the cluster's files")]
    Io(#[from] io::Error),
    #[error("no memory for keys")]
    Memory(#[from] GuardError),
    #[error("the backup holds no cluster")]
    NoCluster,
    #[error("the root's key does not open")]
    RootKey(#[from] OpenError),
    #[error(transparent)]
    Issue(#[from] IssueError),
    #[error(transparent)]
    Manager(#[from] ManagerError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the join tokens were not made anew")]
    Tokens(#[from] AdmitError),
    #[error("the unlock key was not made anew")]
    UnlockKey(#[from] LockingError),
}

/// Brings a cluster back from what was read and checked before. Gives the new unlock key if it has autolock.
pub async fn restore(
    state_dir: &Path,
    contents: Contents,
    founding: Founding,
    limits: Limits,
) -> Result<(Manager, Option<Locked>), RestoreError> {
    remove_draft(state_dir)?;
    let made = Box::pin(make(state_dir, contents, founding, limits)).await;
    if made.is_err() {
        remove_draft(state_dir)?;
    }
    made
}

async fn make(
    state_dir: &Path,
    contents: Contents,
    founding: Founding,
    limits: Limits,
) -> Result<(Manager, Option<Locked>), RestoreError> {
    let Contents { header, keyring, mut view, .. } = contents;
    let home = RealFolder::open(state_dir)?;
    let folder = home.folder(DRAFT)?;
    let membership = Membership {
        cluster: header.cluster,
        node: NodeId::from_entropy(entropy::random()),
        // The entry that comes next is a new leader's own: no manager has its number, and none gets it.
        raft_id: view.applied_index() + 1,
        recovery_epoch: next_epoch(header.recovery_epoch, clock::now().secs()),
    };
    let cluster = Arc::clone(view.state.cluster().ok_or(RestoreError::NoCluster)?);
    let signer = cluster.signer();
    let key = keyring.key(signer.key.epoch).ok_or(OpenError)?;
    let place = Cluster::root_place(cluster.id, signer.generation);
    let root_key = seal::open(key, &place, signer.key)?;
    let (issued, credentials) = own_identity(&cluster, root_key.expose(), membership.node)?;
    let node = own_node(membership, &founding, issued);
    view.state = view.state.alone(node);
    let view = adopt(view, membership.raft_id, membership.node.as_str(), &founding.addr);
    view.write_snapshot(folder.folder(SNAPSHOTS)?, keyring.newest(), membership.cluster)?;
    drop(view);
    let disk_key = DiskKey::filled(entropy::fill)?;
    let files = Files { folder, disk_key, keyring, membership, credentials };
    files.write()?;
    let manager = Manager::start(files, limits).await?;
    manager.consensus().lead().await.map_err(CallError::from)?;
    // Whoever knew them knew the cluster as it was.
    manager.rotate_token(Role::Worker).await?;
    manager.rotate_token(Role::Manager).await?;
    match manager.rotate_unlock_key().await {
        Ok(()) | Err(LockingError::Off) => {}
        Err(error) => return Err(error.into()),
    }
    let locked = manager.locked_under().await?;
    home.rename(DRAFT, CLUSTER)?;
    home.flush()?;
    Ok((manager, locked))
}
