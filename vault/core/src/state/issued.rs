//! Which certificates were issued, and which of them nobody should believe any more.

use std::sync::Arc;

use imbl::OrdMap;
use pki::issued::{CHAIN_START, Digest, Facts, Record, Subject};
use pki::leaf;

use super::State;
use crate::id::NodeId;
use crate::limits::{ISSUED_KEPT, REMOVED_KEPT_SECS};
use crate::node::{Node, Role};
use crate::time::Timestamp;

/// The newest records of all certificates, and what the whole chain of them comes to.
#[derive(Clone, Debug)]
pub struct Issued {
    count: u64,
    head: Digest,
    /// By number.
    kept: OrdMap<u64, Arc<Record>>,
    /// Which number a certificate has.
    known: OrdMap<Digest, u64>,
    /// By serial number.
    revoked: OrdMap<Vec<u8>, Revoked>,
}

/// A certificate that was taken back before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    pub at_secs: u64,
    /// When it would have ended.
    pub end_secs: u64,
}

impl Default for Issued {
    fn default() -> Self {
        Self {
            count: 0,
            head: CHAIN_START,
            kept: OrdMap::new(),
            known: OrdMap::new(),
            revoked: OrdMap::new(),
        }
    }
}

impl Issued {
    /// How many there were in all.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of the whole chain.
    pub fn head(&self) -> Digest {
        self.head
    }

    /// The newest records, oldest first.
    pub fn kept(&self) -> impl DoubleEndedIterator<Item = &Arc<Record>> {
        self.kept.values()
    }

    /// The records behind a number, oldest first.
    pub fn since(&self, number: u64) -> impl Iterator<Item = &Arc<Record>> {
        self.kept.range(number.saturating_add(1)..).map(|(_, record)| record)
    }

    /// Whether a certificate is among the newest.
    pub fn knows(&self, certificate: Digest) -> bool {
        self.known.contains_key(&certificate)
    }

    /// Whether all that were ever issued are among the newest.
    pub fn is_whole(&self) -> bool {
        u64::try_from(self.kept.len()).is_ok_and(|kept| kept == self.count)
    }

    /// What was taken back: serial numbers, in their order.
    pub fn revoked(&self) -> impl Iterator<Item = (&[u8], Revoked)> {
        self.revoked.iter().map(|(serial, revoked)| (serial.as_slice(), *revoked))
    }

    /// One that is among the newest already is not new.
    fn push(&mut self, at: Timestamp, pem: &str) {
        let facts = Facts::of(pem);
        if !self.knows(facts.certificate) {
            self.insert(Record::after(self.count, self.head, at.secs(), facts));
        }
    }

    /// One that comes behind all others.
    pub(super) fn insert(&mut self, record: Record) {
        (self.count, self.head) = (record.number, record.chain);
        self.known.insert(record.facts.certificate, record.number);
        self.kept.insert(record.number, Arc::new(record));
        while self.kept.len() > ISSUED_KEPT {
            let Some((number, oldest)) = self.kept.get_min().cloned() else { return };
            self.kept.remove(&number);
            self.known.remove(&oldest.facts.certificate);
        }
    }

    pub(super) fn insert_revoked(&mut self, serial: Vec<u8>, revoked: Revoked) {
        self.revoked.insert(serial, revoked);
    }

    /// Takes back a node's certificates that have not ended: all, or those for one role.
    fn revoke(&mut self, now: Timestamp, node: &Node, role: Option<Role>) {
        let now_secs = now.secs();
        let role = role.map(|role| match role {
            Role::Worker => leaf::Role::Worker,
            Role::Manager => leaf::Role::Manager,
        });
        let concerns = |facts: &Facts| match &facts.subject {
            Subject::Node { id, role: of } => {
                id == node.id.as_str() && role.is_none_or(|role| role == *of)
            }
            Subject::Authority | Subject::Unread => false,
        };
        // The last one may be older than all that are kept.
        let last = Facts::of(&node.certificate);
        let all = self.kept.values().map(|record| &record.facts).chain([&last]);
        let concerned = all.filter(|facts| concerns(facts) && facts.not_after_secs > now_secs);
        let taken: Vec<_> =
            concerned.map(|facts| (facts.serial.clone(), facts.not_after_secs)).collect();
        for (serial, end_secs) in taken {
            self.revoked.entry(serial).or_insert(Revoked { at_secs: now_secs, end_secs });
        }
        let is_over =
            |revoked: &Revoked| revoked.end_secs.saturating_add(REMOVED_KEPT_SECS) <= now_secs;
        let over = self.revoked.iter().filter(|(_, revoked)| is_over(revoked));
        for serial in over.map(|(serial, _)| serial.clone()).collect::<Vec<_>>() {
            self.revoked.remove(&serial);
        }
    }
}

impl State {
    /// Which certificates were issued.
    pub fn issued(&self) -> &Issued {
        &self.issued
    }

    /// Records a certificate: the first one of a PEM text.
    pub(super) fn record_issued(&mut self, at: Timestamp, pem: &str) {
        self.issued.push(at, pem);
    }

    /// A node's certificates are not to be believed any more: all of them, or those for one role.
    pub(super) fn revoke_certificates(&mut self, at: Timestamp, id: NodeId, role: Option<Role>) {
        let Some(node) = self.nodes.get(&id).cloned() else { return };
        self.issued.revoke(at, &node, role);
    }
}

#[cfg(test)]
mod tests;
