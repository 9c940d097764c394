//! Snapshot files: records in sealed pieces, under a key that comes from a data key, so that any manager
//! of the cluster can open them.
//!
//! ```text
//! head:  magic "COFFSNP1" | version u16 | reserved 2 = 0 | epoch u32 | salt 32
//! piece: body length u32 | is last u8 | reserved 3 = 0 | body | tag 16
//! body:  record ...   record: length u32 | bytes
//! ```
//! Piece n is sealed with nonce n; the head, n and the piece's own head are authenticated along.

use std::io::{self, Read};
use std::sync::Arc;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use vault_core::id::ClusterId;
use vault_core::seal::{DataKey, Epoch};

use super::folder::{Folder, StoredFile};
use super::keyring::Keyring;
use super::pace::Pace;
use super::seal::array;

const MAGIC: &[u8; 8] = b"COFFSNP1";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 48;
const PIECE_HEAD: usize = 8;
const TAG: usize = 16;
/// A piece is sealed once it has this many bytes: large enough for the cipher's full speed, small enough
/// to be read without much memory.
const PIECE_BYTES: usize = 128 << 10;
/// So many bytes are written before they are flushed: the log's own flush never waits behind more than this.
const FLUSH_BYTES: u64 = 1 << 20;
/// Snapshots are written no faster: they have time, and who waits for the log has not.
const BYTES_PER_SECOND: u64 = 200_000_000;
/// Bytes that are read with one call.
const READ_BYTES: usize = 256 << 10;

/// A snapshot that cannot be used. Says where.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("{file}: offset 0: not a snapshot")]
    NotASnapshot { file: String },
    #[error("{file}: offset 8: written in version {found}, this program reads version {VERSION}")]
    Version { file: String, found: u16 },
    #[error(
        "{file}: offset 12: sealed under epoch {epoch}, which this node's keyring does not have"
    )]
    Epoch { file: String, epoch: u32 },
    #[error("{file}: offset {offset}: damaged, or of another cluster")]
    Damaged { file: String, offset: u64 },
    #[error("{file}: offset {offset}: cannot be read")]
    Io {
        file: String,
        offset: u64,
        #[source]
        source: io::Error,
    },
}

struct Sealing {
    key: LessSafeKey,
    head: [u8; HEAD_BYTES],
}

impl Sealing {
    fn new(key: DataKey<'_>, cluster: ClusterId, head: [u8; HEAD_BYTES]) -> Self {
        let prk = Salt::new(HKDF_SHA256, &head[16..]).extract(key.bytes);
        let cluster = cluster.object();
        let info = [b"coffer snapshot v1\0".as_slice(), cluster.as_bytes()];
        let expanded = prk.expand(&info, &CHACHA20_POLY1305);
        let key = expanded.map(UnboundKey::from).expect("32 bytes can be expanded");
        Self { key: LessSafeKey::new(key), head }
    }

