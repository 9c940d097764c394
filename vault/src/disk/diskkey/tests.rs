//! The disk key's file, clear and locked.

use static_assertions::assert_not_impl_any;

use super::*;

assert_not_impl_any!(DiskKey: Clone, std::fmt::Debug, std::fmt::Display, PartialEq);

fn nonces() -> impl FnMut() -> [u8; 24] {
    let mut next = 0;
    move || {
        next += 1;
        [next; 24]
    }
}

fn unlock_key(n: u8) -> UnlockKey {
    UnlockKey::new(&[n; 32])
}

fn locked(n: u8) -> DiskKey {
    DiskKey::locked(|bytes| bytes.fill(7), &unlock_key(n), 5).unwrap()
}

#[test]
fn case_27_any_flipped_or_missing_byte_of_the_file_is_refused() {
    let key = DiskKey::filled(|bytes| bytes.fill(7)).unwrap();
    let file = key.to_file(&mut nonces());
    crate::testing::assert_golden("disk-key", &file);
    assert_eq!(DiskKey::parse(&file).ok().unwrap().expose(), &[7; 32]);
    for at in 0..file.len() {
        let mut altered = file.to_vec();
        altered[at] ^= 1;
        let refused = DiskKey::parse(&altered).err().unwrap();
        assert!(refused.to_string().starts_with("disk.key: "), "byte {at}: {refused}");
        assert!(DiskKey::parse(&file[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn case_34_a_locked_file_opens_with_its_unlock_key_alone() {
    let file = locked(1).to_file(&mut nonces());
    crate::testing::assert_golden("disk-key-locked", &file);
    assert!(!file.windows(8).any(|part| part == [7; 8]), "the key is not to be seen");
    let read = DiskKey::parse_locked(&file, &unlock_key(1)).ok().unwrap();
    assert_eq!(read.expose(), &[7; 32]);
    assert!(read.is_locked_under(&unlock_key(1)) && !read.is_locked_under(&unlock_key(2)));
    assert_eq!(DiskKey::lock_version(&file).unwrap(), Some(5));
    assert!(matches!(DiskKey::parse(&file), Err(DiskKeyError::Locked)));
    let wrong = DiskKey::parse_locked(&file, &unlock_key(2)).err().unwrap();
    assert_eq!(wrong.to_string(), "swarm could not be unlocked: invalid key provided");
    let clear = DiskKey::filled(|bytes| bytes.fill(7)).unwrap().to_file(&mut nonces());
    let refused = DiskKey::parse_locked(&clear, &unlock_key(1));
    assert!(matches!(refused, Err(DiskKeyError::NotLocked)));
}

/// Puts the right digest behind bytes that were changed.
fn with_digest(mut file: Vec<u8>) -> Vec<u8> {
    file.truncate(file.len() - DIGEST_BYTES);
    let digest = digest::digest(&digest::SHA256, &file);
    file.extend_from_slice(digest.as_ref());
    file
}

#[test]
fn case_34_a_slot_that_was_edited_does_not_open_whoever_made_the_digest() {
    let file = locked(1).to_file(&mut nonces());
    for at in HEAD_BYTES..HEAD_BYTES + SLOT_BYTES {
        let mut altered = file.to_vec();
        altered[at] ^= 0x10;
        let altered = with_digest(altered);
        assert!(DiskKey::parse_locked(&altered, &unlock_key(1)).is_err(), "byte {at}");
        assert!(DiskKey::parse(&altered).is_err(), "byte {at}");
    }
    // A locked slot and a clear one in one file.
    let clear = DiskKey::filled(|bytes| bytes.fill(7)).unwrap().to_file(&mut nonces());
    let mut mixed = file[..HEAD_BYTES + SLOT_BYTES].to_vec();
    mixed[10] = 2;
    mixed.extend_from_slice(&clear[HEAD_BYTES..]);
    assert!(DiskKey::parse(&with_digest(mixed.clone())).is_err());
    assert!(DiskKey::parse_locked(&with_digest(mixed), &unlock_key(1)).is_err());
}

#[test]
fn a_newer_key_comes_behind_and_older_ones_go_when_told() {
    let key = DiskKey::filled(|bytes| bytes.fill(1)).unwrap();
    let fill = |bytes: &mut [u8]| bytes.fill(2);
    let change = key.change(Some((&unlock_key(9), 1)), Some(&fill), &mut nonces()).unwrap();
    assert_eq!((key.expose(), key.is_locked()), (&[1; 32], false), "nothing before it is written");
    let file = change.file.clone();
    key.take(change);
    let read = DiskKey::parse_locked(&file, &unlock_key(9)).ok().unwrap();
    for one in [&key, &read] {
        assert_eq!((one.expose(), one.newest()), (&[2; 32], 1));
        assert_eq!(one.all(), [(1, &[2; 32]), (0, &[1; 32])]);
        assert_eq!((one.generation(0), one.generation(2)), (Some(&[1; 32]), None));
        assert!(one.is_locked());
    }
    let change = read.without_before(1, &mut nonces()).unwrap();
    let file = change.file.clone();
    read.take(change);
    assert_eq!((read.first_kept(), read.newest()), (1, 1));
    let last = DiskKey::parse_locked(&file, &unlock_key(9)).ok().unwrap();
    assert_eq!(last.all(), [(0, &[2; 32])]);
    let change = last.change(None, None, &mut nonces()).unwrap();
    assert_eq!(DiskKey::parse(&change.file).ok().unwrap().expose(), &[2; 32]);
}

#[test]
fn there_are_no_more_keys_than_the_file_takes() {
    let key = DiskKey::filled(|bytes| bytes.fill(0)).unwrap();
    let fill = |bytes: &mut [u8]| bytes.fill(1);
    for _ in 0..2 * DISK_KEYS_MAX {
        key.take(key.change(None, Some(&fill), &mut nonces()).unwrap());
    }
    let file = key.to_file(&mut nonces());
    assert_eq!(key.newest() + 1, usize::from(DISK_KEYS_MAX));
    assert_eq!(DiskKey::parse(&file).ok().unwrap().newest(), key.newest());
}
