//! The audit: one record for every call. Who, which call, which objects, with what outcome.
//!
//! A call that went through the log is recorded when its entry is applied: its record is as safe as the
//! entry itself. Others (reads, and what was refused before) are written together, at most `GATHER` or
//! `GATHER_RECORDS` later. Names and values never come here.
//!
//! The files are a log of their own, in the form of `disk::log`: sealed, chained, rotated by size.

mod record;

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use vault_core::command::{Actor, Outcome};
use vault_core::id::ObjectId;
use vault_core::request::RequestId;
use vault_core::time::Timestamp;

use crate::disk::folder::Folder;
use crate::disk::log::{
    self, Chance, Fault, LogError, LogKey, LogWriter, Position, Record as Stored, Submission,
};
use crate::disk::watch::Pulse;
use crate::entropy;

pub use record::Record;

/// Records of calls that changed nothing wait at most this long to be written: the bound of their loss.
const GATHER: Duration = Duration::from_secs(1);
/// Or until so many wait.
const GATHER_RECORDS: usize = 1_000;
/// Records that may wait for the writer; past it, callers wait too.
const QUEUE_MAX: usize = 4_096;
/// Bytes of one file.
const FILE_BYTES: u64 = 8 << 20;
/// Records kept before the oldest files are used again: about 200 MB.
const RECORDS_KEPT: u64 = 1_000_000;
/// Records that are remembered for `audit tail`.
const TAIL_MAX: usize = 1_000;

/// A command that was applied for somebody.
pub struct Written {
    pub index: u64,
    pub at: Timestamp,
    pub request: Option<RequestId>,
    pub actor: Actor,
    pub touched: Vec<ObjectId>,
}

/// A call that did not go through the log.
pub struct Called {
    pub at: Timestamp,
    pub actor: Actor,
    pub touched: Vec<ObjectId>,
    pub outcome: u32,
}

enum Item {
    /// Records that came together.
    Records(Vec<Record>),
    Flush(Sender<()>),
}

/// The way to the audit. Copies lead to the same one.
#[derive(Clone)]
pub struct Audit(Option<Arc<Shared>>);

struct Shared {
    queue: Option<mpsc::SyncSender<Item>>,
    thread: Option<JoinHandle<()>>,
    latest: Arc<Latest>,
    /// Log entries up to this index are recorded already.
    exported: u64,
    pulse: Pulse,
    folder: Arc<dyn Folder>,
    key: LogKey,
}

/// The last records.
struct Latest {
    tail: Mutex<VecDeque<Record>>,
    /// The number of the last record.
    numbers: watch::Sender<u64>,
}

impl Drop for Shared {
    /// What waits is written before the files are let go.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported where it happened.
            thread.join().ok();
        }
    }
}

impl Audit {
    /// No audit: for tests of other parts.
    pub fn none() -> Self {
        Self(None)
    }

    /// Opens the files in a folder and starts the writer.
    pub fn open(
        place: log::Place,
        key: LogKey,
        fault: Box<dyn FnOnce(Fault) + Send>,
    ) -> Result<Self, LogError> {
        let options =
            log::Options { segment_bytes: FILE_BYTES, batch_bytes: 1 << 20, keep_bytes: 0 };
        let chance = Chance { entropy: Box::new(entropy::random::<32>), fault };
        let mut tail = VecDeque::new();
        let mut exported = 0;
        // One at a time: a full audit is larger than all else that is read at a start.
        let mut visit = |position, bytes: &[u8]| {
            // A record of a newer version is kept and counted, and not shown.
            let Some(record) = Record::decode(number_at(position), bytes) else { return };
            exported = exported.max(record.index);
            tail.push_back(record);
            if tail.len() > TAIL_MAX {
                tail.pop_front();
            }
        };
        let folder = Arc::clone(&place.folder);
        let opened = log::open_with(place, key.clone(), options, chance, &mut visit);
        let (recovered, writer) = opened?;
        let last = recovered.entries.back().map(|(position, _)| *position);
        let last = last.or(recovered.purged).map_or(0, number_at);
        let pulse = writer.pulse();
        let (queue, items) = mpsc::sync_channel(QUEUE_MAX);
        let numbers = watch::Sender::new(last);
        let latest = Arc::new(Latest { tail: Mutex::new(tail), numbers });
        let mut keeper =
            Keeper { writer, next: last + 1, waiting: Vec::new(), latest: Arc::clone(&latest) };
        let run = move || keeper.run(&items);
        let spawned = std::thread::Builder::new().name("audit".into()).spawn(run);
        let thread = spawned.map_err(|source| LogError::Io {
            call: "starting the writer of",
            file: "audit".into(),
            source,
        })?;
        let (queue, thread) = (Some(queue), Some(thread));
        let shared = Shared { queue, thread, latest, exported, pulse, folder, key };
        Ok(Self(Some(Arc::new(shared))))
    }

    /// Whether its writer is at the disk.
    pub fn pulse(&self) -> Option<Pulse> {
        self.0.as_ref().map(|shared| shared.pulse.clone())
    }

    /// Records applied commands, each once: entries that are applied again after a restart are known.
    /// Those of one round come together, so that the writer is woken once.
    pub fn written(&self, written: Vec<(Written, u32)>) {
        let Some(shared) = &self.0 else { return };
        let fresh = written.into_iter().filter(|(written, _)| written.index > shared.exported);
        let record = |(written, outcome): (Written, u32)| {
            let Written { index, at, request, actor, touched } = written;
            let request = request.map(|RequestId(id)| id);
            Record { number: 0, at, actor, touched, outcome, request, index }
        };
        let records: Vec<_> = fresh.map(record).collect();
        if !records.is_empty() {
            Self::push(shared, Item::Records(records));
        }
    }

