//! Autolock, as asked for: on, off, and which unlock key. That the disk follows is `crate::lock`'s business.

use std::sync::Arc;

use vault_core::cluster::Cluster;
use vault_core::command::{Action, Refusal};
use vault_core::seal::{Kind, OpenError, Plaintext, Sealed, seal};
use vault_core::unlock::UnlockKey;

use super::{CallError, Manager, SEAL_TRIES, ValueError};
use crate::entropy;
use crate::lock::Locking;

/// Why autolock is not as somebody wants it. Swarm's words.
#[derive(Debug, thiserror::Error)]
pub enum LockingError {
    #[error("cannot rotate because autolock is not turned on")]
    Off,
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("a value of the cluster does not open: {0}")]
    Value(#[from] ValueError),
}

/// What a cluster's managers are locked under.
pub struct Locked {
    pub key: UnlockKey,
    pub version: u32,
}

/// A new unlock key.
pub(super) fn unlock_key() -> UnlockKey {
    let drawn = zeroize::Zeroizing::new(entropy::random());
    UnlockKey::new(&drawn)
}

impl Manager {
    /// How this manager's disk is locked.
    pub fn locking(&self) -> &Locking {
        &self.locking
    }

    /// Turns autolock on or off. Gives the unlock key if this is what turned it on.
    pub async fn set_autolock(&self, is_on: bool) -> Result<Option<Locked>, LockingError> {
        let cluster = self.cluster_now().await?;
        if cluster.unlock_key.is_some() == is_on {
            return Ok(None);
        }
        if !is_on {
            self.act(Action::SetAutolock(None)).await?;
            return Ok(None);
        }
        self.act_with_key(&cluster, |key| Action::SetAutolock(Some(key))).await?;
        // Whose key it is: another caller's may have been first.
        self.locked_under().await
    }

    /// Makes another unlock key.
    pub async fn rotate_unlock_key(&self) -> Result<(), LockingError> {
        let cluster = self.cluster_now().await?;
        if cluster.unlock_key.is_none() {
            return Err(LockingError::Off);
        }
        self.act_with_key(&cluster, Action::RotateUnlockKey).await
    }

    /// The unlock key; nothing while autolock is off.
    pub async fn locked_under(&self) -> Result<Option<Locked>, LockingError> {
        let cluster = self.cluster_now().await?;
        Ok(self.lock_of(&cluster)?)
    }

    /// What a view of the cluster says that its managers are locked under.
    pub fn lock_of(&self, cluster: &Cluster) -> Result<Option<Locked>, ValueError> {
        if cluster.unlock_key.is_none() {
            return Ok(None);
        }
        let opened = self.open_own(cluster, Kind::UnlockKey)?;
        let bytes = opened.expose().try_into().map_err(|_| OpenError)?;
        Ok(Some(Locked { key: UnlockKey::new(bytes), version: cluster.lock_version }))
    }

    async fn cluster_now(&self) -> Result<Arc<Cluster>, CallError> {
        let view = self.read().await?;
        let cluster = view.state.cluster().ok_or(Refusal::NoCluster)?;
        Ok(Arc::clone(cluster))
    }

    async fn act_with_key(
        &self,
        cluster: &Cluster,
        action: impl Fn(Sealed) -> Action,
    ) -> Result<(), LockingError> {
        let place = Cluster::place(cluster.id, Kind::UnlockKey);
        for tries_left in (0..SEAL_TRIES).rev() {
            let value = Plaintext::new(unlock_key().expose().to_vec());
            let (ring, view) = (self.keys.ring(), self.consensus.view());
            let key = ring.in_use(view.state.key_in_use());
            let sealed = seal(key, &place, entropy::random(), &value);
            match self.act(action(sealed)).await {
                Err(CallError::Refused(Refusal::OldKey)) if tries_left > 0 => {}
                Err(CallError::Refused(Refusal::OutOfSequence)) => return Err(LockingError::Off),
                other => return Ok(other.map(drop)?),
            }
        }
        Err(CallError::from(Refusal::OldKey).into())
    }
}
