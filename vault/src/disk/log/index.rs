//! Where the entries of the log stand, so that those which are no longer in memory can be read again.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::LogKey;
use super::format::BATCH_ALIGN;
use super::record::{Position, Record, decode};
use super::recover::segment_name;
use super::window::{SINGLE, Window};
use crate::disk::folder::Folder;

/// For each segment, oldest first, which entry each of its batches starts with.
#[derive(Clone, Default)]
pub(super) struct Index(Arc<Mutex<VecDeque<Stretch>>>);

struct Stretch {
    number: u64,
    salt: [u8; 32],
    /// Which of the disk keys it is under.
    generation: usize,
    /// Index of the first entry, and the batch's place in blocks. Only batches that hold an entry; rising.
    batches: Vec<(u64, u32)>,
}

/// Where an entry stands.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    number: u64,
    salt: [u8; 32],
    generation: usize,
    block: u32,
    /// The first entry that stands in a later batch.
    next: u64,
}

impl Index {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Stretch>> {
        // Every change is whole after a single call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on entries stand in this segment.
    pub(super) fn segment(&self, number: u64, salt: [u8; 32], generation: usize) {
        self.lock().push_back(Stretch { number, salt, generation, batches: Vec::new() });
    }

    /// Which of the disk keys a segment is under.
    pub(super) fn generation(&self, number: u64) -> Option<usize> {
        let stretches = self.lock();
        let found = stretches.iter().find(|stretch| stretch.number == number);
        found.map(|stretch| stretch.generation)
    }

    /// The oldest disk key that a segment is under.
    fn oldest_generation(&self) -> Option<usize> {
        self.lock().iter().map(|stretch| stretch.generation).min()
    }

    /// An entry stands in the newest segment, in the batch at this place.
    pub(super) fn entry(&self, index: u64, offset: usize) {
        let block = u32::try_from(offset / BATCH_ALIGN).expect("a segment is at most 1 GiB long");
        let mut stretches = self.lock();
        let Some(newest) = stretches.back_mut() else { return };
        if newest.batches.last().is_none_or(|(_, last)| *last != block) {
            newest.batches.push((index, block));
        }
    }

    /// Entries behind an index are void.
    pub(super) fn truncate(&self, after: Option<u64>) {
        for stretch in self.lock().iter_mut().rev() {
            let kept = stretch.batches.partition_point(|(first, _)| Some(*first) <= after);
            stretch.batches.truncate(kept);
        }
    }

    /// A segment holds nothing any more.
    pub(super) fn release(&self, number: u64) {
        self.lock().retain(|stretch| stretch.number != number);
    }

    /// The entry that so many bytes of the log start with; nothing if there are fewer.
    fn first_of_last(&self, bytes: u64) -> Option<u64> {
        let block = u64::try_from(BATCH_ALIGN).expect("sizes fit in 64 bits");
        let stretches = self.lock();
        let batches = stretches.iter().rev().flat_map(|stretch| {
            stretch.batches.iter().rev().map(|(first, start)| (stretch.number, *first, *start))
        });
        let (mut seen, mut behind) = (0_u64, None::<(u64, u32)>);
        for (number, first, start) in batches {
            // The last batch of a segment counts as one block: its end is not known here.
            let end = behind.filter(|(other, _)| *other == number);
            let blocks = end.map_or(1, |(_, end)| end.saturating_sub(start));
            seen = seen.saturating_add(u64::from(blocks).saturating_mul(block));
            if seen >= bytes {
                return Some(first);
            }
            behind = Some((number, start));
        }
        None
    }

