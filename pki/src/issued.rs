//! Which certificates were issued: a record for each, and each with the digest of the chain up to it, so that none can
//! be taken out, put in or changed without another digest at the end.

use ring::digest::{self, SHA256};

use crate::certificate::{Certificate, CertificateError};
use crate::identity::Claim;
use crate::leaf::Role;
use crate::pem::pem_to_der;
use crate::profile::{SERIAL_BYTES, is_id};

/// Bytes of a SHA-256.
pub const DIGEST_BYTES: usize = 32;
/// The chain before its first record.
pub const CHAIN_START: Digest = Digest([0; DIGEST_BYTES]);

/// What a chain's digest is taken of begins so: no other digest does.
const CONTEXT: &[u8] = b"coffer issued 1\0";
const VERSION: u8 = 1;

/// A SHA-256: of a certificate in DER, of a public key, of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub [u8; DIGEST_BYTES]);

impl Digest {
    /// That of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::finished(digest::digest(&SHA256, bytes))
    }

    fn finished(done: digest::Digest) -> Self {
        let mut bytes = [0; DIGEST_BYTES];
        for (to, from) in bytes.iter_mut().zip(done.as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }
}

/// Whom a certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One that may sign others: a root, or the crossing from one to another.
    Authority,
    Node {
        id: String,
        role: Role,
    },
    /// It does not read as any that is issued here.
    Unread,
}

/// What is kept of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub subject: Subject,
    /// Of the certificate in DER; of its text if that does not read.
    pub certificate: Digest,
    /// Of its public key.
    pub key: Digest,
    pub not_before_secs: u64,
    pub not_after_secs: u64,
    /// Big end first, without a leading zero byte.
    pub serial: Vec<u8>,
}

impl Facts {
    /// Those of the first certificate of a PEM text. Whatever stands there, something is kept of it.
    pub fn of(pem: &str) -> Self {
        let der = pem_to_der(pem).ok().and_then(|all| all.into_iter().next());
        der.and_then(|der| Self::of_der(&der).ok()).unwrap_or_else(|| Self {
            subject: Subject::Unread,
            certificate: Digest::of(pem.as_bytes()),
            key: CHAIN_START,
            not_before_secs: 0,
            not_after_secs: 0,
            serial: Vec::new(),
        })
    }

    fn of_der(der: &[u8]) -> Result<Self, CertificateError> {
        let read = Certificate::read(der)?;
        let subject = match Claim::of(der) {
            Ok(claim) => Subject::Node { id: claim.node, role: claim.role },
            Err(_) if read.is_authority() == Some(true) => Subject::Authority,
            Err(_) => Subject::Unread,
        };
        let serial = read.parsed.raw_serial();
        let zeros = serial.iter().take_while(|byte| **byte == 0).count();
        Ok(Self {
            subject,
            certificate: Digest::of(der),
            key: Digest(*read.key.digest().bytes()),
            not_before_secs: read.not_before_secs,
            not_after_secs: read.not_after_secs,
            serial: serial.get(zeros..).unwrap_or_default().to_vec(),
        })
    }
}

/// One certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Counted from 1, without holes.
    pub number: u64,
    /// When it was recorded: seconds since 1970.
    pub at_secs: u64,
    pub facts: Facts,
    /// Of all records up to this one.
    pub chain: Digest,
}

/// Where the chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error("certificate {number} is missing from the log of what was issued")]
    Missing { number: u64 },
    #[error("certificate {number} in the log of what was issued is not the one that was recorded")]
    Changed { number: u64 },
    #[error("the log of what was issued ends otherwise than the cluster says")]
    Head,
}

impl Record {
    /// The one that comes behind a number and its digest.
    pub fn after(number: u64, chain: Digest, at_secs: u64, facts: Facts) -> Self {
        let unchained = Self { number: number.saturating_add(1), at_secs, facts, chain };
        Self { chain: unchained.chained(chain), ..unchained }
    }

