//! Certificates as they are read: what holds for every one that is looked at, and what makes an authority's.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

use crate::profile::SERIAL_BYTES;
use crate::public::{PublicKey, PublicKeyError, Scheme};

/// The largest certificate that is looked at. Ours have some 700 bytes.
pub const CERTIFICATE_BYTES_MAX: usize = 8_192;

/// A certificate that nothing here can judge, whoever signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("certificate has {bytes} bytes, at most {CERTIFICATE_BYTES_MAX} are read")]
    TooLarge { bytes: usize },
    #[error("certificate is not X.509 version 3 in DER, with nothing behind it")]
    Malformed,
    #[error("certificate's serial number is not positive, with {SERIAL_BYTES} bytes at most")]
    Serial,
    #[error("certificate's dates are before 1970, or the last comes before the first")]
    Dates,
    #[error("certificate's key is not taken")]
    Key(#[source] PublicKeyError),
    #[error("certificate is not signed with ECDSA and SHA-256 or SHA-384")]
    Algorithm,
    #[error("certificate has an extension that nothing here follows")]
    Extension,
    #[error("certificate is not one that may sign others")]
    NoAuthority,
}

/// Why a certificate does not hold at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutOfTime {
    Early { secs: u64 },
    Late { secs: u64 },
}

/// A certificate of the kinds that there are here. Who signed it is not known yet.
pub(crate) struct Certificate<'a> {
    pub(crate) parsed: X509Certificate<'a>,
    pub(crate) key: PublicKey,
    pub(crate) not_before_secs: u64,
    pub(crate) not_after_secs: u64,
    scheme: Scheme,
}

impl<'a> Certificate<'a> {
    /// Takes one certificate in DER.
    pub(crate) fn read(der: &'a [u8]) -> Result<Self, CertificateError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::TooLarge { bytes: der.len() });
        }
        let Ok((rest, parsed)) = X509Certificate::from_der(der) else {
            return Err(CertificateError::Malformed);
        };
        // The algorithm outside is not signed, so it has to be the one inside.
        let is_whole = rest.is_empty()
            && parsed.version == X509Version::V3
            && parsed.signature_algorithm == parsed.tbs_certificate.signature
            && parsed.signature_value.unused_bits == 0;
        if !is_whole {
            return Err(CertificateError::Malformed);
        }
        if !is_serial(parsed.raw_serial()) {
            return Err(CertificateError::Serial);
        }
        let key = PublicKey::from_der(parsed.public_key().raw).map_err(CertificateError::Key)?;
        let scheme = Scheme::of(&parsed.signature_algorithm).ok_or(CertificateError::Algorithm)?;
        let signed = parsed.tbs_certificate.as_ref();
        if !scheme.frames(der, signed, &parsed.signature_value.data) {
            return Err(CertificateError::Malformed);
        }
        if !parsed.extensions().iter().all(|extension| {
            is_followed(extension.parsed_extension())
                || (!extension.critical && is_passed_over(extension.parsed_extension()))
        }) {
            return Err(CertificateError::Extension);
        }
        let moment = |secs: i64| u64::try_from(secs).map_err(|_| CertificateError::Dates);
        let not_before_secs = moment(parsed.validity().not_before.timestamp())?;
        let not_after_secs = moment(parsed.validity().not_after.timestamp())?;
        if not_after_secs < not_before_secs {
            return Err(CertificateError::Dates);
        }
        Ok(Self { parsed, key, not_before_secs, not_after_secs, scheme })
    }

    /// Takes one certificate that may sign others: a root's.
    pub(crate) fn read_authority(der: &'a [u8]) -> Result<Self, CertificateError> {
        let root = Self::read(der)?;
        let usage = root.parsed.key_usage().map_err(|_| CertificateError::Malformed)?;
        let may_sign = usage.is_some_and(|usage| usage.value.key_cert_sign());
        if may_sign && root.is_authority() == Some(true) {
            Ok(root)
        } else {
            Err(CertificateError::NoAuthority)
        }
    }

    /// What the basic constraints say; `None` if they are missing, twice there, or cannot be read.
    pub(crate) fn is_authority(&self) -> Option<bool> {
        let constraints = self.parsed.basic_constraints().ok()?;
        constraints.map(|constraints| constraints.value.ca)
    }

    /// Whether that one is named as the issuer: the same bytes. Proves nothing.
    pub(crate) fn names_issuer(&self, issuer: &Self) -> bool {
        self.parsed.issuer().as_raw() == issuer.parsed.subject().as_raw()
    }

    /// Whether that one's key signed it.
    pub(crate) fn is_signed_by(&self, issuer: &Self) -> bool {
        let signed = self.parsed.tbs_certificate.as_ref();
        issuer.key.signed(self.scheme, signed, &self.parsed.signature_value.data)
    }

    /// Whether it holds at that moment. First and last second are within.
    pub(crate) fn holds_at(&self, now_secs: u64) -> Result<(), OutOfTime> {
        if let Some(secs) = self.not_before_secs.checked_sub(now_secs).filter(|secs| *secs > 0) {
            return Err(OutOfTime::Early { secs });
        }
        match now_secs.checked_sub(self.not_after_secs).filter(|secs| *secs > 0) {
            Some(secs) => Err(OutOfTime::Late { secs }),
            None => Ok(()),
        }
    }
}

/// Positive, and at most 20 bytes.
fn is_serial(bytes: &[u8]) -> bool {
    let is_positive = bytes.first().is_some_and(|first| first & 0x80 == 0);
    is_positive && bytes.iter().any(|byte| *byte != 0) && bytes.len() <= SERIAL_BYTES
}

/// Extensions whose meaning is looked at here.
pub(crate) fn is_followed(extension: &ParsedExtension<'_>) -> bool {
    matches!(
        extension,
        ParsedExtension::BasicConstraints(_)
            | ParsedExtension::KeyUsage(_)
            | ParsedExtension::ExtendedKeyUsage(_)
            | ParsedExtension::SubjectAlternativeName(_)
    )
}

/// Extensions that may be there, as long as they do not insist. Constraints on names would have to be
/// followed even so.
fn is_passed_over(extension: &ParsedExtension<'_>) -> bool {
    !matches!(extension, ParsedExtension::NameConstraints(_) | ParsedExtension::ParseError { .. })
}
