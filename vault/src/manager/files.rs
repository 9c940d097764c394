//! The small files of a manager: its disk key, its keyring, its identity, its own record.

use std::io;
use std::sync::Arc;

use crate::disk::diskkey::{self, DiskKey};
use crate::disk::folder::{Folder, replace};
use crate::disk::identity;
use crate::disk::keyring::{self, Keyring};
use crate::disk::node::{self, Membership};
use crate::entropy;
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
