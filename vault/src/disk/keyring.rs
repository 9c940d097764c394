//! The keyring: the data keys by epoch, in guarded pages, and their file under the disk key.
//!
//! Body of the file: count u32 | (epoch u32 | key 32) ..., epochs rising.

use std::sync::Arc;

use ring::hmac;
use vault_core::seal::{DataKey, Epoch, KEY_BYTES, KeyDigest, wipe_stack};
use vault_memory::{GuardError, Guarded};
use zeroize::Zeroizing;

use super::seal::{FileError, Form, array, open_file, seal_file};
use crate::rotation::Carried;

/// The file's name in the cluster's folder.
pub const NAME: &str = "keyring";
const FORM: Form = Form { magic: b"COFFRNG1", version: 1 };
const ENTRY_BYTES: usize = 4 + KEY_BYTES;

/// No key is of this epoch: what is sealed under it is refused.
const NEVER: Epoch = Epoch(0);
/// What a key's digest is made of besides its epoch.
const DIGEST_LABEL: &[u8] = b"coffer data key";

/// Tells a data key from any other one.
pub fn digest_of(key: DataKey<'_>) -> KeyDigest {
    let digest = mac(key);
    wipe_stack();
    digest
}

/// Never a part of its caller, whose own frame `wipe_stack` does not reach.
#[inline(never)]
fn mac(key: DataKey<'_>) -> KeyDigest {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.bytes));
    context.update(DIGEST_LABEL);
    context.update(&key.epoch.0.to_le_bytes());
    let mut digest = [0; 32];
    digest.copy_from_slice(context.sign().as_ref());
    KeyDigest(digest)
}

/// All data keys that values may still be sealed under.
pub struct Keyring {
    /// Ordered by epoch, never empty.
    keys: Vec<(Epoch, Arc<Guarded>)>,
}

/// A keyring that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("no memory for the data keys")]
    Memory(#[from] GuardError),
}

impl Keyring {
    /// A keyring of one key; `fill` writes its random bytes in place.
    pub fn first(fill: impl FnOnce(&mut [u8])) -> Result<Self, GuardError> {
        Ok(Self { keys: vec![(Epoch(1), Arc::new(Guarded::filled(KEY_BYTES, fill)?))] })
    }

    /// The same keys and one more, `skip` numbers behind the newest; `fill` writes its random bytes in place.
    pub fn with_new_epoch(
        &self,
        skip: u16,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<Self, GuardError> {
        let next = self.newest().epoch.0.saturating_add(1).saturating_add(u32::from(skip));
        let next = Epoch(next);
        let mut keys = self.keys.clone();
        keys.push((next, Arc::new(Guarded::filled(KEY_BYTES, fill)?)));
        Ok(Self { keys })
    }

    /// A keyring of keys that came from another manager; `None` if there are none.
    pub fn from_keys(keys: &Carried) -> Result<Option<Self>, GuardError> {
        let mut taken = Vec::with_capacity(keys.len());
        for (epoch, key) in keys {
            let guarded = Guarded::filled(KEY_BYTES, |bytes| bytes.copy_from_slice(&**key))?;
            taken.push((*epoch, Arc::new(guarded)));
        }
        Ok((!taken.is_empty()).then_some(Self { keys: taken }))
    }

    /// The same keys, and those of these that are not among them.
    pub fn with_keys(&self, more: &Carried) -> Result<Self, GuardError> {
        let mut keys = self.keys.clone();
        if let Some(more) = Self::from_keys(more)? {
            keys.extend(more.keys.into_iter().filter(|(epoch, _)| self.key(*epoch).is_none()));
        }
        keys.sort_by_key(|(epoch, _)| *epoch);
        Ok(Self { keys })
    }

    /// The keys from an epoch on. The newest always stays.
    #[must_use]
    pub fn without_before(&self, epoch: Epoch) -> Self {
        let epoch = epoch.min(self.newest().epoch);
        let kept = self.keys.iter().filter(|(known, _)| *known >= epoch);
        Self { keys: kept.map(|(known, key)| (*known, Arc::clone(key))).collect() }
    }

    /// All epochs, rising.
    pub fn epochs(&self) -> impl Iterator<Item = Epoch> {
        self.keys.iter().map(|(epoch, _)| *epoch)
    }

    /// The key to seal under while an epoch is in use. A newer one may be here already that too few managers
    /// have; where the one in use is not here yet, it is an older one, and what it seals is refused.
    pub fn in_use(&self, (epoch, digest): (Epoch, Option<KeyDigest>)) -> DataKey<'_> {
        let is_meant = |known: Epoch| known != epoch || self.has((epoch, digest));
        let known = self.keys.iter().rfind(|(known, _)| *known <= epoch && is_meant(*known));
        let first = || self.keys.first().expect("a keyring is never empty");
        let (known, key) = known.unwrap_or_else(first);
        let epoch = if is_meant(*known) { *known } else { NEVER };
        DataKey { epoch, bytes: exposed(key) }
    }

