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

    /// A key of this test alone: PKCS #8, in hexadecimal.
    const KEY: &str = concat!(
        "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420d840e20e",
        "04b5ac537c2d893fcdbb387a950defb7a39820631ffdd352e953962ca14403420004a469250f5d24",
        "9b8ecc0cdc0121a321e613ff1358b5854ce15e7759dd4fa312defb94582161a992dc9e163cc92614",
        "d9b5e2d593a5a7259bd9f05d8858b9aa511e",
    );

    fn bytes_of(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    /// What is signed: the first part of a certificate. Both have lengths of two bytes here.
    fn signed_part(pem: &str) -> Vec<u8> {
        let certificate = pem_body(pem);
        let length = usize::from(certificate[6]) * 256 + usize::from(certificate[7]);
        certificate[4..8 + length].to_vec()
    }

    fn pem_body(pem: &str) -> Vec<u8> {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text = pem.lines().filter(|line| !line.starts_with('-')).flat_map(str::bytes);
        let (mut bytes, mut kept, mut bits) = (Vec::new(), 0_u32, 0_u32);
        for digit in text.filter_map(|byte| DIGITS.iter().position(|known| *known == byte)) {
            kept = (kept << 6) | u32::try_from(digit).unwrap();
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                bytes.push(u8::try_from(kept >> bits & 0xff).unwrap());
            }
        }
        bytes
    }

    #[test]
    fn what_a_root_certificate_says_is_written_as_it_always_was() {
        let random = SystemRandom::new();
        let document = bytes_of(KEY);
        let key = SigningKey::parse(&document, &random).unwrap();
        let plan = RootPlan {
            cluster: "0123456789abcdefghijklmno",
            generation: 1,
            now_secs: 1_800_000_000,
            serial: [7; SERIAL_BYTES],
        };
        let signed = signed_part(&issue_root(&plan, &key).unwrap());
        let digest = digest::digest(&digest::SHA256, &signed);
        let digest = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
        // The signature behind it is random, so only this part can be the same every time.
        let expected = "089e927a9be3e1b507cb8488a7100aae55000cd4dd86a544ab05881dd46131dd";
        assert_eq!((signed.len(), digest.concat().as_str()), (378, expected));
    }

    #[test]
    fn text_that_is_no_key_is_refused() {
        let random = SystemRandom::new();
        assert!(SigningKey::parse(b"no key", &random).is_err());
    }
}
