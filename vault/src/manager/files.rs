//! The small files of a manager: its disk key, its keyring, its identity, its own record.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{CLUSTER, ManagerError};
use crate::disk::diskkey::{self, DiskKey};
use crate::disk::folder::{Folder, RealFolder, replace};
use crate::disk::identity;
use crate::disk::keyring::{self, Keyring};
use crate::disk::node::{self, Membership};
use crate::entropy;
use crate::home::{self, HomeError};
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
    /// Reads them all from a cluster's folder.
    pub fn read(path: &Path) -> Result<Self, ManagerError> {
        let io = |file| move |source| ManagerError::Io { file, source };
        let folder: Arc<dyn Folder> = Arc::new(RealFolder::open(path).map_err(io(CLUSTER))?);
        let read = |name| {
            home::read_closed(&path.join(name)).map_err(|error| match error {
                HomeError::Io { source, .. } => io(name)(source),
                open => open.into(),
            })
        };
        let disk_key = DiskKey::parse(&read(diskkey::NAME)?)?;
        let membership = Membership::parse(disk_key.expose(), &read(node::NAME)?)?;
        let context = membership.context();
        let keyring = Keyring::parse(disk_key.expose(), &context, &read(keyring::NAME)?)?;
        let credentials = identity::parse(disk_key.expose(), &read(identity::NAME)?)?;
        Ok(Self { folder, disk_key, keyring, membership, credentials })
    }

    /// Writes them all.
    pub fn write(&self) -> io::Result<()> {
        let (folder, key) = (self.folder.as_ref(), self.disk_key.expose());
        replace(folder, diskkey::NAME, &self.disk_key.to_clear_file())?;
        let ring = self.keyring.to_file(key, &self.membership.context(), entropy::random());
        replace(folder, keyring::NAME, &ring)?;
        let own = identity::to_file(&self.credentials, key, entropy::random());
        replace(folder, identity::NAME, &own)?;
        replace(folder, node::NAME, &self.membership.to_file(key, entropy::random()))
    }
}
