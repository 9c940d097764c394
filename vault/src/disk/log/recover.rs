//! Reading a log back: every batch opened, every chain checked, a torn tail told from damage.
//!
//! The rule: a batch that does not open is a torn tail only if it is the very last thing in the newest
//! segment and nothing behind it opens. It was then never acknowledged, and is cut. Anything else is
//! damage, and the log is refused.

use std::io;

use super::format::{
    BATCH_ALIGN, Batch, Broken, LogKey, SEGMENT_HEAD, SegmentKey, parse_batch, parse_segment,
};
use super::record::{Opening, Position, Record, Vote, decode};
use super::writer::SPARE;
use crate::disk::folder::Folder;

/// A log that cannot be used. Says which file, and where in it.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("log: {call} {file} failed")]
    Io {
        call: &'static str,
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("log/{file}: offset {offset}: damaged, or of another node")]
    Damaged { file: String, offset: usize },
    #[error("log/{file}: offset 8: written in version {found}, this program reads version 1")]
    Version { file: String, found: u16 },
    #[error("log: segment {number} is missing")]
    SegmentMissing { number: u64 },
    #[error("log: entries before index {first} are missing")]
    EntriesMissing { first: u64 },
}

/// A last batch that was cut because it was written in part, and so never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    pub file: String,
    pub offset: usize,
}

/// What a log holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub vote: Option<Vote>,
    pub committed: Option<Position>,
    pub purged: Option<Position>,
    /// Without holes, behind `purged`.
    pub entries: Vec<(Position, Vec<u8>)>,
    /// Set when a torn tail was cut.
    pub torn: Option<TornTail>,
}

/// Where the log ends, and which segments there are.
#[derive(Default)]
pub(super) struct Tail {
    pub last_number: u64,
    pub last_counter: u64,
    pub last_tag: [u8; 16],
    pub vote: Option<Vote>,
    pub purged: Option<Position>,
    pub committed: Option<Position>,
    pub last: Option<u64>,
    /// Number and highest entry of each segment, oldest first.
    pub segments: Vec<(u64, u64)>,
    /// Segments that hold nothing any more and may be used again.
    pub free: Vec<String>,
}

/// A segment's file name.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// A log that was read and checked.
pub(super) struct Read {
    pub recovered: Recovered,
    tail: Tail,
    last_batch: LastBatch,
}

/// Reads a log and checks all of it.
pub(super) fn read(folder: &dyn Folder, key: &LogKey) -> Result<Read, LogError> {
    let names = folder.names().map_err(|source| io_error("listing", "log", source))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    // Of segments that are released together, an outage may bring back any. What stands before a gap is
    // not needed, or else its entries will be missed below.
    let gap = numbers.windows(2).rposition(|pair| pair[0].checked_add(1) != Some(pair[1]));
    let (released, numbers) = numbers.split_at(gap.map_or(0, |at| at + 1));
    let mut reading = Reading::default();
    for number in numbers {
        reading.segment(read_segment(folder, key, *number)?)?;
    }
    reading.tail.free = names.into_iter().filter(|name| name.starts_with(SPARE)).collect();
    reading.tail.free.extend(released.iter().map(|number| segment_name(*number)));
    let last_batch = std::mem::take(&mut reading.last_batch);
    let (recovered, tail) = reading.finish(released.last().copied())?;
    Ok(Read { recovered, tail, last_batch })
}

/// Reads a log that is to be gone on with.
pub(super) fn recover(folder: &dyn Folder, key: &LogKey) -> Result<(Recovered, Tail), LogError> {
    let Read { recovered, tail, last_batch } = read(folder, key)?;
    store(folder, tail.last_number, &last_batch)?;
    Ok((recovered, tail))
}

/// What was read may still be in the page cache alone; from here on it counts as stored. The last batch is
/// written again, with the same bytes: after a flush that failed, the cache shows what the disk never got,
/// and takes it for written. The names count too: a free file must not get a new life while the disk still
/// has it under its old name.
fn store(folder: &dyn Folder, number: u64, last_batch: &LastBatch) -> Result<(), LogError> {
    if number != 0 {
        let name = segment_name(number);
        let file = folder.open(&name).map_err(|source| io_error("opening", &name, source))?;
        let written = file.write_at(last_batch.offset, &last_batch.bytes);
        written.map_err(|source| io_error("writing", &name, source))?;
        file.flush().map_err(|source| io_error("flushing", &name, source))?;
    }
    folder.flush().map_err(|source| io_error("flushing", "log", source))
}

