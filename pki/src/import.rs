//! Roots that an operator brings: each defect has its own words, before anything depends on it.
//!
//! Stricter than what verifiers take, on purpose: they differ, and a root is trusted for years by all of them.

use ring::rand::SecureRandom;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::X509Version;

use crate::certificate::{
    CERTIFICATE_BYTES_MAX, Certificate, CertificateError, OutOfTime, is_followed,
};
use crate::key::{KeyDocument, SigningKey};
use crate::leaf::{self, LeafError, LeafPlan};
use crate::pem::{self, PemError};
use crate::profile::{Role, SERIAL_BYTES};
use crate::public::{PublicKey, PublicKeyError};

/// Seconds that an imported root must still be good for: one year, as in Swarm.
pub const ROOT_LEFT_MIN_SECS: u64 = 365 * 24 * 3_600;

/// A root that is not taken. The texts are Swarm's where Swarm has one.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the desired CA certificate is no PEM")]
    Pem(#[source] PemError),
    #[error("the desired CA certificate cannot contain multiple certificates")]
    Several,
    #[error(
        "the desired CA certificate has {bytes} bytes, at most {CERTIFICATE_BYTES_MAX} are read"
    )]
    TooLarge { bytes: usize },
    #[error("the desired CA certificate is not X.509 in DER, with nothing behind it")]
    Malformed,
    #[error("the desired CA certificate is of X.509 version {version}, and version 3 is needed")]
    Version { version: u32 },
    #[error(
        "the desired CA certificate is signed over {hash}, which others can forge: SHA-256 or SHA-384 is needed"
    )]
    WeakHash { hash: &'static str },
    #[error("the desired CA certificate has {found}, and a P-256 key is needed")]
    KeyKind { found: String },
    #[error(
        "the desired CA certificate is not one of an authority: basic constraints with CA:TRUE are needed"
    )]
    NoAuthority,
    #[error(
        "the desired CA certificate allows chains of {most} more: without a path length, roots can vouch for each other"
    )]
    PathLength { most: u32 },
    #[error("the desired CA certificate may not sign others: key usage with keyCertSign is needed")]
    NoSigning,
    #[error("the desired CA certificate limits names, which verifiers read differently")]
    NameConstraints,
    #[error("the desired CA certificate has a critical extension that is not known: {oid}")]
    CriticalExtension { oid: String },
    #[error("the desired CA certificate has no subject")]
    NoName,
    #[error("the desired CA certificate has several values in one part of its subject")]
    NameMultiValued,
    #[error("the desired CA certificate has a part of its subject twice")]
    NameRepeated,
    #[error("the desired CA certificate has the name of the root in use")]
    NameInUse,
    #[error("the desired CA certificate is not signed by its own key")]
    NotSelfSigned,
    #[error("the desired CA certificate expired {secs} s ago")]
    Expired { secs: u64 },
    #[error("the desired CA certificate is not valid for another {secs} s")]
    NotYetValid { secs: u64 },
    #[error("CA certificate expires too soon: in {left_secs} s, and a year is needed")]
    TooSoon { left_secs: u64 },
    #[error("the signing key is not one unencrypted PKCS #8 key in PEM (BEGIN PRIVATE KEY), P-256")]
    Key,
    #[error("certificate key mismatch")]
    KeyMismatch,
    #[error("Cannot update to a cert with an identical key")]
    SameKey,
    /// What is wrong otherwise.
    #[error("the desired CA certificate cannot be used")]
    Certificate(#[source] CertificateError),
    /// With its key, a certificate was issued that is not believed.
    #[error("a certificate that the desired CA would issue is not believed")]
    Trial(#[source] LeafError),
}

/// What is brought, and what is there.
pub struct Import<'a> {
    pub certificate_pem: &'a str,
    /// PKCS #8 in PEM. Without it, somebody else signs.
    pub key_pem: Option<&'a str>,
    /// The root in use. One PEM block.
    pub current_pem: &'a str,
    /// Seconds since 1970.
    pub now_secs: u64,
}

/// Takes a root with its key, if that is brought, or says what is wrong with it.
pub fn import(
    wanted: &Import<'_>,
    random: &dyn SecureRandom,
) -> Result<Option<KeyDocument>, ImportError> {
    let der = only(wanted.certificate_pem)?;
    let (rest, parsed) = X509Certificate::from_der(&der).map_err(|_| ImportError::Malformed)?;
    if !rest.is_empty() {
        return Err(ImportError::Malformed);
    }
    require_form(&parsed)?;
    require_uses(&parsed)?;
    require_name(&parsed)?;
    let root = Certificate::read_authority(&der).map_err(ImportError::Certificate)?;
    if !root.names_issuer(&root) || !root.is_signed_by(&root) {
        return Err(ImportError::NotSelfSigned);
    }
    root.holds_at(wanted.now_secs).map_err(|out| match out {
        OutOfTime::Early { secs } => ImportError::NotYetValid { secs },
        OutOfTime::Late { secs } => ImportError::Expired { secs },
    })?;
    let left_secs = root.not_after_secs.saturating_sub(wanted.now_secs);
    if left_secs < ROOT_LEFT_MIN_SECS {
        return Err(ImportError::TooSoon { left_secs });
    }
    let current_der = only(wanted.current_pem)?;
    let current = Certificate::read_authority(&current_der).map_err(ImportError::Certificate)?;
    if root.key == current.key {
        return Err(ImportError::SameKey);
    }
    if root.names_issuer(&current) {
        return Err(ImportError::NameInUse);
    }
    wanted.key_pem.map(|key| take_key(wanted, key, &root.key, random)).transpose()
}

