//! The root certificate of a cluster: its profile, and signing it.
//!
//! The subject is of its own for each generation, and there is no path length: several verifiers would
//! otherwise refuse a later rotation.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyIdMethod,
    KeyUsagePurpose, SerialNumber,
};
use ring::digest;
use std::time::Duration;

use crate::key::SigningKey;

/// Bytes of a serial number.
pub const SERIAL_BYTES: usize = 20;
/// Ten years, in seconds.
const LIFETIME_SECS: u64 = 3_650 * 24 * 3_600;
/// Clocks of joining nodes may be late by this much.
const BACKDATE_SECS: u64 = 3_600;

/// The end of the year 9999, the last that a certificate can name.
const LAST_MOMENT_SECS: u64 = 253_402_300_799;

/// All that a root certificate says, but its key.
pub struct RootPlan<'a> {
    /// The cluster's ID: the organization.
    pub cluster: &'a str,
    /// Counted from 1.
    pub generation: u32,
    /// Seconds since 1970.
    pub now_secs: u64,
    /// Random bytes.
    pub serial: [u8; SERIAL_BYTES],
}

/// A root certificate that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("root certificate cannot be made")]
pub struct RootError(#[source] rcgen::Error);

/// Signs the root certificate by its own key. Returns one PEM block: the exact bytes whose digest stands in
/// join tokens.
pub fn issue_root(plan: &RootPlan<'_>, key: &SigningKey<'_>) -> Result<String, RootError> {
    let point = digest::digest(&digest::SHA256, key.public());
    let short = |bytes: usize| point.as_ref().get(..bytes).unwrap_or_default();
    let fingerprint =
        short(4).iter().fold(0_u32, |all, byte| all.wrapping_shl(8) | u32::from(*byte));

    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, plan.cluster);
    let generation = plan.generation;
    subject.push(DnType::CommonName, format!("Coffer Root g{generation} {fingerprint:08x}"));

    let mut serial = plan.serial;
    if let Some(first) = serial.first_mut() {
        // Positive and of full length, whatever was drawn.
        *first = (*first & 0x3f) | 0x40;
    }
    #[expect(clippy::arithmetic_side_effects, reason = "the year is bounded just before")]
    let from = |secs: u64| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(secs.min(LAST_MOMENT_SECS))
    };

    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = from(plan.now_secs.saturating_sub(BACKDATE_SECS));
    params.not_after = from(plan.now_secs.saturating_add(LIFETIME_SECS));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::PreSpecified(short(20).to_vec());
    params.self_signed(key).map(|certificate| certificate.pem()).map_err(RootError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyDocument;
    use ring::rand::SystemRandom;

    #[test]
    fn a_root_certificate_is_one_pem_block_with_its_own_subject() {
        let random = SystemRandom::new();
        let document = KeyDocument::generate(&random).unwrap();
        let key = SigningKey::parse(document.expose(), &random).unwrap();
        let plan = RootPlan {
            cluster: "c",
            generation: 1,
            now_secs: 1_800_000_000,
            serial: [0xff; SERIAL_BYTES],
        };
        let pem = issue_root(&plan, &key).unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
        assert_eq!(pem.matches("BEGIN").count(), 1, "{pem}");
    }

    #[test]
    fn text_that_is_no_key_is_refused() {
        let random = SystemRandom::new();
        assert!(SigningKey::parse(b"no key", &random).is_err());
    }
}