/// The last batch of the newest segment, as it was read.
#[derive(Default)]
struct LastBatch {
    offset: u64,
    bytes: Vec<u8>,
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().filter(|number| segment_name(*number) == name)
}

fn io_error(call: &'static str, file: &str, source: io::Error) -> LogError {
    LogError::Io { call, file: file.to_owned(), source }
}

/// One segment, as far as its batches open and follow each other.
struct Segment {
    number: u64,
    opening: Opening,
    /// With their offsets; the first is the opening's.
    batches: Vec<(usize, Batch)>,
    /// All bytes of the file.
    bytes: Vec<u8>,
    /// Where reading stopped.
    end: usize,
    /// What stands there.
    stop: Stop,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Nothing: the segment ends here.
    Clean,
    /// Something that does not open, and nothing behind it opens either.
    Torn,
    /// Something that does not open, or nothing, and behind it a later batch that does.
    Damaged,
}

fn read_segment(folder: &dyn Folder, key: &LogKey, number: u64) -> Result<Segment, LogError> {
    let file = segment_name(number);
    let bytes = folder.read(&file).map_err(|source| io_error("reading", &file, source))?;
    let damaged = |offset| LogError::Damaged { file: file.clone(), offset };
    let (head, segment_key) = parse_segment(key, &bytes).map_err(|broken| match broken {
        Broken::Absent | Broken::Damaged => damaged(0),
        Broken::Version(found) => LogError::Version { file: file.clone(), found },
    })?;
    if head.number != number {
        return Err(damaged(16));
    }
    // A segment gets its name only after all of it was flushed: a shorter one was cut.
    if usize::try_from(head.size).map_or(true, |size| bytes.len() < size) {
        return Err(damaged(bytes.len()));
    }
    let first = parse_batch(&segment_key, &bytes[SEGMENT_HEAD..]);
    let first = first.ok().filter(|batch| batch.counter == 1);
    // A segment gets its name only after its opening was flushed, so this is never a torn tail.
    let first = first.ok_or_else(|| damaged(SEGMENT_HEAD))?;
    let opening = match decode(&first.body).as_deref() {
        Some([Record::Open(opening)]) if opening.previous_tag == first.previous_tag => *opening,
        _ => return Err(damaged(SEGMENT_HEAD)),
    };
    let mut end = SEGMENT_HEAD + first.length;
    let mut batches = vec![(SEGMENT_HEAD, first)];
    let stop = loop {
        let (_, before) = batches.last().expect("the opening is there");
        // A counter may be missing: that of a seal whose place the batch has taken.
        let follows =
            |batch: &Batch| batch.counter > before.counter && batch.previous_tag == before.tag;
        match parse_batch(&segment_key, bytes.get(end..).unwrap_or_default()) {
            Ok(batch) if follows(&batch) => {
                let length = batch.length;
                batches.push((end, batch));
                end += length;
            }
            other => {
                // Behind a seal there is nothing but what an earlier life of the file left.
                let is_end = matches!(other, Err(Broken::Absent)) || is_seal(before);
                break stop(&segment_key, &bytes, end, before.counter, is_end);
            }
        }
    };
    Ok(Segment { number, opening, batches, bytes, end, stop })
}

fn is_seal(batch: &Batch) -> bool {
    decode(&batch.body).as_deref() == Some(&[Record::Seal])
}

/// What it means that nothing more was read at `end`.
fn stop(key: &SegmentKey, bytes: &[u8], end: usize, last: u64, is_end: bool) -> Stop {
    let rest = bytes.get(end..).unwrap_or_default();
    let mut blocks = (0..rest.len()).step_by(BATCH_ALIGN);
    let is_later = |at: usize| parse_batch(key, &rest[at..]).is_ok_and(|b| b.counter > last);
    match (blocks.any(is_later), is_end) {
        (true, _) => Stop::Damaged,
        (false, true) => Stop::Clean,
        (false, false) => Stop::Torn,
    }
}

#[derive(Default)]
struct Reading {
    recovered: Recovered,
    tail: Tail,
    last_batch: LastBatch,
    /// Where the newest segment read so far stopped.
    end: usize,
    stop: Option<Stop>,
    /// Entries up to here stood in segments that are gone: they must have been purged.
    gone: Option<u64>,
    last: Option<u64>,
}

