//! The one thread that writes the log: takes all that waits, seals it as one batch, writes and flushes
//! once, and only then tells those who waited.

mod simulated;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
#[cfg(planted)]
use vault_core::planted::{self, Bug};

use super::format::{
    BATCH_ALIGN, SEGMENT_HEAD, SegmentHead, SegmentKey, encode_segment, finish_batch, start_batch,
};
use super::index::{Index, LogReader};
use super::mark::Mark;
use super::record::{Opening, Position, Record, encode};
use super::recover::{LogError, Tail, segment_name};
use super::{LogKey, Options};
use crate::disk::folder::{Folder, StoredFile};
use crate::disk::pace::Pace;
use crate::disk::watch::Pulse;
use crate::world;

/// How long the log may be idle before its last batch is covered by a seal.
const IDLE: Duration = Duration::from_millis(10);
/// Segments kept to be used again: one that is being filled up soon, one in reserve.
const FREE_MAX: usize = 2;
/// First part of the name of a file that may become a segment.
pub(super) const SPARE: &str = "spare.";
/// Bytes zeroed with one call, so that the zeroing thread never holds the disk for long.
const ZERO_CHUNK: usize = 1 << 20;
/// Zeros are written no faster. Half a segment takes longer to be filled at the highest rate measured.
const ZERO_BYTES_PER_SECOND: u64 = 400_000_000;

/// The disk failed: what was written last may or may not be stored, and no later write can mend that.
#[derive(Debug, thiserror::Error)]
#[error("log: {call} {file} failed")]
pub struct Fault {
    call: &'static str,
    file: String,
    #[source]
    source: io::Error,
}

/// Records that belong together. They are written in order, with others before and behind them.
pub struct Submission {
    pub records: Vec<Record>,
    /// Called once the records are on the disk, or never will be. Nobody may be told before.
    pub done: Option<Done>,
}

/// The way to the writer's thread. Dropping it ends the thread once all is written.
pub struct LogWriter {
    queue: Option<Queue>,
    reader: LogReader,
    pulse: Pulse,
    /// How many segments hold something.
    segments: Arc<AtomicUsize>,
    renewal: Renewal,
    thread: Option<JoinHandle<()>>,
}

enum Queue {
    Thread(Sender<Submission>),
    Simulated(UnboundedSender<Submission>),
}

/// Called once records are on the disk, or never will be.
type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Has the writer leave what is under an older disk key behind.
#[derive(Clone, Default)]
pub struct Renewal(Arc<AtomicBool>);

