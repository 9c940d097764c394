//! The disk key's file: the key that opens this node's other files, in one or more slots.
//!
//! ```text
//! magic "COFFDSK1" | version u16 | slots u16 | slot ... | SHA-256 of all before it
//! slot: kind u8 | reserved 3 = 0 | version of the unlock key u32 | nonce 24 | body 48
//! ```
//! Kind 0 is a key in the clear (32 bytes and 16 zeros): autolock is off, and who reads this file reads
//! this node's disk. Kind 1 is a key under the unlock key. All slots are of one kind. The last slot is the
//! key that files are written under; those before it are needed while older files are there. The digest
//! finds damage, not malice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use ring::digest;
use vault_core::limits::DISK_KEYS_MAX;
use vault_core::seal::wipe_stack;
use vault_core::unlock::UnlockKey;
use vault_memory::{GuardError, Guarded};
use zeroize::Zeroizing;

use super::seal::{FileError, array};

/// The file's name in the cluster's folder.
pub const NAME: &str = "disk.key";
const MAGIC: &[u8; 8] = b"COFFDSK1";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 12;
const SLOT_BYTES: usize = 80;
/// The part of a slot that is authenticated along: kind, zeros, version of the unlock key.
const SLOT_HEAD: usize = 8;
const DIGEST_BYTES: usize = 32;
const CLEAR: u8 = 0;
const LOCKED: u8 = 1;

/// Bytes of a disk key.
pub const KEY_BYTES: usize = 32;

/// The key of this node's files, in guarded pages: the newest, and older ones that some file may still be
/// under. A newer one is added while files are read and written; none is ever exchanged.
pub struct DiskKey {
    keys: Generations,
    /// The file holds no older generation than this.
    first_kept: AtomicUsize,
    lock: Mutex<Option<Lock>>,
}

struct Generations {
    key: Guarded,
    next: OnceLock<Box<Self>>,
}

/// What the file's slots are under.
struct Lock {
    key: Guarded,
    version: u32,
}

/// A change that is written to the disk first.
pub struct Change {
    /// The file as it is going to be.
    pub file: Zeroizing<Vec<u8>>,
    next: Option<Box<Generations>>,
    first_kept: usize,
    lock: Option<Lock>,
}

/// Writes a new key's random bytes, if there is to be one.
pub type Fill<'a> = Option<&'a dyn Fn(&mut [u8])>;

/// Gives random nonces.
pub type Nonces<'a> = &'a mut dyn FnMut() -> [u8; 24];

fn exposed(key: &Guarded) -> &[u8; KEY_BYTES] {
    key.expose().try_into().expect("a disk key is made with 32 bytes")
}

impl Generations {
    fn new(fill: impl FnOnce(&mut [u8])) -> Result<Self, GuardError> {
        Ok(Self { key: Guarded::filled(KEY_BYTES, fill)?, next: OnceLock::new() })
    }

    fn iter(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |this| this.next.get().map(|next| &**next))
    }
}

impl Lock {
    fn new(key: &UnlockKey, version: u32) -> Result<Self, GuardError> {
        let key = Guarded::filled(KEY_BYTES, |bytes| bytes.copy_from_slice(key.expose()))?;
        Ok(Self { key, version })
    }
}

impl DiskKey {
    /// Makes a key from random bytes that `fill` writes in place.
    pub fn filled(fill: impl FnOnce(&mut [u8])) -> Result<Self, GuardError> {
        Ok(Self::of(Generations::new(fill)?, None))
    }

    /// The same, locked from the start.
    pub fn locked(
        fill: impl FnOnce(&mut [u8]),
        under: &UnlockKey,
        version: u32,
    ) -> Result<Self, GuardError> {
        Ok(Self::of(Generations::new(fill)?, Some(Lock::new(under, version)?)))
    }

    fn of(keys: Generations, lock: Option<Lock>) -> Self {
        Self { keys, first_kept: AtomicUsize::new(0), lock: Mutex::new(lock) }
    }

