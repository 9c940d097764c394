//! The root certificate of a cluster: its profile, and signing it.
//!
//! The subject is of its own for each generation, and there is no path length: several verifiers would
//! otherwise refuse a later rotation.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyIdMethod,
    KeyUsagePurpose,
};
use ring::digest;

use crate::certificate::Certificate;
use crate::key::SigningKey;
use crate::pem::pem_to_der;
use crate::profile::{self, BACKDATE_SECS};
use crate::public::KeyDigest;

pub use crate::profile::SERIAL_BYTES;

/// Ten years, in seconds.
const LIFETIME_SECS: u64 = 3_650 * 24 * 3_600;

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

    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    let not_before_secs = plan.now_secs.saturating_sub(BACKDATE_SECS);
    let not_after_secs = plan.now_secs.saturating_add(LIFETIME_SECS);
    profile::number_and_date(&mut params, plan.serial, not_before_secs, not_after_secs);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::PreSpecified(short(20).to_vec());
    params.self_signed(key).map(|certificate| certificate.pem()).map_err(RootError)
}

/// When the first root of a bundle to end does so: seconds since 1970. `None` if a root does not read.
pub fn end_secs(roots_pem: &str) -> Option<u64> {
    let roots = pem_to_der(roots_pem).ok()?;
    let ends = roots.iter().map(|der| Certificate::read(der).ok().map(|read| read.not_after_secs));
    ends.collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// Tells a root's key from any other. `None` if the bundle is not of one root that reads.
pub fn key_digest(root_pem: &str) -> Option<KeyDigest> {
    let roots = pem_to_der(root_pem).ok()?;
    let [root] = roots.as_slice() else { return None };
    Some(Certificate::read_authority(root).ok()?.key.digest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyDocument;
    use crate::tests::fixture;
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
        assert_eq!(end_secs(&pem), Some(1_800_000_000 + LIFETIME_SECS));
        assert_eq!(end_secs("no root"), None);
        assert_eq!(key_digest(&pem), Some(key.public_key().digest()));
        assert_eq!((key_digest("no root"), key_digest(&pem.repeat(2))), (None, None));
    }

    #[test]
    fn what_a_root_certificate_says_is_written_as_it_always_was() {
        let random = SystemRandom::new();
        let document = fixture::bytes_of(fixture::KEY);
        let key = SigningKey::parse(&document, &random).unwrap();
        let plan = RootPlan {
            cluster: "0123456789abcdefghijklmno",
            generation: 1,
            now_secs: 1_800_000_000,
            serial: [7; SERIAL_BYTES],
        };
        let said = fixture::said(&issue_root(&plan, &key).unwrap());
        // The signature behind it is random, so only this part can be the same every time.
        let expected = "089e927a9be3e1b507cb8488a7100aae55000cd4dd86a544ab05881dd46131dd";
        assert_eq!(said, (378, expected.to_owned()));
    }

    #[test]
    fn text_that_is_no_key_is_refused() {
        let random = SystemRandom::new();
        assert!(SigningKey::parse(b"no key", &random).is_err());
    }
}
