//! openraft's log, over ours: entries are kept in memory until they are purged, and on the disk in the
//! order in which they were handed over, votes among them.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};

use super::codec::{CodecError, decode_payload, encode_payload};
use super::types::{Entry, LogId, Types, Vote, log_id, position};
use crate::disk::log::{self, LogWriter, Record, Recovered, Submission};

/// Entries that are handed out with one call have this many bytes at most, but for a single larger one.
const READ_BYTES_MAX: usize = 2 << 20;

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
    /// Bytes of all entries ever appended by this process.
    appended: AtomicU64,
}

#[derive(Default)]
struct Cache {
    vote: Option<Vote>,
    committed: Option<LogId>,
    /// Committed, but not yet written along with an entry.
    committed_unwritten: bool,
    purged: Option<LogId>,
    /// Without holes, with their bytes on disk.
    entries: VecDeque<(Entry, usize)>,
}

impl LogStore {
    pub(super) fn new(recovered: Recovered, writer: LogWriter) -> Result<Self, EntryError> {
        let mut cache = Cache {
            vote: recovered.vote.map(vote_from),
            committed: recovered.committed.map(log_id),
            purged: recovered.purged.map(log_id),
            ..Cache::default()
        };
        for (at, bytes) in recovered.entries {
            let payload =
                decode_payload(&bytes).map_err(|source| EntryError { index: at.index, source })?;
            cache.entries.push_back((Entry::new(log_id(at), payload), bytes.len()));
        }
        let (cache, appended) = (Mutex::new(cache), AtomicU64::new(0));
        Ok(Self(Arc::new(Shared { cache, writer, appended })))
    }

    /// Bytes of all entries ever appended by this process.
    pub(super) fn appended_bytes(&self) -> u64 {
        self.0.appended.load(Ordering::Relaxed)
    }

    /// How many segments the log has on disk.
    pub(super) fn segments(&self) -> usize {
        self.0.writer.segments()
    }

    /// Bytes of the entries that are kept.
    pub(super) fn kept_bytes(&self) -> u64 {
        let cache = self.cache();
        cache.entries.iter().map(|(_, bytes)| as_u64(*bytes)).sum()
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
        Ok(self.cache().range(range, usize::MAX))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.cache().vote)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        Ok(self.cache().range(start..end, READ_BYTES_MAX))
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let cache = self.cache();
        let last = cache.entries.back().map(|(entry, _)| entry.log_id);
        Ok(LogState { last_purged_log_id: cache.purged, last_log_id: last.or(cache.purged) })
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
        for entry in entries {
            let payload = encode_payload(&entry.payload);
            let bytes = payload.len();
            self.0.appended.fetch_add(as_u64(bytes), Ordering::Relaxed);
            records.push(Record::Entry(position(&entry.log_id), payload));
            cache.entries.push_back((entry, bytes));
        }
        drop(cache);
        let done = Box::new(|result| callback.io_completed(result));
        self.0.writer.submit(Submission { records, done: Some(done) });
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let after = last.map(|id| id.index());
        let mut cache = self.cache();
        while cache.entries.back().is_some_and(|(entry, _)| Some(entry.log_id.index()) > after) {
            cache.entries.pop_back();
        }
        drop(cache);
        self.submit(vec![Record::Truncate(after)]);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let mut cache = self.cache();
        cache.purged = Some(upto);
        while cache.entries.front().is_some_and(|(entry, _)| entry.log_id.index() <= upto.index()) {
            cache.entries.pop_front();
        }
        drop(cache);
        self.submit(vec![Record::Purge(position(&upto))]);
        Ok(())
    }
}

impl Cache {
    /// Entries in a range of indexes, cut at a number of bytes but never empty for it.
    fn range(&self, range: impl RangeBounds<u64>, bytes_max: usize) -> Vec<Entry> {
        let Some((first, _)) = self.entries.front() else { return Vec::new() };
        let first = first.log_id.index();
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let skip = usize::try_from(start.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut bytes = 0_usize;
        let rest = self.entries.iter().skip(skip);
        let wanted = rest.take_while(|(entry, size)| {
            let fits = bytes == 0 || bytes.saturating_add(*size) <= bytes_max;
            bytes = bytes.saturating_add(*size).max(1);
            fits && range.contains(&entry.log_id.index())
        });
        wanted.map(|(entry, _)| entry.clone()).collect()
    }
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
