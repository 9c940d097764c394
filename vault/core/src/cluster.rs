//! The cluster itself: its identity, its root certificate and its join tokens' secrets, sealed.

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
}

impl Cluster {
    /// One of the cluster's own sealed values.
    pub fn sealed(&self, kind: Kind) -> Option<&Sealed> {
        match kind {
            Kind::RootKey => Some(&self.root_key),
            Kind::WorkerToken => Some(&self.worker_token),
            Kind::ManagerToken => Some(&self.manager_token),
            Kind::SecretValue | Kind::ConfigValue => None,
        }
    }

    pub(crate) fn sealed_mut(&mut self, kind: Kind) -> Option<&mut Sealed> {
        match kind {
            Kind::RootKey => Some(&mut self.root_key),
            Kind::WorkerToken => Some(&mut self.worker_token),
            Kind::ManagerToken => Some(&mut self.manager_token),
            Kind::SecretValue | Kind::ConfigValue => None,
        }
    }

    /// Where one of the cluster's own sealed values belongs.
    pub fn place(id: ClusterId, kind: Kind) -> Place {
        let object: ObjectId = id.object();
        Place { cluster: id, kind, object, version: 1 }
    }
}
