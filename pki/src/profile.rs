//! What all certificates of a node have in common, for those who write them and those who read them.

use rcgen::{CertificateParams, SerialNumber};
use std::time::Duration;

/// Bytes of a serial number.
pub const SERIAL_BYTES: usize = 20;
/// Clocks of other nodes may be late by this much.
pub(crate) const BACKDATE_SECS: u64 = 3_600;
/// The end of the year 9999, the last that a certificate can name.
pub(crate) const LAST_MOMENT_SECS: u64 = 253_402_300_799;
/// An ID is one DNS label at most.
const ID_BYTES_MAX: usize = 63;
/// The name under which managers serve those who ask for a certificate.
const AUTHORITY_NAME: &str = "swarm-ca";

/// What a certificate says that its node is. What it may do is for the node's record to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Worker,
    Manager,
}

impl Role {
    /// The organizational unit: Swarm's words.
    pub fn ou(self) -> &'static str {
        match self {
            Self::Worker => "swarm-worker",
            Self::Manager => "swarm-manager",
        }
    }

    /// Reads an organizational unit.
    pub fn parse(ou: &str) -> Option<Self> {
        [Self::Worker, Self::Manager].into_iter().find(|role| role.ou() == ou)
    }

    /// The DNS names of a node with this role.
    pub(crate) fn names(self, node: &str) -> Vec<&str> {
        let authority = match self {
            Self::Worker => None,
            Self::Manager => Some(AUTHORITY_NAME),
        };
        [self.ou(), node].into_iter().chain(authority).collect()
    }
}

/// Whether this can stand for a cluster or a node: in a subject, a DNS name and a SPIFFE ID alike.
pub(crate) fn is_id(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_digit)
}

/// The node's SPIFFE ID. No role is in it: it stays the same when the role changes.
pub(crate) fn spiffe_id(cluster: &str, node: &str) -> String {
    format!("spiffe://{cluster}.coffer.internal/node/{node}")
}

/// Sets what no two certificates share, and its dates.
pub(crate) fn number_and_date(
    params: &mut CertificateParams,
    mut serial: [u8; SERIAL_BYTES],
    not_before_secs: u64,
    not_after_secs: u64,
) {
    if let Some(first) = serial.first_mut() {
        // Positive and of full length, whatever was drawn.
        *first = (*first & 0x3f) | 0x40;
    }
    #[expect(clippy::arithmetic_side_effects, reason = "the year is bounded just before")]
    let from = |secs: u64| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(secs.min(LAST_MOMENT_SECS))
    };
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = from(not_before_secs);
    params.not_after = from(not_after_secs);
}
