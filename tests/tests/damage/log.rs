//! The log's segments: damage anywhere in what is used is refused. Nothing has to cover the last batch of
//! a segment, which after a clean end is a seal and says nothing; no entry may be lost with it.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::sync::Arc;

use tests::Node;
use vault::disk::diskkey::{self, DiskKey};
use vault::disk::log::{self, BATCH_ALIGN, LogKey, MarkFile, Options, Place, Recovered};
use vault::disk::node::{self, Membership};

use crate::memory::Memory;
use crate::{assert_names, cluster, ended_cluster, flip, read};

const MARK: &str = "log.mark";
const BATCH_HEAD: usize = 64;
const BATCH_MAGIC: &[u8] = b"CBT1";
/// Of the bytes between the heads, one in so many is damaged.
const STEP: usize = 97;
/// Opening a log starts a segment: here it need not be large.
const OPTIONS: Options =
    Options { segment_bytes: 16 << 10, batch_bytes: 8 << 10, keep_bytes: usize::MAX };

/// The log of a cluster that has ended.
struct Stored {
    files: BTreeMap<String, Vec<u8>>,
    /// Where the batches of each segment stand.
    batches: BTreeMap<String, Vec<Range<usize>>>,
    /// Which segment is the newest.
    mark: Vec<u8>,
    disk_key: Vec<u8>,
    context: Vec<u8>,
}