    /// Whether the key of an epoch is here, and the one that is meant.
    pub fn has(&self, (epoch, digest): (Epoch, Option<KeyDigest>)) -> bool {
        let own = self.key(epoch).map(digest_of);
        own.is_some_and(|own| digest.is_none_or(|meant| meant == own))
    }

    /// The same keys, with another one for an epoch.
    pub fn with_other(&self, epoch: Epoch, key: &[u8; KEY_BYTES]) -> Result<Self, GuardError> {
        let other = Arc::new(Guarded::filled(KEY_BYTES, |bytes| bytes.copy_from_slice(key))?);
        let mut keys = self.keys.clone();
        keys.retain(|(known, _)| *known != epoch);
        keys.push((epoch, other));
        keys.sort_by_key(|(known, _)| *known);
        Ok(Self { keys })
    }

    /// Whether a key of the same epoch and other bytes is here.
    pub fn contradicts(&self, keys: &Carried) -> Option<Epoch> {
        let other = keys.iter().find(|(epoch, key)| {
            self.key(**epoch).is_some_and(|own| own.bytes.as_slice() != key.as_slice())
        });
        other.map(|(epoch, _)| *epoch)
    }

    /// The key that was made last.
    pub fn newest(&self) -> DataKey<'_> {
        let (epoch, key) = self.keys.last().expect("a keyring is never empty");
        DataKey { epoch: *epoch, bytes: exposed(key) }
    }

    /// The key of an epoch, while values may still need it.
    pub fn key(&self, epoch: Epoch) -> Option<DataKey<'_>> {
        let (epoch, key) = self.keys.iter().find(|(known, _)| *known == epoch)?;
        Some(DataKey { epoch: *epoch, bytes: exposed(key) })
    }

    /// The bytes of the keyring's file. The nonce must be random.
    pub fn to_file(&self, disk_key: &[u8; 32], context: &[u8], nonce: [u8; 24]) -> Vec<u8> {
        seal_file(FORM, disk_key, nonce, context, &self.danger_to_body())
    }

    /// The body of the file in the clear, for whoever seals it otherwise.
    pub fn danger_to_body(&self) -> Zeroizing<Vec<u8>> {
        let mut body = Zeroizing::new(Vec::with_capacity(4 + self.keys.len() * ENTRY_BYTES));
        let count = u32::try_from(self.keys.len()).expect("epochs are counted in 32 bits");
        body.extend_from_slice(&count.to_le_bytes());
        for (epoch, key) in &self.keys {
            body.extend_from_slice(&epoch.0.to_le_bytes());
            body.extend_from_slice(key.expose());
        }
        body
    }

    /// Reads the keyring's file.
    pub fn parse(disk_key: &[u8; 32], context: &[u8], file: &[u8]) -> Result<Self, KeyringError> {
        Self::from_body(&open_file(NAME, FORM, disk_key, context, file)?)
    }

    /// Reads the body of the file.
    pub fn from_body(body: &[u8]) -> Result<Self, KeyringError> {
        let content = FileError::Content { file: NAME, offset: 40 };
        if body.len() < 4 + ENTRY_BYTES || !(body.len() - 4).is_multiple_of(ENTRY_BYTES) {
            return Err(content.into());
        }
        let count = u32::from_le_bytes(array(body, 0));
        let mut keys: Vec<(Epoch, Arc<Guarded>)> = Vec::new();
        for entry in body[4..].chunks_exact(ENTRY_BYTES) {
            let epoch = Epoch(u32::from_le_bytes(array(entry, 0)));
            if keys.last().is_some_and(|(before, _)| *before >= epoch) {
                return Err(content.into());
            }
            let key = Guarded::filled(KEY_BYTES, |key| key.copy_from_slice(&entry[4..]))?;
            keys.push((epoch, Arc::new(key)));
        }
        if u32::try_from(keys.len()).ok() != Some(count) {
            return Err(content.into());
        }
        Ok(Self { keys })
    }
}

