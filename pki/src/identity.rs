//! Who a certificate says its holder is, and whether a root of ours says so too.
//!
//! A claim is no right: the node's record decides what it may do, and which key it may have.

use x509_parser::der_parser::asn1_rs::Tag;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT, Oid,
};

use crate::certificate::{Certificate, OutOfTime};
use crate::pem::PemError;
use crate::profile;
use crate::public::KeyDigest;

pub use crate::certificate::{CERTIFICATE_BYTES_MAX, CertificateError};
pub use crate::pem::pem_to_der;
pub use crate::profile::Role;

/// Certificates that a peer may show: its own, and cross certificates of a rotation.
pub const CHAIN_MAX: usize = 4;
/// Roots that a bundle may hold: a rotation needs two.
pub const ROOTS_MAX: usize = 3;

/// What a node's certificate says about its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The cluster's ID.
    pub cluster: String,
    /// The node's ID.
    pub node: String,
    /// What it was when the certificate was issued.
    pub role: Role,
    /// The key that it has to prove.
    pub key: KeyDigest,
    /// First and last second, since 1970.
    pub not_before_secs: u64,
    pub not_after_secs: u64,
}

/// A certificate that is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("node's certificate cannot be read")]
    Certificate(#[source] CertificateError),
    #[error("expected exactly one O, OU and CN in the subject, and nothing else")]
    Subject,
    #[error("expected IDs of 1 to 63 lower-case letters and digits in the subject")]
    Id,
    #[error("expected the organizational unit of a manager or a worker")]
    Role,
    #[error("certificate is not marked as one that signs no others")]
    Authority,
    #[error("certificate's key usage is not to sign, or is more than that")]
    KeyUsage,
    #[error("certificate is not for both ends of TLS")]
    Purpose,
    #[error("alternative names are not those of the subject")]
    Names,
    #[error("expected 1 to {CHAIN_MAX} certificates, found {count}")]
    Chain { count: usize },
    #[error("root bundle is no PEM")]
    RootPem(#[source] PemError),
    #[error("expected 1 to {ROOTS_MAX} roots, found {count}")]
    RootCount { count: usize },
    #[error("root certificate cannot be used")]
    Root(#[source] CertificateError),
    #[error("certificate is of an issuer that is not known here")]
    UnknownIssuer,
    #[error("certificate is not signed by the issuer that it names")]
    Signature,
    #[error("root certificate expired {secs} s ago")]
    RootExpired { secs: u64 },
    #[error("root certificate is not valid for another {secs} s")]
    RootNotYetValid { secs: u64 },
    #[error("certificate expired {secs} s ago")]
    Expired { secs: u64 },
    #[error("certificate is not valid for another {secs} s")]
    NotYetValid { secs: u64 },
}

impl Claim {
    /// Reads what a certificate in DER says. Neither its signature nor its dates are looked at.
    pub fn of(certificate_der: &[u8]) -> Result<Self, IdentityError> {
        let leaf = Certificate::read(certificate_der).map_err(IdentityError::Certificate)?;
        Self::said_by(&leaf)
    }

    fn said_by(leaf: &Certificate<'_>) -> Result<Self, IdentityError> {
        let [cluster, unit, node] = subject(leaf).ok_or(IdentityError::Subject)?;
        if !profile::is_id(cluster) || !profile::is_id(node) {
            return Err(IdentityError::Id);
        }
        let role = Role::parse(unit).ok_or(IdentityError::Role)?;
        if leaf.is_authority() != Some(false) {
            return Err(IdentityError::Authority);
        }
        require_uses(leaf)?;
        require_names(leaf, cluster, node, role)?;
        Ok(Self {
            cluster: cluster.to_owned(),
            node: node.to_owned(),
            role,
            key: leaf.key.digest(),
            not_before_secs: leaf.not_before_secs,
            not_after_secs: leaf.not_after_secs,
        })
    }
}

/// Judges the certificates that a peer showed, its own first, in DER: is one of the roots behind it, at that
/// moment, directly or by cross certificates among the others? The peer still has to prove the key, and its record
/// still has to know it.
pub fn judge(chain: &[&[u8]], roots_pem: &str, now_secs: u64) -> Result<Claim, IdentityError> {
    let (leaf, others) = match chain {
        [leaf, others @ ..] if others.len() < CHAIN_MAX => (leaf, others),
        _ => return Err(IdentityError::Chain { count: chain.len() }),
    };
    let leaf = Certificate::read(leaf).map_err(IdentityError::Certificate)?;
    let roots = pem_to_der(roots_pem).map_err(IdentityError::RootPem)?;
    if roots.len() > ROOTS_MAX {
        return Err(IdentityError::RootCount { count: roots.len() });
    }
    let roots: Result<Vec<_>, _> =
        roots.iter().map(|der| Certificate::read_authority(der)).collect();
    let roots = roots.map_err(IdentityError::Root)?;

    // What cannot sign others is no link, whatever it is there for.
    let others = others.iter().filter_map(|der| Certificate::read_authority(der).ok());
    let others: Vec<_> = others.filter(|other| other.holds_at(now_secs).is_ok()).collect();
    anchor(&leaf, &others.iter().collect::<Vec<_>>(), &roots, now_secs)?;
    leaf.holds_at(now_secs).map_err(|out| match out {
        OutOfTime::Early { secs } => IdentityError::NotYetValid { secs },
        OutOfTime::Late { secs } => IdentityError::Expired { secs },
    })?;
    Claim::said_by(&leaf)
}

/// Finds a root behind a certificate. Each other one is a link once at most, so that the search ends: there are fewer
/// than `CHAIN_MAX` of them.
fn anchor(
    certificate: &Certificate<'_>,
    others: &[&Certificate<'_>],
    roots: &[Certificate<'_>],
    now_secs: u64,
) -> Result<(), IdentityError> {
    let direct = issuer_of(certificate, roots).and_then(|root| {
        root.holds_at(now_secs).map_err(|out| match out {
            OutOfTime::Early { secs } => IdentityError::RootNotYetValid { secs },
            OutOfTime::Late { secs } => IdentityError::RootExpired { secs },
        })
    });
    let Err(refused) = direct else { return Ok(()) };
    let by_link = others.iter().enumerate().any(|(at, link)| {
        let is_issuer = certificate.names_issuer(link) && certificate.is_signed_by(link);
        let left = others.iter().enumerate().filter(|(other, _)| *other != at);
        let left: Vec<_> = left.map(|(_, other)| *other).collect();
        is_issuer && anchor(link, &left, roots, now_secs).is_ok()
    });
    if by_link { Ok(()) } else { Err(refused) }
}

/// The root that signed it. Several may have the name that it gives.
fn issuer_of<'r, 'a>(
    leaf: &Certificate<'_>,
    roots: &'r [Certificate<'a>],
) -> Result<&'r Certificate<'a>, IdentityError> {
    let mut named = roots.iter().filter(|root| leaf.names_issuer(root)).peekable();
    if named.peek().is_none() {
        return Err(IdentityError::UnknownIssuer);
    }
    named.find(|root| leaf.is_signed_by(root)).ok_or(IdentityError::Signature)
}

/// O, OU and CN, each exactly once and each in a set of its own; nothing else may be there.
fn subject<'a>(leaf: &'a Certificate<'_>) -> Option<[&'a str; 3]> {
    let subject = leaf.parsed.subject();
    let only = |name: &Oid<'_>| {
        let mut found = subject.iter().filter_map(|set| {
            let mut attributes = set.iter();
            let first = attributes.next().filter(|first| first.attr_type() == name)?;
            attributes.next().is_none().then_some(first)
        });
        let value = found.next()?.attr_value();
        let is_text = matches!(value.tag(), Tag::Utf8String | Tag::PrintableString);
        let is_alone = found.next().is_none();
        (is_text && is_alone).then(|| std::str::from_utf8(value.data).ok())?
    };
    let parts = [OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT, OID_X509_COMMON_NAME];
    let [cluster, unit, node] = parts.each_ref().map(only);
    (subject.iter().count() == parts.len()).then_some([cluster?, unit?, node?])
}

/// It is there to sign, which is all that TLS 1.3 asks, at both ends of a connection. Stock certificates
/// also have key encipherment.
fn require_uses(leaf: &Certificate<'_>) -> Result<(), IdentityError> {
    let usage = leaf.parsed.key_usage().ok().flatten().ok_or(IdentityError::KeyUsage)?;
    let usage = usage.value;
    if !usage.digital_signature() || usage.key_cert_sign() || usage.crl_sign() {
        return Err(IdentityError::KeyUsage);
    }
    let purposes = leaf.parsed.extended_key_usage().ok().flatten();
    let has_both = |purposes: &x509_parser::extensions::ExtendedKeyUsage<'_>| {
        purposes.server_auth && purposes.client_auth
    };
    if purposes.is_some_and(|purposes| has_both(purposes.value)) {
        Ok(())
    } else {
        Err(IdentityError::Purpose)
    }
}

/// Every alternative name is one that this subject has: its unit, which peers ask for, has to be there. At
/// most one is a URI, and that is the node's SPIFFE ID.
fn require_names(
    leaf: &Certificate<'_>,
    cluster: &str,
    node: &str,
    role: Role,
) -> Result<(), IdentityError> {
    let names = leaf.parsed.subject_alternative_name().ok().flatten();
    let names = &names.ok_or(IdentityError::Names)?.value.general_names;
    let allowed = role.names(node);
    let uri = profile::spiffe_id(cluster, node);
    let is_dns = |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(name) if allowed.contains(name));
    let is_uri = |name: &GeneralName<'_>| *name == GeneralName::URI(&uri);
    let uris = names.iter().filter(|name| is_uri(name)).count();
    let has_unit = names.contains(&GeneralName::DNSName(role.ou()));
    if names.iter().all(|name| is_dns(name) || is_uri(name)) && has_unit && uris <= 1 {
        Ok(())
    } else {
        Err(IdentityError::Names)
    }
}

#[cfg(test)]
mod tests;
