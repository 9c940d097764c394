//! Bytes that are not what was written: refused with file and offset, or, where nothing covers them, cut.
//! Never a panic, never half an answer, never something that was not written.

use std::time::Instant;

use tests::disk::chance::Chance;
use tests::disk::{FaultyDisk, Image};
use vault::disk::log::{LogError, Record};

use crate::model::{Known, Story, at, entry, open, open_as, vote, write};

const BLOCK: usize = 4096;
/// An entry that fills most of a block.
const WIDE: usize = 3600;

/// What came of opening a log.
#[derive(Debug)]
enum Verdict {
    /// With file and offset.
    Refused(String, usize),
    /// Something else stands in the way: another version, a segment that is missing.
    Missing(LogError),
    Opened {
        known: Known,
        is_torn: bool,
    },
}

fn verdict(image: &Image) -> Verdict {
    let disk = FaultyDisk::from(image.clone());
    match open(&disk, &mut Chance::new(Chance::seed())) {
        Ok(log) => Verdict::Opened { known: log.known, is_torn: log.is_torn },
        Err(LogError::Damaged { file, offset }) => Verdict::Refused(file, offset),
        Err(other) => Verdict::Missing(other),
    }
}

fn is_refused_at(image: &Image, file: &str, place: &str, offsets: std::ops::RangeInclusive<usize>) {
    match verdict(image) {
        Verdict::Refused(named, at) => {
            assert_eq!(named, file, "{place}");
            assert!(offsets.contains(&at), "{place}: offset {at}, not in {offsets:?}");
        }
        other => panic!("{place}: {other:?}"),
    }
}

/// Says which segment is the newest.
const MARK: &str = "mark";

