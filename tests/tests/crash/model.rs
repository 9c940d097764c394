//! What a log should hold: the state after each submission, beside the log itself.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use tests::disk::FaultyDisk;
use tests::disk::Operation;
use tests::disk::chance::Chance;
use vault::disk::diskkey::DiskKey;
use vault::disk::log::{
    self, BATCH_ALIGN, Fault, LogError, LogKey, LogWriter, Options, Position, Record, Recovered,
    Submission, Vote,
};

/// A header, an opening, four batches of one block and a seal.
pub const OPTIONS: Options =
    Options { segment_bytes: 28 << 10, batch_bytes: 4 << 10, keep_bytes: usize::MAX };

/// What a log says, but for what it cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub vote: Option<Vote>,
    pub committed: Option<Position>,
    pub purged: Option<Position>,
    pub entries: Vec<(Position, Vec<u8>)>,
}

impl From<Recovered> for Known {
    fn from(recovered: Recovered) -> Self {
        let Recovered { vote, committed, purged, first, entries, torn: _ } = recovered;
        assert_eq!(first, entries.front().map(|(at, _)| at.index));
        Self { vote, committed, purged, entries: entries.into() }
    }
}

impl Known {
    /// What holds after one more submission.
    pub fn after(&self, records: &[Record]) -> Self {
        let mut next = self.clone();
        for record in records {
            match record {
                Record::Entry(position, payload) => {
                    next.entries.push((*position, payload.clone()));
                }
                Record::Vote(vote) => next.vote = Some(*vote),
                Record::Truncate(after) => {
                    next.entries.retain(|(at, _)| after.is_some_and(|after| at.index <= after));
                }
                Record::Purge(upto) => {
                    next.purged = Some(*upto);
                    next.entries.retain(|(at, _)| at.index > upto.index);
                }
                Record::Committed(upto) => next.committed = Some(*upto),
                Record::Open(_) | Record::Seal => unreachable!("the log writes these by itself"),
            }
        }
        next
    }

    /// Index of the next entry.
    pub fn next(&self) -> u64 {
        let last = self.entries.last().map(|(at, _)| at.index);
        last.or(self.purged.map(|at| at.index)).map_or(0, |last| last + 1)
    }

    /// The indexes of all entries.
    pub fn indexes(&self) -> Vec<u64> {
        self.entries.iter().map(|(at, _)| at.index).collect()
    }

    /// Says little about much.
    pub fn brief(&self) -> String {
        let vote = self.vote.map(|vote| vote.term);
        let purged = self.purged.map(|at| at.index);
        format!("vote {vote:?}, purged {purged:?}, entries {:?}", self.indexes())
    }
}

pub fn at(index: u64) -> Position {
    Position { term: 1, node: 1, index }
}

pub fn vote(term: u64) -> Record {
    Record::Vote(Vote { term, node: 1, committed: term.is_multiple_of(2) })
}

/// An entry whose bytes tell its index and its size.
pub fn entry(index: u64, size: usize) -> Record {
    let seed = (index << 20) + u64::try_from(size).unwrap() + 1;
    let mut chance = Chance::new(seed);
    let mut payload = chance.bytes::<64>().repeat(size.div_ceil(64));
    payload.truncate(size);
    Record::Entry(at(index), payload)
}

pub fn key_of(node: &str) -> LogKey {
    let disk_key = Arc::new(DiskKey::filled(|bytes| bytes.fill(1)).unwrap());
    LogKey { context: node.as_bytes().to_vec(), disk_key }
}

/// An open log, and the faults that it told of.
pub struct Log {
    pub known: Known,
    pub is_torn: bool,
    pub writer: LogWriter,
    pub faults: Receiver<Fault>,
}

/// Opens a log with salts from a seed of its own.
pub fn open(disk: &FaultyDisk, chance: &mut Chance) -> Result<Log, LogError> {
    open_as(disk, "node", chance)
}

pub fn open_as(disk: &FaultyDisk, node: &str, chance: &mut Chance) -> Result<Log, LogError> {
    let mut salts = Chance::new(chance.number() | 1);
    let (told, faults) = mpsc::channel();
    let entropy = Box::new(move || salts.bytes());
    let fault = Box::new(move |fault| told.send(fault).unwrap_or_default());
    let folder = Arc::new(disk.clone());
    let (recovered, writer) = log::open(folder, key_of(node), OPTIONS, entropy, fault)?;
    let is_torn = recovered.torn.is_some();
    Ok(Log { known: recovered.into(), is_torn, writer, faults })
}

