//! One audit record as bytes: version u8 | at u64 | uid u32 | pid u32 | call u16 | outcome u32 | log index u64
//! | has request u8 | request 16 | objects u16 | object 25 ... | node 25
//!
//! The node is the manager that took the call. Version 1 has none. Version 3 is version 2 with the certificates that the
//! call's entry gave out, before the node: count u8 | length u8, record ...

use std::sync::Arc;

use pki::issued::Record as Issued;
use vault_core::command::{Actor, Refusal};
use vault_core::id::{NodeId, ObjectId};
use vault_core::time::Timestamp;

const VERSION: u8 = 2;
/// The same with certificates.
const VERSION_WITH_ISSUED: u8 = 3;
/// The same without the node.
const VERSION_WITHOUT_NODE: u8 = 1;
/// In place of a node that is not known.
const NO_NODE: [u8; ID_BYTES] = [0; ID_BYTES];
const ID_BYTES: usize = 25;
/// Objects of one record; a batch of more is told by its first ones.
const OBJECTS_MAX: usize = 1_000;

/// Who called what, with what outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Counted from 1, without holes.
    pub number: u64,
    pub at: Timestamp,
    pub actor: Actor,
    pub touched: Vec<ObjectId>,
    /// gRPC's code.
    pub outcome: u32,
    pub request: Option<[u8; 16]>,
    /// The log index, for calls that went through the log.
    pub index: u64,
    /// The certificates that its entry gave out.
    pub issued: Vec<Arc<Issued>>,
}

/// gRPC's code for a refusal, as the caller was told it.
pub(super) fn code_of(refusal: &Refusal) -> u32 {
    crate::rpc::refusal_code(refusal)
}

impl Record {
    /// The record's bytes. Its number is the place where it stands.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.touched.len() * ID_BYTES);
        bytes.push(if self.issued.is_empty() { VERSION } else { VERSION_WITH_ISSUED });
        bytes.extend_from_slice(&self.at.nanos().to_le_bytes());
        bytes.extend_from_slice(&self.actor.uid.to_le_bytes());
        bytes.extend_from_slice(&self.actor.pid.to_le_bytes());
        bytes.extend_from_slice(&self.actor.call.to_le_bytes());
        bytes.extend_from_slice(&self.outcome.to_le_bytes());
        bytes.extend_from_slice(&self.index.to_le_bytes());
        bytes.push(u8::from(self.request.is_some()));
        bytes.extend_from_slice(&self.request.unwrap_or_default());
        let objects = self.touched.iter().take(OBJECTS_MAX);
        let count = u16::try_from(objects.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&count.to_le_bytes());
        for object in objects {
            bytes.extend_from_slice(object.as_bytes());
        }
        if !self.issued.is_empty() {
            bytes.push(u8::try_from(self.issued.len()).unwrap_or(u8::MAX));
        }
        for issued in &self.issued {
            let issued = issued.encode();
            bytes.push(u8::try_from(issued.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(&issued);
        }
        let node = self.actor.node.map_or(NO_NODE, |node| *node.object().as_bytes());
        bytes.extend_from_slice(&node);
        bytes
    }

    /// Reads a record; `None` for one of a newer version.
    pub(super) fn decode(number: u64, bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        if !(VERSION_WITHOUT_NODE..=VERSION_WITH_ISSUED).contains(version) {
            return None;
        }
        let mut rest = rest;
        let at = Timestamp::from_nanos(u64::from_le_bytes(take(&mut rest)?));
        let mut actor = Actor {
            uid: u32::from_le_bytes(take(&mut rest)?),
            pid: u32::from_le_bytes(take(&mut rest)?),
            call: u16::from_le_bytes(take(&mut rest)?),
            node: None,
        };
        let outcome = u32::from_le_bytes(take(&mut rest)?);
        let index = u64::from_le_bytes(take(&mut rest)?);
        let (rest_len, node) = match *version {
            VERSION_WITHOUT_NODE => (rest.len(), None),
            _ => (rest.len().checked_sub(ID_BYTES)?, rest.last_chunk::<ID_BYTES>()),
        };
        if let Some(node) = node.filter(|node| **node != NO_NODE) {
            actor.node = Some(NodeId::parse(std::str::from_utf8(node).ok()?).ok()?);
        }
        let mut rest = rest.get(..rest_len)?;
        let [has_request] = take::<1>(&mut rest)?;
        let request = Some(take(&mut rest)?).filter(|_| has_request == 1);
        let count = usize::from(u16::from_le_bytes(take(&mut rest)?));
        let (ids, mut rest) = rest.split_at_checked(count * ID_BYTES)?;
        let ids = ids.chunks_exact(ID_BYTES);
        let ids = ids.map(|id| ObjectId::parse(std::str::from_utf8(id).ok()?).ok());
        let touched = ids.collect::<Option<_>>()?;
        let issued = match *version {
            VERSION_WITH_ISSUED => take_issued(&mut rest)?,
            _ => Vec::new(),
        };
        if has_request > 1 || !rest.is_empty() {
            return None;
        }
        Some(Self { number, at, actor, touched, outcome, request, index, issued })
    }
}

/// One certificate at least.
fn take_issued(bytes: &mut &[u8]) -> Option<Vec<Arc<Issued>>> {
    let [count] = take(bytes)?;
    let one = |_| {
        let [length] = take(bytes)?;
        let (record, rest) = bytes.split_at_checked(usize::from(length))?;
        *bytes = rest;
        Issued::decode(record).map(Arc::new)
    };
    let all: Option<Vec<_>> = (0..count).map(one).collect();
    all.filter(|all| !all.is_empty())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (part, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*part)
}

#[cfg(test)]
mod tests {
    use pki::issued::{CHAIN_START, Facts};

    use super::*;

    #[test]
    fn a_record_reads_as_it_was_written_and_no_other_way() {
        let record = Record {
            number: 7,
            at: Timestamp::from_nanos(9),
            actor: Actor {
                uid: 1000,
                pid: 77,
                call: 20,
                node: Some(NodeId::from_entropy([3; 17])),
            },
            touched: vec![ObjectId::from_entropy([1; 17]), ObjectId::from_entropy([2; 17])],
            outcome: 6,
            request: Some([8; 16]),
            index: 42,
            issued: Vec::new(),
        };
        let certificate = |n| Issued::after(n, CHAIN_START, 9, Facts::of("no certificate"));
        let issued = vec![Arc::new(certificate(0)), Arc::new(certificate(1))];
        let with_issued = Record { issued, ..record.clone() };
        for (golden, record) in [("audit-record-2", record), ("audit-record-3", with_issued)] {
            let bytes = record.encode();
            crate::testing::assert_golden(golden, &bytes);
            assert_eq!(Record::decode(7, &bytes), Some(record));
            for cut in 0..bytes.len() {
                assert_eq!(Record::decode(7, &bytes[..cut]), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_record_without_a_node_still_reads() {
        let bytes = crate::testing::golden("audit-record");
        let record = Record::decode(7, &bytes).unwrap();
        assert_eq!((record.actor.uid, record.actor.node, record.index), (1000, None, 42));
    }
}
