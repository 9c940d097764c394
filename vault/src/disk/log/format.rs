//! Segments and batches as bytes. Numbers are little-endian.
//!
//! ```text
//! segment: header block 4096 | batch | batch ...
//! header:  magic 8 | version u16 | reserved 6 | number u64 | size u64 | salt 32 | zeros | tag 16
//! batch:   magic u32 | body length u32 | counter u64 | previous tag 16 | tag 16 | reserved 16
//!          | body | zeros up to the next multiple of 4096
//! ```
//! The segment's key comes from the disk key, the salt, the node and the number. Its nonces count:
//! 0 seals the header, n the n-th batch.

use std::sync::Arc;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use crate::disk::diskkey::DiskKey;
use crate::disk::seal::array;

/// Batches start at multiples of this, so that no flush rewrites a block that holds an acknowledged one.
pub const BATCH_ALIGN: usize = 4096;
/// Bytes of a segment's header.
pub(super) const SEGMENT_HEAD: usize = 4096;
/// Bytes before a batch's body.
pub(super) const BATCH_HEAD: usize = 64;
pub(super) const TAG: usize = 16;
const SEGMENT_MAGIC: &[u8; 8] = b"COFFLOG1";
const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"CBT1");
const VERSION: u16 = 1;
/// Where a batch's own tag stands in its head.
const TAG_AT: usize = 32;

/// What the keys of all segments come from. Copies share the disk key.
#[derive(Clone)]
pub struct LogKey {
    /// Cluster and node.
    pub context: Vec<u8>,
    pub disk_key: Arc<DiskKey>,
}

/// The key of one segment.
pub(super) struct SegmentKey {
    key: LessSafeKey,
    number: u64,
}

impl LogKey {
    /// The key of a segment under one of the disk keys; of an unknown one nothing opens.
    pub(super) fn segment(&self, number: u64, salt: &[u8; 32], generation: usize) -> SegmentKey {
        let disk_key = self.disk_key.generation(generation);
        let prk = Salt::new(HKDF_SHA256, salt).extract(disk_key.unwrap_or(&[0; 32]));
        let number_bytes = number.to_le_bytes();
        let info = [b"coffer log v1\0".as_slice(), &self.context, &number_bytes];
        let expanded = prk.expand(&info, &CHACHA20_POLY1305);
        let key = expanded.map(UnboundKey::from).expect("32 bytes can be expanded");
        SegmentKey { key: LessSafeKey::new(key), number }
    }
}

/// Why bytes are not the segment or batch that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Nothing of the kind stands here.
    Absent,
    /// Something stands here that does not open.
    Damaged,
    /// Written by a newer program.
    Version(u16),
}

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub number: u64,
    pub size: u64,
    pub salt: [u8; 32],
}

/// A sealed header block, under the newest disk key.
pub(super) fn encode_segment(
    key: &LogKey,
    head: SegmentHead,
    generation: usize,
) -> (Vec<u8>, SegmentKey) {
    let mut block = vec![0; SEGMENT_HEAD];
    block[..8].copy_from_slice(SEGMENT_MAGIC);
    block[8..10].copy_from_slice(&VERSION.to_le_bytes());
    block[16..24].copy_from_slice(&head.number.to_le_bytes());
    block[24..32].copy_from_slice(&head.size.to_le_bytes());
    block[32..64].copy_from_slice(&head.salt);
    let segment = key.segment(head.number, &head.salt, generation);
    let (data, tag) = block.split_at_mut(SEGMENT_HEAD - TAG);
    tag.copy_from_slice(&segment.seal(0, data, &mut []));
    (block, segment)
}

/// Reads and checks a header block. Also says which of the disk keys it is under.
pub(super) fn parse_segment(
    key: &LogKey,
    file: &[u8],
) -> Result<(SegmentHead, SegmentKey, usize), Broken> {
    let block = file.get(..SEGMENT_HEAD).ok_or(Broken::Absent)?;
    if block[..8] != *SEGMENT_MAGIC {
        return Err(Broken::Absent);
    }
    let version = u16::from_le_bytes(array(block, 8));
    if version != VERSION {
        return Err(Broken::Version(version));
    }
    let head = SegmentHead {
        number: u64::from_le_bytes(array(block, 16)),
        size: u64::from_le_bytes(array(block, 24)),
        salt: array(block, 32),
    };
    let (data, tag) = block.split_at(SEGMENT_HEAD - TAG);
    let mut generations = key.disk_key.all().into_iter().map(|(generation, _)| generation);
    let opened = generations.find_map(|generation| {
        let segment = key.segment(head.number, &head.salt, generation);
        segment.open(0, data, &mut tag.to_vec()).map(|()| (segment, generation))
    });
    let (segment, generation) = opened.ok_or(Broken::Damaged)?;
    Ok((head, segment, generation))
}

/// One batch that opened.
pub(super) struct Batch {
    pub counter: u64,
    pub previous_tag: [u8; TAG],
    pub tag: [u8; TAG],
    pub body: Zeroizing<Vec<u8>>,
    /// Bytes on disk, padding included.
    pub length: usize,
}

