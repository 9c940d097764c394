//! Signing keys: P-256, held as PKCS #8, signing with randomness that is handed in.

use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use ring::rand::SecureRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use zeroize::{Zeroize, Zeroizing};

use crate::pem;
use crate::public::PublicKey;

/// A key that cannot be made or read. Says nothing more, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signing key cannot be made or read")]
pub struct KeyError;

/// A private key. Has no Debug, Clone or comparison, on purpose.
pub struct SigningKey<'r> {
    pair: EcdsaKeyPair,
    random: &'r dyn SecureRandom,
}

/// A private key as it is sealed: PKCS #8 in DER.
pub struct KeyDocument(Zeroizing<Box<[u8]>>);

impl KeyDocument {
    /// Draws a new P-256 key.
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, KeyError> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, random);
        let document = made.map_err(|_| KeyError)?;
        Ok(Self(Zeroizing::new(document.as_ref().into())))
    }

    /// Takes one PKCS #8 key in PEM, without a passphrase. Whether it is a key is seen where it is used.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let mut keys = pem::blocks(pem, "PRIVATE KEY").map_err(|_| KeyError)?;
        let kept = Zeroizing::new(keys.pop().ok_or(KeyError)?);
        keys.iter_mut().for_each(Zeroize::zeroize);
        if keys.is_empty() {
            Ok(Self(Zeroizing::new(kept.as_slice().into())))
        } else {
            Err(KeyError)
        }
    }

    /// The bytes, to be sealed.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl<'r> SigningKey<'r> {
    /// Reads a key from its document. `random` is used for each signature.
    pub fn parse(document: &[u8], random: &'r dyn SecureRandom) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document, random);
        Ok(Self { pair: pair.map_err(|_| KeyError)?, random })
    }

    /// The public key: an uncompressed point.
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The public key as a type of its own.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_point(self.public()).expect("ring gives P-256 keys as uncompressed points")
    }
}

impl PublicKeyData for SigningKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for SigningKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signed = self.pair.sign(self.random, message);
        signed.map(|bytes| bytes.as_ref().to_vec()).map_err(|_| rcgen::Error::RingUnspecified)
    }
}