    /// The digest of the chain with this record behind another digest.
    fn chained(&self, before: Digest) -> Digest {
        let mut context = digest::Context::new(&SHA256);
        context.update(CONTEXT);
        context.update(&before.0);
        context.update(&self.body());
        Digest::finished(context.finish())
    }

    fn body(&self) -> Vec<u8> {
        let Facts { subject, certificate, key, not_before_secs, not_after_secs, serial } =
            &self.facts;
        let (kind, id) = match subject {
            Subject::Unread => (0, ""),
            Subject::Authority => (1, ""),
            Subject::Node { id, role: Role::Worker } => (2, id.as_str()),
            Subject::Node { id, role: Role::Manager } => (3, id.as_str()),
        };
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.at_secs.to_le_bytes());
        bytes.push(kind);
        push_short(&mut bytes, id.as_bytes());
        bytes.extend_from_slice(&certificate.0);
        bytes.extend_from_slice(&key.0);
        bytes.extend_from_slice(&not_before_secs.to_le_bytes());
        bytes.extend_from_slice(&not_after_secs.to_le_bytes());
        push_short(&mut bytes, serial);
        bytes
    }

    /// The record's bytes: `docs/formats.md`.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.body();
        bytes.extend_from_slice(&self.chain.0);
        bytes
    }

    /// Reads a record, with nothing behind it. Whether its digest is right, `verify` tells.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        if take(&mut rest)? != [VERSION] {
            return None;
        }
        let number = u64::from_le_bytes(take(&mut rest)?);
        let at_secs = u64::from_le_bytes(take(&mut rest)?);
        let [kind] = take(&mut rest)?;
        let id = std::str::from_utf8(take_short(&mut rest)?).ok()?;
        let node = |role| is_id(id).then(|| Subject::Node { id: id.to_owned(), role });
        let subject = match kind {
            0 if id.is_empty() => Subject::Unread,
            1 if id.is_empty() => Subject::Authority,
            2 => node(Role::Worker)?,
            3 => node(Role::Manager)?,
            _ => return None,
        };
        let certificate = Digest(take(&mut rest)?);
        let key = Digest(take(&mut rest)?);
        let not_before_secs = u64::from_le_bytes(take(&mut rest)?);
        let not_after_secs = u64::from_le_bytes(take(&mut rest)?);
        let serial = take_short(&mut rest)?;
        let chain = Digest(rest.try_into().ok()?);
        let is_serial = serial.len() <= SERIAL_BYTES && serial.first() != Some(&0);
        let serial = is_serial.then(|| serial.to_vec())?;
        let facts = Facts { subject, certificate, key, not_before_secs, not_after_secs, serial };
        Some(Self { number, at_secs, facts, chain })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (part, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*part)
}

/// Its length, then itself: of some dozen bytes at most.
fn push_short(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(part);
}

fn take_short<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let [length] = take(bytes)?;
    let (part, rest) = bytes.split_at_checked(usize::from(length))?;
    *bytes = rest;
    Some(part)
}

/// Checks that records follow each other without a hole, each with the digest that the one before it makes, up to what
/// the cluster says is the last one. The first one's own digest is believed, unless it is number 1.
///
/// Returns the number of the first; nothing for no records.
pub fn verify<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    count: u64,
    head: Digest,
) -> Result<Option<u64>, ChainError> {
    let mut first = None;
    let mut before = (0, CHAIN_START);
    for record in records {
        let number = record.number;
        if first.is_none() && number != 1 {
            (first, before) = (Some(number), (number, record.chain));
            continue;
        }
        first = first.or(Some(number));
        let next = before.0.saturating_add(1);
        if number != next {
            return Err(ChainError::Missing { number: next });
        }
        if record.chain != record.chained(before.1) {
            return Err(ChainError::Changed { number });
        }
        before = (number, record.chain);
    }
    match before {
        (last, _) if last < count => Err(ChainError::Missing { number: last.saturating_add(1) }),
        (last, chain) if (last, chain) != (count, head) => Err(ChainError::Head),
        _ => Ok(first),
    }
}

#[cfg(test)]
mod tests;