    /// The code that the audit keeps of an outcome.
    pub fn code_of(outcome: &Outcome) -> u32 {
        match outcome {
            Outcome::Done | Outcome::Created(_) => 0,
            Outcome::Refused(refusal) => record::code_of(refusal),
        }
    }

    /// Records a call that did not go through the log.
    pub fn called(&self, called: Called) {
        let Some(shared) = &self.0 else { return };
        let Called { at, actor, touched, outcome } = called;
        let record = Record { number: 0, at, actor, touched, outcome, request: None, index: 0 };
        Self::push(shared, Item::Records(vec![record]));
    }

    /// Returns once everything recorded so far is on the disk.
    pub fn flush(&self) -> io::Result<()> {
        let Some(shared) = &self.0 else { return Ok(()) };
        let (sender, flushed) = mpsc::channel();
        Self::push(shared, Item::Flush(sender));
        flushed.recv().map_err(|_| io::Error::other("the audit has ended"))
    }

    /// The queue is bounded: past it the caller waits, and nothing is lost.
    fn push(shared: &Shared, item: Item) {
        if shared.queue.as_ref().is_none_or(|queue| queue.send(item).is_err()) {
            tracing::error!("a call could not be audited: the audit's writer has ended");
        }
    }

    /// Reads all files and checks their chain. Returns the numbers of the first and the last record.
    pub fn verify(&self) -> Result<(u64, u64), LogError> {
        let Some(shared) = &self.0 else { return Ok((0, 0)) };
        let recovered = log::verify(shared.folder.as_ref(), &shared.key)?;
        let first = recovered.first.map_or(0, |index| index + 1);
        Ok((first, recovered.entries.back().map_or(0, |(position, _)| number_at(*position))))
    }

    /// The last records, oldest first.
    pub fn tail(&self, limit: usize) -> Vec<Record> {
        self.since(0, usize::MAX).map_or_else(Vec::new, |mut all| {
            let surplus = all.len().saturating_sub(limit);
            all.drain(..surplus);
            all
        })
    }

    /// Remembered records behind a number, oldest first.
    pub fn since(&self, number: u64, limit: usize) -> Option<Vec<Record>> {
        let tail = &self.0.as_ref()?.latest.tail;
        let tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        Some(tail.iter().filter(|record| record.number > number).take(limit).cloned().collect())
    }

    /// Told of the number of every new record.
    pub fn numbers(&self) -> Option<watch::Receiver<u64>> {
        self.0.as_ref().map(|shared| shared.latest.numbers.subscribe())
    }
}

/// What the writer's thread holds.
struct Keeper {
    writer: LogWriter,
    next: u64,
    waiting: Vec<Stored>,
    latest: Arc<Latest>,
}

impl Keeper {
    fn run(&mut self, items: &Receiver<Item>) {
        let mut due = None;
        loop {
            match next_item(items, due) {
                Ok(Item::Records(records)) => {
                    self.take(records);
                    due = due.or_else(|| Some(Instant::now() + GATHER));
                    match self.waiting.len() {
                        ..GATHER_RECORDS => continue,
                        _ => self.write(),
                    }
                }
                Ok(Item::Flush(done)) => {
                    self.write();
                    // Whoever asked may be gone.
                    done.send(()).ok();
                }
                Err(RecvTimeoutError::Timeout) => self.write(),
                Err(RecvTimeoutError::Disconnected) => return self.write(),
            }
            due = None;
        }
    }

    fn take(&mut self, records: Vec<Record>) {
        let mut tail = self.latest.tail.lock().unwrap_or_else(PoisonError::into_inner);
        for mut record in records {
            record.number = self.next;
            self.waiting.push(Stored::Entry(position_of(self.next), record.encode()));
            tail.push_back(record);
            self.next += 1;
        }
        let surplus = tail.len().saturating_sub(TAIL_MAX);
        tail.drain(..surplus);
        drop(tail);
        self.latest.numbers.send_replace(self.next - 1);
    }

    /// One flush for all that waits. A disk that fails ends the process, by the log's own rule.
    fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut records = std::mem::take(&mut self.waiting);
        if let Some(old) = self.next.checked_sub(RECORDS_KEPT) {
            records.push(Stored::Purge(position_of(old.max(1))));
        }
        let (sender, flushed) = mpsc::channel();
        let done = move |result: io::Result<()>| {
            // The receiver waits below.
            sender.send(result.is_ok()).ok();
        };
        self.writer.submit(Submission { records, done: Some(Box::new(done)) });
        flushed.recv().ok();
    }
}

/// The next item, or none until it is due to write.
fn next_item(items: &Receiver<Item>, due: Option<Instant>) -> Result<Item, RecvTimeoutError> {
    match due {
        None => items.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(due) => items.recv_timeout(due.saturating_duration_since(Instant::now())),
    }
}

/// Where a record stands: the log counts from 0, records are counted from 1.
fn position_of(number: u64) -> Position {
    Position { term: 0, node: 0, index: number.saturating_sub(1) }
}

fn number_at(position: Position) -> u64 {
    position.index + 1
}

#[cfg(test)]
mod tests;
