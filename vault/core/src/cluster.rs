//! The cluster itself: its identity, its root certificate, its join tokens' secrets and its unlock key, sealed.

use pki::rotation::Generation;

use crate::backups::Backups;
use crate::command::SealedAt;
use crate::feature::Level;
use crate::id::{ClusterId, ObjectId};
use crate::root::{Change, LINKS_MAX, Roots};
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
    /// Which root that is, and one that comes.
    pub roots: Roots,
}

/// A root that signs certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer<'a> {
    pub generation: Generation,
    /// One PEM block.
    pub certificate: &'a str,
    pub key: &'a Sealed,
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

    /// Where one of the cluster's own sealed values belongs; the key of the first root, if it is a root's.
    pub fn place(id: ClusterId, kind: Kind) -> Place {
        let object: ObjectId = id.object();
        Place { cluster: id, kind, object, version: 1 }
    }

    /// Where the key of a root belongs.
    pub fn root_place(id: ClusterId, generation: Generation) -> Place {
        Place { version: generation.0, ..Self::place(id, Kind::RootKey) }
    }

    /// All sealed values of the cluster's own, with their places.
    pub fn own(&self) -> impl Iterator<Item = (SealedAt, Place, &Sealed)> {
        let root = self.root(self.roots.generation);
        let next = self.roots.change.as_ref().and_then(|change| self.root(change.generation));
        let keys = root.into_iter().chain(next).map(|root| {
            let place = Self::root_place(self.id, root.generation);
            (SealedAt::root(root.generation), place, root.key)
        });
        let others = Kind::OWN.into_iter().filter(|kind| *kind != Kind::RootKey);
        let others = others.filter_map(|kind| {
            Some((SealedAt::Own(kind), Self::place(self.id, kind), self.sealed(kind)?))
        });
        keys.chain(others)
    }

    pub(crate) fn root_key_mut(&mut self, generation: Generation) -> Option<&mut Sealed> {
        if generation == self.roots.generation {
            return Some(&mut self.root_key);
        }
        let change = self.roots.change.as_mut().filter(|change| change.generation == generation);
        change.map(|change| &mut change.key)
    }

    /// The root of a generation, while its key is kept.
    pub fn root(&self, generation: Generation) -> Option<Signer<'_>> {
        if generation == self.roots.generation {
            let (certificate, key) = (self.root_certificate.as_str(), &self.root_key);
            return Some(Signer { generation, certificate, key });
        }
        let change = self.roots.change.as_ref().filter(|change| change.generation == generation)?;
        Some(Signer { generation, certificate: &change.certificate, key: &change.key })
    }

    /// The root that signs certificates now.
    pub fn signer(&self) -> Signer<'_> {
        let change = self.roots.change.as_ref();
        let now = change.map_or(self.roots.generation, |change| change.rotation.signer());
        let own = Signer {
            generation: self.roots.generation,
            certificate: &self.root_certificate,
            key: &self.root_key,
        };
        self.root(now).unwrap_or(own)
    }

    /// What stands beside a certificate that is signed now: from its root back to earlier ones, for who trusts
    /// nothing newer.
    pub fn links(&self) -> Vec<&str> {
        let signer = self.signer().generation;
        let newest = self.roots.change.as_ref().and_then(|change| {
            change.rotation.voucher(signer)?;
            let is_beside = signer == change.generation;
            Some(if is_beside { change.link.as_str() } else { change.back_link.as_str() })
        });
        // Without a word for the newest root nothing leads on from it.
        let is_cut = newest.is_none() && signer != self.roots.generation;
        let earlier = self.roots.links.iter().map(String::as_str).filter(|_| !is_cut);
        let all = newest.into_iter().chain(earlier).filter(|link| !link.is_empty());
        all.take(LINKS_MAX).collect()
    }

    /// Whether nodes are to trust a root now.
    pub fn trusts(&self, generation: Generation) -> bool {
        self.roots.change.as_ref().map_or(generation == self.roots.generation, |change| {
            change.rotation.trusts(generation)
        })
    }

    /// The roots that nodes are to trust now: PEM, the older one first.
    pub fn bundle(&self) -> String {
        let change = self.roots.change.as_ref();
        let own = Some((self.roots.generation, self.root_certificate.as_str()));
        let of = |change: &Change| (change.generation, change.certificate.clone());
        let other = change.map(|change| of(change));
        let other = other.as_ref().map(|(generation, pem)| (*generation, pem.as_str()));
        let mut all: Vec<_> = own.into_iter().chain(other).collect();
        all.retain(|(generation, _)| self.trusts(*generation));
        all.sort_by_key(|(generation, _)| *generation);
        all.into_iter().map(|(_, pem)| pem).collect()
    }
}