impl Stored {
    fn of(node: &Node) -> Self {
        let disk_key = read(node, diskkey::NAME);
        let key = DiskKey::parse(&disk_key).ok().unwrap();
        let context = Membership::parse(key.expose(), &read(node, node::NAME)).unwrap().context();
        let (mut files, mut batches) = (BTreeMap::new(), BTreeMap::new());
        for entry in fs::read_dir(cluster(node).join("log")).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if !name.ends_with(".seg") {
                continue;
            }
            let bytes = fs::read(entry.path()).unwrap();
            batches.insert(name.clone(), batches_of(&bytes));
            files.insert(name, bytes);
        }
        let mark = read(node, MARK);
        Self { files, batches, disk_key, context, mark }
    }

    fn newest(&self) -> &str {
        self.files.keys().next_back().expect("there are segments")
    }

    /// Reads the log back with one byte of one file damaged.
    fn with_damage(&self, file: &str, at: usize) -> Result<Recovered, log::LogError> {
        let mut files = self.files.clone();
        flip(files.get_mut(file).unwrap(), at);
        self.opened(&files)
    }

    fn opened(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<Recovered, log::LogError> {
        let disk_key = Arc::new(DiskKey::parse(&self.disk_key).ok().unwrap());
        let key = LogKey { context: self.context.clone(), disk_key };
        let mark = Memory::of(&BTreeMap::from([(MARK.to_owned(), self.mark.clone())]));
        let mark = MarkFile { folder: Arc::new(mark), name: MARK.to_owned() };
        let folder = Place { folder: Arc::new(Memory::of(files)), mark };
        let salt = Box::new(vault::entropy::random);
        let opened = log::open(folder, key, OPTIONS, salt, Box::new(|fault| panic!("{fault}")));
        opened.map(|(recovered, _)| recovered)
    }

    /// The bytes that are tried: the segment's head, all heads of batches, every so-many-th between
    /// them, and some of the unused space.
    fn places(&self, file: &str) -> Vec<usize> {
        let used = self.batches[file].last().unwrap().end;
        let heads =
            self.batches[file].iter().flat_map(|batch| batch.start..batch.start + BATCH_HEAD);
        let head = (0..80).chain(BATCH_ALIGN - 16..BATCH_ALIGN);
        let unused = [used, used + 70, used + BATCH_ALIGN, used + BATCH_ALIGN + 70];
        let mut places: Vec<usize> =
            head.chain(heads).chain((0..used).step_by(STEP)).chain(unused).collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// By the form of a batch: magic, length of the body, and then whole blocks.
fn batches_of(segment: &[u8]) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let mut at = BATCH_ALIGN;
    while segment[at..].starts_with(BATCH_MAGIC) {
        let length = u32::from_le_bytes(segment[at + 4..at + 8].try_into().unwrap());
        let length = BATCH_HEAD + usize::try_from(length).unwrap();
        let end = at + length.next_multiple_of(BATCH_ALIGN);
        batches.push(at..end);
        at = end;
    }
    batches
}

#[test]
fn case_27_a_damaged_log_is_refused_wherever_it_is_damaged() {
    let test = "case_27_a_damaged_log_is_refused_wherever_it_is_damaged";
    let Some(node) = ended_cluster(test) else { return };
    let stored = Stored::of(&node);
    assert_eq!(stored.files.len(), 3, "{:?}", stored.batches);
    let sound = stored.opened(&stored.files).unwrap();
    assert!(sound.entries.len() >= 8 && sound.torn.is_none());
    let mut wrong = Vec::new();
    for file in stored.files.keys() {
        let last = stored.batches[file].last().unwrap();
        for at in stored.places(file) {
            let verdict = match stored.with_damage(file, at) {
                Ok(read) if at >= last.start => same_but_for_the_tail(read, &sound),
                Ok(_) => Err("was read".to_owned()),
                Err(refusal) => names_the_place(&refusal.to_string(), file, at),
            };
            wrong.extend(verdict.err().map(|why| format!("{file}, byte {at}: {why}")));
        }
    }
    assert!(wrong.is_empty(), "{} places:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every entry is there, whatever became of the last batch.
fn same_but_for_the_tail(read: Recovered, sound: &Recovered) -> Result<(), String> {
    let read = Recovered { torn: None, ..read };
    if &read == sound { Ok(()) } else { Err("other entries were read".to_owned()) }
}

/// The offset is that of the segment's head, or of the batch that the byte stands in or behind.
fn names_the_place(refusal: &str, file: &str, at: usize) -> Result<(), String> {
    if !refusal.contains(file) {
        return Err(format!("the file is not named: {refusal}"));
    }
    let named = refusal.split_once("offset ").map(|(_, rest)| rest);
    let digits =
        named.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    match digits.and_then(|digits| digits.parse::<usize>().ok()) {
        Some(named) if named <= at => Ok(()),
        Some(_) => Err(format!("the offset lies behind the damage: {refusal}")),
        None => Err(format!("no offset is named: {refusal}")),
    }
}

#[test]
fn a_torn_last_batch_is_cut_and_reported_by_the_daemon() {
    let test = "a_torn_last_batch_is_cut_and_reported_by_the_daemon";
    let Some(node) = ended_cluster(test) else { return };
    let stored = Stored::of(&node);
    let name = stored.newest();
    let last = stored.batches[name].last().unwrap().clone();
    let path = cluster(&node).join("log").join(name);
    let mut bytes = fs::read(&path).unwrap();
    flip(&mut bytes, last.start + 66);
    fs::write(&path, bytes).unwrap();
    let daemon = node.start();
    assert_eq!(node.coffer(&["secret", "ls", "-q"]).said().lines().count(), 8);
    let log = daemon.log();
    let warning = log.lines().find(|line| line.contains("it was cut")).expect("it is reported");
    assert!(warning.contains("WARN"), "{warning}");
    assert_names(&warning.replace("offset=", "offset "), name, "the warning");
    daemon.end();
}

/// Segments that changed places, or came from the log of another node.
#[test]
fn a_segment_that_is_not_this_logs_is_refused() {
    let test = "a_segment_that_is_not_this_logs_is_refused";
    let (Some(one), Some(other)) = (ended_cluster(test), ended_cluster(test)) else { return };
    let (stored, foreign) = (Stored::of(&one), Stored::of(&other));
    let names: Vec<&String> = stored.files.keys().collect();
    let mut swapped = stored.files.clone();
    swapped.insert(names[0].clone(), stored.files[names[1]].clone());
    swapped.insert(names[1].clone(), stored.files[names[0]].clone());
    assert_names(&stored.opened(&swapped).unwrap_err().to_string(), names[0], "swapped");
    let mut mixed = stored.files.clone();
    mixed.insert(names[1].clone(), foreign.files[names[1]].clone());
    assert_names(&stored.opened(&mixed).unwrap_err().to_string(), names[1], "foreign");
}
