//! What is refused: every cut, every change, every other key; and that nothing else is.

use std::io::{Read, Write};

use age::secrecy::ExposeSecret;
use static_assertions::assert_not_impl_any;
use vault_core::id::{ClusterId, NodeId};
use vault_core::time::Timestamp;
use zeroize::Zeroizing;

use super::format::{FormatError, Header, Reader, Writer};
use super::lock::{Key, KeyError, Lock, LockError, UnlockError};

assert_not_impl_any!(Lock: Clone, std::fmt::Debug, std::fmt::Display, PartialEq);
assert_not_impl_any!(Key: Clone, std::fmt::Debug, std::fmt::Display, PartialEq);

fn header() -> Header {
    Header {
        cluster: ClusterId::from_entropy([1; 17]),
        node: NodeId::from_entropy([2; 17]),
        recovery_epoch: 3,
        index: 4,
        taken_at: Timestamp::from_nanos(5),
        secrets: 6,
        configs: 7,
        services: 8,
        nodes: 9,
    }
}

fn plain(records: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::start(Vec::new(), header(), b"keys").unwrap();
    for record in records {
        writer.record(record).unwrap();
    }
    writer.finish().unwrap()
}

/// Header, keyring, records.
type All = (Header, Vec<u8>, Vec<Vec<u8>>);

/// A piece of age's, sealed.
const PIECE: usize = (64 << 10) + 16;

fn read(file: impl Read) -> Result<All, FormatError> {
    let (mut reader, header) = Reader::start(file)?;
    let keyring = reader.keyring()?.to_vec();
    let mut records = Vec::new();
    while let Some(record) = reader.record()? {
        records.push(record.to_vec());
    }
    Ok((header, keyring, records))
}

fn identity() -> (Zeroizing<Vec<u8>>, String) {
    let identity = age::x25519::Identity::generate();
    let lines = format!("# a comment\n{}\n", identity.to_string().expose_secret());
    (Zeroizing::new(lines.into_bytes()), identity.to_public().to_string())
}

fn none() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::new())
}