    fn nonce(piece: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&piece.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn associated(&self, piece: u64, piece_head: &[u8]) -> Aad<Vec<u8>> {
        Aad::from([&self.head, piece.to_le_bytes().as_slice(), piece_head].concat())
    }
}

/// Writes a snapshot. It has its name only once `finish` returned.
pub struct SnapshotWriter {
    folder: Arc<dyn Folder>,
    name: String,
    file: Arc<dyn StoredFile>,
    sealing: Sealing,
    offset: u64,
    piece: u64,
    buffer: Vec<u8>,
    /// Bytes up to here were flushed.
    flushed: u64,
    pace: Pace,
}

impl SnapshotWriter {
    /// Starts a file. The salt must be random.
    pub fn create(
        folder: Arc<dyn Folder>,
        name: &str,
        key: DataKey<'_>,
        cluster: ClusterId,
        salt: [u8; 32],
    ) -> io::Result<Self> {
        let draft = format!("{name}.new");
        match folder.remove(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
        let file = folder.create(&draft)?;
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(MAGIC);
        head[8..10].copy_from_slice(&VERSION.to_le_bytes());
        head[12..16].copy_from_slice(&key.epoch.0.to_le_bytes());
        head[16..].copy_from_slice(&salt);
        file.write_at(0, &head)?;
        let sealing = Sealing::new(key, cluster, head);
        let offset = as_u64(HEAD_BYTES);
        let (name, pace) = (name.to_owned(), Pace::new(BYTES_PER_SECOND));
        let (piece, buffer, flushed) = (0, Vec::new(), 0);
        let mut writer = Self { folder, name, file, sealing, offset, piece, buffer, flushed, pace };
        writer.start_piece();
        Ok(writer)
    }

    fn start_piece(&mut self) {
        self.buffer.clear();
        self.buffer.resize(PIECE_HEAD, 0);
    }

    /// Adds a record.
    pub fn push(&mut self, record: &[u8]) -> io::Result<()> {
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(record);
        if self.buffer.len() >= PIECE_BYTES { self.write_piece(false) } else { Ok(()) }
    }

    fn write_piece(&mut self, is_last: bool) -> io::Result<()> {
        let length = u32::try_from(self.buffer.len() - PIECE_HEAD).map_err(io::Error::other)?;
        self.buffer[..4].copy_from_slice(&length.to_le_bytes());
        self.buffer[4] = u8::from(is_last);
        let (head, body) = self.buffer.split_at_mut(PIECE_HEAD);
        let aad = self.sealing.associated(self.piece, head);
        let nonce = Sealing::nonce(self.piece);
        let tag = self.sealing.key.seal_in_place_separate_tag(nonce, aad, body);
        let tag = tag.map_err(|_| io::Error::other("a piece is too long to be sealed"))?;
        self.buffer.extend_from_slice(tag.as_ref());
        self.file.write_at(self.offset, &self.buffer)?;
        self.offset += as_u64(self.buffer.len());
        self.piece += 1;
        if self.offset - self.flushed >= FLUSH_BYTES {
            self.file.flush_and_forget()?;
            self.flushed = self.offset;
        }
        self.pace.wait_for(as_u64(self.buffer.len()));
        self.start_piece();
        Ok(())
    }

    /// Writes the last piece, and puts the file in place once all of it is on the disk.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_piece(true)?;
        self.file.flush_and_forget()?;
        self.folder.rename(&format!("{}.new", self.name), &self.name)?;
        self.folder.flush()
    }
}

/// Under which epoch a snapshot is sealed, by its own word: zero if it is too short to say.
pub fn epoch_of(folder: &dyn Folder, name: &str) -> io::Result<Epoch> {
    let mut head = [0; 4];
    let read = folder.read_at(name, 12, &mut head)?;
    Ok(Epoch(if read == head.len() { u32::from_le_bytes(head) } else { 0 }))
}

/// Opens every piece of a snapshot and gives out its records, in order. `name` is for the error.
pub fn read_records(
    name: &str,
    bytes: impl Read,
    keyring: &Keyring,
    cluster: ClusterId,
    mut record: impl FnMut(&[u8]) -> Option<()>,
) -> Result<(), SnapshotError> {
    let file = || name.to_owned();
    let mut source = Source { bytes: io::BufReader::with_capacity(READ_BYTES, bytes), offset: 0 };
    let io = |offset| move |source| SnapshotError::Io { file: name.to_owned(), offset, source };
    let mut head = Vec::new();
    let is_whole = source.take(HEAD_BYTES, &mut head).map_err(io(0))?;
    if !is_whole || head[..8] != *MAGIC {
        return Err(SnapshotError::NotASnapshot { file: file() });
    }
    let head: [u8; HEAD_BYTES] = array(&head, 0);
    let found = u16::from_le_bytes(array(&head, 8));
    if found != VERSION {
        return Err(SnapshotError::Version { file: file(), found });
    }
    let epoch = u32::from_le_bytes(array(&head, 12));
    let key = keyring.key(Epoch(epoch));
    let key = key.ok_or_else(|| SnapshotError::Epoch { file: file(), epoch })?;
    let sealing = Sealing::new(key, cluster, head);
    let mut body = Vec::new();
    for piece in 0.. {
        let offset = source.offset;
        let damaged = || SnapshotError::Damaged { file: file(), offset };
        let opened = open_piece(&sealing, piece, &mut source, &mut body).map_err(io(offset))?;
        let is_last = opened.ok_or_else(damaged)?;
        split_records(&body, &mut record).ok_or_else(damaged)?;
        if is_last {
            break;
        }
    }
    let offset = source.offset;
    let mut rest = Vec::new();
    if source.take(1, &mut rest).map_err(io(offset))? {
        return Err(SnapshotError::Damaged { file: file(), offset });
    }
    Ok(())
}

/// What is left of the file.
struct Source<R> {
    bytes: R,
    offset: u64,
}

impl<R: Read> Source<R> {
    /// Reads so many bytes. False if there are fewer: no memory is taken for bytes that are not there.
    fn take(&mut self, count: usize, into: &mut Vec<u8>) -> io::Result<bool> {
        into.clear();
        let read = self.bytes.by_ref().take(as_u64(count)).read_to_end(into)?;
        self.offset += as_u64(read);
        Ok(read == count)
    }
}

/// Reads a piece and leaves what it holds in `body`. Says whether it is the last one; nothing if it does
/// not open.
fn open_piece(
    sealing: &Sealing,
    piece: u64,
    source: &mut Source<impl Read>,
    body: &mut Vec<u8>,
) -> io::Result<Option<bool>> {
    if !source.take(PIECE_HEAD, body)? {
        return Ok(None);
    }
    let head: [u8; PIECE_HEAD] = array(body, 0);
    let length = usize::try_from(u32::from_le_bytes(array(&head, 0))).ok();
    let Some(sealed) = length.and_then(|length| length.checked_add(TAG)) else { return Ok(None) };
    if !source.take(sealed, body)? {
        return Ok(None);
    }
    let aad = sealing.associated(piece, &head);
    if sealing.key.open_in_place(Sealing::nonce(piece), aad, body).is_err() {
        return Ok(None);
    }
    body.truncate(sealed - TAG);
    Ok(match head[4] {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    })
}

fn split_records(mut body: &[u8], record: &mut impl FnMut(&[u8]) -> Option<()>) -> Option<()> {
    while !body.is_empty() {
        let (length, rest) = body.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (one, rest) = rest.split_at_checked(length)?;
        record(one)?;
        body = rest;
    }
    Some(())
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("sizes fit in 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::folder::RealFolder;

    fn keyring() -> Keyring {
        Keyring::first(|key| key.fill(3)).unwrap()
    }

    fn cluster(n: u8) -> ClusterId {
        ClusterId::from_entropy([n; 17])
    }

    fn file_of(records: &[Vec<u8>]) -> Vec<u8> {
        let path = crate::testing::folder();
        let folder: Arc<dyn Folder> = Arc::new(RealFolder::open(path.path()).unwrap());
        let ring = keyring();
        let mut writer =
            SnapshotWriter::create(Arc::clone(&folder), "s", ring.newest(), cluster(1), [4; 32])
                .unwrap();
        for record in records {
            writer.push(record).unwrap();
        }
        writer.finish().unwrap();
        folder.read("s").unwrap()
    }

    fn read(bytes: &[u8], from: ClusterId) -> Result<Vec<Vec<u8>>, SnapshotError> {
        let mut records = vec![];
        let keep = |record: &[u8]| {
            records.push(record.to_vec());
            Some(())
        };
        read_records("s", bytes, &keyring(), from, keep)?;
        Ok(records)
    }

    #[test]
    fn records_of_several_pieces_come_back_in_order() {
        let records: Vec<_> = (0..5_u8).map(|n| vec![n; 50_000]).collect();
        let bytes = file_of(&records);
        assert_eq!(read(&bytes, cluster(1)).unwrap(), records);
        assert!(read(&bytes, cluster(2)).is_err(), "another cluster's");
    }

    #[test]
    fn case_27_any_flipped_missing_or_added_byte_is_refused() {
        let bytes = file_of(&[b"one".to_vec(), b"two".to_vec()]);
        crate::testing::assert_golden("snapshot", &bytes);
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let refused = read(&altered, cluster(1)).unwrap_err();
            assert!(refused.to_string().starts_with("s: offset "), "byte {at}: {refused}");
            assert!(read(&bytes[..at], cluster(1)).is_err(), "cut at {at}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(read(&longer, cluster(1)), Err(SnapshotError::Damaged { .. })));
    }

    #[test]
    fn case_28_pieces_that_change_places_are_refused() {
        let bytes = file_of(&(0..4_u8).map(|n| vec![n; 140_000]).collect::<Vec<_>>());
        let piece = PIECE_HEAD + 4 + 140_000 + TAG;
        let (first, second) = (HEAD_BYTES, HEAD_BYTES + piece);
        let mut swapped = bytes.clone();
        swapped[first..second].copy_from_slice(&bytes[second..second + piece]);
        swapped[second..second + piece].copy_from_slice(&bytes[first..second]);
        assert!(matches!(read(&swapped, cluster(1)), Err(SnapshotError::Damaged { .. })));
    }
}