fn exposed(key: &Guarded) -> &[u8; KEY_BYTES] {
    key.expose().try_into().expect("data keys are made with 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use static_assertions::assert_not_impl_any;

    assert_not_impl_any!(Keyring: Clone, std::fmt::Debug, std::fmt::Display, PartialEq);

    #[test]
    fn case_33_epochs_are_added_at_the_end_and_dropped_at_the_start() {
        let ring = Keyring::first(|key| key.fill(1)).unwrap();
        let ring = ring.with_new_epoch(0, |key| key.fill(2)).unwrap();
        assert_eq!(ring.newest().bytes, &[2; 32]);
        assert_eq!(ring.epochs().collect::<Vec<_>>(), [Epoch(1), Epoch(2)]);
        let ring = ring.without_before(Epoch(2));
        assert_eq!(ring.epochs().collect::<Vec<_>>(), [Epoch(2)]);
        let ring = ring.without_before(Epoch(9));
        assert_eq!(ring.epochs().collect::<Vec<_>>(), [Epoch(2)], "the newest always stays");
    }

    #[test]
    fn a_key_that_too_few_may_have_seals_nothing() {
        let first = Keyring::first(|key| key.fill(1)).unwrap();
        let ring = first.with_new_epoch(4, |key| key.fill(2)).unwrap();
        assert_eq!(ring.newest().epoch, Epoch(6), "four numbers are left out");
        for (in_use, sealing) in [(1, 1), (5, 1), (6, 6), (7, 6)] {
            assert_eq!(ring.in_use((Epoch(in_use), None)).epoch, Epoch(sealing), "{in_use}");
        }
        assert_eq!(ring.without_before(Epoch(6)).in_use((Epoch(1), None)).epoch, Epoch(6));
    }

    #[test]
    fn two_keys_of_one_epoch_contradict_each_other() {
        let ring = Keyring::first(|key| key.fill(1)).unwrap();
        let carried = |epoch, byte| Carried::from([(Epoch(epoch), Zeroizing::new([byte; 32]))]);
        assert_eq!(ring.contradicts(&carried(1, 1)), None);
        assert_eq!(ring.contradicts(&carried(2, 2)), None);
        assert_eq!(ring.contradicts(&carried(1, 2)), Some(Epoch(1)));
    }

    #[test]
    fn case_27_a_keyring_reads_as_it_was_written_and_no_other_way() {
        let ring = Keyring::first(|key| key.fill(5)).unwrap();
        let file = ring.to_file(&[1; 32], b"here", [2; 24]);
        crate::testing::assert_golden("keyring", &file);
        let read = Keyring::parse(&[1; 32], b"here", &file).ok().unwrap();
        assert_eq!(read.newest().bytes, &[5; 32]);
        assert!(read.key(Epoch(1)).is_some());
        assert!(read.key(Epoch(2)).is_none());
        for at in 0..file.len() {
            let mut altered = file.clone();
            altered[at] ^= 1;
            assert!(Keyring::parse(&[1; 32], b"here", &altered).is_err(), "byte {at}");
        }
        assert!(Keyring::parse(&[1; 32], b"there", &file).is_err());
    }

    #[test]
    fn another_key_of_the_number_in_use_seals_nothing_and_is_exchanged() {
        let ring = Keyring::first(|key| key.fill(1)).unwrap();
        let ring = ring.with_new_epoch(4, |key| key.fill(2)).unwrap();
        let other = ring.with_other(Epoch(6), &[3; KEY_BYTES]).unwrap();
        let digest = |ring: &Keyring| ring.key(Epoch(6)).map(digest_of);
        let meant = (Epoch(6), digest(&ring));
        assert!(ring.has(meant) && ring.has((Epoch(6), None)) && !other.has(meant));
        assert_eq!(ring.in_use(meant).epoch, Epoch(6));
        // Under an older one, which is refused.
        assert_eq!(other.in_use(meant).epoch, Epoch(1));
        assert_eq!(other.without_before(Epoch(6)).in_use(meant).epoch, NEVER);
        let mended = other.with_other(Epoch(6), &[2; KEY_BYTES]).unwrap();
        assert_eq!(mended.in_use(meant).epoch, Epoch(6));
        assert_eq!(mended.epochs().collect::<Vec<_>>(), [Epoch(1), Epoch(6)]);
        let same_key = DataKey { epoch: Epoch(7), bytes: &[2; KEY_BYTES] };
        assert_ne!(Some(digest_of(same_key)), digest(&ring), "the number is part of it");
    }
}
