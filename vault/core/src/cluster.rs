//! The cluster itself: its identity, its root certificate, its join tokens' secrets and its unlock key, sealed.

use crate::backups::Backups;
use crate::feature::Level;
use crate::id::{ClusterId, ObjectId};
use crate::seal::{Kind, Place, Sealed};
use crate::versioned::Meta;

/// What all managers agree on before anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub id: ClusterId,
    pub meta: Meta,
    /// The root certificate, exactly the bytes whose digest stands in the join tokens.
    pub root_certificate: String,
    pub root_key: Sealed,
    pub worker_token: Sealed,
    pub manager_token: Sealed,
    /// Only rises.
    pub level: Level,
    /// The version of `cofferd` that raised it last; empty at the first level.
    pub level_version: String,
    /// What the managers' disks are locked under. There is one while autolock is on.
    pub unlock_key: Option<Sealed>,
    /// Counts every change of it, so that each manager sees whether it has followed.
    pub lock_version: u32,
    /// Backups that are made by themselves.
    pub backups: Backups,
}

impl Cluster {
    /// One of the cluster's own sealed values.
    pub fn sealed(&self, kind: Kind) -> Option<&Sealed> {
        match kind {
            Kind::RootKey => Some(&self.root_key),
            Kind::WorkerToken => Some(&self.worker_token),
            Kind::ManagerToken => Some(&self.manager_token),
            Kind::UnlockKey => self.unlock_key.as_ref(),
            Kind::SecretValue | Kind::ConfigValue => None,
        }
    }

    pub(crate) fn sealed_mut(&mut self, kind: Kind) -> Option<&mut Sealed> {
        match kind {
            Kind::RootKey => Some(&mut self.root_key),
            Kind::WorkerToken => Some(&mut self.worker_token),
            Kind::ManagerToken => Some(&mut self.manager_token),
            Kind::UnlockKey => self.unlock_key.as_mut(),
            Kind::SecretValue | Kind::ConfigValue => None,
        }
    }

    /// Where one of the cluster's own sealed values belongs.
    pub fn place(id: ClusterId, kind: Kind) -> Place {
        let object: ObjectId = id.object();
        Place { cluster: id, kind, object, version: 1 }
    }
}