/// The key, if it is the root's, and what it issues is believed.
fn take_key(
    wanted: &Import<'_>,
    key_pem: &str,
    public: &PublicKey,
    random: &dyn SecureRandom,
) -> Result<KeyDocument, ImportError> {
    let document = KeyDocument::from_pem(key_pem).map_err(|_| ImportError::Key)?;
    let key = SigningKey::parse(document.expose(), random).map_err(|_| ImportError::Key)?;
    if key.public_key() != *public {
        return Err(ImportError::KeyMismatch);
    }
    let own = KeyDocument::generate(random).map_err(|_| ImportError::Key)?;
    let own = SigningKey::parse(own.expose(), random).map_err(|_| ImportError::Key)?;
    let plan = LeafPlan {
        cluster: "trial",
        node: "trial",
        role: Role::Manager,
        now_secs: wanted.now_secs,
        lifetime_secs: leaf::LIFETIME_DEFAULT_SECS,
        serial: [1; SERIAL_BYTES],
    };
    let trial = leaf::issue_leaf(&plan, &own.public_key(), wanted.certificate_pem, &key);
    trial.map_err(ImportError::Trial)?;
    Ok(document)
}

fn only(pem: &str) -> Result<Vec<u8>, ImportError> {
    let mut all = pem::pem_to_der(pem).map_err(ImportError::Pem)?;
    let der = all.pop().filter(|_| all.is_empty()).ok_or(ImportError::Several)?;
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(ImportError::TooLarge { bytes: der.len() });
    }
    Ok(der)
}

/// Hashes that are not taken, by the names of the algorithms that use them.
const WEAK: [(&str, &str); 5] = [
    ("1.2.840.113549.1.1.2", "MD2"),
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.2.840.10040.4.3", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
];

fn require_form(root: &X509Certificate<'_>) -> Result<(), ImportError> {
    if root.version != X509Version::V3 {
        return Err(ImportError::Version { version: root.version.0.saturating_add(1) });
    }
    let algorithm = root.signature_algorithm.algorithm.to_id_string();
    if let Some((_, hash)) = WEAK.into_iter().find(|(oid, _)| *oid == algorithm) {
        return Err(ImportError::WeakHash { hash });
    }
    let key = root.public_key();
    match PublicKey::from_der(key.raw) {
        Ok(_) => Ok(()),
        Err(PublicKeyError) => {
            let found = match key.parsed() {
                Ok(ParsedKey::RSA(rsa)) => format!("an RSA key of {} bits", rsa.key_size()),
                Ok(ParsedKey::EC(point)) => format!("another point of {} bits", point.key_size()),
                _ => format!("a key of another kind ({})", key.algorithm.algorithm),
            };
            Err(ImportError::KeyKind { found })
        }
    }
}

fn require_uses(root: &X509Certificate<'_>) -> Result<(), ImportError> {
    let mut is_authority = false;
    let mut may_sign = false;
    for extension in root.extensions() {
        let said = extension.parsed_extension();
        if let ParsedExtension::BasicConstraints(constraints) = said {
            is_authority = constraints.ca;
            if let Some(most) = constraints.path_len_constraint {
                return Err(ImportError::PathLength { most });
            }
        } else if let ParsedExtension::KeyUsage(usage) = said {
            may_sign = usage.key_cert_sign();
        } else if matches!(said, ParsedExtension::NameConstraints(_)) {
            return Err(ImportError::NameConstraints);
        } else if extension.critical && !is_followed(said) {
            return Err(ImportError::CriticalExtension { oid: extension.oid.to_id_string() });
        }
    }
    match (is_authority, may_sign) {
        (false, _) => Err(ImportError::NoAuthority),
        (true, false) => Err(ImportError::NoSigning),
        (true, true) => Ok(()),
    }
}

/// Writers lose parts of names of other forms, and then nothing that the root signed would be believed.
fn require_name(root: &X509Certificate<'_>) -> Result<(), ImportError> {
    let mut kinds = Vec::new();
    for part in root.subject().iter() {
        let mut attributes = part.iter();
        let first = attributes.next().ok_or(ImportError::Malformed)?;
        if attributes.next().is_some() {
            return Err(ImportError::NameMultiValued);
        }
        if kinds.contains(first.attr_type()) {
            return Err(ImportError::NameRepeated);
        }
        kinds.push(first.attr_type().clone());
    }
    if kinds.is_empty() { Err(ImportError::NoName) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
