//! This manager's disk follows the cluster's autolock.
//!
//! On: a new disk key, and both it and the old one under the unlock key, in one step. From then on a start
//! needs the unlock key, and everything after it can be done again after a crash: the small files are written
//! anew, log and audit go on in new segments, the node gets another key, the log is made short behind a new
//! snapshot, and the old disk key is dropped once nothing needs it.
//! Another unlock key: the same disk keys under it. Off: the disk keys in the clear.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};
use vault_core::command::Action;
use vault_core::limits::{LOCK_GRACE, LOCK_PATIENCE};
use vault_memory::GuardError;
use zeroize::Zeroizing;

use crate::disk::diskkey::{self, Change, DiskKey};
use crate::disk::folder::{Folder, replace, replace_and_wipe};
use crate::disk::seal::FileError;
use crate::disk::{identity, node};
use crate::entropy;
use crate::keys::KeyChangeError;
use crate::manager::{CallError, Locked, Manager, ValueError};
use crate::raft::ProposeError;
use crate::renewal::{self, RenewError};
use crate::tls::Credentials;
use crate::world;

/// After a failure, and between two looks at the log, before it is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// How long the log may take to be made short before that is begun anew.
const PURGE_PATIENCE: Duration = Duration::from_secs(5);

/// Why the disk has not followed yet.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error("cannot write this manager's files")]
    Io(#[from] io::Error),
    #[error("no memory for keys")]
    Memory(#[from] GuardError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Keys(#[from] KeyChangeError),
    #[error(transparent)]
    Value(#[from] ValueError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the node's key cannot be renewed")]
    Renew(#[from] RenewError),
    #[error("the log still has entries under the old disk key")]
    LogIsLong,
    #[error("stopped")]
    Stopped,
}

/// What following needs, and how far it is.
pub struct Locking {
    pub folder: Arc<dyn Folder>,
    pub disk_key: Arc<DiskKey>,
    /// The version of the unlock key that was handed over to somebody.
    handed: watch::Sender<u32>,
    /// The version that the disk is locked under, or was opened for.
    followed: watch::Sender<u32>,
    /// Whether the node's key was renewed since the disk was locked.
    has_renewed: AtomicBool,
    /// One at a time replaces the node's certificate and key, or writes them again. Holds a pair that the record knows
    /// and the file does not have yet.
    pub renewing: Mutex<Option<Arc<Credentials>>>,
}

impl Locking {
    pub fn new(folder: Arc<dyn Folder>, disk_key: Arc<DiskKey>) -> Self {
        let (handed, followed) = (watch::Sender::new(0), watch::Sender::new(0));
        Self {
            folder,
            disk_key,
            handed,
            followed,
            has_renewed: AtomicBool::new(false),
            renewing: Mutex::new(None),
        }
    }

    /// The unlock key of this version was shown: the disk may be locked at once. Returns whether it
    /// has followed; it goes on if not.
    pub async fn follow_now(&self, version: u32) -> bool {
        self.handed.send_if_modified(|handed| {
            let is_newer = *handed < version;
            *handed = version.max(*handed);
            is_newer
        });
        let mut followed = self.followed.subscribe();
        let followed = followed.wait_for(|followed| *followed >= version);
        timeout(LOCK_PATIENCE, followed).await.is_ok_and(|followed| followed.is_ok())
    }

    /// Whether something is still under a disk key that lay in the clear.
    pub fn has_older_keys(&self) -> bool {
        self.disk_key.first_kept() < self.disk_key.newest()
    }

    /// Writes the disk key's file, and takes it up.
    fn change(&self, change: Change) -> io::Result<()> {
        replace_and_wipe(self.folder.as_ref(), diskkey::NAME, &change.file)?;
        self.disk_key.take(change);
        Ok(())
    }

    /// Writes the node's certificate and key. Whoever does holds `renewing`.
    pub fn write_identity(&self, credentials: &Credentials) -> io::Result<()> {
        let file = identity::to_file(credentials, self.disk_key.expose(), entropy::random());
        replace_and_wipe(self.folder.as_ref(), identity::NAME, &file)
    }

    /// What stands in that file. Whoever reads it holds `renewing`.
    pub fn read_identity(&self) -> Result<Credentials, RenewError> {
        let file = Zeroizing::new(self.folder.read(identity::NAME)?);
        Ok(with_any(&self.disk_key, |key| identity::parse(key, &file))?)
    }

    /// What a file under one of the disk keys holds.
    fn read<T>(
        &self,
        name: &str,
        parse: impl Fn(&[u8; 32], &[u8]) -> Result<T, FileError>,
    ) -> Result<T, FollowError> {
        let file = Zeroizing::new(self.folder.read(name)?);
        Ok(with_any(&self.disk_key, |key| parse(key, &file))?)
    }
}

/// Opens a file with the newest disk key, or else an older one.
pub fn with_any<T, E>(
    disk_key: &DiskKey,
    open: impl Fn(&[u8; 32]) -> Result<T, E>,
) -> Result<T, E> {
    let older = disk_key.all().into_iter().skip(1);
    older.fold(open(disk_key.expose()), |opened, (_, key)| {
        opened.or_else(|refused| open(key).map_err(|_| refused))
    })
}

/// Follows until consensus ends.
pub async fn keep_lock(manager: Arc<Manager>) {
    let mut views = manager.consensus().views();
    loop {
        let seen = match follow(&manager).await {
            Ok(version) => version,
            Err(
                FollowError::Stopped | FollowError::Call(CallError::Propose(ProposeError::Stopped)),
            ) => return,
            Err(error) => {
                tracing::debug!(error = %chain(&error), "locking this manager waits");
                sleep(RETRY).await;
                continue;
            }
        };
        manager.locking().followed.send_replace(seen);
        if views.wait_for(|view| view.state.lock_version() != seen).await.is_err() {
            return;
        }
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(chain);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// One round. Gives the version that the disk is at. Only a view that is no older than the question is
/// followed: while a log is read back, the state goes through everything that ever held.
async fn follow(manager: &Arc<Manager>) -> Result<u32, FollowError> {
    let view = manager.read().await?;
    let version = view.state.lock_version();
    let Some(cluster) = view.state.cluster() else { return Ok(version) };
    let disk_key = &manager.locking().disk_key;
    match manager.lock_of(cluster)? {
        Some(wanted) if !disk_key.is_locked() => {
            wait_for_hand_over(manager, version).await?;
            if manager.read().await?.state.lock_version() != version {
                return Ok(version);
            }
            let _alone = manager.locking().renewing.lock().await;
            in_background(manager, move |manager| lock(manager, &wanted)).await?;
            tracing::info!("autolock is on: this manager's disk is locked from now on");
        }
        Some(wanted) if !disk_key.is_locked_under(&wanted.key) => {
            in_background(manager, move |manager| relock(manager, &wanted)).await?;
            tracing::warn!(
                "the unlock key was rotated: this manager's disk is under the new one now, the old one opens it no more"
            );
        }
        None if disk_key.is_locked() => {
            in_background(manager, unlock).await?;
            tracing::info!(
                "autolock is off: this manager's disk key lies in the clear from now on"
            );
        }
        Some(_) | None => {}
    }
    finish(manager).await?;
    Ok(version)
}

/// Files are written beside what goes on.
async fn in_background(
    manager: &Arc<Manager>,
    work: impl FnOnce(&Manager) -> Result<(), FollowError> + Send + 'static,
) -> Result<(), FollowError> {
    let manager = Arc::clone(manager);
    let done = world::blocking(move || work(&manager)).await;
    done.map_err(|_| FollowError::Stopped)?
}

/// Without the unlock key a locked disk is lost: whoever turned autolock on gets it before that.
async fn wait_for_hand_over(manager: &Manager, version: u32) -> Result<(), FollowError> {
    let mut handed = manager.locking().handed.subscribe();
    // Past the time it is locked all the same.
    match timeout(LOCK_GRACE, handed.wait_for(|handed| *handed >= version)).await {
        Ok(Err(_)) => Err(FollowError::Stopped),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

fn lock(manager: &Manager, wanted: &Locked) -> Result<(), FollowError> {
    let locking = manager.locking();
    let under = Some((&wanted.key, wanted.version));
    let fill = |bytes: &mut [u8]| entropy::fill(bytes);
    let change = locking.disk_key.change(under, Some(&fill), &mut entropy::random::<24>)?;
    locking.change(change)?;
    locking.has_renewed.store(false, Ordering::Relaxed);
    manager.consensus().log_renewal().order();
    manager.audit().renew();
    write_small_files(manager)
}

/// The small files under the newest disk key.
fn write_small_files(manager: &Manager) -> Result<(), FollowError> {
    let locking = manager.locking();
    manager.keys().write_again()?;
    let key = locking.disk_key.expose();
    let membership = locking.read(node::NAME, node::Membership::parse)?;
    let file = membership.to_file(key, entropy::random());
    replace(locking.folder.as_ref(), node::NAME, &file)?;
    let credentials = locking.read(identity::NAME, identity::parse)?;
    Ok(locking.write_identity(&credentials)?)
}

fn relock(manager: &Manager, wanted: &Locked) -> Result<(), FollowError> {
    let locking = manager.locking();
    let under = Some((&wanted.key, wanted.version));
    let change = locking.disk_key.change(under, None, &mut entropy::random::<24>)?;
    Ok(locking.change(change)?)
}

fn unlock(manager: &Manager) -> Result<(), FollowError> {
    let locking = manager.locking();
    let change = locking.disk_key.change(None, None, &mut entropy::random::<24>)?;
    Ok(locking.change(change)?)
}

/// Leaves behind what is under older disk keys. Can be done again at any point.
async fn finish(manager: &Arc<Manager>) -> Result<(), FollowError> {
    let locking = manager.locking();
    if !locking.has_older_keys() {
        return Ok(());
    }
    {
        let _alone = locking.renewing.lock().await;
        in_background(manager, write_small_files).await?;
    }
    if !has_left_old_log(manager) {
        if !locking.has_renewed.load(Ordering::Relaxed) {
            // The old key for mTLS lay on the disk under a key in the clear.
            renewal::renew(manager).await?;
            locking.has_renewed.store(true, Ordering::Relaxed);
        }
        leave_old_log(manager).await?;
    }
    in_background(manager, |manager| {
        let locking = manager.locking();
        let newest = locking.disk_key.newest();
        let log = manager.consensus().oldest_disk_key().unwrap_or(newest);
        let audit = manager.audit().oldest_disk_key().unwrap_or(newest);
        let first = log.min(audit);
        if first > locking.disk_key.first_kept() {
            locking.change(locking.disk_key.without_before(first, &mut entropy::random::<24>)?)?;
        }
        Ok(())
    })
    .await
}

fn has_left_old_log(manager: &Manager) -> bool {
    let newest = manager.locking().disk_key.newest();
    manager.consensus().oldest_disk_key().is_none_or(|oldest| oldest == newest)
}

/// Has the log begin behind what is under an older disk key.
async fn leave_old_log(manager: &Manager) -> Result<(), FollowError> {
    let consensus = manager.consensus();
    // An entry that stands in the new segment: the last one before a snapshot is always kept.
    manager.act(Action::ReportNodes(Vec::new())).await?;
    manager.read().await?;
    consensus.snapshot_now().await.map_err(CallError::from)?;
    consensus.purge_behind_snapshot().await.map_err(CallError::from)?;
    let deadline = Instant::now() + PURGE_PATIENCE;
    while !has_left_old_log(manager) {
        if Instant::now() > deadline {
            return Err(FollowError::LogIsLong);
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
