//! Requests for a certificate: the one thing that is taken from them, the key, and making our own.

use rcgen::{CertificateParams, DistinguishedName};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::key::SigningKey;
use crate::pem::{self, PemError};
use crate::public::{PublicKey, PublicKeyError, Scheme};

/// The largest request that is looked at. One with a subject and names has some 600 bytes.
pub const CSR_BYTES_MAX: usize = 4_096;

const KIND: &str = "CERTIFICATE REQUEST";

/// A request that is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    #[error("certificate request has {bytes} bytes, at most {CSR_BYTES_MAX} are read")]
    TooLarge { bytes: usize },
    #[error("certificate request is no PEM")]
    Pem(#[source] PemError),
    #[error("expected one certificate request, found {count}")]
    Count { count: usize },
    #[error("certificate request is not PKCS #10 of version 1 in DER, with nothing behind it")]
    Malformed,
    #[error("certificate request is for a key that is not taken")]
    Key(#[source] PublicKeyError),
    #[error("certificate request is not signed with ECDSA and SHA-256 or SHA-384")]
    Algorithm,
    #[error("certificate request is not signed by its own key")]
    Signature,
}

/// A request that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("certificate request cannot be made")]
pub struct MakeError(#[source] rcgen::Error);

/// Reads a request, PEM or DER, and gives the key that signed it. Subject, attributes and extensions are
/// thrown away: who the node is and what it may be, its record says.
pub fn read(bytes: &[u8]) -> Result<PublicKey, CsrError> {
    if bytes.len() > CSR_BYTES_MAX {
        return Err(CsrError::TooLarge { bytes: bytes.len() });
    }
    if !bytes.starts_with(b"-----") {
        return read_der(bytes);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| CsrError::Malformed)?;
    match pem::blocks(text, KIND).map_err(CsrError::Pem)?.as_slice() {
        [one] => read_der(one),
        several => Err(CsrError::Count { count: several.len() }),
    }
}

fn read_der(der: &[u8]) -> Result<PublicKey, CsrError> {
    let Ok((rest, request)) = X509CertificationRequest::from_der(der) else {
        return Err(CsrError::Malformed);
    };
    let about = &request.certification_request_info;
    let signature = &request.signature_value;
    // The parser's version 0 is PKCS #10's version 1.
    if !rest.is_empty() || about.version.0 != 0 || signature.unused_bits != 0 {
        return Err(CsrError::Malformed);
    }
    let key = PublicKey::from_der(about.subject_pki.raw).map_err(CsrError::Key)?;
    let scheme = Scheme::of(&request.signature_algorithm).ok_or(CsrError::Algorithm)?;
    if !scheme.frames(der, about.raw, &signature.data) {
        return Err(CsrError::Malformed);
    }
    // Refuses points that are not on the curve, too.
    let is_signed = key.signed(scheme, about.raw, &signature.data);
    if is_signed { Ok(key) } else { Err(CsrError::Signature) }
}

/// Makes a request in PEM that says nothing but the key.
pub fn make(key: &SigningKey<'_>) -> Result<String, MakeError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(key).map_err(MakeError)?;
    request.pem().map_err(MakeError)
}

#[cfg(test)]
mod tests;
