//! The audit: one record for every call. Who, which call, which objects, with what outcome.
//!
//! A call that went through the log is recorded when its entry is applied: its record is as safe as the
//! entry itself. Others (reads, and what was refused before) are written together, at most `GATHER` or
//! `GATHER_RECORDS` later. Names and values never come here.
//!
//! The files are a log of their own, in the form of `disk::log`: sealed, chained, rotated by size.

mod keeper;
mod record;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use pki::issued::Record as Issued;
use tokio::sync::watch;
use vault_core::command::{Actor, Outcome};
use vault_core::id::ObjectId;
use vault_core::request::RequestId;
use vault_core::time::Timestamp;

use crate::disk::folder::Folder;
use crate::disk::log::{self, Chance, Fault, LogError, LogKey, LogReader, Position, Renewal};
use crate::disk::watch::Pulse;
use crate::entropy;
use crate::meters::Counter;
use crate::world;

use keeper::{Keeper, TAIL_MAX, Waiting};
pub use record::Record;

/// Bytes of one file.
const FILE_BYTES: u64 = 8 << 20;

/// A command that was applied for somebody.
pub struct Written {
    pub index: u64,
    pub at: Timestamp,
    pub request: Option<RequestId>,
    pub actor: Actor,
    pub touched: Vec<ObjectId>,
    /// The certificates that it gave out.
    pub issued: Vec<Arc<Issued>>,
}

/// A call that did not go through the log.
pub struct Called {
    pub at: Timestamp,
    pub actor: Actor,
    pub touched: Vec<ObjectId>,
    pub outcome: u32,
}

/// The way to the audit. Copies lead to the same one.
#[derive(Clone)]
pub struct Audit(Option<Arc<Shared>>);

struct Shared {
    waiting: Arc<Waiting>,
    thread: Option<JoinHandle<()>>,
    /// Log entries up to this index are recorded already.
    exported: u64,
    pulse: Pulse,
    renewal: Renewal,
    reader: LogReader,
    folder: Arc<dyn Folder>,
    key: LogKey,
    /// Records that could not be kept.
    missed: Counter,
}

impl Drop for Shared {
    /// What waits is written before the files are let go.
    fn drop(&mut self) {
        self.waiting.end();
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
        if world::simulation().is_some() {
            // Its writer is a thread, and what it keeps is not what a simulation is about.
            return Ok(Self::none());
        }
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
        let (pulse, renewal, reader) = (writer.pulse(), writer.renewal(), writer.reader());
        let waiting = Arc::new(Waiting::new(last, tail));
        let keeper = Keeper { writer, waiting: Arc::clone(&waiting) };
        let run = move || keeper.run();
        let spawned = std::thread::Builder::new().name("audit".into()).spawn(run);
        let thread = spawned.map_err(|source| LogError::Io {
            call: "starting the writer of",
            file: "audit".into(),
            source,
        })?;
        let thread = Some(thread);
        let shared = Shared {
            waiting,
            thread,
            exported,
            pulse,
            renewal,
            reader,
            folder,
            key,
            missed: Counter::default(),
        };
        Ok(Self(Some(Arc::new(shared))))
    }

    /// How often something could not be recorded.
    pub fn missed(&self) -> u64 {
        self.0.as_ref().map_or(0, |shared| shared.missed.value())
    }

    /// Whether its writer is at the disk.
    pub fn pulse(&self) -> Option<Pulse> {
        self.0.as_ref().map(|shared| shared.pulse.clone())
    }

    /// What comes next stands under the newest disk key.
    pub fn renew(&self) {
        if let Some(shared) = &self.0 {
            shared.renewal.order();
        }
    }

    /// The oldest disk key that any of its files is under.
    pub fn oldest_disk_key(&self) -> Option<usize> {
        self.0.as_ref()?.reader.oldest_generation()
    }

    /// Records applied commands, each once: entries that are applied again after a restart are known.
    /// Those of one round come together.
    pub fn written(&self, written: Vec<(Written, u32)>) {
        let Some(shared) = &self.0 else { return };
        let fresh = written.into_iter().filter(|(written, _)| written.index > shared.exported);
        let record = |(written, outcome): (Written, u32)| {
            let Written { index, at, request, actor, touched, issued } = written;
            let request = request.map(|RequestId(id)| id);
            Record { number: 0, at, actor, touched, outcome, request, index, issued }
        };
        Self::push(shared, fresh.map(record));
    }

    /// The code that the audit keeps of an outcome.
    pub fn code_of(outcome: &Outcome) -> u32 {
        match outcome {
            Outcome::Done | Outcome::Created(_) | Outcome::Rotated(_) => 0,
            Outcome::Refused(refusal) => record::code_of(refusal),
        }
    }

    /// Records a call that did not go through the log.
    pub fn called(&self, called: Called) {
        let Some(shared) = &self.0 else { return };
        let Called { at, actor, touched, outcome } = called;
        let (request, index, issued) = (None, 0, Vec::new());
        let record = Record { number: 0, at, actor, touched, outcome, request, index, issued };
        Self::push(shared, [record]);
    }

    /// Returns once everything recorded so far is on the disk.
    pub fn flush(&self) -> io::Result<()> {
        let Some(shared) = &self.0 else { return Ok(()) };
        shared.waiting.flush()
    }

    /// What may wait is bounded: past it the caller waits, and nothing is lost.
    fn push(shared: &Shared, records: impl IntoIterator<Item = Record>) {
        if shared.waiting.push(records).is_err() {
            shared.missed.count();
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

    /// The certificates that calls gave out, by number, as far as its files go back.
    pub fn issued(&self) -> Result<BTreeMap<u64, Arc<Issued>>, LogError> {
        let mut issued = BTreeMap::new();
        let Some(shared) = &self.0 else { return Ok(issued) };
        let mut visit = |position, bytes: &[u8]| {
            let record = Record::decode(number_at(position), bytes);
            let given = record.into_iter().flat_map(|record| record.issued);
            issued.extend(given.map(|one| (one.number, one)));
        };
        log::read_all(shared.folder.as_ref(), &shared.key, &mut visit)?;
        Ok(issued)
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
        Some(self.0.as_ref()?.waiting.since(number, limit))
    }

    /// Told of the number of every new record.
    pub fn numbers(&self) -> Option<watch::Receiver<u64>> {
        self.0.as_ref().map(|shared| shared.waiting.numbers.subscribe())
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
