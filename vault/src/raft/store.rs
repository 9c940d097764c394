//! openraft's log, over ours: the newest entries are kept in memory, as many as a number of bytes allows,
//! and all of them on the disk until they are purged.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
#[cfg(planted)]
use vault_core::planted::{self, Bug};

use super::codec::{CodecError, decode_payload, encode_payload};
use super::types::{Entry, LogId, Types, Vote, log_id, position};
use crate::disk::log::{self, LogReader, LogWriter, Record, Recovered, Submission};
use crate::disk::watch::Pulse;
use crate::world;

/// Entries that are handed out with one call have this many bytes at most, but for a single larger one.
const READ_BYTES_MAX: usize = 2 << 20;
/// Bytes of entries that are kept in memory: what replication and applying ask for again soon.
const CACHE_BYTES: usize = 4 << 20;

/// An entry of the log that does not read. Says which.
#[derive(Debug, thiserror::Error)]
#[error("log entry {index} does not read")]
pub struct EntryError {
    index: u64,
    #[source]
    source: CodecError,
}

/// The log. Copies are the same log.
#[derive(Clone)]
pub(super) struct LogStore(Arc<Shared>);

struct Shared {
    cache: Mutex<Cache>,
    writer: LogWriter,
    reader: LogReader,
    /// Bytes of all entries ever appended by this process.
    appended: AtomicU64,
    /// Appends up to this number were flushed.
    flushed: Arc<AtomicU64>,
}

#[derive(Default)]
struct Cache {
    vote: Option<Vote>,
    committed: Option<LogId>,
    /// Committed, but not yet written along with an entry.
    committed_unwritten: bool,
    purged: Option<LogId>,
    /// Index of the first entry that the log holds, and the last entry: on the disk or here.
    first: Option<u64>,
    last: Option<LogId>,
    /// The newest ones, without holes.
    entries: VecDeque<Cached>,
    /// Bytes of these on the disk, and how many there may be.
    bytes: usize,
    bytes_max: usize,
    /// How many appends there were.
    appends: u64,
}

struct Cached {
    entry: Entry,
    /// Bytes on the disk.
    bytes: usize,
    /// Which append brought it; 0 for what was there at the start.
    append: u64,
}

impl LogStore {
    pub(super) fn new(recovered: Recovered, writer: LogWriter) -> Result<Self, EntryError> {
        Self::with_cache(recovered, writer, CACHE_BYTES)
    }

    /// The same, with so many bytes of entries kept in memory.
    pub(super) fn with_cache(
        recovered: Recovered,
        writer: LogWriter,
        bytes_max: usize,
    ) -> Result<Self, EntryError> {
        let mut cache = Cache {
            vote: recovered.vote.map(vote_from),
            committed: recovered.committed.map(log_id),
            purged: recovered.purged.map(log_id),
            first: recovered.first,
            last: recovered.entries.back().map(|(position, _)| log_id(*position)),
            bytes_max,
            ..Cache::default()
        };
        #[cfg(planted)]
        if planted::on(Bug::VoteForgottenAtRestart) {
            cache.vote = None;
        }
        for (at, bytes) in recovered.entries {
            let entry = entry_from(at, &bytes)?;
            cache.push(Cached { entry, bytes: bytes.len(), append: 0 });
        }
        let reader = writer.reader();
        let (cache, appended) = (Mutex::new(cache), AtomicU64::new(0));
        let flushed = Arc::new(AtomicU64::new(0));
        Ok(Self(Arc::new(Shared { cache, writer, reader, appended, flushed })))
    }

    /// Where a snapshot stands and no vote does, somebody put the snapshot there: the next term must be a
    /// later one than that of the snapshot's last entry.
    pub(super) fn vote_at_least(&self, applied: &LogId) {
        let log::Position { term, node, .. } = position(applied);
        self.cache().vote.get_or_insert_with(|| Vote::new(term, node));
    }

    /// Bytes of all entries ever appended by this process.
    pub(super) fn appended_bytes(&self) -> u64 {
        self.0.appended.load(Ordering::Relaxed)
    }

    /// How many segments the log has on disk.
    pub(super) fn segments(&self) -> usize {
        self.0.writer.segments()
    }

    /// The entry behind which so many bytes of the log stand; nothing if there are fewer.
    pub(super) fn before_last(&self, bytes: u64) -> Option<u64> {
        self.0.reader.before_last(bytes)
    }

    /// Whether the log's writer is at the disk.
    pub(super) fn pulse(&self) -> Pulse {
        self.0.writer.pulse()
    }