impl Batch {
    /// Stands where a batch was taken from.
    pub(super) fn none() -> Self {
        let (previous_tag, tag, body) = ([0; TAG], [0; TAG], Zeroizing::default());
        Self { counter: 0, previous_tag, tag, body, length: 0 }
    }
}

/// Room for a batch's head, to be followed by its records and `finish_batch`.
pub(super) fn start_batch(out: &mut Vec<u8>) {
    out.clear();
    out.resize(BATCH_HEAD, 0);
}

/// Seals a batch in place and pads it. Returns its tag.
pub(super) fn finish_batch(
    key: &SegmentKey,
    counter: u64,
    previous_tag: &[u8; TAG],
    out: &mut Vec<u8>,
) -> [u8; TAG] {
    let length = u32::try_from(out.len() - BATCH_HEAD).expect("a batch is below 4 GiB");
    out[..4].copy_from_slice(&BATCH_MAGIC.to_le_bytes());
    out[4..8].copy_from_slice(&length.to_le_bytes());
    out[8..16].copy_from_slice(&counter.to_le_bytes());
    out[16..32].copy_from_slice(previous_tag);
    let (head, body) = out.split_at_mut(BATCH_HEAD);
    let tag = key.seal(counter, &head[..TAG_AT], body);
    head[TAG_AT..TAG_AT + TAG].copy_from_slice(&tag);
    out.resize(out.len().next_multiple_of(BATCH_ALIGN), 0);
    tag
}

/// How many bytes the batch with this head takes, as far as the head can be trusted; the head alone where
/// no batch starts.
pub(super) fn batch_length(head: &[u8]) -> usize {
    if head.len() < BATCH_HEAD || u32::from_le_bytes(array(head, 0)) != BATCH_MAGIC {
        return BATCH_HEAD;
    }
    let body = usize::try_from(u32::from_le_bytes(array(head, 4))).unwrap_or(usize::MAX);
    body.saturating_add(BATCH_HEAD).checked_next_multiple_of(BATCH_ALIGN).unwrap_or(usize::MAX)
}

/// Reads and opens the batch at the start of `bytes`, by itself: the chain is the caller's to check.
pub(super) fn parse_batch(key: &SegmentKey, bytes: &[u8]) -> Result<Batch, Broken> {
    let head = bytes.get(..BATCH_HEAD).ok_or(Broken::Absent)?;
    if head.iter().all(|byte| *byte == 0) {
        return Err(Broken::Absent);
    }
    if u32::from_le_bytes(array(head, 0)) != BATCH_MAGIC || head[48..] != [0; 16] {
        return Err(Broken::Damaged);
    }
    let body_len = u32::from_le_bytes(array(head, 4));
    let body_len = usize::try_from(body_len).map_err(|_| Broken::Damaged)?;
    let end = BATCH_HEAD.checked_add(body_len).ok_or(Broken::Damaged)?;
    let body = bytes.get(BATCH_HEAD..end).ok_or(Broken::Damaged)?;
    let counter = u64::from_le_bytes(array(head, 8));
    let tag: [u8; TAG] = array(head, TAG_AT);
    if counter == 0 {
        return Err(Broken::Damaged);
    }
    let mut opened = Zeroizing::new(Vec::with_capacity(body_len + TAG));
    opened.extend_from_slice(body);
    opened.extend_from_slice(&tag);
    key.open(counter, &head[..TAG_AT], &mut opened).ok_or(Broken::Damaged)?;
    opened.truncate(body_len);
    let length = end.next_multiple_of(BATCH_ALIGN);
    let padding = bytes.get(end..length.min(bytes.len())).unwrap_or_default();
    if padding != &[0; BATCH_ALIGN][..padding.len()] {
        return Err(Broken::Damaged);
    }
    Ok(Batch { counter, previous_tag: array(head, 16), tag, body: opened, length })
}

impl SegmentKey {
    /// A counter is used once in a segment, and every start has a segment of its own: no nonce ever
    /// meets two texts.
    fn nonce(counter: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&counter.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn associated(&self, data: &[u8]) -> Aad<Vec<u8>> {
        Aad::from([data, &self.number.to_le_bytes()].concat())
    }

    fn seal(&self, counter: u64, data: &[u8], body: &mut [u8]) -> [u8; TAG] {
        let aad = self.associated(data);
        let tag = self.key.seal_in_place_separate_tag(Self::nonce(counter), aad, body);
        let tag = tag.expect("a batch is far below the cipher's limit");
        tag.as_ref().try_into().expect("the cipher's tag has 16 bytes")
    }

    /// Opens a body that is followed by its tag, in place.
    fn open(&self, counter: u64, data: &[u8], body_and_tag: &mut [u8]) -> Option<()> {
        let aad = self.associated(data);
        self.key.open_in_place(Self::nonce(counter), aad, body_and_tag).ok().map(|_| ())
    }
}
