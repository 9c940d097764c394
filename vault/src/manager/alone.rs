//! Forcing a new cluster out of what one manager holds, when the others are lost for good.
//!
//! Everything is made in a draft beside the cluster's folder; the two then change places in one step. The
//! recovery epoch goes up with it: whoever comes back from before is refused by every call, for ever.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use vault_core::command::Action;
use vault_core::recovery::next_epoch;
use vault_core::time::Timestamp;
use vault_core::unlock::UnlockKey;

use super::{AUDIT, AUDIT_MARK, CLUSTER, DRAFT, Files, LOG, LOG_MARK, Limits, Manager};
use super::{CallError, ManagerError, remove_draft};
use crate::audit::Audit;
use crate::clock;
use crate::disk::folder::{Folder, RealFolder};
use crate::disk::log::{self, LogKey, MarkFile};
use crate::disk::node::Membership;
use crate::keys::Keys;
use crate::raft::{StartError, Store};

/// What was found before anything was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub term: u64,
    pub last_index: u64,
    pub at: Timestamp,
    /// The managers that there were, by their nodes' IDs.
    pub members: Vec<String>,
}

/// Why no new cluster was forced. The old one is as it was.
#[derive(Debug, thiserror::Error)]
pub enum AloneError {
    #[error("this node holds no cluster")]
    NoCluster,
    #[error("cannot write the cluster's files anew")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Manager(#[from] ManagerError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Makes a cluster of this manager alone, of all that its disk holds. Nothing else may have it open.
pub async fn stand_alone(
    state_dir: &Path,
    unlock: Option<&UnlockKey>,
    limits: Limits,
) -> Result<(Manager, Found), AloneError> {
    remove_draft(state_dir)?;
    let made = make(state_dir, unlock, limits.clone()).await;
    if made.is_err() {
        remove_draft(state_dir)?;
    }
    let found = made?;
    tracing::warn!(
        term = found.term,
        last_index = found.last_index,
        "a new cluster is made of what this manager holds; the others are fenced off"
    );
    let (new, old) = (state_dir.join(DRAFT), state_dir.join(CLUSTER));
    renameat_with(CWD, &new, CWD, &old, RenameFlags::EXCHANGE).map_err(io::Error::from)?;
    RealFolder::open(state_dir)?.flush()?;
    // What has the draft's name now is the old cluster.
    remove_draft(state_dir)?;
    let manager = Manager::open_with(state_dir, unlock, limits).await?;
    let manager = manager.ok_or(AloneError::NoCluster)?;
    manager.consensus().lead().await.map_err(CallError::from)?;
    manager.act(Action::StandAlone(manager.node_id())).await?;
    Ok((manager, found))
}

async fn make(
    state_dir: &Path,
    unlock: Option<&UnlockKey>,
    limits: Limits,
) -> Result<Found, AloneError> {
    let path = state_dir.join(CLUSTER);
    if !path.exists() {
        return Err(AloneError::NoCluster);
    }
    let home = RealFolder::open(state_dir)?;
    let mut files = Files::read(&path, unlock)?;
    let before = files.membership;
    let remains = {
        let store = store(&files, Files::read(&path, unlock)?, &limits)?;
        store.remains().await?
    };
    let found = Found {
        term: remains.term,
        last_index: remains.last_index,
        at: remains.at,
        members: remains.members.clone(),
    };
    let addr = remains.addr_of(before.node.as_str());
    let draft = home.folder(DRAFT)?;
    keep_audit(&path, &state_dir.join(DRAFT))?;
    files.folder = draft;
    files.membership = Membership {
        recovery_epoch: next_epoch(before.recovery_epoch, clock::now().secs()),
        ..before
    };
    files.write()?;
    let again = Files::read(&state_dir.join(DRAFT), unlock)?;
    let store = store(&files, again, &limits)?;
    remains.write(store, before.raft_id, before.node.as_str(), &addr).await?;
    Ok(found)
}

/// The records of who called what go on.
fn keep_audit(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to.join(AUDIT))?;
    for entry in fs::read_dir(from.join(AUDIT))? {
        let entry = entry?;
        fs::hard_link(entry.path(), to.join(AUDIT).join(entry.file_name()))?;
    }
    fs::hard_link(from.join(AUDIT_MARK), to.join(AUDIT_MARK))
}

/// The store in a folder. Its keys are its own copy, so that they go with it.
fn store(files: &Files, own: Files, limits: &Limits) -> Result<Store, AloneError> {
    let folder = &files.folder;
    let context = files.membership.context();
    let disk_key = Arc::new(own.disk_key);
    let place = |name, mark: &str| -> io::Result<log::Place> {
        let mark = MarkFile { folder: Arc::clone(folder), name: mark.to_owned() };
        Ok(log::Place { folder: folder.folder(name)?, mark })
    };
    let audit_key = LogKey {
        context: [context.as_slice(), AUDIT.as_bytes()].concat(),
        disk_key: Arc::clone(&disk_key),
    };
    let fault = Box::new(|fault| crate::end::after_disk_fault(&fault));
    let audit = Audit::open(place(AUDIT, AUDIT_MARK)?, audit_key, fault);
    let keys = Keys::new(own.keyring, Arc::clone(folder), Arc::clone(&disk_key), context.clone());
    Ok(Store {
        cluster: files.membership.cluster,
        keys: Arc::new(keys),
        log_key: LogKey { context, disk_key },
        log_place: place(LOG, LOG_MARK)?,
        log_options: limits.log,
        snapshot_folder: folder.folder(super::SNAPSHOTS)?,
        audit: audit.map_err(ManagerError::Audit)?,
    })
}