    /// The newest key's bytes.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        let newest = self.keys.iter().last().expect("there is always one");
        exposed(&newest.key)
    }

    /// All keys, the newest first, with their numbers in this process.
    pub fn all(&self) -> Vec<(usize, &[u8; KEY_BYTES])> {
        let all = self.keys.iter().enumerate();
        let mut all: Vec<_> = all.map(|(number, one)| (number, exposed(&one.key))).collect();
        all.reverse();
        all
    }

    /// One of them.
    pub fn generation(&self, number: usize) -> Option<&[u8; KEY_BYTES]> {
        self.keys.iter().nth(number).map(|one| exposed(&one.key))
    }

    /// The number of the newest.
    pub fn newest(&self) -> usize {
        self.keys.iter().count() - 1
    }

    /// The oldest key that the file holds.
    pub fn first_kept(&self) -> usize {
        self.first_kept.load(Ordering::Relaxed)
    }

    /// Whether the file is under an unlock key.
    pub fn is_locked(&self) -> bool {
        self.lock().is_some()
    }

    /// Whether it is under this one.
    pub fn is_locked_under(&self, key: &UnlockKey) -> bool {
        self.lock().as_ref().is_some_and(|lock| key.equals(lock.key.expose()))
    }

    /// A copy of the unlock key that the file is under.
    pub fn unlock_key(&self) -> Option<UnlockKey> {
        self.lock().as_ref().map(|lock| UnlockKey::new(exposed(&lock.key)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Lock>> {
        // Changed by one assignment.
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of the file as it is to be now.
    pub fn to_file(&self, nonces: Nonces<'_>) -> Zeroizing<Vec<u8>> {
        self.file(None, self.first_kept(), self.lock().as_ref(), nonces)
    }

    /// What the file is to be under another unlock key, or none; with one key more, if there is room.
    pub fn change(
        &self,
        under: Option<(&UnlockKey, u32)>,
        fill_next: Fill<'_>,
        nonces: Nonces<'_>,
    ) -> Result<Change, GuardError> {
        let lock = under.map(|(key, version)| Lock::new(key, version)).transpose()?;
        let first_kept = self.first_kept();
        let has_room = self.newest() + 1 - first_kept < usize::from(DISK_KEYS_MAX);
        let next = fill_next.filter(|_| has_room).map(Generations::new).transpose()?;
        let file = self.file(next.as_ref(), first_kept, lock.as_ref(), nonces);
        Ok(Change { file, next: next.map(Box::new), first_kept, lock })
    }

    /// The file without the keys before this one.
    pub fn without_before(&self, first: usize, nonces: Nonces<'_>) -> Result<Change, GuardError> {
        let first_kept = first.clamp(self.first_kept(), self.newest());
        let lock = self.lock();
        let copied = |lock: &Lock| {
            let key = |bytes: &mut [u8]| bytes.copy_from_slice(lock.key.expose());
            Guarded::filled(KEY_BYTES, key).map(|key| Lock { key, version: lock.version })
        };
        let copied = lock.as_ref().map(copied).transpose()?;
        let file = self.file(None, first_kept, lock.as_ref(), nonces);
        Ok(Change { file, next: None, first_kept, lock: copied })
    }

    /// Takes a change up whose file is on the disk.
    pub fn take(&self, change: Change) {
        if let Some(next) = change.next {
            let newest = self.keys.iter().last().expect("there is always one");
            assert!(newest.next.set(next).is_ok(), "one change at a time");
        }
        self.first_kept.store(change.first_kept, Ordering::Relaxed);
        *self.lock() = change.lock;
    }

    fn file(
        &self,
        next: Option<&Generations>,
        first_kept: usize,
        lock: Option<&Lock>,
        nonces: Nonces<'_>,
    ) -> Zeroizing<Vec<u8>> {
        let keys: Vec<_> = self.keys.iter().skip(first_kept).chain(next).collect();
        let length = HEAD_BYTES + keys.len() * SLOT_BYTES + DIGEST_BYTES;
        let mut file = Zeroizing::new(Vec::with_capacity(length));
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&VERSION.to_le_bytes());
        let count = u16::try_from(keys.len()).expect("there are 64 keys at most");
        file.extend_from_slice(&count.to_le_bytes());
        for one in keys {
            add_slot(&mut file, exposed(&one.key), lock, nonces);
        }
        let digest = digest::digest(&digest::SHA256, &file);
        file.extend_from_slice(digest.as_ref());
        file
    }

    /// Reads a file whose keys are in the clear.
    pub fn parse(file: &[u8]) -> Result<Self, DiskKeyError> {
        let slots = checked_slots(file)?;
        if kind(slots)? == LOCKED {
            return Err(DiskKeyError::Locked);
        }
        let keys = slots.chunks_exact(SLOT_BYTES);
        let keys = keys.map(|slot| Generations::new(|key| key.copy_from_slice(&slot[32..64])));
        Self::linked(keys.map(|key| key.map_err(DiskKeyError::from)), None)
    }

    /// Reads a file whose keys are under an unlock key. Which of them does not open is not said.
    pub fn parse_locked(file: &[u8], under: &UnlockKey) -> Result<Self, DiskKeyError> {
        let slots = checked_slots(file)?;
        if kind(slots)? == CLEAR {
            return Err(DiskKeyError::NotLocked);
        }
        let version = u32::from_le_bytes(array(slots, 4));
        let keys = slots.chunks_exact(SLOT_BYTES).map(|slot| {
            let mut is_open = false;
            let key = Generations::new(|key| is_open = open_slot(slot, under.expose(), key))?;
            if is_open { Ok(key) } else { Err(DiskKeyError::WrongKey) }
        });
        Self::linked(keys, Some(Lock::new(under, version)?))
    }

    /// Which version of the unlock key a file is under; nothing if its keys are in the clear.
    pub fn lock_version(file: &[u8]) -> Result<Option<u32>, DiskKeyError> {
        let slots = checked_slots(file)?;
        let is_locked = kind(slots)? == LOCKED;
        Ok(is_locked.then(|| u32::from_le_bytes(array(slots, 4))))
    }

    fn linked(
        keys: impl Iterator<Item = Result<Generations, DiskKeyError>>,
        lock: Option<Lock>,
    ) -> Result<Self, DiskKeyError> {
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let linked = keys
            .into_iter()
            .rev()
            .reduce(|next, one| Generations { next: OnceLock::from(Box::new(next)), ..one });
        let none = FileError::Length { file: NAME, offset: 10 };
        Ok(Self::of(linked.ok_or(none)?, lock))
    }
}

/// The slots of a file that is whole.
fn checked_slots(file: &[u8]) -> Result<&[u8], DiskKeyError> {
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
    let count = u16::from_le_bytes(array(file, 10));
    let fits = body.len() == HEAD_BYTES + usize::from(count) * SLOT_BYTES;
    if !fits || !(1..=DISK_KEYS_MAX).contains(&count) {
        return Err(FileError::Length { file: NAME, offset: 10 }.into());
    }
    Ok(&body[HEAD_BYTES..])
}

/// The kind of all slots: one file is locked or it is not.
fn kind(slots: &[u8]) -> Result<u8, DiskKeyError> {
    let first = slots[0];
    let fits = |slot: &[u8]| slot[0] == first && slot[1..4] == [0; 3] && first <= LOCKED;
    match slots.chunks_exact(SLOT_BYTES).position(|slot| !fits(slot)) {
        None => Ok(first),
        Some(at) => {
            let offset = HEAD_BYTES + at * SLOT_BYTES;
            Err(FileError::Content { file: NAME, offset }.into())
        }
    }
}

fn add_slot(
    file: &mut Zeroizing<Vec<u8>>,
    key: &[u8; KEY_BYTES],
    lock: Option<&Lock>,
    nonces: Nonces<'_>,
) {
    let start = file.len();
    let (kind, version) = lock.map_or((CLEAR, 0), |lock| (LOCKED, lock.version));
    file.extend_from_slice(&[kind, 0, 0, 0]);
    file.extend_from_slice(&version.to_le_bytes());
    let nonce = lock.map_or([0; 24], |_| nonces());
    file.extend_from_slice(&nonce);
    file.extend_from_slice(key);
    file.extend_from_slice(&[0; 16]);
    let Some(lock) = lock else { return };
    let (head, body) = file[start..].split_at_mut(SLOT_HEAD + 24);
    let (text, place_of_tag) = body.split_at_mut(KEY_BYTES);
    let tag = encrypt(exposed(&lock.key), nonce, &associated(head), text);
    wipe_stack();
    place_of_tag.copy_from_slice(&tag);
}

/// Opens a slot into `key`. On failure nothing of it is there.
fn open_slot(slot: &[u8], under: &[u8; KEY_BYTES], key: &mut [u8]) -> bool {
    key.copy_from_slice(&slot[32..64]);
    let (nonce, tag) = (array(slot, SLOT_HEAD), array::<16>(slot, 64));
    let is_open = decrypt(under, nonce, &associated(slot), Tag::from(tag), key);
    wipe_stack();
    if !is_open {
        key.fill(0);
    }
    is_open
}

/// Which cluster and node it is stands in files under the key that is in here: they do not open for
/// another node's.
fn associated(slot: &[u8]) -> Vec<u8> {
    [b"coffer disk key v1\0".as_slice(), &slot[..SLOT_HEAD]].concat()
}

/// Never a part of its caller, whose own frame `wipe_stack` does not reach.
#[inline(never)]
fn encrypt(under: &[u8; KEY_BYTES], nonce: [u8; 24], data: &[u8], text: &mut [u8]) -> Tag {
    XChaCha20Poly1305::new(under.into())
        .encrypt_inout_detached(&XNonce::from(nonce), data, text.into())
        .expect("a key is far below the cipher's limit")
}

/// As `encrypt`, for the same reason.
#[inline(never)]
fn decrypt(
    under: &[u8; KEY_BYTES],
    nonce: [u8; 24],
    data: &[u8],
    tag: Tag,
    text: &mut [u8],
) -> bool {
    let cipher = XChaCha20Poly1305::new(under.into());
    cipher.decrypt_inout_detached(&XNonce::from(nonce), data, text.into(), &tag).is_ok()
}

/// A disk key's file that gives no key.
#[derive(Debug, thiserror::Error)]
pub enum DiskKeyError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{NAME}: the key is locked")]
    Locked,
    #[error("{NAME}: the key is not locked")]
    NotLocked,
    /// Swarm's text.
    #[error("swarm could not be unlocked: invalid key provided")]
    WrongKey,
    #[error("no memory for the disk key")]
    Memory(#[from] GuardError),
}

#[cfg(test)]
mod tests;
