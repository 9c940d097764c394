//! A segment's file, seen through a window: read in large pieces, never whole.

use std::io;

use super::format::{BATCH_HEAD, Batch, Broken, SegmentKey, batch_length, parse_batch};
use crate::disk::folder::Folder;

/// Bytes read with one call while a whole segment is read.
pub(super) const WHOLE: usize = 1 << 20;
/// Bytes read with one call for a batch that is wanted alone.
pub(super) const SINGLE: usize = 16 << 10;

/// A file that is read from front to back.
pub(super) struct Window<'a> {
    folder: &'a dyn Folder,
    name: &'a str,
    length: usize,
    /// Bytes read with one call, but for a single larger batch.
    chunk: usize,
    /// Where the bytes stand in the file.
    start: usize,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) fn open(folder: &'a dyn Folder, name: &'a str, chunk: usize) -> io::Result<Self> {
        let length = usize::try_from(folder.length(name)?).map_err(io::Error::other)?;
        Ok(Self { folder, name, length, chunk, start: 0, bytes: Vec::new() })
    }

    /// Bytes of the file.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The bytes from a place on: as many as asked for, fewer at the file's end.
    pub(super) fn at(&mut self, offset: usize, count: usize) -> io::Result<&[u8]> {
        let rest = self.length.saturating_sub(offset);
        let count = count.min(rest);
        let is_here =
            offset >= self.start && offset - self.start + count <= self.bytes.len() && count > 0;
        if !is_here && count > 0 {
            self.bytes.resize(count.max(self.chunk).min(rest), 0);
            let read = self.folder.read_at(self.name, as_u64(offset), &mut self.bytes)?;
            self.bytes.truncate(read);
            self.start = offset;
        }
        let from = offset.saturating_sub(self.start).min(self.bytes.len());
        Ok(&self.bytes[from..self.bytes.len().min(from + count)])
    }

    /// The batch at a place, by itself.
    pub(super) fn batch(
        &mut self,
        key: &SegmentKey,
        offset: usize,
    ) -> io::Result<Result<Batch, Broken>> {
        let length = batch_length(self.at(offset, BATCH_HEAD)?);
        Ok(parse_batch(key, self.at(offset, length)?))
    }
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("sizes fit in 64 bits")
}