    /// Entries of a range, up to so many bytes, but for a single larger one: from memory, or from the disk
    /// what is no longer there.
    async fn range(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (from_disk, cached) = self.cache().range(range, bytes_max);
        if from_disk.is_empty() {
            return Ok(cached);
        }
        let (reader, wanted) = (self.0.reader.clone(), from_disk.clone());
        let read = move || {
            let read = reader.read(wanted, bytes_max)?;
            let entry =
                |(at, bytes): (_, Vec<u8>)| entry_from(at, &bytes).map_err(io::Error::other);
            read.into_iter().map(entry).collect::<io::Result<Vec<_>>>()
        };
        let mut entries = world::blocking(read).await??;
        // A bounded answer ends where the bound was met; the rest is asked for again.
        if bytes_max == usize::MAX && as_u64(entries.len()) == from_disk.end - from_disk.start {
            entries.extend(cached);
        }
        Ok(entries)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Every change under this lock is a plain assignment: a panic leaves nothing half done.
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, records: Vec<Record>) {
        self.0.writer.submit(Submission { records, done: None });
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, io::Error> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.range(start..end, usize::MAX).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.cache().vote)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        self.range(start..end, READ_BYTES_MAX).await
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let cache = self.cache();
        Ok(LogState { last_purged_log_id: cache.purged, last_log_id: cache.last.or(cache.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (sender, flushed) = tokio::sync::oneshot::channel();
        let done = move |result| {
            // Nobody waits only while the process ends.
            sender.send(result).ok();
        };
        let records = vec![Record::Vote(vote_to(vote))];
        self.0.writer.submit(Submission { records, done: Some(Box::new(done)) });
        #[cfg(planted)]
        if planted::on(Bug::VoteAnsweredBeforeStored) {
            self.cache().vote = Some(*vote);
            return Ok(());
        }
        flushed.await.map_err(io::Error::other)??;
        self.cache().vote = Some(*vote);
        Ok(())
    }

    /// Kept in memory and written with the next entry: it may be late, it must not cost a flush.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let mut cache = self.cache();
        cache.committed = committed;
        cache.committed_unwritten = true;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.cache().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut records = Vec::new();
        let mut cache = self.cache();
        if let Some(committed) = cache.committed.filter(|_| cache.committed_unwritten) {
            records.push(Record::Committed(position(&committed)));
            cache.committed_unwritten = false;
        }
        cache.appends += 1;
        let append = cache.appends;
        for entry in entries {
            let payload = encode_payload(&entry.payload);
            let bytes = payload.len();
            self.0.appended.fetch_add(as_u64(bytes), Ordering::Relaxed);
            records.push(Record::Entry(position(&entry.log_id), payload));
            cache.append(Cached { entry, bytes, append });
        }
        cache.trim(self.0.flushed.load(Ordering::Relaxed));
        drop(cache);
        let flushed = Arc::clone(&self.0.flushed);
        let done = Box::new(move |result: io::Result<()>| {
            if result.is_ok() {
                flushed.fetch_max(append, Ordering::Relaxed);
            }
            callback.io_completed(result);
        });
        self.0.writer.submit(Submission { records, done: Some(done) });
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let after = last.map(|id| id.index());
        let mut cache = self.cache();
        cache.retain(|index| Some(index) <= after);
        if cache.last.map(|id| id.index()) > after {
            cache.last = last.filter(|_| cache.first <= after);
        }
        cache.first = cache.first.filter(|_| cache.last.is_some());
        drop(cache);
        self.submit(vec![Record::Truncate(after)]);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let mut cache = self.cache();
        cache.purged = Some(upto);
        cache.retain(|index| index > upto.index());
        cache.last = cache.last.filter(|last| last.index() > upto.index());
        let first = cache.first.filter(|_| cache.last.is_some());
        cache.first = first.map(|first| first.max(upto.index() + 1));
        drop(cache);
        self.submit(vec![Record::Purge(position(&upto))]);
        Ok(())
    }
}

impl Cache {
    /// The next entry of the log.
    fn append(&mut self, cached: Cached) {
        let id = cached.entry.log_id;
        self.first = self.first.or_else(|| Some(id.index()));
        self.last = Some(id);
        self.push(cached);
    }

    fn push(&mut self, cached: Cached) {
        self.bytes += cached.bytes;
        self.entries.push_back(cached);
    }

    /// Forgets the oldest entries past the bound, if the disk has them.
    fn trim(&mut self, flushed: u64) {
        while self.bytes > self.bytes_max
            && self.entries.front().is_some_and(|oldest| oldest.append <= flushed)
        {
            self.bytes -= self.entries.pop_front().map_or(0, |oldest| oldest.bytes);
        }
    }

    fn retain(&mut self, is_kept: impl Fn(u64) -> bool) {
        self.entries.retain(|cached| is_kept(cached.entry.log_id.index()));
        self.bytes = self.entries.iter().map(|cached| cached.bytes).sum();
    }

    /// Which part of a range is to be read from the disk, and the entries behind that part: cut at a number
    /// of bytes, but never empty for it.
    fn range(&self, range: Range<u64>, bytes_max: usize) -> (Range<u64>, Vec<Entry>) {
        let (Some(first), Some(last)) = (self.first, self.last) else { return (0..0, Vec::new()) };
        let range = range.start.max(first)..range.end.min(last.index().saturating_add(1));
        if range.is_empty() {
            return (0..0, Vec::new());
        }
        let cached = self.entries.front().map_or(u64::MAX, |oldest| oldest.entry.log_id.index());
        let from_disk = range.start..range.end.min(cached);
        let skip = usize::try_from(range.start.saturating_sub(cached)).unwrap_or(usize::MAX);
        let mut bytes = 0_usize;
        let wanted = self.entries.iter().skip(skip).take_while(|cached| {
            let fits = bytes == 0 || bytes.saturating_add(cached.bytes) <= bytes_max;
            bytes = bytes.saturating_add(cached.bytes).max(1);
            fits && range.contains(&cached.entry.log_id.index())
        });
        (from_disk, wanted.map(|cached| cached.entry.clone()).collect())
    }
}

/// An entry as the disk has it.
pub(super) fn entry_from(at: log::Position, bytes: &[u8]) -> Result<Entry, EntryError> {
    let payload = decode_payload(bytes).map_err(|source| EntryError { index: at.index, source })?;
    Ok(Entry::new(log_id(at), payload))
}

fn vote_to(vote: &Vote) -> log::Vote {
    log::Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

fn vote_from(vote: log::Vote) -> Vote {
    let log::Vote { term, node, committed } = vote;
    if committed { Vote::new_committed(term, node) } else { Vote::new(term, node) }
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("sizes fit in 64 bits")
}
