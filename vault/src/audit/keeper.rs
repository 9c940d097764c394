//! What waits to be written, and the thread that writes it. Whoever calls adds a record under a lock; the
//! thread is woken once for all that comes within the time that records may wait.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{Record, position_of};
use crate::disk::log::{LogWriter, Record as Stored, Submission};

/// Records of calls that changed nothing wait at most this long to be written: the bound of their loss.
const GATHER: Duration = Duration::from_secs(1);
/// Or until so many wait.
const GATHER_RECORDS: usize = 1_000;
/// Records that may wait for the writer; past it, callers wait too.
const QUEUE_MAX: usize = 65_536;
/// Records kept before the oldest files are used again: about 200 MB.
const RECORDS_KEPT: u64 = 1_000_000;
/// Records that are remembered for `audit tail`.
pub(super) const TAIL_MAX: usize = 1_000;

/// The audit's thread has ended.
pub(super) struct Ended;

/// What callers and the writing thread share.
pub(super) struct Waiting {
    pending: Mutex<Pending>,
    /// Tells the thread that there is something to do.
    work: Condvar,
    /// Tells callers that there is room again, or never will be.
    room: Condvar,
    /// The number of the last record.
    pub(super) numbers: watch::Sender<u64>,
}

struct Pending {
    /// What is not on its way to the disk yet.
    records: Vec<Stored>,
    /// The number of the next record.
    next: u64,
    /// The last records.
    tail: VecDeque<Record>,
    flushes: Vec<Sender<()>>,
    is_ending: bool,
    has_ended: bool,
}

impl Waiting {
    /// Goes on behind the record with the number `last`.
    pub(super) fn new(last: u64, tail: VecDeque<Record>) -> Self {
        let pending = Pending {
            records: Vec::new(),
            next: last + 1,
            tail,
            flushes: Vec::new(),
            is_ending: false,
            has_ended: false,
        };
        let (work, room) = (Condvar::new(), Condvar::new());
        let numbers = watch::Sender::new(last);
        Self { pending: Mutex::new(pending), work, room, numbers }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Every change under this lock is whole after each of its lines.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers records and leaves them to the thread.
    pub(super) fn push(&self, records: impl IntoIterator<Item = Record>) -> Result<(), Ended> {
        let is_full = |pending: &mut Pending| pending.records.len() >= QUEUE_MAX;
        let pending = self.pending();
        let room = self.room.wait_while(pending, |p| is_full(p) && !p.has_ended);
        let mut pending = room.unwrap_or_else(PoisonError::into_inner);
        if pending.has_ended {
            return Err(Ended);
        }
        let before = pending.records.len();
        for record in records {
            pending.take(record);
        }
        let (after, last) = (pending.records.len(), pending.next - 1);
        drop(pending);
        if after == before {
            return Ok(());
        }
        if before == 0 || (before < GATHER_RECORDS && after >= GATHER_RECORDS) {
            self.work.notify_one();
        }
        self.numbers.send_replace(last);
        Ok(())
    }

    /// Returns once everything recorded so far is on the disk.
    pub(super) fn flush(&self) -> io::Result<()> {
        let (sender, flushed) = mpsc::channel();
        let mut pending = self.pending();
        if !pending.has_ended {
            pending.flushes.push(sender);
            self.work.notify_one();
        }
        drop(pending);
        flushed.recv().map_err(|_| io::Error::other("the audit has ended"))
    }

    /// Has the thread write what waits, and end.
    pub(super) fn end(&self) {
        self.pending().is_ending = true;
        self.work.notify_one();
    }

    /// Remembered records behind a number, oldest first.
    pub(super) fn since(&self, number: u64, limit: usize) -> Vec<Record> {
        let pending = self.pending();
        pending.tail.iter().filter(|record| record.number > number).take(limit).cloned().collect()
    }
}

impl Pending {
    fn take(&mut self, mut record: Record) {
        record.number = self.next;
        self.records.push(Stored::Entry(position_of(self.next), record.encode()));
        self.next += 1;
        if self.tail.len() >= TAIL_MAX {
            self.tail.pop_front();
        }
        self.tail.push_back(record);
    }

    fn is_urgent(&self) -> bool {
        self.is_ending || !self.flushes.is_empty() || self.records.len() >= GATHER_RECORDS
    }
}

/// What the writer's thread holds.
pub(super) struct Keeper {
    pub writer: LogWriter,
    pub waiting: Arc<Waiting>,
}

impl Drop for Keeper {
    /// Also after a panic: nobody waits for a thread that is gone.
    fn drop(&mut self) {
        let mut pending = self.waiting.pending();
        pending.has_ended = true;
        pending.flushes.clear();
        drop(pending);
        self.waiting.room.notify_all();
    }
}

impl Keeper {
    pub(super) fn run(&self) {
        loop {
            let (records, flushes, next, is_ending) = self.next_round();
            self.write(records, next);
            for done in flushes {
                // Whoever asked may be gone.
                done.send(()).ok();
            }
            if is_ending {
                return;
            }
        }
    }

    /// Waits for something to write, then for more of it, and takes it all.
    fn next_round(&self) -> (Vec<Stored>, Vec<Sender<()>>, u64, bool) {
        let Waiting { work, room, .. } = &*self.waiting;
        let idle = |p: &mut Pending| p.records.is_empty() && !p.is_urgent();
        let waited = work.wait_while(self.waiting.pending(), idle);
        let pending = waited.unwrap_or_else(PoisonError::into_inner);
        let gathered = work.wait_timeout_while(pending, GATHER, |p| !p.is_urgent());
        let (mut pending, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        let records = std::mem::take(&mut pending.records);
        let flushes = std::mem::take(&mut pending.flushes);
        let (next, is_ending) = (pending.next, pending.is_ending);
        drop(pending);
        room.notify_all();
        (records, flushes, next, is_ending)
    }

    /// One flush for all that waits. A disk that fails ends the process, by the log's own rule.
    fn write(&self, mut records: Vec<Stored>, next: u64) {
        if records.is_empty() {
            return;
        }
        if let Some(old) = next.checked_sub(RECORDS_KEPT) {
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
