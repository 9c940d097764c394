//! Reading a log back: every batch opened, every chain checked, a torn tail told from damage.
//!
//! The rule: a batch that does not open is a torn tail only if it is the very last thing in the newest
//! segment and nothing behind it opens. It was then never acknowledged, and is cut. Anything else is
//! damage, and the log is refused.

use std::collections::VecDeque;
use std::io;

use super::format::{
    BATCH_ALIGN, Batch, Broken, LogKey, SEGMENT_HEAD, SegmentKey, TAG, parse_segment,
};
use super::index::Index;
use super::record::{Opening, Position, Record, Vote, decode};
use super::window::{WHOLE, Window};
use super::writer::SPARE;
use super::{Place, Visit};
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
    #[error("log/{file} is missing, or the log is an older copy: this segment was the newest")]
    NewestMissing { file: String },
    #[error("{file}: offset {offset}: damaged, or of another node")]
    Mark { file: String, offset: usize },
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
    /// The first entry behind `purged`, if there is any.
    pub first: Option<u64>,
    /// The newest entries, without holes: as many as were to be kept, and the last one.
    pub entries: VecDeque<(Position, Vec<u8>)>,
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
    /// Where the entries stand.
    pub index: Index,
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

/// Reads a log and checks all of it. Keeps the newest entries, up to so many bytes.
pub(super) fn read(
    folder: &dyn Folder,
    key: &LogKey,
    keep_bytes: usize,
    visit: Visit<'_>,
) -> Result<Read, LogError> {
    let names = folder.names().map_err(|source| io_error("listing", "log", source))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    // Of segments that are released together, an outage may bring back any. What stands before a gap is
    // not needed, or else its entries will be missed below.
    let gap = numbers.windows(2).rposition(|pair| pair[0].checked_add(1) != Some(pair[1]));
    let (released, numbers) = numbers.split_at(gap.map_or(0, |at| at + 1));
    let mut reading = Reading::new(keep_bytes, visit);
    for number in numbers {
        reading.segment(folder, key, *number, Some(number) == numbers.last())?;
    }
    reading.tail.free = names.into_iter().filter(|name| name.starts_with(SPARE)).collect();
    reading.tail.free.extend(released.iter().map(|number| segment_name(*number)));
    let last_batch = std::mem::take(&mut reading.last_batch);
    let (mut recovered, tail) = reading.finish(released.last().copied())?;
    // What was kept may all have become void.
    if let (None, Some(last)) =
        (recovered.entries.back(), tail.last.filter(|_| recovered.first.is_some()))
    {
        recovered.entries = one_entry(folder, key, &tail.index, last)?.into_iter().collect();
    }
    Ok(Read { recovered, tail, last_batch })
}

/// Reads a log that is to be gone on with.
pub(super) fn recover(
    place: &Place,
    key: &LogKey,
    keep_bytes: usize,
    visit: Visit<'_>,
) -> Result<(Recovered, Tail), LogError> {
    let folder = place.folder.as_ref();
    let Read { recovered, tail, last_batch } = read(folder, key, keep_bytes, visit)?;
    place.mark.check(key, tail.last_number)?;
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

pub(super) fn io_error(call: &'static str, file: &str, source: io::Error) -> LogError {
    LogError::Io { call, file: file.to_owned(), source }
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

/// A segment whose header and opening were read.
struct Segment<'a> {
    name: &'a str,
    number: u64,
    salt: [u8; 32],
    /// Which of the disk keys it is under.
    generation: usize,
    key: SegmentKey,
    window: Window<'a>,
    opening: Opening,
    first: Batch,
}

/// What the next batch has to follow.
#[derive(Clone, Copy)]
struct Before {
    counter: u64,
    tag: [u8; TAG],
    is_seal: bool,
}

enum Following {
    Batch(Batch),
    /// Something else stands there, or nothing.
    End {
        is_absent: bool,
    },
}

impl Segment<'_> {
    /// The batch at a place, if it follows the one before. Without one before, the opening is meant.
    fn following(&mut self, at: usize, before: Option<Before>) -> Result<Following, LogError> {
        let Some(before) = before else {
            let opening = std::mem::replace(&mut self.first, Batch::none());
            return Ok(Following::Batch(opening));
        };
        let batch = self.window.batch(&self.key, at);
        Ok(match batch.map_err(|source| io_error("reading", self.name, source))? {
            // A counter may be missing: that of a seal whose place the batch has taken.
            Ok(batch) if batch.counter > before.counter && batch.previous_tag == before.tag => {
                Following::Batch(batch)
            }
            Ok(_) | Err(Broken::Damaged | Broken::Version(_)) => {
                Following::End { is_absent: false }
            }
            Err(Broken::Absent) => Following::End { is_absent: true },
        })
    }
}

