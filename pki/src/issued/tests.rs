//! The log of what was issued: what it keeps, and what it notices.

use super::*;
use crate::tests::fixture::{DAY, HOUR, NODE, NOW, Root, new_key, plan, to_pem};
use proptest::prelude::*;

fn facts(number: u8) -> Facts {
    Facts {
        subject: Subject::Node { id: NODE.to_owned(), role: Role::Worker },
        certificate: Digest([number; DIGEST_BYTES]),
        key: Digest([number; DIGEST_BYTES]),
        not_before_secs: NOW,
        not_after_secs: NOW + DAY,
        serial: vec![1, number],
    }
}

/// A chain of so many records.
fn chain(count: u8) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for number in 0..count {
        let (before, digest) =
            records.last().map_or((0, CHAIN_START), |last| (last.number, last.chain));
        records.push(Record::after(before, digest, NOW, facts(number)));
    }
    records
}

fn verified(records: &[Record], whole: &[Record]) -> Result<Option<u64>, ChainError> {
    let head = whole.last().map_or(CHAIN_START, |last| last.chain);
    verify(records, u64::try_from(whole.len()).unwrap(), head)
}

#[test]
fn of_a_certificate_is_kept_what_tells_it_from_others() {
    let root = Root::new();
    let key = new_key().public_key();
    for role in [Role::Worker, Role::Manager] {
        let der = root.leaf(&plan(role), &key);
        let facts = Facts::of(&to_pem(&der));
        assert_eq!(facts.subject, Subject::Node { id: NODE.to_owned(), role });
        assert_eq!(
            (facts.certificate, facts.key),
            (Digest::of(&der), Digest(*key.digest().bytes()))
        );
        assert_eq!((facts.not_before_secs, facts.not_after_secs), (NOW - HOUR, NOW + DAY));
        assert!(!facts.serial.is_empty() && facts.serial[0] != 0, "{:?}", facts.serial);
    }
    assert_eq!(Facts::of(&root.pem).subject, Subject::Authority);
    for text in
        ["", "nothing that reads", "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n"]
    {
        let facts = Facts::of(text);
        assert_eq!(
            (facts.subject, facts.certificate),
            (Subject::Unread, Digest::of(text.as_bytes()))
        );
    }
}

#[test]
fn a_record_is_written_as_it_always_was_and_reads_in_no_other_way() {
    for subject in [
        Subject::Unread,
        Subject::Authority,
        Subject::Node { id: NODE.to_owned(), role: Role::Worker },
        Subject::Node { id: NODE.to_owned(), role: Role::Manager },
    ] {
        let record =
            Record::after(6, Digest([3; DIGEST_BYTES]), NOW, Facts { subject, ..facts(7) });
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Some(record.clone()));
        for cut in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Record::decode(&[&bytes[..], &[0]].concat()), None);
    }
    let record = Record::after(6, Digest([3; DIGEST_BYTES]), NOW, facts(7));
    let bytes = record.encode();
    let digest = Digest::of(&bytes).0.map(|byte| format!("{byte:02x}")).concat();
    let written = (bytes.len(), digest);
    assert_eq!(written, (GOLDEN.0, GOLDEN.1.to_owned()));
}

/// Length and digest of the bytes of one record.
const GOLDEN: (usize, &str) =
    (159, "97cc69f751601ebb12e15ece4d8071356f99c97d7d8063cdba7049a771d6fa9d");

#[test]
fn case_c78_a_chain_holds_whole_and_from_any_record_on() {
    let whole = chain(5);
    assert_eq!(verified(&whole, &whole), Ok(Some(1)));
    for from in 1..5 {
        assert_eq!(verified(&whole[from..], &whole), Ok(Some(whole[from].number)));
    }
    assert_eq!(verified(&[], &[]), Ok(None));
}

#[test]
fn case_c78_a_record_that_is_missing_changed_or_put_in_is_noticed() {
    let whole = chain(5);
    for gone in 1..5 {
        let mut cut = whole.clone();
        cut.remove(gone);
        let missing = ChainError::Missing { number: whole[gone].number };
        assert_eq!(verified(&cut, &whole), Err(missing), "{gone}");
    }
    assert_eq!(verified(&[], &whole), Err(ChainError::Missing { number: 1 }));
    for at in 0..5 {
        let mut changed = whole.clone();
        changed[at].facts.not_after_secs += 1;
        let number = whole[at].number;
        assert_eq!(verified(&changed, &whole), Err(ChainError::Changed { number }), "{at}");
        // Somebody who writes the rest anew comes to another end.
        for later in at..5 {
            let before = later.checked_sub(1).map_or(CHAIN_START, |before| changed[before].chain);
            changed[later].chain = changed[later].chained(before);
        }
        assert_eq!(verified(&changed, &whole), Err(ChainError::Head), "{at}");
    }
    let mut longer = whole.clone();
    longer.push(Record::after(5, whole[4].chain, NOW, facts(9)));
    assert_eq!(verified(&longer, &whole), Err(ChainError::Head));
}

proptest! {
    #[test]
    fn whatever_reads_is_written_back_the_same(bytes in prop::collection::vec(any::<u8>(), 0..220)) {
        if let Some(record) = Record::decode(&bytes) {
            prop_assert_eq!(record.encode(), bytes);
        }
    }

    #[test]
    fn case_c78_no_byte_of_a_record_can_be_changed(at in 0_usize..190, flip in 1_u8..) {
        let whole = chain(3);
        let mut bytes = whole[1].encode();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        if let Some(changed) = Record::decode(&bytes) {
            let records = [whole[0].clone(), changed, whole[2].clone()];
            prop_assert!(verified(&records, &whole).is_err());
        }
    }
}
