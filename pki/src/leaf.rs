//! The certificate of a node: its profile, and signing it.
//!
//! Who the node is comes from its record. Of the request, only the key is there.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyUsagePurpose, SanType,
};

use crate::certificate::{Certificate, OutOfTime};
use crate::key::SigningKey;
use crate::pem::{self, PemError};
use crate::profile::{self, BACKDATE_SECS};
use crate::public::PublicKey;

pub use crate::certificate::CertificateError;
pub use crate::profile::{Role, SERIAL_BYTES};

/// 90 days, as in Swarm.
pub const LIFETIME_DEFAULT_SECS: u64 = 90 * 24 * 3_600;
/// One hour, as in Swarm: a shorter one could not be renewed in time after a short break.
pub const LIFETIME_MIN_SECS: u64 = 3_600;

/// All that a node's certificate says, but its key.
pub struct LeafPlan<'a> {
    /// The cluster's ID: the organization.
    pub cluster: &'a str,
    /// The node's ID: the common name.
    pub node: &'a str,
    pub role: Role,
    /// Seconds since 1970.
    pub now_secs: u64,
    /// From `now_secs` on. Cut where the root ends.
    pub lifetime_secs: u64,
    /// Random bytes.
    pub serial: [u8; SERIAL_BYTES],
}

/// A node's certificate that is not issued.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    #[error("expected an ID of 1 to 63 lower-case letters and digits for the cluster and the node")]
    Id,
    #[error("certificate lifetime is {asked_secs} s, at least {LIFETIME_MIN_SECS} s are needed")]
    LifetimeTooShort { asked_secs: u64 },
    #[error("root certificate is no PEM")]
    RootPem(#[source] PemError),
    #[error("expected one root certificate, found {count}")]
    RootCount { count: usize },
    #[error("root certificate cannot sign")]
    Root(#[source] CertificateError),
    #[error("root certificate expired {secs} s ago; rotate the root")]
    RootExpired { secs: u64 },
    #[error("root certificate is not valid for another {secs} s; check this node's clock")]
    RootNotYetValid { secs: u64 },
    #[error("signing key is not the root certificate's")]
    RootKey,
    #[error("a node cannot have the root's key")]
    KeyIsRoots,
    #[error("root certificate's subject cannot be written again byte for byte")]
    IssuerName,
    #[error("certificate cannot be made")]
    Make(#[source] rcgen::Error),
}

/// Signs a node's certificate by the root's key. Returns one PEM block.
pub fn issue_leaf(
    plan: &LeafPlan<'_>,
    public: &PublicKey,
    root_pem: &str,
    root_key: &SigningKey<'_>,
) -> Result<String, LeafError> {
    if !profile::is_id(plan.cluster) || !profile::is_id(plan.node) {
        return Err(LeafError::Id);
    }
    if plan.lifetime_secs < LIFETIME_MIN_SECS {
        return Err(LeafError::LifetimeTooShort { asked_secs: plan.lifetime_secs });
    }
    let root_der = only_root(root_pem)?;
    let root = Certificate::read_authority(&root_der).map_err(LeafError::Root)?;
    root.holds_at(plan.now_secs).map_err(|out| match out {
        OutOfTime::Early { secs } => LeafError::RootNotYetValid { secs },
        OutOfTime::Late { secs } => LeafError::RootExpired { secs },
    })?;
    if root.key != root_key.public_key() {
        return Err(LeafError::RootKey);
    }
    if root.key == *public {
        return Err(LeafError::KeyIsRoots);
    }

    let end_secs = plan.now_secs.saturating_add(plan.lifetime_secs).min(root.not_after_secs);
    let params = params(plan, public, end_secs).map_err(LeafError::Make)?;
    let issuer = Issuer::from_ca_cert_der(&root_der.as_slice().into(), root_key);
    let issuer = issuer.map_err(LeafError::Make)?;
    let made = params.signed_by(public, &issuer).map_err(LeafError::Make)?;
    // The writer takes names apart and puts them together again, and loses parts of some.
    let leaf = Certificate::read(made.der()).ok().filter(|leaf| leaf.names_issuer(&root));
    leaf.ok_or(LeafError::IssuerName)?;
    Ok(made.pem())
}

fn only_root(root_pem: &str) -> Result<Vec<u8>, LeafError> {
    let mut roots = pem::pem_to_der(root_pem).map_err(LeafError::RootPem)?;
    match (roots.pop(), roots.len()) {
        (Some(root), 0) => Ok(root),
        (_, others) => Err(LeafError::RootCount { count: others.saturating_add(1) }),
    }
}

pub(crate) fn params(
    plan: &LeafPlan<'_>,
    public: &PublicKey,
    end_secs: u64,
) -> Result<CertificateParams, rcgen::Error> {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, plan.cluster);
    subject.push(DnType::OrganizationalUnitName, plan.role.ou());
    subject.push(DnType::CommonName, plan.node);

    let names = plan.role.names(plan.node).into_iter();
    let names = names.map(|name| Ok(SanType::DnsName(name.try_into()?)));
    let uri = profile::spiffe_id(plan.cluster, plan.node);
    let uri = std::iter::once_with(|| Ok(SanType::URI(uri.as_str().try_into()?)));

    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.subject_alt_names = names.chain(uri).collect::<Result<_, rcgen::Error>>()?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.key_identifier_method = KeyIdMethod::PreSpecified(public.identifier());
    params.use_authority_key_identifier_extension = true;
    let begin_secs = plan.now_secs.saturating_sub(BACKDATE_SECS);
    profile::number_and_date(&mut params, plan.serial, begin_secs, end_secs);
    Ok(params)
}

#[cfg(test)]
mod tests;