/// Submits records; the answer comes later.
pub fn submit(writer: &LogWriter, records: Vec<Record>) -> Receiver<std::io::Result<()>> {
    let (sender, answer) = mpsc::channel();
    let done = Box::new(move |result| sender.send(result).unwrap_or_default());
    writer.submit(Submission { records, done: Some(done) });
    answer
}

/// Submits records and waits until they are acknowledged.
pub fn write(writer: &LogWriter, records: Vec<Record>) {
    submit(writer, records).recv().expect("every submission is answered").unwrap();
}

/// A log on a disk, and what it held after each submission.
pub struct Story {
    pub disk: FaultyDisk,
    /// The state after so many submissions.
    pub states: Vec<Known>,
    log: Option<Log>,
}

/// Marks in the recording: submission `n` was handed over, was acknowledged.
pub fn handed_over(mark: u64) -> Option<usize> {
    mark.is_multiple_of(2).then(|| usize::try_from(mark / 2).unwrap())
}

pub fn acknowledged(mark: u64) -> Option<usize> {
    (mark % 2 == 1).then(|| usize::try_from(mark / 2).unwrap())
}

impl Story {
    pub fn begin(chance: &mut Chance) -> Self {
        let disk = FaultyDisk::default();
        let log = Some(open(&disk, chance).unwrap());
        Self { disk, states: vec![Known::default()], log }
    }

    pub fn last(&self) -> &Known {
        self.states.last().expect("there is a state before all submissions")
    }

    /// Hands records over, and marks when, and when they were acknowledged.
    pub fn submit(&mut self, records: Vec<Record>) -> Receiver<std::io::Result<()>> {
        let next = self.last().after(&records);
        self.states.push(next);
        let number = u64::try_from(self.states.len() - 1).unwrap();
        self.disk.mark(number * 2);
        let (sender, answer) = mpsc::channel();
        let disk = self.disk.clone();
        let done = Box::new(move |result: std::io::Result<()>| {
            if result.is_ok() {
                disk.mark(number * 2 + 1);
            }
            sender.send(result).unwrap_or_default();
        });
        let log = self.log.as_ref().expect("the log is open");
        log.writer.submit(Submission { records, done: Some(done) });
        answer
    }

    pub fn write(&mut self, records: Vec<Record>) {
        self.submit(records).recv().expect("every submission is answered").unwrap();
    }

    /// Waits until the log has covered its last batch.
    pub fn rest(&self) {
        self.disk.wait_for("the seal of an idle log", |operations| {
            let is_flush = |operation: &Operation| matches!(operation, Operation::Flush { .. });
            let is_block = |operation: &Operation| matches!(operation, Operation::Write { bytes, .. } if bytes.len() == BATCH_ALIGN);
            operations.iter().rev().take_while(|operation| !is_flush(operation)).any(is_block)
        });
    }

    /// Ends the log and starts it again.
    pub fn restart(&mut self, chance: &mut Chance) {
        drop(self.log.take());
        let log = open(&self.disk, chance).unwrap();
        assert_eq!(&log.known, self.last(), "after an orderly restart");
        assert!(!log.is_torn, "an orderly end was told as a torn one");
        self.log = Some(log);
    }

    pub fn end(&mut self) {
        drop(self.log.take());
    }
}

/// A life of a log with everything in it, in small.
pub fn life(chance: &mut Chance, steps: usize) -> Story {
    let mut story = Story::begin(chance);
    for step in 0..steps {
        let next = story.last().next();
        let term = u64::try_from(step).unwrap();
        match step % 14 {
            0 => story.write(vec![vote(term + 1)]),
            3 | 9 => story.rest(),
            4 => story.write(vec![entry(next, 9_000 + chance.below(3_000))]),
            5 => {
                let waiting: Vec<_> = (0..4)
                    .map(|at| story.submit(vec![entry(next + at, 1 + chance.below(600))]))
                    .collect();
                for answer in waiting {
                    answer.recv().expect("every submission is answered").unwrap();
                }
            }
            6 => {
                let keep = next.saturating_sub(2);
                let size = 100 + chance.below(500);
                story.write(vec![Record::Truncate(Some(keep)), entry(keep + 1, size)]);
            }
            10 => story.restart(chance),
            11 if step % 28 == 11 => {
                // Two starts that wrote nothing.
                story.restart(chance);
                story.restart(chance);
            }
            12 => story.write(vec![Record::Purge(at(next - 2))]),
            13 => {
                let keep = next.saturating_sub(1);
                story.write(vec![Record::Truncate(Some(keep)), vote(term + 1)]);
            }
            _ => {
                let committed = Record::Committed(at(next.saturating_sub(1)));
                story.write(vec![entry(next, 1 + chance.below(700)), committed]);
            }
        }
    }
    story.end();
    story
}
