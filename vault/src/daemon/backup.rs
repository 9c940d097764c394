//! Restoring a backup into a node that is in no cluster.

use std::sync::Arc;

use super::{Daemon, InitError, hostname};
use crate::backup::{Contents, Header};
use crate::manager::{self, Founding, Locked};

/// A cluster that was brought back.
pub struct Restored {
    /// What the backup said of itself.
    pub header: Header,
    pub node_id: vault_core::id::NodeId,
    pub recovery_epoch: u32,
    /// The new unlock key, if it has autolock.
    pub locked: Option<Locked>,
}

impl Daemon {
    /// Brings a cluster back with this node as its only manager, and runs its services here.
    pub async fn restore(
        &self,
        contents: Contents,
        advertise: &str,
    ) -> Result<Restored, InitError> {
        let _alone = self.founding.lock().await;
        if self.manager().is_ok() {
            return Err(InitError::Exists);
        }
        let header = contents.header;
        let (port, addr) = self.node_port(advertise).await?;
        let founding = Founding { hostname: hostname(), addr, autolock: false };
        let limits = self.config.limits.clone();
        let restoring = manager::restore(&self.config.state_dir, contents, founding, limits);
        let restored = Box::pin(restoring).await?;
        let (manager, locked) = (Arc::new(restored.0), restored.1);
        let (node_id, recovery_epoch) = (manager.node_id(), manager.membership().recovery_epoch);
        tracing::info!(node = %node_id, cluster = %header.cluster, "cluster restored from a backup");
        self.take_up(Arc::clone(&manager), port).await;
        Ok(Restored { header, node_id, recovery_epoch, locked })
    }
}
