//! The log over a folder in memory: what comes back, what is cut, what is refused.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::*;
use crate::disk::diskkey::DiskKey;
use crate::disk::folder::StoredFile;

type Bytes = Arc<Mutex<Vec<u8>>>;

/// A folder in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<String, Bytes>>>);

struct MemoryFile(Bytes);

impl StoredFile for MemoryFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let end = start + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[start..end].copy_from_slice(bytes);
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    fn file(&self, name: &str) -> io::Result<Bytes> {
        self.0.lock().unwrap().get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A copy whose files change no more.
    fn frozen(&self) -> Self {
        let files = self.0.lock().unwrap();
        let copy = files
            .iter()
            .map(|(name, file)| (name.clone(), Arc::new(Mutex::new(file.lock().unwrap().clone()))));
        Self(Arc::new(Mutex::new(copy.collect())))
    }
}

impl Folder for Memory {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.file(name)?.lock().unwrap().clone())
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let file = Bytes::default();
        assert!(self.0.lock().unwrap().insert(name.into(), Arc::clone(&file)).is_none());
        Ok(Arc::new(MemoryFile(file)))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.into(), file);
        Ok(())
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.0.lock().unwrap().remove(name);
        removed.map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
    fn folder(&self, _: &str) -> io::Result<Arc<dyn Folder>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        Ok(Arc::new(MemoryFile(self.file(name)?)))
    }
}

const OPTIONS: Options =
    Options { segment_bytes: 32 << 10, batch_bytes: 8 << 10, keep_bytes: usize::MAX };

fn key() -> LogKey {
    let disk_key = Arc::new(DiskKey::filled(|bytes| bytes.fill(1)).unwrap());
    LogKey { context: b"node".to_vec(), disk_key }
}

fn open_memory(folder: &Memory) -> Result<(Recovered, LogWriter), LogError> {
    let mut salt = u8::try_from(folder.names().unwrap().len()).unwrap();
    let entropy = move || {
        salt = salt.wrapping_add(101);
        [salt; 32]
    };
    let fault = |fault: Fault| panic!("{fault}");
    open(Arc::new(folder.clone()), key(), OPTIONS, Box::new(entropy), Box::new(fault))
}

fn recovered(folder: &Memory) -> Result<Recovered, LogError> {
    // On a copy: opening starts a segment.
    open_memory(&folder.frozen()).map(|(recovered, _)| recovered)
}

fn write(writer: &LogWriter, records: Vec<Record>) {
    let (sender, done) = mpsc::channel();
    let submission =
        Submission { records, done: Some(Box::new(move |result| sender.send(result).unwrap())) };
    writer.submit(submission);
    done.recv().unwrap().unwrap();
}

fn entry(index: u64, size: usize) -> Record {
    Record::Entry(at(index), vec![u8::try_from(index % 256).unwrap(); size])
}

fn at(index: u64) -> Position {
    Position { term: 1, node: 1, index }
}

fn indexes(recovered: &Recovered) -> Vec<u64> {
    recovered.entries.iter().map(|(position, _)| position.index).collect()
}

/// Three acknowledged batches and the seal behind them, in one segment.
fn small_log() -> Memory {
    let folder = Memory::default();
    let (_, writer) = open_memory(&folder).unwrap();
    write(&writer, vec![Record::Vote(Vote { term: 1, node: 1, committed: true })]);
    write(&writer, vec![entry(0, 10), entry(1, 10)]);
    write(&writer, vec![entry(2, 10), Record::Committed(at(1))]);
    folder
}

#[test]
fn a_log_is_written_as_it_always_was() {
    let folder = Memory::default();
    let fault = Box::new(|fault: Fault| panic!("{fault}"));
    let opened = open(Arc::new(folder.clone()), key(), OPTIONS, Box::new(|| [7; 32]), fault);
    let (_, writer) = opened.unwrap();
    write(&writer, vec![Record::Vote(Vote { term: 1, node: 1, committed: true }), entry(0, 10)]);
    drop(writer);
    let bytes = folder.read("0000000000000001.seg").unwrap();
    // Header, opening, one batch, the seal that an ending writer leaves.
    crate::testing::assert_golden("log-segment", &bytes[..4096 * 4]);
}

