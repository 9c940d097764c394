//! The keys of this manager in use: the keyring that is current, and its file kept in step with it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;
#[cfg(planted)]
use vault_core::planted::{self, Bug};
use vault_core::seal::{DataKey, Epoch, KEY_BYTES, KeyDigest, wipe_stack};
use vault_memory::GuardError;
use zeroize::Zeroizing;

use crate::disk::diskkey::DiskKey;
use crate::disk::folder::{Folder, replace, replace_and_wipe};
use crate::disk::keyring::{self, Keyring};
use crate::entropy;
use crate::rotation::Carried;

/// A change of the keyring that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum KeyChangeError {
    #[error("cannot write the keyring")]
    Io(#[from] io::Error),
    #[error("no memory for a data key")]
    Memory(#[from] GuardError),
    #[error("there are two data keys of epoch {}", .0.0)]
    Contradiction(Epoch),
}

/// The keyring, and where it is kept.
pub struct Keys {
    ring: RwLock<Arc<Keyring>>,
    /// Held while the keyring changes: file first, memory second.
    changing: Mutex<()>,
    folder: Arc<dyn Folder>,
    disk_key: Arc<DiskKey>,
    context: Vec<u8>,
    /// An epoch whose key something from another manager needs, and which is not here.
    missed: watch::Sender<Option<Epoch>>,
}

impl Keys {
    /// A keyring that was just read or written.
    pub fn new(
        ring: Keyring,
        folder: Arc<dyn Folder>,
        disk_key: Arc<DiskKey>,
        context: Vec<u8>,
    ) -> Self {
        let (ring, changing) = (RwLock::new(Arc::new(ring)), Mutex::new(()));
        let missed = watch::Sender::new(None);
        Self { ring, changing, folder, disk_key, context, missed }
    }

    /// Whether the key of an epoch is here. If not, it is fetched.
    pub fn has_or_misses(&self, epoch: Epoch) -> bool {
        let has = self.ring().key(epoch).is_some();
        if !has {
            self.missed.send_replace(Some(epoch));
        }
        has
    }

    /// Forgets what was missed.
    pub fn missed_no_more(&self) {
        self.missed.send_if_modified(|missed| {
            *missed = None;
            false
        });
    }

    /// Told of every epoch whose key is missed.
    pub fn missed(&self) -> watch::Receiver<Option<Epoch>> {
        self.missed.subscribe()
    }

    /// The keyring as it is now.
    pub fn ring(&self) -> Arc<Keyring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a data key. It is on the disk before anything can be sealed under it. Where there are other
    /// managers its number is drawn: a leader that was lost may have made another key and told only some.
    pub fn add_epoch(&self, has_peers: bool) -> Result<Epoch, KeyChangeError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = if has_peers { u16::from_le_bytes(entropy::random()) } else { 0 };
        let ring = self.ring().with_new_epoch(skip, entropy::fill)?;
        let epoch = ring.newest().epoch;
        self.keep(ring)?;
        Ok(epoch)
    }

    /// Copies of all keys, to be carried to another manager.
    pub fn carried(&self) -> Carried {
        let carried = self.copies();
        wipe_stack();
        carried
    }

    /// Never a part of its caller, whose own frame `wipe_stack` does not reach: each copy goes over the stack.
    #[inline(never)]
    fn copies(&self) -> Carried {
        let ring = self.ring();
        let keys = ring.epochs().filter_map(|epoch| ring.key(epoch));
        keys.map(|key| (key.epoch, Zeroizing::new(*key.bytes))).collect()
    }

    /// Puts the key that is meant in the place of one of the same number that another leader made. Nothing
    /// was ever sealed under that.
    fn exchange_wrong(
        &self,
        keys: &Carried,
        meant: (Epoch, Option<KeyDigest>),
    ) -> Result<(), KeyChangeError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (ring, epoch) = (self.ring(), meant.0);
        if ring.key(epoch).is_none() || ring.has(meant) {
            return Ok(());
        }
        let right = |bytes: &&Zeroizing<[u8; KEY_BYTES]>| {
            Some(keyring::digest_of(DataKey { epoch, bytes })) == meant.1
        };
        match keys.get(&epoch).filter(right) {
            Some(key) => self.keep(ring.with_other(epoch, key)?),
            None => Ok(()),
        }
    }

    /// Takes what another manager has. Returns whether the key that is meant is here then.
    pub fn take_meant(
        &self,
        keys: &Carried,
        meant: (Epoch, Option<KeyDigest>),
    ) -> Result<bool, KeyChangeError> {
        self.exchange_wrong(keys, meant)?;
        self.take(keys)?;
        Ok(self.ring().has(meant))
    }

    /// Adds keys that came from another manager. They are on the disk before this returns.
    pub fn take(&self, keys: &Carried) -> Result<(), KeyChangeError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.ring();
        if let Some(epoch) = ring.contradicts(keys) {
            return Err(KeyChangeError::Contradiction(epoch));
        }
        let is_new = |epoch: &Epoch| ring.key(*epoch).is_none();
        if !keys.keys().any(is_new) {
            return Ok(());
        }
        self.keep(ring.with_keys(keys)?)
    }

    /// Destroys the keys before an epoch. Nothing may be sealed under them any more.
    pub fn drop_before(&self, epoch: Epoch) -> Result<(), KeyChangeError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.ring().without_before(epoch);
        self.keep(ring)
    }

    /// Writes the keyring anew, under the newest disk key.
    pub fn write_again(&self) -> Result<(), KeyChangeError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.ring().to_file(self.disk_key.expose(), &self.context, entropy::random());
        Ok(replace_and_wipe(self.folder.as_ref(), keyring::NAME, &file)?)
    }

    fn keep(&self, ring: Keyring) -> Result<(), KeyChangeError> {
        let file = ring.to_file(self.disk_key.expose(), &self.context, entropy::random());
        #[cfg(planted)]
        let is_kept = !planted::on(Bug::EpochLostAtRestart);
        #[cfg(not(planted))]
        let is_kept = true;
        if is_kept {
            replace(self.folder.as_ref(), keyring::NAME, &file)?;
        }
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::folder::RealFolder;
    use crate::testing;

    /// Two leaders made a key of one number, and the other one's came into use.
    #[test]
    fn a_key_that_another_leader_made_is_taken_in_the_place_of_the_own_one() {
        let home = testing::folder();
        let folder = RealFolder::open(home.path()).unwrap();
        let disk_key = Arc::new(DiskKey::filled(|key| key.fill(9)).unwrap());
        let ring = Keyring::first(|key| key.fill(1)).unwrap();
        let own = ring.with_new_epoch(0, |key| key.fill(2)).unwrap();
        let keys = Keys::new(own, Arc::new(folder), Arc::clone(&disk_key), Vec::new());
        let theirs = ring.with_new_epoch(0, |key| key.fill(3)).unwrap();
        let meant = (Epoch(2), Some(keyring::digest_of(theirs.newest())));
        let carried = |bytes: [u8; 2]| -> Carried {
            let keys = [(Epoch(1), bytes[0]), (Epoch(2), bytes[1])];
            keys.map(|(epoch, byte)| (epoch, Zeroizing::new([byte; KEY_BYTES]))).into()
        };
        assert!(matches!(keys.take(&carried([1, 3])), Err(KeyChangeError::Contradiction(_))));
        assert!(!keys.take_meant(&carried([1, 2]), meant).unwrap(), "who has the same wrong one");
        assert!(keys.take_meant(&carried([1, 3]), meant).unwrap());
        assert!(keys.ring().has(meant));
        let file = std::fs::read(home.path().join(keyring::NAME)).unwrap();
        assert!(Keyring::parse(disk_key.expose(), &[], &file).unwrap().has(meant), "and on disk");
    }
}