fn segment(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// Changes a file's bytes.
fn altered(image: &Image, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> Image {
    let mut bytes = image.get(file).expect("the file is there").to_vec();
    change(&mut bytes);
    let mut copy = image.clone();
    copy.put(file, bytes);
    copy
}

/// Two segments: a header, an opening, four batches; a header, an opening, three batches and a seal.
fn two_segments(size: usize) -> Story {
    let mut chance = Chance::new(Chance::seed());
    let mut story = Story::begin(&mut chance);
    story.write(vec![vote(1)]);
    for index in 0..5 {
        story.write(vec![entry(index, size)]);
    }
    story.write(vec![Record::Committed(at(3)), entry(5, size)]);
    story.end();
    assert_eq!(story.disk.image().get(&segment(3)), None);
    story
}

/// Where the seal of the second segment stands, and so where its last batch ends.
const END_OF_FIRST: usize = 6 * BLOCK;
const END_OF_SECOND: usize = 5 * BLOCK;

#[test]
fn case_27_a_flipped_byte_is_refused_with_its_file_and_block_wherever_bytes_are_used() {
    let (story, started, mut tried) = (two_segments(150), Instant::now(), 0);
    let (image, mut chance) = (story.disk.image(), Chance::new(Chance::seed()));
    for (number, end) in [(1, END_OF_FIRST), (2, END_OF_SECOND)] {
        let file = segment(number);
        let length = image.get(&file).unwrap().len();
        for offset in 0..length {
            // Every byte up to the end, and behind it enough of them.
            if offset > end + 128 && offset % 61 != 0 {
                continue;
            }
            let bit = 1 << chance.below(8);
            let flipped = altered(&image, &file, |bytes| bytes[offset] ^= bit);
            tried += 1;
            let place = format!("{file}: byte {offset} ^ {bit:#x}");
            match verdict(&flipped) {
                Verdict::Refused(named, at) => {
                    assert!(offset < end, "{place}: refused");
                    assert_eq!(named, file, "{place}");
                    assert_eq!(at, offset / BLOCK * BLOCK, "{place}");
                }
                Verdict::Missing(LogError::Version { .. }) => assert!((8..10).contains(&offset)),
                Verdict::Missing(other) => panic!("{place}: {other}"),
                Verdict::Opened { known, .. } => {
                    assert!(offset >= end, "{place}: opened");
                    assert_eq!(&known, story.last(), "{place}");
                }
            }
        }
    }
    println!("{tried} flips in {:?}", started.elapsed());
}

#[test]
fn case_30_a_file_cut_at_any_byte_is_refused_where_it_ends() {
    let image = two_segments(WIDE).disk.image();
    for file in [segment(1), segment(2)] {
        let length = image.get(&file).unwrap().len();
        for cut in 0..length {
            if cut > 600 && cut % BLOCK > 2 && cut % 97 != 0 {
                continue;
            }
            let shorter = altered(&image, &file, |bytes| bytes.truncate(cut));
            let expected = if cut < BLOCK { 0 } else { cut };
            is_refused_at(&shorter, &file, &format!("cut at {cut}"), expected..=expected);
        }
    }
}

#[test]
fn case_30_zeros_in_place_of_the_end_cut_a_last_batch_at_most_and_never_invent_anything() {
    let story = two_segments(WIDE);
    let image = story.disk.image();
    for start in (0..8 * BLOCK).step_by(512) {
        let file = segment(1);
        let start = start.min(image.get(&file).unwrap().len());
        let zeroed = altered(&image, &file, |bytes| bytes[start..].fill(0));
        if start < END_OF_FIRST - 64 {
            // Behind a batch stand zeros anyway.
            let block = start / BLOCK * BLOCK;
            is_refused_at(&zeroed, &file, &format!("zeros from {start}"), block..=block + BLOCK);
        }
        let file = segment(2);
        let zeroed = altered(&image, &file, |bytes| bytes[start..].fill(0));
        match verdict(&zeroed) {
            Verdict::Refused(named, at) => {
                assert!(start < 2 * BLOCK, "zeros from {start}: refused");
                assert_eq!((named, at), (file, start / BLOCK * BLOCK), "zeros from {start}");
            }
            Verdict::Opened { known, is_torn } => {
                assert!(start >= BLOCK, "zeros from {start}: {}", known.brief());
                assert!(story.states.contains(&known), "zeros from {start}: {}", known.brief());
                let in_batch = (2 * BLOCK..END_OF_SECOND).contains(&start) && start % BLOCK != 0;
                assert_eq!(is_torn, in_batch, "zeros from {start}");
            }
            Verdict::Missing(other) => panic!("zeros from {start}: {other}"),
        }
    }
}

/// A segment's blocks that hold batches which something later covers.
fn covered_blocks() -> impl Iterator<Item = (String, usize)> {
    let of = |number: u64, end: usize| {
        (2..end / BLOCK).map(move |block| (segment(number), block * BLOCK))
    };
    of(1, END_OF_FIRST).chain(of(2, END_OF_SECOND))
}

#[test]
fn case_30_31_a_hole_or_a_wrong_length_is_refused_where_something_later_stands() {
    let image = two_segments(WIDE).disk.image();
    for (file, start) in covered_blocks() {
        let hole = altered(&image, &file, |bytes| bytes[start..start + BLOCK].fill(0));
        is_refused_at(&hole, &file, &format!("hole at {start}"), start..=start);
        for length in [0, 1, (1 << 31) - 1, u32::MAX] {
            let wrong = altered(&image, &file, |bytes| {
                bytes[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
            });
            is_refused_at(&wrong, &file, &format!("length {length} at {start}"), start..=start);
        }
    }
}

#[test]
fn case_28_two_batches_that_change_places_are_refused_at_the_first() {
    let image = two_segments(WIDE).disk.image();
    for (file, first) in covered_blocks() {
        let later = covered_blocks().filter(|(other, start)| *other == file && *start > first);
        for (_, second) in later {
            let swapped = altered(&image, &file, |bytes| {
                let (before, behind) = bytes.split_at_mut(second);
                before[first..first + BLOCK].swap_with_slice(&mut behind[..BLOCK]);
            });
            is_refused_at(&swapped, &file, &format!("{first} for {second}"), first..=first);
        }
    }
}

#[test]
fn case_29_30_an_older_batch_behind_the_end_changes_nothing() {
    let story = two_segments(WIDE);
    let image = story.disk.image();
    let (file, from_other) = (segment(2), image.get(&segment(1)).unwrap().to_vec());
    for source in 1..5 {
        let own = altered(&image, &file, |bytes| {
            bytes.copy_within(source * BLOCK..(source + 1) * BLOCK, END_OF_SECOND + BLOCK);
        });
        let foreign = altered(&image, &file, |bytes| {
            bytes[END_OF_SECOND + BLOCK..][..BLOCK]
                .copy_from_slice(&from_other[source * BLOCK..][..BLOCK]);
        });
        for replayed in [own, foreign] {
            match verdict(&replayed) {
                Verdict::Opened { known, .. } => assert_eq!(&known, story.last()),
                other => panic!("batch {source} again: {other:?}"),
            }
        }
    }
}

#[test]
fn case_31_a_length_in_the_last_batch_that_nothing_covers_cuts_that_batch_alone() {
    let story = two_segments(WIDE);
    let (image, file) = (story.disk.image(), segment(2));
    let last = END_OF_SECOND - BLOCK;
    for length in [0_u32, (1 << 31) - 1, u32::MAX] {
        let cut = altered(&image, &file, |bytes| {
            bytes[END_OF_SECOND..].fill(0);
            bytes[last + 4..last + 8].copy_from_slice(&length.to_le_bytes());
        });
        match verdict(&cut) {
            Verdict::Opened { known, is_torn: true } => {
                assert_eq!(known, story.states[story.states.len() - 2], "length {length}");
            }
            other => panic!("length {length}: {other:?}"),
        }
    }
}

#[test]
fn case_28_a_segment_of_another_node_is_refused() {
    let image = two_segments(WIDE).disk.image();
    let disk = FaultyDisk::default();
    let mut chance = Chance::new(5);
    let log = open_as(&disk, "another", &mut chance).unwrap();
    for index in 0..6 {
        write(&log.writer, vec![entry(index, 3700)]);
    }
    drop(log);
    let other = disk.image();
    for file in [segment(1), segment(2)] {
        let spliced = altered(&image, &file, |bytes| {
            *bytes = other.get(&file).unwrap().to_vec();
        });
        is_refused_at(&spliced, &file, "another node's segment", 0..=0);
        // The node's own segment under another number is another segment.
        let number = if file == segment(1) { segment(2) } else { segment(1) };
        let renamed = altered(&image, &file, |bytes| {
            *bytes = image.get(&number).unwrap().to_vec();
        });
        is_refused_at(&renamed, &file, "another number's segment", 16..=16);
    }
}

/// The newest segment put back to an earlier moment is an older disk: the cluster remembers, the disk
/// alone cannot. Any other segment is pinned by the one behind it.
#[test]
fn case_29_an_older_copy_of_a_segment_is_refused_unless_it_is_the_newest() {
    let mut chance = Chance::new(Chance::seed());
    let mut story = Story::begin(&mut chance);
    story.write(vec![vote(1), entry(0, 100)]);
    let early = story.disk.image();
    story.write(vec![entry(1, 100)]);
    let later = story.disk.image();
    let put_back = altered(&later, &segment(1), |bytes| {
        *bytes = early.get(&segment(1)).unwrap().to_vec();
    });
    match verdict(&put_back) {
        Verdict::Opened { known, .. } => assert_eq!(known, story.states[1]),
        other => panic!("{other:?}"),
    }
    story.restart(&mut chance);
    let newest = story.disk.image();
    let put_back = altered(&newest, &segment(1), |bytes| {
        *bytes = early.get(&segment(1)).unwrap().to_vec();
    });
    is_refused_at(&put_back, &segment(1), "an older copy", 3 * BLOCK..=3 * BLOCK);
}

#[test]
fn case_30_a_segment_that_is_gone_is_missed_unless_all_in_it_and_before_was_purged() {
    let mut chance = Chance::new(Chance::seed());
    let mut story = Story::begin(&mut chance);
    for index in 0..20 {
        story.write(vec![entry(index, 3700)]);
    }
    story.end();
    let image = story.disk.image();
    let count = image.names().iter().filter(|name| name.ends_with(".seg")).count();
    for number in 1..u64::try_from(count).unwrap() {
        let mut without = image.clone();
        without.take(&segment(number));
        match verdict(&without) {
            Verdict::Missing(LogError::SegmentMissing { number: named }) => {
                assert_eq!(named, number);
            }
            Verdict::Missing(LogError::EntriesMissing { .. }) => assert_eq!(number, 1),
            other => panic!("without segment {number}: {other:?}"),
        }
    }
}

/// The slot of the newest segment may be one that was being written: the segment is there, nothing is
/// lost. Any other damage to a mark is refused.
#[test]
fn a_mark_that_is_damaged_cut_or_gone_is_refused() {
    let story = two_segments(WIDE);
    let image = story.disk.image();
    let length = image.get(MARK).unwrap().len();
    for offset in 0..length {
        if offset % BLOCK > 80 && offset % 61 != 0 {
            continue;
        }
        let flipped = altered(&image, MARK, |bytes| bytes[offset] ^= 1 << (offset % 8));
        match verdict(&flipped) {
            Verdict::Missing(LogError::Mark { file, offset: named }) => {
                assert_eq!((file.as_str(), named), (MARK, offset / BLOCK * BLOCK));
            }
            Verdict::Missing(LogError::Version { .. }) => {
                assert!((8..10).contains(&(offset % BLOCK)), "byte {offset}");
            }
            Verdict::Opened { known, .. } => {
                assert!(offset < BLOCK, "byte {offset}: opened");
                assert_eq!(&known, story.last(), "byte {offset}");
            }
            other => panic!("byte {offset}: {other:?}"),
        }
    }
    for cut in [0, 1, BLOCK, 2 * BLOCK - 1] {
        let shorter = altered(&image, MARK, |bytes| bytes.truncate(cut));
        assert!(
            matches!(verdict(&shorter), Verdict::Missing(LogError::Mark { .. })),
            "cut at {cut}"
        );
    }
    let mut without = image.clone();
    without.take(MARK);
    assert!(matches!(verdict(&without), Verdict::Missing(LogError::Io { .. })));
}

#[test]
fn a_log_without_its_newest_segments_is_refused_by_name() {
    let image = two_segments(WIDE).disk.image();
    let mut without = image.clone();
    for number in [2, 1] {
        without.take(&segment(number));
        match verdict(&without) {
            Verdict::Missing(LogError::NewestMissing { file }) => assert_eq!(file, segment(2)),
            other => panic!("without segment {number}: {other:?}"),
        }
    }
}

/// The mark lies outside the folder of the segments, so that an older copy of that folder is found out.
#[test]
fn an_older_copy_of_all_segments_is_refused_if_the_mark_is_newer() {
    let mut chance = Chance::new(Chance::seed());
    let mut story = Story::begin(&mut chance);
    story.write(vec![vote(1), entry(0, 100)]);
    let mut older = story.disk.image();
    story.restart(&mut chance);
    let newer = story.disk.image();
    older.put(MARK, newer.get(MARK).unwrap().to_vec());
    match verdict(&older) {
        Verdict::Missing(LogError::NewestMissing { file }) => assert_eq!(file, segment(2)),
        other => panic!("{other:?}"),
    }
}
