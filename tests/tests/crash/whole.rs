//! Files that are put in place as a whole, keys and snapshots: the old one or the new one, never neither.

use std::sync::Arc;

use tests::disk::chance::Chance;
use tests::disk::power::Outage;
use tests::disk::{FaultyDisk, Image, Operation};
use vault::disk::folder::{Folder, replace};
use vault::disk::keyring::Keyring;
use vault::disk::snapshot::{SnapshotWriter, read_records};
use vault_core::id::ClusterId;

const NAME: &str = "file";

/// Tries every outage while something is put in place of `old`, and twice in a row. `read` tells what a
/// file holds.
fn try_all<T: PartialEq + std::fmt::Debug>(
    old: T,
    new: T,
    put: impl Fn(&FaultyDisk, &T),
    read: impl Fn(&Image) -> T,
) {
    let (mut chance, mut states) = (Chance::new(Chance::seed()), 0);
    let disk = FaultyDisk::default();
    put(&disk, &old);
    disk.mark(0);
    put(&disk, &new);
    disk.mark(1);
    let mut outage = Outage::of(&disk);
    let (mut is_old, mut is_new) = (false, false);
    while let Some(operation) = outage.step() {
        is_old |= matches!(operation, Operation::Mark(0));
        is_new |= matches!(operation, Operation::Mark(1));
        for image in outage.images(&mut chance, 20).iter().filter(|_| is_old) {
            let found = read(image);
            assert!(found == new || !is_new && found == old, "after {operation:?}: {found:?}");
            let again = FaultyDisk::from(image.clone());
            put(&again, &new);
            let mut second = Outage::of(&again);
            while second.step().is_some() {}
            assert_eq!(read(&second.image(&[])), new, "after {operation:?}");
            states += 1;
        }
        if is_old {
            let killed = outage.killed();
            put(&killed, &new);
            let mut second = Outage::of(&killed);
            while second.step().is_some() {}
            assert_eq!(read(&second.image(&[])), new, "killed after {operation:?}");
        }
    }
    println!("{states} states");
}

#[test]
fn case_33_a_replaced_file_is_the_old_one_or_the_new_one_after_any_outage() {
    let put = |disk: &FaultyDisk, bytes: &Vec<u8>| replace(disk, NAME, bytes).unwrap();
    let read = |image: &Image| image.get(NAME).unwrap_or_default().to_vec();
    try_all(vec![1; 3000], vec![2; 9000], put, read);
    try_all(vec![1; 9000], vec![2; 100], put, read);
}

fn snapshot(disk: &FaultyDisk, records: &Vec<Vec<u8>>) {
    let ring = Keyring::first(|key| key.fill(3)).unwrap();
    let cluster = ClusterId::from_entropy([1; 17]);
    let folder: Arc<dyn Folder> = Arc::new(disk.clone());
    let salt = [u8::try_from(records.len()).unwrap(); 32];
    let mut writer = SnapshotWriter::create(folder, NAME, ring.newest(), cluster, salt).unwrap();
    for record in records {
        writer.push(record).unwrap();
    }
    writer.finish().unwrap();
}

fn records_of(image: &Image) -> Vec<Vec<u8>> {
    let ring = Keyring::first(|key| key.fill(3)).unwrap();
    let cluster = ClusterId::from_entropy([1; 17]);
    let mut records = Vec::new();
    let keep = |record: &[u8]| {
        records.push(record.to_vec());
        Some(())
    };
    let bytes = image.get(NAME).expect("one of both is there");
    read_records(NAME, bytes, &ring, cluster, keep).unwrap();
    records
}

#[test]
fn a_snapshot_over_an_older_one_is_either_after_any_outage() {
    let old = vec![b"one".to_vec(), vec![7; 2000]];
    // Two pieces: it is on the disk whole, or not at all.
    let new = vec![vec![8; 140_000], b"two".to_vec(), vec![9; 3000]];
    try_all(old, new, snapshot, records_of);
}