    fn find(&self, index: u64) -> Option<Place> {
        let stretches = self.lock();
        let mut next = u64::MAX;
        for stretch in stretches.iter().rev() {
            let behind = stretch.batches.partition_point(|(first, _)| *first <= index);
            next = stretch.batches.get(behind).map_or(next, |(first, _)| *first);
            let Stretch { number, salt, generation, .. } = *stretch;
            if let Some((_, block)) = behind.checked_sub(1).and_then(|at| stretch.batches.get(at)) {
                return Some(Place { number, salt, generation, block: *block, next });
            }
        }
        None
    }
}

impl Index {
    /// Entries of a range of indexes that were flushed, in order: up to so many bytes, but for a single
    /// larger one. Those that were purged meanwhile are left out.
    pub(super) fn read(
        &self,
        folder: &dyn Folder,
        key: &LogKey,
        range: Range<u64>,
        bytes_max: usize,
    ) -> io::Result<Vec<(Position, Vec<u8>)>> {
        let mut taken = Taken { entries: Vec::new(), bytes: 0, bytes_max };
        let mut next = range.start;
        while next < range.end {
            let Some(place) = self.find(next) else { break };
            let batch = match entries_at(folder, key, &place) {
                Ok(batch) => batch,
                // The segment was released, and may have been used again.
                Err(_) if self.find(next) != Some(place) => break,
                Err(error) => return Err(error),
            };
            let wanted = next..range.end.min(place.next);
            let batch = batch.into_iter().filter(|(position, _)| wanted.contains(&position.index));
            match taken.take(batch) {
                Some(last) => next = last + 1,
                None => break,
            }
        }
        Ok(taken.entries)
    }
}

/// Entries up to a number of bytes.
struct Taken {
    entries: Vec<(Position, Vec<u8>)>,
    bytes: usize,
    bytes_max: usize,
}

impl Taken {
    /// Takes what fits. Gives the index of the last one; nothing if there was none, or not all fitted.
    fn take(&mut self, batch: impl Iterator<Item = (Position, Vec<u8>)>) -> Option<u64> {
        let mut last = None;
        for (position, payload) in batch {
            let bytes = self.bytes.saturating_add(payload.len());
            if self.bytes > 0 && bytes > self.bytes_max {
                return None;
            }
            self.bytes = bytes.max(1);
            last = Some(position.index);
            self.entries.push((position, payload));
        }
        last
    }
}

/// The entries that one batch leaves.
fn entries_at(
    folder: &dyn Folder,
    key: &LogKey,
    place: &Place,
) -> io::Result<Vec<(Position, Vec<u8>)>> {
    let name = segment_name(place.number);
    let key = key.segment(place.number, &place.salt, place.generation);
    let offset = usize::try_from(place.block).map_err(io::Error::other)? * BATCH_ALIGN;
    let damaged = || io::Error::other(format!("log/{name}: offset {offset}: damaged"));
    let batch = Window::open(folder, &name, SINGLE)?.batch(&key, offset)?;
    let batch = batch.map_err(|_| damaged())?;
    let mut entries: Vec<(Position, Vec<u8>)> = Vec::new();
    for record in decode(&batch.body).ok_or_else(damaged)? {
        match record {
            Record::Entry(position, payload) => entries.push((position, payload)),
            Record::Truncate(after) => {
                entries.retain(|(position, _)| Some(position.index) <= after);
            }
            Record::Vote(_)
            | Record::Purge(_)
            | Record::Committed(_)
            | Record::Open(_)
            | Record::Seal => {}
        }
    }
    Ok(entries)
}

/// Reads entries back from the disk, while the log is being written.
#[derive(Clone)]
pub struct LogReader {
    folder: Arc<dyn Folder>,
    key: LogKey,
    index: Index,
}

impl LogReader {
    pub(super) fn new(folder: Arc<dyn Folder>, key: LogKey, index: Index) -> Self {
        Self { folder, key, index }
    }

    /// Entries of a range of indexes that were flushed, in order: up to so many bytes, but for a single
    /// larger one. Those that were purged meanwhile are left out.
    pub fn read(
        &self,
        range: Range<u64>,
        bytes_max: usize,
    ) -> io::Result<Vec<(Position, Vec<u8>)>> {
        self.index.read(self.folder.as_ref(), &self.key, range, bytes_max)
    }

    /// The oldest disk key that any of the log is under.
    pub fn oldest_generation(&self) -> Option<usize> {
        self.index.oldest_generation()
    }

    /// The entry behind which so many bytes of the log stand; nothing if there are fewer.
    pub fn before_last(&self, bytes: u64) -> Option<u64> {
        self.index.first_of_last(bytes)?.checked_sub(1)
    }
}
