//! The disk key's file: the key that opens this node's other files, in one or more slots.
//!
//! ```text
//! magic "COFFDSK1" | version u16 | slots u16 | slot ... | SHA-256 of all before it
//! slot: kind u8 | reserved 3 = 0 | key version u32 | nonce 24 | body 48
//! ```
//! Kind 0 is the key in the clear (32 bytes and 16 zeros): autolock is off, and who reads this file
//! reads this node's disk. Kind 1, the key under the unlock key, is kept in the format and not written
//! yet. Without slots of kind 1 there is no seal, so the digest finds damage, not malice.

use ring::digest;
use vault_memory::{GuardError, Guarded};
use zeroize::Zeroizing;

use super::seal::{FileError, array};

/// The file's name in the cluster's folder.
pub const NAME: &str = "disk.key";
const MAGIC: &[u8; 8] = b"COFFDSK1";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 12;
const SLOT_BYTES: usize = 80;
const DIGEST_BYTES: usize = 32;

/// Bytes of a disk key.
pub const KEY_BYTES: usize = 32;

/// The key of this node's files, in guarded pages.
pub struct DiskKey(Guarded);

impl DiskKey {
    /// Makes a key from random bytes that `fill` writes in place.
    pub fn filled(fill: impl FnOnce(&mut [u8])) -> Result<Self, GuardError> {
        Guarded::filled(KEY_BYTES, fill).map(Self)
    }

    /// The key's bytes.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose().try_into().expect("a disk key is made with 32 bytes")
    }

    /// The bytes of a file with this key in the clear.
    pub fn to_clear_file(&self) -> Zeroizing<Vec<u8>> {
        let mut file = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + SLOT_BYTES + DIGEST_BYTES));
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&VERSION.to_le_bytes());
        file.extend_from_slice(&1_u16.to_le_bytes());
        file.extend_from_slice(&[0; 8 + 24]);
        file.extend_from_slice(self.expose());
        file.extend_from_slice(&[0; 16]);
        let digest = digest::digest(&digest::SHA256, &file);
        file.extend_from_slice(digest.as_ref());
        file
    }

    /// Reads a file whose key is in the clear.
    pub fn parse(file: &[u8]) -> Result<Self, DiskKeyError> {
        if file.len() < HEAD_BYTES + DIGEST_BYTES {
            return Err(FileError::TooShort { file: NAME, length: file.len() }.into());
        }
        if file[..8] != *MAGIC {
            return Err(FileError::OtherMagic { file: NAME }.into());
        }
        let found = u16::from_le_bytes(array(file, 8));
        if found != VERSION {
            return Err(FileError::OtherVersion { file: NAME, found, known: VERSION }.into());
        }
        let (body, digest) = file.split_at(file.len() - DIGEST_BYTES);
        if digest::digest(&digest::SHA256, body).as_ref() != digest {
            return Err(FileError::DoesNotOpen { file: NAME, offset: HEAD_BYTES }.into());
        }
        let slots = usize::from(u16::from_le_bytes(array(file, 10)));
        if body.len() != HEAD_BYTES + slots * SLOT_BYTES {
            return Err(FileError::Length { file: NAME, offset: 10 }.into());
        }
        let mut slots = body[HEAD_BYTES..].chunks_exact(SLOT_BYTES);
        let clear = slots.find(|slot| slot[0] == 0).ok_or(DiskKeyError::Locked)?;
        Ok(Self::filled(|key| key.copy_from_slice(&clear[32..64]))?)
    }
}

/// A disk key's file that gives no key.
#[derive(Debug, thiserror::Error)]
pub enum DiskKeyError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{NAME}: the key is locked, and this version has no unlock")]
    Locked,
    #[error("no memory for the disk key")]
    Memory(#[from] GuardError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use static_assertions::assert_not_impl_any;

    assert_not_impl_any!(DiskKey: Clone, std::fmt::Debug, std::fmt::Display, PartialEq);

    #[test]
    fn any_flipped_or_missing_byte_of_the_file_is_refused() {
        let key = DiskKey::filled(|bytes| bytes.fill(7)).unwrap();
        let file = key.to_clear_file();
        crate::testing::assert_golden("disk-key", &file);
        assert_eq!(DiskKey::parse(&file).ok().unwrap().expose(), &[7; 32]);
        for at in 0..file.len() {
            let mut altered = file.to_vec();
            altered[at] ^= 1;
            let refused = DiskKey::parse(&altered).err().unwrap();
            assert!(refused.to_string().starts_with("disk.key: "), "byte {at}: {refused}");
            assert!(DiskKey::parse(&file[..at]).is_err(), "cut at {at}");
        }
    }
}