fn open_segment<'a>(
    folder: &'a dyn Folder,
    key: &LogKey,
    number: u64,
    name: &'a str,
) -> Result<Segment<'a>, LogError> {
    let io = |source| io_error("reading", name, source);
    let mut window = Window::open(folder, name, WHOLE).map_err(io)?;
    let damaged = |offset| LogError::Damaged { file: name.to_owned(), offset };
    let parsed = parse_segment(key, window.at(0, SEGMENT_HEAD).map_err(io)?);
    let (head, segment_key, generation) = parsed.map_err(|broken| match broken {
        Broken::Absent | Broken::Damaged => damaged(0),
        Broken::Version(found) => LogError::Version { file: name.to_owned(), found },
    })?;
    if head.number != number {
        return Err(damaged(16));
    }
    // A segment gets its name only after all of it was flushed: a shorter one was cut.
    if usize::try_from(head.size).map_or(true, |size| window.length() < size) {
        return Err(damaged(window.length()));
    }
    let first = window.batch(&segment_key, SEGMENT_HEAD).map_err(io)?;
    let first = first.ok().filter(|batch| batch.counter == 1);
    // A segment gets its name only after its opening was flushed, so this is never a torn tail.
    let first = first.ok_or_else(|| damaged(SEGMENT_HEAD))?;
    let opening = match decode(&first.body).as_deref() {
        Some([Record::Open(opening)]) if opening.previous_tag == first.previous_tag => *opening,
        _ => return Err(damaged(SEGMENT_HEAD)),
    };
    let (salt, key) = (head.salt, segment_key);
    Ok(Segment { name, number, salt, generation, key, window, opening, first })
}

fn is_seal(batch: &Batch) -> bool {
    decode(&batch.body).as_deref() == Some(&[Record::Seal])
}

/// What it means that nothing more was read at `end`.
fn stop(segment: &mut Segment<'_>, end: usize, last: u64, is_end: bool) -> Result<Stop, LogError> {
    #[cfg(planted)]
    if vault_core::planted::on(vault_core::planted::Bug::DamageTakenForTornTail) {
        return Ok(if is_end { Stop::Clean } else { Stop::Torn });
    }
    let mut at = end;
    while at < segment.window.length() {
        let batch = segment.window.batch(&segment.key, at);
        let batch = batch.map_err(|source| io_error("reading", segment.name, source))?;
        if batch.is_ok_and(|batch| batch.counter > last) {
            return Ok(Stop::Damaged);
        }
        at += BATCH_ALIGN;
    }
    Ok(if is_end { Stop::Clean } else { Stop::Torn })
}

/// The entry at an index of a log that was read.
fn one_entry(
    folder: &dyn Folder,
    key: &LogKey,
    index: &Index,
    at: u64,
) -> Result<Option<(Position, Vec<u8>)>, LogError> {
    let read = index.read(folder, key, at..at.saturating_add(1), 0);
    let mut read = read.map_err(|source| io_error("reading", "log", source))?;
    Ok(read.pop())
}

struct Reading<'a> {
    visit: Visit<'a>,
    /// Bytes of entries that are kept at most, and those that are.
    keep_bytes: usize,
    kept_bytes: usize,
    recovered: Recovered,
    tail: Tail,
    last_batch: LastBatch,
    /// Where the newest segment read so far stopped.
    end: usize,
    stop: Option<Stop>,
    /// Entries up to here stood in segments that are gone: they must have been purged.
    gone: Option<u64>,
    last: Option<u64>,
    /// Index of the last entry, if any is left.
    last_entry: Option<u64>,
}

impl<'a> Reading<'a> {
    fn new(keep_bytes: usize, visit: Visit<'a>) -> Self {
        Self {
            visit,
            keep_bytes,
            kept_bytes: 0,
            recovered: Recovered::default(),
            tail: Tail::default(),
            last_batch: LastBatch::default(),
            end: 0,
            stop: None,
            gone: None,
            last: None,
            last_entry: None,
        }
    }