impl Renewal {
    /// What is written from now on stands in a new segment, under the newest disk key.
    pub fn order(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// All that the writer starts with.
pub(super) struct Start {
    pub folder: Arc<dyn Folder>,
    pub key: LogKey,
    pub options: Options,
    pub entropy: Box<dyn FnMut() -> [u8; 32] + Send>,
    pub fault: Box<dyn FnOnce(Fault) + Send>,
    pub tail: Tail,
    pub mark: Mark,
}

impl LogWriter {
    pub(super) fn start(start: Start) -> Result<Self, LogError> {
        let Start { folder, key, options, entropy, fault, tail, mark } = start;
        let reader = LogReader::new(Arc::clone(&folder), key.clone(), tail.index.clone());
        let pulse = Pulse::default();
        let segments = tail.segments.iter().copied().collect();
        let free = tail.free.clone().into();
        let state = Opening {
            previous: tail.last_number,
            previous_counter: tail.last_counter,
            previous_tag: tail.last_tag,
            vote: tail.vote,
            purged: tail.purged,
            committed: tail.committed,
            last: tail.last,
        };
        let (count, renewal) = (Arc::new(AtomicUsize::new(0)), Renewal::default());
        let mut writer = Writer {
            folder,
            key,
            options,
            entropy,
            segments,
            free,
            state,
            current: None,
            spare: None,
            count: Arc::clone(&count),
            renewal: renewal.clone(),
            index: tail.index,
            mark,
            pulse: pulse.clone(),
            buffer: Vec::new(),
        };
        // A segment of its own for every start: a torn batch of the last run has used its counter.
        let started = writer.forget_old_keys().and_then(|()| writer.next_segment());
        started.map_err(|Fault { call, file, source }| LogError::Io { call, file, source })?;
        if let Some(simulation) = world::simulation() {
            let queue = Some(Queue::Simulated(simulated::start(writer, fault, simulation)));
            return Ok(Self { queue, reader, pulse, segments: count, renewal, thread: None });
        }
        let (queue, submissions) = mpsc::channel();
        let run = move || {
            let ended = writer.run(&submissions);
            writer.end_spare();
            let Err(failed) = ended else { return };
            fault(failed);
            // Who waits, and who still comes, is told, until the log is dropped.
            for submission in submissions {
                submission.refuse();
            }
        };
        let spawned = std::thread::Builder::new().name("log".into()).spawn(run);
        let thread = spawned.map_err(|source| LogError::Io {
            call: "starting the writer of",
            file: "log".into(),
            source,
        })?;
        let thread = Some(thread);
        let queue = Some(Queue::Thread(queue));
        Ok(Self { queue, reader, pulse, segments: count, renewal, thread })
    }

    /// Reads entries back.
    pub fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    /// Whether the writer is at the disk.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// How many segments hold something. Each start adds one; purging gives them back.
    pub fn segments(&self) -> usize {
        self.segments.load(Ordering::Relaxed)
    }

    /// The way to have a new segment started.
    pub fn renewal(&self) -> Renewal {
        self.renewal.clone()
    }

    /// Queues records. After a fault they are refused, through `done`.
    pub fn submit(&self, submission: Submission) {
        let refused = match &self.queue {
            None => return,
            Some(Queue::Thread(queue)) => queue.send(submission).map_err(|refused| refused.0),
            Some(Queue::Simulated(queue)) => queue.send(submission).map_err(|refused| refused.0),
        };
        if let Err(refused) = refused {
            refused.refuse();
        }
    }
}

impl Submission {
    fn refuse(self) {
        if let Some(done) = self.done {
            done(Err(io::Error::other("the log's disk has failed")));
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported where it happened.
            thread.join().ok();
        }
    }
}

struct Segment {
    file: Arc<dyn StoredFile>,
    name: String,
    key: SegmentKey,
    /// Where the next batch goes; a seal may stand there until then.
    offset: u64,
    /// The highest counter that was used, be it for a seal.
    counter: u64,
    /// Counter and tag of the last batch that was flushed: what comes next refers to it.
    last_counter: u64,
    tag: [u8; 16],
    /// Nothing was written since the last seal, or since the segment's start.
    is_sealed: bool,
}

impl Segment {
    /// Seals a batch with the next counter and writes it where the next one goes. Returns its tag.
    fn write(&mut self, batch: &mut Vec<u8>) -> Result<[u8; 16], Fault> {
        self.counter += 1;
        let tag = finish_batch(&self.key, self.counter, &self.tag, batch);
        let written = self.file.write_at(self.offset, batch);
        written.map_err(|source| fault("writing", &self.name, source))?;
        Ok(tag)
    }
}

struct Writer {
    folder: Arc<dyn Folder>,
    key: LogKey,
    options: Options,
    entropy: Box<dyn FnMut() -> [u8; 32] + Send>,
    /// Number and highest entry of each segment, oldest first; the last is the current one.
    segments: VecDeque<(u64, u64)>,
    /// Files that may become segments.
    free: VecDeque<String>,
    /// What the next segment will start with.
    state: Opening,
    current: Option<Segment>,
    /// Zeroes a file for the next segment.
    spare: Option<JoinHandle<Result<String, Fault>>>,
    /// The number of segments, for whoever decides when to purge.
    count: Arc<AtomicUsize>,
    renewal: Renewal,
    index: Index,
    mark: Mark,
    /// Beats while something is under way at the disk.
    pulse: Pulse,
    buffer: Vec<u8>,
}

impl Writer {
    fn run(&mut self, submissions: &Receiver<Submission>) -> Result<(), Fault> {
        loop {
            let first = match submissions.recv_timeout(IDLE) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.beating(Self::seal_when_idle)?;
                    match submissions.recv() {
                        Ok(first) => first,
                        Err(mpsc::RecvError) => return Ok(()),
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return self.beating(Self::seal_when_idle),
            };
            self.beating(|writer| writer.write_all_waiting(first, submissions))?;
        }
    }

    /// Does something at the disk, under the eyes of whoever watches it.
    fn beating(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        let pulse = self.pulse.clone();
        let _busy = pulse.begin();
        work(self)
    }

    /// One batch of everything that waits, up to the bound; one flush; then the answers.
    fn write_all_waiting(
        &mut self,
        first: Submission,
        submissions: &Receiver<Submission>,
    ) -> Result<(), Fault> {
        let purged_before = self.state.purged;
        let (records, waiting) = self.gather(first, || submissions.try_recv().ok());
        let put = self.put(&records);
        self.answer(put, waiting, purged_before)
    }

    /// Takes all that waits into the buffer, up to the bound. Returns the records, and who waits for them.
    fn gather(
        &mut self,
        first: Submission,
        mut next: impl FnMut() -> Option<Submission>,
    ) -> (Vec<Record>, Vec<Done>) {
        let (mut records, mut waiting) = (Vec::new(), Vec::new());
        let mut taken = Some(first);
        start_batch(&mut self.buffer);
        while let Some(submission) = taken {
            for record in &submission.records {
                encode(record, &mut self.buffer);
            }
            records.extend(submission.records);
            waiting.extend(submission.done);
            taken = (self.buffer.len() < self.options.batch_bytes).then(&mut next).flatten();
        }
        #[cfg(planted)]
        if planted::on(Bug::AcknowledgedBeforeFlush) {
            waiting.drain(..).for_each(|done| done(Ok(())));
        }
        (records, waiting)
    }

    /// Flushes what was put there, and only then tells those who wait for it.
    fn answer(
        &mut self,
        put: Result<[u8; 16], Fault>,
        waiting: Vec<Done>,
        purged_before: Option<Position>,
    ) -> Result<(), Fault> {
        match put.and_then(|tag| self.settle(tag)) {
            Ok(()) => waiting.into_iter().for_each(|done| done(Ok(()))),
            Err(fault) => {
                for done in waiting {
                    done(Err(io::Error::new(fault.source.kind(), "the log's disk has failed")));
                }
                return Err(fault);
            }
        }
        if self.state.purged != purged_before { self.release_purged() } else { Ok(()) }
    }

    /// Seals and writes the buffer, which holds these records. Returns the batch's tag.
    fn put(&mut self, records: &[Record]) -> Result<[u8; 16], Fault> {
        self.make_room()?;
        for record in records {
            self.note(record);
        }
        let current = self.current.as_mut().expect("there is a segment after start");
        current.write(&mut self.buffer)
    }

    /// Keeps what the next segment will have to start with.
    fn note(&mut self, record: &Record) {
        match record {
            Record::Entry(position, _) => {
                self.state.last = Some(position.index);
                let current = self.current.as_ref().expect("there is a segment after start");
                self.index.entry(position.index, as_usize(current.offset));
                if let Some((_, highest)) = self.segments.back_mut() {
                    *highest = (*highest).max(position.index);
                }
            }
            Record::Vote(vote) => self.state.vote = Some(*vote),
            Record::Truncate(after) => {
                self.index.truncate(*after);
                self.state.last = self.state.last.min(*after);
            }
            Record::Purge(position) => {
                self.state.purged = Some(*position);
                self.state.last = self.state.last.max(Some(position.index));
            }
            Record::Committed(position) => self.state.committed = Some(*position),
            Record::Open(_) | Record::Seal => {}
        }
    }

    /// Starts a new segment if what stands in the buffer does not fit the current one. Comes before the
    /// records are noted: a segment's opening says what held before them.
    fn make_room(&mut self) -> Result<(), Fault> {
        let length = as_u64(self.buffer.len().next_multiple_of(BATCH_ALIGN));
        let current = self.current.as_ref().expect("there is a segment after start");
        // One block stays free for the seal: the last batch of a full segment must be covered too.
        let is_full = current.offset + length + as_u64(BATCH_ALIGN) > self.options.segment_bytes;
        let is_renewed = self.renewal.0.swap(false, Ordering::Acquire);
        if is_full || is_renewed {
            let batch = std::mem::take(&mut self.buffer);
            if is_renewed {
                self.forget_old_keys()?;
            }
            self.next_segment()?;
            self.buffer = batch;
        } else if current.offset > self.options.segment_bytes / 2 {
            self.start_spare();
        }
        Ok(())
    }

    /// Flushes what was written last from the buffer.
    fn settle(&mut self, tag: [u8; 16]) -> Result<(), Fault> {
        let current = self.current.as_mut().expect("there is a segment after start");
        let begun = Instant::now();
        let flushed = current.file.flush();
        #[cfg(planted)]
        let flushed = if planted::on(Bug::FlushErrorForgiven) { Ok(()) } else { flushed };
        flushed.map_err(|source| fault("flushing", &current.name, source))?;
        self.pulse.flushes().record(begun.elapsed());
        current.offset += as_u64(self.buffer.len());
        (current.last_counter, current.tag) = (current.counter, tag);
        current.is_sealed = false;
        Ok(())
    }

    /// Covers the last batch, so that damage to it can be told from a torn tail. Needs no flush: if it is
    /// lost, the batch is merely not covered. For the same reason the next batch takes its place and does
    /// not refer to it: a seal that was lost must not look like a hole between two batches.
    fn seal_when_idle(&mut self) -> Result<(), Fault> {
        let current = self.current.as_mut().expect("there is a segment after start");
        let fits = current.offset + as_u64(BATCH_ALIGN) <= self.options.segment_bytes;
        if current.is_sealed || !fits {
            return Ok(());
        }
        start_batch(&mut self.buffer);
        encode(&Record::Seal, &mut self.buffer);
        current.write(&mut self.buffer)?;
        current.is_sealed = true;
        Ok(())
    }

    /// Starts a segment: header and opening are on the disk before it gets its name.
    fn next_segment(&mut self) -> Result<(), Fault> {
        if let Some(current) = self.current.take() {
            self.state.previous = self.segments.back().map_or(0, |(number, _)| *number);
            self.state.previous_counter = current.last_counter;
            self.state.previous_tag = current.tag;
        }
        let number = self.state.previous + 1;
        let name = segment_name(number);
        let draft = self.draft(number)?;
        let salt = (self.entropy)();
        let head = SegmentHead { number, size: self.options.segment_bytes, salt };
        let generation = self.key.disk_key.newest();
        let (mut bytes, key) = encode_segment(&self.key, head, generation);
        start_batch(&mut self.buffer);
        encode(&Record::Open(self.state), &mut self.buffer);
        let tag = finish_batch(&key, 1, &self.state.previous_tag, &mut self.buffer);
        bytes.extend_from_slice(&self.buffer);
        let file = self.folder.open(&draft).map_err(|source| fault("opening", &draft, source))?;
        file.write_at(0, &bytes).map_err(|source| fault("writing", &draft, source))?;
        file.flush().map_err(|source| fault("flushing", &draft, source))?;
        let renamed = self.folder.rename(&draft, &name).and_then(|()| self.folder.flush());
        renamed.map_err(|source| fault("naming", &name, source))?;
        // Nothing in it is acknowledged before this.
        let marked = self.mark.set(&self.key, number, (self.entropy)());
        marked.map_err(|source| fault("marking", self.mark.name(), source))?;
        let offset = as_u64(SEGMENT_HEAD + self.buffer.len());
        self.index.segment(number, salt, generation);
        self.segments.push_back((number, 0));
        self.count.store(self.segments.len(), Ordering::Relaxed);
        let (counter, last_counter, is_sealed) = (1, 1, true);
        let current = Segment { file, name, key, offset, counter, last_counter, tag, is_sealed };
        self.current = Some(current);
        Ok(())
    }

    /// Removes files that may hold something under an older disk key. Used again, they would keep it for a
    /// long time behind what is written anew.
    fn forget_old_keys(&mut self) -> Result<(), Fault> {
        if self.key.disk_key.newest() == 0 {
            return Ok(());
        }
        for free in self.free.drain(..) {
            self.folder.remove(&free).map_err(|source| fault("removing", &free, source))?;
        }
        self.folder.flush().map_err(|source| fault("flushing", "log", source))
    }

    /// A file for the next segment: one that is free, the spare, or a new one.
    fn draft(&mut self, number: u64) -> Result<String, Fault> {
        if let Some(free) = self.free.pop_front() {
            // It may have been left half zeroed, or be of a smaller log; a segment has its whole size.
            let end = self.options.segment_bytes.saturating_sub(as_u64(BATCH_ALIGN));
            let file = self.folder.open(&free).map_err(|source| fault("opening", &free, source))?;
            let written = file.write_at(end, &[0; BATCH_ALIGN]);
            written.map_err(|source| fault("zeroing", &free, source))?;
            return Ok(free);
        }
        match self.spare.take().map(JoinHandle::join) {
            Some(Ok(zeroed)) => zeroed,
            Some(Err(_)) | None => {
                zeroed(self.folder.as_ref(), number, self.options.segment_bytes, None)
            }
        }
    }

    /// Zeroes a file for the next segment beside the writing, so that no commit waits for it.
    fn start_spare(&mut self) {
        if self.spare.is_some() || !self.free.is_empty() || world::simulation().is_some() {
            return;
        }
        let number = self.segments.back().map_or(0, |(number, _)| *number) + 1;
        let (folder, bytes) = (Arc::clone(&self.folder), self.options.segment_bytes);
        let pace = Pace::new(ZERO_BYTES_PER_SECOND);
        let zero = move || zeroed(folder.as_ref(), number, bytes, Some(pace));
        // Without a thread the next segment is zeroed when it is needed: slower, nothing worse.
        self.spare = std::thread::Builder::new().name("log-spare".into()).spawn(zero).ok();
    }

    /// Waits for the thread that zeroes a file: whoever opens the log next may use that file.
    fn end_spare(&mut self) {
        if let Some(spare) = self.spare.take() {
            // A file that could not be zeroed is missed by nobody now.
            spare.join().ok();
        }
    }

    /// Segments whose entries were all purged are kept to be used again, or removed.
    fn release_purged(&mut self) -> Result<(), Fault> {
        let Some(purged) = self.state.purged else { return Ok(()) };
        while self.segments.len() > 1 {
            let Some((number, highest)) = self.segments.front().copied() else { break };
            if highest > purged.index {
                break;
            }
            let name = segment_name(number);
            let is_of_newest = self.index.generation(number) == Some(self.key.disk_key.newest());
            self.index.release(number);
            let released = if self.free.len() < FREE_MAX && is_of_newest {
                let free = format!("{SPARE}{number:016x}");
                let renamed = self.folder.rename(&name, &free);
                self.free.push_back(free);
                renamed
            } else {
                self.folder.remove(&name)
            };
            released.map_err(|source| fault("releasing", &name, source))?;
            self.segments.pop_front();
        }
        self.count.store(self.segments.len(), Ordering::Relaxed);
        self.folder.flush().map_err(|source| fault("flushing", "log", source))
    }
}

/// Makes a file of zeros: its blocks are all written, so that a flush never has to change metadata. Its
/// name differs from that of a segment of this number that was released.
///
/// With a pace it is done beside the writing, and flushed piece by piece: the log's own flush must not wait
/// behind all of it.
fn zeroed(
    folder: &dyn Folder,
    number: u64,
    bytes: u64,
    mut pace: Option<Pace>,
) -> Result<String, Fault> {
    let name = format!("{SPARE}{number:016x}.new");
    let file = folder.create(&name).map_err(|source| fault("making", &name, source))?;
    let zeros = vec![0; ZERO_CHUNK];
    let mut offset = 0;
    while offset < bytes {
        let part = usize::try_from(bytes - offset).map_or(ZERO_CHUNK, |rest| rest.min(ZERO_CHUNK));
        let written = file.write_at(offset, &zeros[..part]);
        written.map_err(|source| fault("zeroing", &name, source))?;
        offset += as_u64(part);
        if let Some(pace) = &mut pace {
            file.flush().map_err(|source| fault("zeroing", &name, source))?;
            pace.wait_for(as_u64(part));
        }
    }
    Ok(name)
}

fn fault(call: &'static str, file: &str, source: io::Error) -> Fault {
    Fault { call, file: file.to_owned(), source }
}

fn as_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a segment fits in memory")
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("sizes fit in 64 bits")
}