fn sealed(recipient: &str, text: &[u8]) -> Vec<u8> {
    let lock = Lock::new(&[recipient.to_owned()], &none()).ok().unwrap();
    let mut out = lock.seal(Vec::new()).unwrap();
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

/// Three pieces of age's, and some bytes.
fn three_pieces() -> Vec<Vec<u8>> {
    (0..3_u8).map(|n| vec![n; 70_000]).collect()
}

fn open(key: &Zeroizing<Vec<u8>>, file: &[u8]) -> Result<(), String> {
    let opened = Key::new(key, &none()).ok().unwrap().open(file);
    let opened = opened.map_err(|error| error.to_string())?;
    read(opened).map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn parts_come_back_and_bytes_are_these() {
    let records = vec![b"one".to_vec(), Vec::new(), b"three".to_vec()];
    let bytes = plain(&records);
    crate::testing::assert_golden("backup", &bytes);
    let (found, keyring, back) = read(bytes.as_slice()).unwrap();
    assert_eq!((found, keyring.as_slice(), back), (header(), b"keys".as_slice(), records));
}

#[test]
fn case_70_below_the_seal_every_flipped_missing_or_added_byte_is_refused_too() {
    let bytes = plain(&[b"one".to_vec(), b"two".to_vec()]);
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        assert!(read(altered.as_slice()).is_err(), "byte {at}");
        assert!(read(&bytes[..at]).is_err(), "cut at {at}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(read(longer.as_slice()), Err(FormatError::Content { .. })));
}

#[test]
fn case_70_records_in_another_order_or_left_out_are_refused() {
    let (one, two) = (plain(&[b"one".to_vec(), b"two".to_vec()]), plain(&[b"one".to_vec()]));
    let swapped = plain(&[b"two".to_vec(), b"one".to_vec()]);
    let end = one.len() - 53;
    let with_end_of = |body: &[u8], other: &[u8]| [body, &other[other.len() - 53..]].concat();
    read(with_end_of(&swapped[..end], &one).as_slice()).unwrap_err();
    read(with_end_of(&one[..end], &two).as_slice()).unwrap_err();
    read(with_end_of(&one[..end], &one).as_slice()).unwrap();
}

#[test]
fn another_version_and_another_file_are_named() {
    let mut newer = plain(&[]);
    newer[8] = 9;
    assert!(matches!(read(newer.as_slice()), Err(FormatError::Version { found: 9 })));
    for other in [&b""[..], b"COFFSNP1........", b"hello"] {
        assert!(matches!(read(other), Err(FormatError::NotABackup)), "{other:?}");
    }
}

#[test]
fn case_70_a_sealed_backup_that_is_cut_anywhere_is_refused() {
    let (key, recipient) = identity();
    let file = sealed(&recipient, &plain(&three_pieces()));
    assert_eq!(open(&key, &file), Ok(()));
    let pieces = (0..file.len()).step_by(64 << 10);
    let start = pieces.clone().next().unwrap()..400;
    let near = pieces.flat_map(|at| at.saturating_sub(40)..(at + 260).min(file.len()));
    for at in start.chain(near).chain(file.len() - 100..file.len()) {
        assert!(open(&key, &file[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn case_70_pieces_that_are_changed_moved_doubled_or_added_are_refused() {
    let (key, recipient) = identity();
    let text = plain(&three_pieces());
    let file = sealed(&recipient, &text);
    let last = (text.len() % (64 << 10)) + 16;
    let body = file.len() - last - PIECE * (text.len() >> 16);
    let piece = |n: usize| &file[body + n * PIECE..body + (n + 1) * PIECE];
    let rest = &file[body + 3 * PIECE..];
    assert_eq!(open(&key, &[&file[..body], piece(0), piece(1), piece(2), rest].concat()), Ok(()));
    for (what, altered) in [
        ("swapped", [&file[..body], piece(1), piece(0), piece(2), rest].concat()),
        ("left out", [&file[..body], piece(0), piece(2), rest].concat()),
        ("doubled", [&file[..body], piece(0), piece(0), piece(1), piece(2), rest].concat()),
        ("a byte more", [file.as_slice(), &[0]].concat()),
        ("a file behind", [file.as_slice(), file.as_slice()].concat()),
    ] {
        assert!(open(&key, &altered).is_err(), "{what}");
    }
    for at in (0..file.len()).step_by(997) {
        let mut altered = file.clone();
        altered[at] ^= 1;
        assert!(open(&key, &altered).is_err(), "byte {at}");
    }
}

#[test]
fn case_70_other_keys_and_foreign_files_are_refused_in_words() {
    let (key, recipient) = identity();
    let (other, _) = identity();
    let file = sealed(&recipient, &plain(&[]));
    let opened = |key: Key, file: &[u8]| key.open(file).err();
    let with = |key: &Zeroizing<Vec<u8>>| Key::new(key, &none()).ok().unwrap();
    assert!(matches!(opened(with(&other), &file), Some(UnlockError::OtherKey)));
    assert!(matches!(opened(with(&key), b"no such file"), Some(UnlockError::NotAge)));
    assert!(matches!(opened(with(&key), b""), Some(UnlockError::NotAge)));
    let typed = Zeroizing::new(b"a long passphrase".to_vec());
    let typed = Key::new(&none(), &typed).ok().unwrap();
    assert!(matches!(opened(typed, &file), Some(UnlockError::NeedsIdentity)));
    let foreign = sealed(&recipient, b"another text that was sealed for the same key");
    assert_eq!(open(&key, &foreign), Err("it opens, but it is no backup of Coffer".to_owned()));
    let endless = [b"age-encryption.org/v1\n-> x ".as_slice(), &b"y".repeat(1 << 20)].concat();
    assert!(matches!(opened(with(&key), &endless), Some(UnlockError::NotAge)));
}

#[test]
fn a_passphrase_opens_what_it_sealed_and_no_other_does() {
    let typed = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
    let lock = Lock::new(&[], &typed("a long passphrase")).ok().unwrap();
    let mut out = lock.seal(Vec::new()).unwrap();
    out.write_all(&plain(&[])).unwrap();
    let file = out.finish().unwrap();
    let open = |text: &str| Key::new(&none(), &typed(text)).ok().unwrap().open(file.as_slice());
    read(open("a long passphrase").ok().unwrap()).unwrap();
    assert!(matches!(open("another passphrase").err(), Some(UnlockError::OtherKey)));
    let (key, _) = identity();
    let identity = Key::new(&key, &none()).ok().unwrap();
    assert!(matches!(identity.open(file.as_slice()).err(), Some(UnlockError::NeedsPassphrase)));
    // The cost stands in the first stanza, before anything is tried.
    let at = file.windows(4).position(|four| four == b" 18\n").unwrap();
    let mut costly = file.clone();
    costly[at + 1..at + 3].copy_from_slice(b"30");
    let costly =
        Key::new(&none(), &typed("a long passphrase")).ok().unwrap().open(costly.as_slice());
    assert!(matches!(costly.err(), Some(UnlockError::Work { asked: 30 })));
}

#[test]
fn a_lock_is_recipients_or_a_passphrase() {
    let (_, recipient) = identity();
    let text = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
    for (recipients, passphrase, expected) in [
        (vec![], "", LockError::Nothing),
        (vec![], "eleven byte", LockError::Short),
        (vec![recipient.clone()], "a long passphrase", LockError::Both),
        (vec![recipient.clone(), "age1x".into()], "", LockError::Recipient { number: 2 }),
        (vec![recipient; 101], "", LockError::TooMany { count: 101 }),
    ] {
        let refused = Lock::new(&recipients, &text(passphrase)).err();
        assert_eq!(refused, Some(expected), "{recipients:?}");
    }
    let not_text = Zeroizing::new(vec![0xff; 12]);
    assert_eq!(Lock::new(&[], &not_text).err(), Some(LockError::NotText));
}

#[test]
fn a_key_is_an_identity_or_a_passphrase() {
    let (key, _) = identity();
    let typed = Zeroizing::new(b"a long passphrase".to_vec());
    assert_eq!(Key::new(&none(), &none()).err(), Some(KeyError::Nothing));
    assert_eq!(Key::new(&key, &typed).err(), Some(KeyError::Both));
    for wrong in ["AGE-SECRET-KEY-1X\n", "# a comment alone\n"] {
        let wrong = Zeroizing::new(wrong.as_bytes().to_vec());
        assert_eq!(Key::new(&wrong, &none()).err(), Some(KeyError::Identity));
    }
}
