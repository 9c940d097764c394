//! The audit over a real folder: what comes back, and what breaks the chain.

use super::*;
use crate::disk::diskkey::DiskKey;
use crate::disk::folder::RealFolder;
use crate::testing::{self, TestFolder};

fn open(folder: &TestFolder) -> Result<Audit, LogError> {
    let key = LogKey {
        context: b"audit".to_vec(),
        disk_key: Arc::new(DiskKey::filled(|bytes| bytes.fill(1)).unwrap()),
    };
    let folder = Arc::new(RealFolder::open(folder.path()).unwrap());
    Audit::open(folder.into(), key, Box::new(|fault| panic!("{fault}")))
}

fn called(call: u16) -> Called {
    let actor = Actor { uid: 0, pid: 1, call, node: None };
    Called { at: Timestamp::from_nanos(1), actor, touched: vec![], outcome: 0 }
}

fn written(index: u64) -> Written {
    let actor = Actor { uid: 0, pid: 1, call: 20, node: None };
    let at = Timestamp::from_nanos(index);
    Written { index, at, request: None, actor, touched: vec![], issued: vec![] }
}

/// Ends the writer: it holds the files until all is written.
fn end(audit: Audit) {
    audit.flush().unwrap();
    drop(audit);
}

#[test]
fn records_come_back_in_order_and_are_counted_without_holes() {
    let folder = testing::folder();
    for round in 0..3_u64 {
        let audit = open(&folder).unwrap();
        audit.called(called(21));
        audit.written(vec![(written(round + 1), 0)]);
        end(audit);
    }
    let numbers: Vec<_> = open(&folder).unwrap().tail(10).iter().map(|r| r.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn an_entry_that_is_applied_again_is_recorded_once() {
    let folder = testing::folder();
    let audit = open(&folder).unwrap();
    audit.written(vec![(written(5), 0)]);
    end(audit);
    let audit = open(&folder).unwrap();
    audit.written(vec![(written(5), 0), (written(6), 0)]);
    audit.flush().unwrap();
    let indexes: Vec<_> = audit.tail(10).iter().map(|record| record.index).collect();
    assert_eq!(indexes, [5, 6]);
}

#[test]
fn case_27_55_an_edited_record_breaks_the_chain() {
    let folder = testing::folder();
    let audit = open(&folder).unwrap();
    for _ in 0..3 {
        audit.called(called(21));
        audit.flush().unwrap();
    }
    end(audit);
    // A second start covers what the first one wrote.
    end(open(&folder).unwrap());
    let path = folder.path().join("0000000000000001.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 * 2 + 70] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let broken = open(&folder).err().unwrap();
    assert!(matches!(broken, LogError::Damaged { offset: 8192, .. }), "{broken}");
}
