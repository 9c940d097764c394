//! A locked manager: its disk is under the unlock key, and nobody has given it yet.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Mutex as AsyncMutex;
use vault_core::limits::{LOCKED_CALLS_KEPT, UNLOCK_PAUSE};
use vault_core::unlock::{KeyTextError, UnlockKey};
use zeroize::Zeroizing;

use super::{CallError, Daemon};
use crate::audit::Called;
use crate::disk::diskkey::DiskKeyError;
use crate::manager::{Manager, ManagerError};
use crate::rpc::NodePort;

/// Why a manager stays locked, or was not locked. Swarm's texts, where Swarm has one.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    #[error("This node is not part of a swarm")]
    NotInACluster,
    #[error("swarm is not locked")]
    NotLocked,
    #[error(transparent)]
    Text(#[from] KeyTextError),
    #[error("swarm could not be unlocked: invalid key provided")]
    WrongKey,
    #[error(
        "another unlock key was tried a moment ago: wait {} s and try again",
        UNLOCK_PAUSE.as_secs()
    )]
    TooSoon,
    #[error("cannot listen on the node port")]
    Port(#[source] std::io::Error),
    #[error(transparent)]
    Manager(#[from] ManagerError),
}

/// What is known of this node while it is locked.
pub(super) struct LockedNode {
    is_locked: AtomicBool,
    /// When a wrong key was tried last. Held while a key is tried: one at a time.
    tried: AsyncMutex<Option<Instant>>,
    /// Calls that came meanwhile, for the audit.
    calls: Mutex<VecDeque<Called>>,
}

impl LockedNode {
    pub(super) fn new(is_locked: bool) -> Self {
        let (tried, calls) = (AsyncMutex::new(None), Mutex::new(VecDeque::new()));
        Self { is_locked: AtomicBool::new(is_locked), tried, calls }
    }

    pub(super) fn is_locked(&self) -> bool {
        self.is_locked.load(Ordering::Acquire)
    }

    pub(super) fn set(&self, is_locked: bool) {
        self.is_locked.store(is_locked, Ordering::Release);
    }

    fn take_calls(&self) -> VecDeque<Called> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Daemon {
    /// Remembers a call that came while there is no audit to keep it. The oldest ones go past a bound.
    pub fn remember_call(&self, called: Called) {
        if !self.locked.is_locked() {
            return;
        }
        let mut calls = self.locked.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push_back(called);
        if calls.len() > LOCKED_CALLS_KEPT {
            calls.pop_front();
        }
    }

    /// Whether this node is locked.
    pub fn is_locked(&self) -> bool {
        self.locked.is_locked()
    }

    /// Opens this manager's disk with the unlock key, and takes up what it belongs to. Done once the store
    /// is open: it never waits for other managers, and whoever leaves meanwhile waits for no longer.
    pub async fn unlock(&self, text: Zeroizing<String>) -> Result<(), UnlockError> {
        let mut tried = self.locked.tried.try_lock().map_err(|_| UnlockError::TooSoon)?;
        let _alone = self.founding.lock().await;
        match self.manager() {
            Ok(_) => return Err(UnlockError::NotLocked),
            Err(CallError::Locked) => {}
            Err(_) => return Err(UnlockError::NotInACluster),
        }
        if tried.is_some_and(|tried| tried.elapsed() < UNLOCK_PAUSE) {
            return Err(UnlockError::TooSoon);
        }
        let key = UnlockKey::parse(&text).inspect_err(|_| *tried = Some(Instant::now()))?;
        drop(text);
        let port = NodePort::bind(self.config.listen).await.map_err(UnlockError::Port)?;
        let limits = self.config.limits.clone();
        let opened = Manager::open_with(&self.config.state_dir, Some(&key), limits).await;
        drop(key);
        let manager = match opened {
            Ok(manager) => manager.ok_or(UnlockError::NotInACluster)?,
            Err(ManagerError::DiskKey(DiskKeyError::WrongKey)) => {
                *tried = Some(Instant::now());
                tracing::warn!("a wrong unlock key was tried");
                return Err(UnlockError::WrongKey);
            }
            Err(other) => return Err(other.into()),
        };
        self.take_up_found(manager, port).await;
        self.locked.set(false);
        tracing::info!("unlocked");
        if let Ok(manager) = self.manager() {
            for called in self.locked.take_calls() {
                manager.audit().called(called);
            }
        }
        Ok(())
    }
}