#[test]
fn what_was_acknowledged_comes_back_after_every_restart() {
    let folder = small_log();
    for _ in 0..3 {
        let (recovered, _writer) = open_memory(&folder).unwrap();
        assert_eq!(indexes(&recovered), [0, 1, 2]);
        assert_eq!(recovered.vote, Some(Vote { term: 1, node: 1, committed: true }));
        assert_eq!(recovered.committed, Some(at(1)));
        assert_eq!(recovered.torn, None);
    }
}

#[test]
fn a_log_of_many_segments_comes_back_and_purged_segments_are_used_again() {
    let folder = Memory::default();
    let (_, writer) = open_memory(&folder).unwrap();
    for index in 0..100 {
        write(&writer, vec![entry(index, 2000)]);
    }
    let all = recovered(&folder).unwrap();
    assert_eq!(indexes(&all), (0..100).collect::<Vec<_>>());
    write(&writer, vec![Record::Purge(at(89))]);
    write(&writer, vec![entry(100, 10)]);
    drop(writer);
    let rest = recovered(&folder).unwrap();
    assert_eq!(indexes(&rest), (90..=100).collect::<Vec<_>>());
    assert_eq!(rest.purged, Some(at(89)));
    let names = folder.names().unwrap();
    assert!(names.len() < 8, "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("spare.")), "{names:?}");
}

#[test]
fn entries_that_are_not_kept_in_memory_are_read_back_from_the_disk() {
    let folder = Memory::default();
    let (_, writer) = open_memory(&folder).unwrap();
    for index in 0..60 {
        write(&writer, vec![entry(index, 2000)]);
    }
    write(&writer, vec![Record::Truncate(Some(49)), entry(50, 7), entry(51, 8)]);
    write(&writer, vec![Record::Purge(at(29))]);
    drop(writer);
    let options = Options { keep_bytes: 0, ..OPTIONS };
    let fault = Box::new(|fault: Fault| panic!("{fault}"));
    let place = Arc::new(folder);
    let (recovered, writer) = open(place, key(), options, Box::new(|| [201; 32]), fault).unwrap();
    assert_eq!((recovered.first, indexes(&recovered)), (Some(30), vec![51]));
    write(&writer, vec![entry(52, 9)]);
    let read = writer.reader().read(30..100, usize::MAX).unwrap();
    let sizes: Vec<_> = read.iter().map(|(at, bytes)| (at.index, bytes.len())).collect();
    let old = (30..50).map(|index| (index, 2000));
    assert_eq!(sizes, old.chain([(50, 7), (51, 8), (52, 9)]).collect::<Vec<_>>());
    let some = writer.reader().read(30..100, 5000).unwrap();
    assert_eq!(some.len(), 2, "a bounded answer");
    assert!(writer.reader().before_last(8 << 10).is_some_and(|index| index > 40));
}

#[test]
fn truncated_entries_do_not_come_back() {
    let folder = small_log();
    let (_, writer) = open_memory(&folder).unwrap();
    write(&writer, vec![Record::Truncate(Some(0)), entry(1, 30)]);
    drop(writer);
    let recovered = recovered(&folder).unwrap();
    assert_eq!(indexes(&recovered), [0, 1]);
    assert_eq!(recovered.entries[1].1.len(), 30);
}

#[test]
fn case_27_a_flipped_byte_is_refused_wherever_bytes_are_used() {
    let folder = small_log();
    let file = folder.file("0000000000000001.seg").unwrap();
    let used = (file.lock().unwrap().len()).min(4096 * 6);
    for offset in (0..used).step_by(7).chain([0, 4095, 4096, 4096 * 2 + 63]) {
        let altered = folder.frozen();
        altered.file("0000000000000001.seg").unwrap().lock().unwrap()[offset] ^= 4;
        let last_batch = 4096 * 5;
        match recovered(&altered) {
            Err(LogError::Damaged { file, offset: named }) => {
                assert_eq!(file, "0000000000000001.seg");
                assert!(
                    named <= offset && offset < named + 4096 || named == 0,
                    "{offset}: {named}"
                );
            }
            Err(LogError::Version { .. }) => assert!((8..10).contains(&offset), "{offset}"),
            Ok(recovered) => {
                // The seal itself is the last thing, and nothing covers it; it says nothing.
                assert!(offset >= last_batch, "offset {offset}");
                assert_eq!(indexes(&recovered), [0, 1, 2]);
            }
            Err(other) => panic!("offset {offset}: {other}"),
        }
    }
}

#[test]
fn a_torn_last_batch_is_cut_and_reported() {
    let folder = small_log();
    {
        let (_, writer) = open_memory(&folder).unwrap();
        write(&writer, vec![entry(3, 100)]);
        drop(writer);
    }
    let name = "0000000000000002.seg";
    // Batches: opening, entry 3, seal. Without the seal, the entry is not covered.
    let file = folder.file(name).unwrap();
    file.lock().unwrap()[4096 * 3..4096 * 4].fill(0);
    file.lock().unwrap()[4096 * 2 + 80] ^= 1;
    let recovered = recovered(&folder).unwrap();
    assert_eq!(indexes(&recovered), [0, 1, 2]);
    assert_eq!(recovered.torn, Some(TornTail { file: name.into(), offset: 4096 * 2 }));
}

#[test]
fn a_segment_that_was_cut_is_refused_where_it_ends() {
    let folder = small_log();
    let name = "0000000000000001.seg";
    let whole = folder.file(name).unwrap().lock().unwrap().clone();
    for length in (0..whole.len()).step_by(512) {
        let cut = folder.frozen();
        *cut.file(name).unwrap().lock().unwrap() = whole[..length].to_vec();
        let expected = if length < 4096 { 0 } else { length };
        match recovered(&cut) {
            Err(LogError::Damaged { offset, .. }) => assert_eq!(offset, expected),
            other => panic!("cut at {length}: {other:?}"),
        }
    }
}

#[test]
fn case_30_segments_that_are_missing_swapped_or_foreign_are_refused() {
    let folder = Memory::default();
    let (_, writer) = open_memory(&folder).unwrap();
    for index in 0..40 {
        write(&writer, vec![entry(index, 2000)]);
    }
    drop(writer);
    let name = |n: u64| format!("{n:016x}.seg");
    let missing = folder.frozen();
    missing.remove(&name(2)).unwrap();
    assert!(matches!(recovered(&missing), Err(LogError::SegmentMissing { number: 2 })));
    let headless = folder.frozen();
    headless.remove(&name(1)).unwrap();
    assert!(matches!(recovered(&headless), Err(LogError::EntriesMissing { .. })));
    let swapped = folder.frozen();
    swapped.rename(&name(1), "x").unwrap();
    swapped.rename(&name(2), &name(1)).unwrap();
    swapped.rename("x", &name(2)).unwrap();
    assert!(matches!(recovered(&swapped), Err(LogError::Damaged { offset: 16, .. })));
    let other = LogKey { context: b"another".to_vec(), ..key() };
    let fault = Box::new(|_| {});
    let opened = open(Arc::new(folder.frozen()), other, OPTIONS, Box::new(|| [0; 32]), fault);
    assert!(matches!(opened, Err(LogError::Damaged { offset: 0, .. })));
}

#[test]
fn batches_of_another_life_of_the_file_are_not_read() {
    let folder = small_log();
    // A replayed batch: the second one again behind the last.
    let file = folder.file("0000000000000001.seg").unwrap();
    let mut bytes = file.lock().unwrap();
    let (from, to) = (4096 * 2, 4096 * 6);
    bytes.copy_within(from..from + 4096, to);
    drop(bytes);
    assert_eq!(indexes(&recovered(&folder).unwrap()), [0, 1, 2]);
}