    fn segment(
        &mut self,
        folder: &dyn Folder,
        key: &LogKey,
        number: u64,
        is_newest: bool,
    ) -> Result<(), LogError> {
        let name = segment_name(number);
        let mut segment = open_segment(folder, key, number, &name)?;
        self.opening(&segment.opening)?;
        self.tail.index.segment(number, segment.salt, segment.generation);
        let (mut highest, mut end, mut last) = (0, SEGMENT_HEAD, (0, 0));
        let mut before = None;
        let is_absent = loop {
            let batch = match segment.following(end, before)? {
                Following::Batch(batch) => batch,
                Following::End { is_absent } => break is_absent,
            };
            let is_seal = is_seal(&batch);
            // A seal may be there or not; nothing refers to it.
            if !is_seal {
                (self.tail.last_counter, self.tail.last_tag) = (batch.counter, batch.tag);
                last = (end, batch.length);
            }
            let damaged = || LogError::Damaged { file: name.clone(), offset: end };
            self.records(&batch, end, &mut highest).ok_or_else(damaged)?;
            before = Some(Before { counter: batch.counter, tag: batch.tag, is_seal });
            end += batch.length;
        };
        if let Some(before) = before.filter(|_| is_newest) {
            // Behind a seal there is nothing but what an earlier life of the file left.
            let is_end = is_absent || before.is_seal;
            self.stop = Some(stop(&mut segment, end, before.counter, is_end)?);
        }
        let (offset, length) = last;
        if is_newest {
            let bytes = segment.window.at(offset, length);
            let bytes = bytes.map_err(|source| io_error("reading", &name, source))?.to_vec();
            let offset = u64::try_from(offset).expect("sizes fit in 64 bits");
            self.last_batch = LastBatch { offset, bytes };
        }
        self.tail.last_number = segment.number;
        self.tail.segments.push((segment.number, highest));
        self.end = end;
        Ok(())
    }

    /// What the first segment says of those before it; later ones must say what was read.
    fn opening(&mut self, opening: &Opening) -> Result<(), LogError> {
        if self.tail.last_number == 0 {
            self.recovered.vote = opening.vote;
            self.recovered.purged = opening.purged;
            self.recovered.committed = opening.committed;
            self.gone = opening.last;
            self.last = opening.last;
            return Ok(());
        }
        let ended = (self.tail.last_number, self.tail.last_counter, self.tail.last_tag);
        let said = (opening.previous, opening.previous_counter, opening.previous_tag);
        if ended != said {
            let file = segment_name(self.tail.last_number);
            return Err(LogError::Damaged { file, offset: self.end });
        }
        Ok(())
    }

    /// `None` for a batch that holds something else than records that fit.
    fn records(&mut self, batch: &Batch, offset: usize, highest: &mut u64) -> Option<()> {
        for record in decode(&batch.body)? {
            self.record(record, offset, highest)?;
        }
        Some(())
    }

    /// `None` for a record that does not fit what stands before it.
    fn record(&mut self, record: Record, offset: usize, highest: &mut u64) -> Option<()> {
        match record {
            Record::Entry(position, payload) => {
                let next = self.last.map_or(0, |last| last.saturating_add(1));
                // The first entry of all may have any index behind a snapshot that was installed.
                let starts = self.last_entry.is_none()
                    && self
                        .recovered
                        .purged
                        .is_some_and(|p| p.index.checked_add(1) == Some(position.index));
                if position.index != next && !starts {
                    return None;
                }
                *highest = (*highest).max(position.index);
                self.tail.index.entry(position.index, offset);
                (self.visit)(position, &payload);
                self.keep(position, payload);
            }
            Record::Vote(vote) => self.recovered.vote = Some(vote),
            Record::Truncate(after) => {
                self.tail.index.truncate(after);
                self.drop_kept(|index| after.is_none_or(|after| index > after));
                self.gone = self.gone.min(after);
                self.last = self.last.min(after);
                self.last_entry =
                    self.last_entry.min(after).filter(|_| self.recovered.first <= after);
                self.recovered.first = self.recovered.first.filter(|_| self.last_entry.is_some());
            }
            Record::Purge(position) => {
                self.recovered.purged = Some(position);
                self.drop_kept(|index| index <= position.index);
                self.last = self.last.max(Some(position.index));
                self.last_entry = self.last_entry.filter(|last| *last > position.index);
                let first = self.recovered.first.filter(|_| self.last_entry.is_some());
                self.recovered.first = first.map(|first| first.max(position.index + 1));
            }
            Record::Committed(position) => self.recovered.committed = Some(position),
            Record::Open(_) | Record::Seal => {}
        }
        Some(())
    }

    /// The newest entries stay in memory, the last one in any case.
    fn keep(&mut self, position: Position, payload: Vec<u8>) {
        (self.last, self.last_entry) = (Some(position.index), Some(position.index));
        self.recovered.first = self.recovered.first.or(Some(position.index));
        self.kept_bytes += payload.len();
        self.recovered.entries.push_back((position, payload));
        while self.kept_bytes > self.keep_bytes && self.recovered.entries.len() > 1 {
            let oldest = self.recovered.entries.pop_front();
            self.kept_bytes -= oldest.map_or(0, |(_, payload)| payload.len());
        }
    }

    fn drop_kept(&mut self, is_dropped: impl Fn(u64) -> bool) {
        self.recovered.entries.retain(|(position, _)| !is_dropped(position.index));
        self.kept_bytes = self.recovered.entries.iter().map(|(_, payload)| payload.len()).sum();
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
        let first = self.recovered.first;
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
