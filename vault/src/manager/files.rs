//! The small files of a manager: its disk key, its keyring, its identity, its own record.

use std::io;
use std::path::Path;
use std::sync::Arc;

use vault_core::unlock::UnlockKey;
use zeroize::Zeroizing;

use super::{CLUSTER, ManagerError};
use crate::disk::diskkey::{self, DiskKey, DiskKeyError};
use crate::disk::folder::{Folder, RealFolder, replace};
use crate::disk::identity;
use crate::disk::keyring::{self, Keyring};
use crate::disk::node::{self, Membership};
use crate::entropy;
use crate::home::{self, HomeError};
use crate::lock::with_any;
use crate::tls::Credentials;

/// All that a manager reads from its disk before it starts.
pub struct Files {
    pub folder: Arc<dyn Folder>,
    pub disk_key: DiskKey,
    pub keyring: Keyring,
    pub membership: Membership,
    pub credentials: Credentials,
}

impl Files {
    /// Reads them all from a cluster's folder. A disk that is locked opens with its unlock key alone.
    pub fn read(path: &Path, unlock: Option<&UnlockKey>) -> Result<Self, ManagerError> {
        let io = |file| move |source| ManagerError::Io { file, source };
        let folder: Arc<dyn Folder> = Arc::new(RealFolder::open(path).map_err(io(CLUSTER))?);
        let read = |name| {
            home::read_closed(&path.join(name)).map_err(|error| match error {
                HomeError::Io { source, .. } => io(name)(source),
                open => open.into(),
            })
        };
        Self::read_from(Arc::clone(&folder), read, unlock)
    }

    /// The same from a folder that need not be one of the real disk.
    pub fn read_in(
        folder: Arc<dyn Folder>,
        unlock: Option<&UnlockKey>,
    ) -> Result<Self, ManagerError> {
        let inside = Arc::clone(&folder);
        let io = |file| move |source| ManagerError::Io { file, source };
        Self::read_from(
            folder,
            |name| inside.read(name).map(Zeroizing::new).map_err(io(name)),
            unlock,
        )
    }

    fn read_from(
        folder: Arc<dyn Folder>,
        read: impl Fn(&'static str) -> Result<Zeroizing<Vec<u8>>, ManagerError>,
        unlock: Option<&UnlockKey>,
    ) -> Result<Self, ManagerError> {
        let file = read(diskkey::NAME)?;
        let disk_key = match (DiskKey::parse(&file), unlock) {
            (Err(DiskKeyError::Locked), Some(key)) => DiskKey::parse_locked(&file, key)?,
            (parsed, _) => parsed?,
        };
        // A start that was cut short while the disk was being locked leaves files under both keys.
        let (own, ring) = (read(node::NAME)?, read(keyring::NAME)?);
        let membership = with_any(&disk_key, |key| Membership::parse(key, &own))?;
        let context = membership.context();
        let keyring = with_any(&disk_key, |key| Keyring::parse(key, &context, &ring))?;
        let own = read(identity::NAME)?;
        let credentials = with_any(&disk_key, |key| identity::parse(key, &own))?;
        Ok(Self { folder, disk_key, keyring, membership, credentials })
    }

    /// Writes them all.
    pub fn write(&self) -> io::Result<()> {
        let (folder, key) = (self.folder.as_ref(), self.disk_key.expose());
        let file = self.disk_key.to_file(&mut entropy::random::<24>);
        replace(folder, diskkey::NAME, &file)?;
        let ring = self.keyring.to_file(key, &self.membership.context(), entropy::random());
        replace(folder, keyring::NAME, &ring)?;
        let own = identity::to_file(&self.credentials, key, entropy::random());
        replace(folder, identity::NAME, &own)?;
        replace(folder, node::NAME, &self.membership.to_file(key, entropy::random()))
    }
}
