//! No nonce ever meets two texts: not over restarts, kills, outages, nor copies of a disk that live on
//! beside each other.

use std::collections::BTreeMap;

use tests::disk::chance::Chance;
use tests::disk::power::Outage;
use tests::disk::{FaultyDisk, Operation};

use crate::model::{entry, life, open, write};

const SEGMENT_HEAD: usize = 4096;

/// What was sealed under which salt and counter.
#[derive(Default)]
struct Sealed(BTreeMap<(Vec<u8>, u64), Vec<u8>>);

impl Sealed {
    /// Looks at everything that was written to a disk.
    fn look_at(&mut self, disk: &FaultyDisk) {
        let (base, operations) = disk.recording();
        let mut salts = BTreeMap::new();
        for name in base.names() {
            let bytes = base.get(&name).unwrap_or_default();
            if bytes.starts_with(b"COFFLOG1") {
                salts.insert(base.file(&name), bytes[32..64].to_vec());
            }
        }
        for operation in operations {
            let Operation::Write { file, offset, bytes } = operation else { continue };
            if offset == 0 && bytes.starts_with(b"COFFLOG1") {
                salts.insert(Some(file), bytes[32..64].to_vec());
                self.note(&bytes[32..64], 0, &bytes[..SEGMENT_HEAD]);
                self.batch(&bytes[32..64], &bytes[SEGMENT_HEAD..]);
            } else if let Some(salt) = salts.get(&Some(file)) {
                self.batch(&salt.clone(), &bytes);
            }
        }
    }

    fn batch(&mut self, salt: &[u8], bytes: &[u8]) {
        if bytes.starts_with(b"CBT1") {
            let counter = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
            self.note(salt, counter, bytes);
        }
    }

    fn note(&mut self, salt: &[u8], counter: u64, bytes: &[u8]) {
        let before = self.0.entry((salt.to_vec(), counter)).or_insert_with(|| bytes.to_vec());
        assert!(before == bytes, "counter {counter} of one segment sealed two texts");
    }
}

#[test]
fn case_32_no_nonce_seals_two_batches_over_kills_and_copies_of_the_disk() {
    let mut chance = Chance::new(Chance::seed());
    let story = life(&mut chance, 45);
    let mut sealed = Sealed::default();
    sealed.look_at(&story.disk);
    let mut outage = Outage::of(&story.disk);
    let mut copies = 0;
    while outage.step().is_some() {
        let images = outage.images(&mut chance, 1);
        let image = images[chance.below(images.len())].clone();
        // The same disk goes on in two places, and each of them is killed once more.
        for disk in [outage.killed(), FaultyDisk::from(image.clone()), FaultyDisk::from(image)] {
            for _ in 0..2 {
                let log = open(&disk, &mut chance).unwrap();
                write(&log.writer, vec![entry(log.known.next(), 1 + chance.below(5000))]);
            }
            sealed.look_at(&disk);
            copies += 1;
        }
    }
    println!("{} batches, {copies} copies of a disk", sealed.0.len());
}

#[test]
fn case_32_a_nonce_that_seals_two_batches_would_be_seen() {
    let twice = std::panic::catch_unwind(|| {
        let mut sealed = Sealed::default();
        sealed.note(&[1], 2, b"one");
        sealed.note(&[1], 2, b"one");
        sealed.note(&[1], 2, b"two");
    });
    assert!(twice.is_err());
}