impl Reading {
    fn segment(&mut self, segment: Segment) -> Result<(), LogError> {
        let opening = segment.opening;
        if self.tail.last_number == 0 {
            self.recovered.vote = opening.vote;
            self.recovered.purged = opening.purged;
            self.recovered.committed = opening.committed;
            self.gone = opening.last;
            self.last = opening.last;
        } else {
            let ended = (self.tail.last_number, self.tail.last_counter, self.tail.last_tag);
            let said = (opening.previous, opening.previous_counter, opening.previous_tag);
            if ended != said {
                let file = segment_name(self.tail.last_number);
                return Err(LogError::Damaged { file, offset: self.end });
            }
        }
        let (mut highest, mut last) = (0, (0, 0));
        for (offset, batch) in &segment.batches {
            let records = decode(&batch.body);
            // A seal may be there or not; nothing refers to it.
            if !is_seal(batch) {
                (self.tail.last_counter, self.tail.last_tag) = (batch.counter, batch.tag);
                last = (*offset, batch.length);
            }
            let applied = records.and_then(|records| {
                records.into_iter().try_for_each(|record| self.record(record, &mut highest))
            });
            let file = || segment_name(segment.number);
            applied.ok_or_else(|| LogError::Damaged { file: file(), offset: *offset })?;
        }
        let (offset, length) = last;
        let end = (offset + length).min(segment.bytes.len());
        self.last_batch = LastBatch {
            offset: u64::try_from(offset).expect("sizes fit in 64 bits"),
            bytes: segment.bytes[offset..end].to_vec(),
        };
        self.tail.last_number = segment.number;
        self.tail.segments.push((segment.number, highest));
        (self.end, self.stop) = (segment.end, Some(segment.stop));
        Ok(())
    }

    /// `None` for a record that does not fit what stands before it.
    fn record(&mut self, record: Record, highest: &mut u64) -> Option<()> {
        match record {
            Record::Entry(position, payload) => {
                let next = self.last.map_or(0, |last| last.saturating_add(1));
                // The first entry of all may have any index behind a snapshot that was installed.
                let starts = self.recovered.entries.is_empty()
                    && self
                        .recovered
                        .purged
                        .is_some_and(|p| p.index.checked_add(1) == Some(position.index));
                if position.index != next && !starts {
                    return None;
                }
                *highest = (*highest).max(position.index);
                self.last = Some(position.index);
                self.recovered.entries.push((position, payload));
            }
            Record::Vote(vote) => self.recovered.vote = Some(vote),
            Record::Truncate(after) => {
                let keep = |index: u64| after.is_some_and(|after| index <= after);
                self.recovered.entries.retain(|(position, _)| keep(position.index));
                self.gone = self.gone.min(after);
                self.last = self.last.min(after);
            }
            Record::Purge(position) => {
                self.recovered.purged = Some(position);
                self.recovered.entries.retain(|(entry, _)| entry.index > position.index);
                self.last = self.last.max(Some(position.index));
            }
            Record::Committed(position) => self.recovered.committed = Some(position),
            Record::Open(_) | Record::Seal => {}
        }
        Some(())
    }

    fn finish(mut self, released: Option<u64>) -> Result<(Recovered, Tail), LogError> {
        let file = || segment_name(self.tail.last_number);
        match self.stop {
            Some(Stop::Damaged) => {
                return Err(LogError::Damaged { file: file(), offset: self.end });
            }
            Some(Stop::Torn) => {
                self.recovered.torn = Some(TornTail { file: file(), offset: self.end });
            }
            Some(Stop::Clean) | None => {}
        }
        let purged = self.recovered.purged.map(|position| position.index);
        let first = self.recovered.entries.first().map(|(position, _)| position.index);
        // Entries of segments that are gone, and any hole behind what was purged, must not be missed.
        let missed =
            first.filter(|first| *first > purged.map_or(0, |index| index.saturating_add(1)));
        let gone = self.gone.filter(|gone| purged < Some(*gone));
        if let Some(first) = missed.or(gone) {
            return Err(released.map_or(LogError::EntriesMissing { first }, |number| {
                LogError::SegmentMissing { number: number + 1 }
            }));
        }
        self.tail.vote = self.recovered.vote;
        self.tail.purged = self.recovered.purged;
        self.tail.committed = self.recovered.committed;
        self.tail.last = self.last;
        Ok((self.recovered, self.tail))
    }
}
