//! Public keys of nodes: a point of P-256, and the digest of it that a node's record keeps.

use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use ring::digest;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, EcdsaVerificationAlgorithm, UnparsedPublicKey,
};
use std::fmt;
use x509_parser::x509::AlgorithmIdentifier;

/// Bytes of an uncompressed point of P-256.
pub const POINT_BYTES: usize = 65;
/// Bytes of a key's digest.
pub const KEY_DIGEST_BYTES: usize = 32;

/// What stands before the point in the one form of a public key that is taken: id-ecPublicKey, the named
/// curve P-256, a bit string of 65 bytes.
const HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The first byte of an uncompressed point.
const UNCOMPRESSED: u8 = 4;

/// The algorithms ecdsa-with-SHA256 and ecdsa-with-SHA384 in DER, without parameters, but for the last byte.
const ECDSA_WITH: [u8; 11] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];

/// Bytes that are no public key of the one kind that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a P-256 key, as an uncompressed point on the named curve")]
pub struct PublicKeyError;

/// A P-256 key as an uncompressed point. Only its form is known to be right: that the point is on the curve
/// is seen where a signature is verified with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; POINT_BYTES]);

/// SHA-256 of a public key in DER, its algorithm included: what records, pins and audits name a key by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest([u8; KEY_DIGEST_BYTES]);

impl PublicKey {
    /// Takes an uncompressed point.
    pub fn from_point(point: &[u8]) -> Result<Self, PublicKeyError> {
        let point: [u8; POINT_BYTES] = point.try_into().map_err(|_| PublicKeyError)?;
        if point.first() == Some(&UNCOMPRESSED) { Ok(Self(point)) } else { Err(PublicKeyError) }
    }

    /// Takes a SubjectPublicKeyInfo in DER, in the one form there is for such a key.
    pub fn from_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        Self::from_point(der.strip_prefix(&HEAD).ok_or(PublicKeyError)?)
    }

    /// The uncompressed point.
    pub fn point(&self) -> &[u8; POINT_BYTES] {
        &self.0
    }

    /// The digest by which the key is known.
    pub fn digest(&self) -> KeyDigest {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&HEAD);
        context.update(&self.0);
        KeyDigest(context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// The key identifier of certificates: the first 20 bytes of SHA-256 of the point.
    pub(crate) fn identifier(&self) -> Vec<u8> {
        let digest = digest::digest(&digest::SHA256, &self.0);
        digest.as_ref().iter().take(20).copied().collect()
    }

    /// Whether the key's owner signed the message.
    pub(crate) fn signed(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(scheme.verification, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "PublicKey({:?})", self.digest())
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl KeyDigest {
    /// Takes a digest that was kept.
    pub fn from_bytes(bytes: [u8; KEY_DIGEST_BYTES]) -> Self {
        Self(bytes)
    }

    /// The digest, to be kept.
    pub fn bytes(&self) -> &[u8; KEY_DIGEST_BYTES] {
        &self.0
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(to, "{byte:02x}"))
    }
}

/// How something was signed by a P-256 key.
#[derive(Clone, Copy)]
pub(crate) struct Scheme {
    verification: &'static EcdsaVerificationAlgorithm,
    last: u8,
}

impl Scheme {
    /// Takes ECDSA with SHA-256 or SHA-384, without parameters.
    pub(crate) fn of(algorithm: &AlgorithmIdentifier<'_>) -> Option<Self> {
        let [_, _, _, _, name @ ..] = ECDSA_WITH;
        let last = match algorithm.algorithm.as_bytes().strip_prefix(&name)? {
            [last] if algorithm.parameters.is_none() => *last,
            _ => return None,
        };
        let verification = match last {
            2 => &ECDSA_P256_SHA256_ASN1,
            3 => &ECDSA_P256_SHA384_ASN1,
            _ => return None,
        };
        Some(Self { verification, last })
    }

    /// Whether that is all there is: what is signed, the algorithm, and the signature, each in its one form.
    /// The parser is not strict about the latter two, which no signature covers.
    pub(crate) fn frames(self, whole: &[u8], signed: &[u8], signature: &[u8]) -> bool {
        // With the byte that says that no bits are unused. A signature has 72 bytes at most.
        let Some(length) =
            u8::try_from(signature.len()).ok().and_then(|bytes| bytes.checked_add(1))
        else {
            return false;
        };
        let tail = [&ECDSA_WITH[..], &[self.last, 3, length, 0], signature].concat();
        let head = whole.strip_suffix(tail.as_slice()).and_then(|rest| rest.strip_suffix(signed));
        length < 0x80 && head.is_some_and(|head| head.first() == Some(&0x30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_uncompressed_point_of_the_right_length_is_taken() {
        let with = |first: u8, length: usize| [&[first][..], &vec![1; length - 1]].concat();
        for (point, is_fine) in [
            (with(4, 65), true),
            (with(2, 33), false),
            (with(3, 65), false),
            (with(4, 64), false),
            (with(4, 66), false),
            (with(4, 97), false),
            (vec![0], false),
            (Vec::new(), false),
        ] {
            let made = PublicKey::from_point(&point);
            assert_eq!(made.is_ok(), is_fine, "{point:02x?}");
            let made = PublicKey::from_der(&[&HEAD[..], &point].concat());
            assert_eq!(made.is_ok(), is_fine, "{point:02x?} in DER");
        }
    }

    #[test]
    fn a_key_is_known_by_the_digest_of_its_der() {
        let key = PublicKey::from_point(&[4; 65]).unwrap();
        let digest = digest::digest(&digest::SHA256, &key.subject_public_key_info());
        assert_eq!(key.digest().bytes(), digest.as_ref());
        assert_eq!(KeyDigest::from_bytes(*key.digest().bytes()), key.digest());
        assert_eq!(PublicKey::from_der(&key.subject_public_key_info()), Ok(key));
    }
}
