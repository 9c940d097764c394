//! Cross certificates: one root signed by another, so that whoever trusts either believes what both have signed.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, Issuer,
    KeyIdMethod, KeyUsagePurpose,
};
use x509_parser::der_parser::asn1_rs::Tag;

use crate::certificate::{Certificate, CertificateError, OutOfTime};
use crate::key::SigningKey;
use crate::pem::{self, PemError};
use crate::profile::{self, BACKDATE_SECS, SERIAL_BYTES};

/// All that a cross certificate says, but what it says of the root that is signed.
pub struct CrossPlan<'a> {
    /// The root that is vouched for. One PEM block.
    pub subject_pem: &'a str,
    /// The root that vouches. One PEM block.
    pub issuer_pem: &'a str,
    /// Seconds since 1970.
    pub now_secs: u64,
    /// Random bytes.
    pub serial: [u8; SERIAL_BYTES],
}

/// A root that is not signed by another.
#[derive(Debug, thiserror::Error)]
pub enum CrossError {
    #[error("root certificate is no PEM")]
    Pem(#[source] PemError),
    #[error("expected one root certificate, found {count}")]
    Count { count: usize },
    #[error("root certificate cannot be used")]
    Root(#[source] CertificateError),
    #[error("root certificate expired {secs} s ago")]
    Expired { secs: u64 },
    #[error("root certificate is not valid for another {secs} s")]
    NotYetValid { secs: u64 },
    #[error("signing key is not that of the root that vouches")]
    Key,
    #[error("both roots have one key")]
    SameKey,
    #[error("both roots have one name")]
    SameName,
    #[error("root certificate's subject cannot be written again byte for byte")]
    Name,
    #[error("certificate cannot be made")]
    Make(#[source] rcgen::Error),
}

/// Signs one root by another's key: the same name, key and uses, and no later end than either has. Returns one PEM
/// block.
pub fn cross_sign(plan: &CrossPlan<'_>, issuer_key: &SigningKey<'_>) -> Result<String, CrossError> {
    let (subject_der, issuer_der) = (only(plan.subject_pem)?, only(plan.issuer_pem)?);
    let subject = Certificate::read_authority(&subject_der).map_err(CrossError::Root)?;
    let issuer = Certificate::read_authority(&issuer_der).map_err(CrossError::Root)?;
    for root in [&subject, &issuer] {
        root.holds_at(plan.now_secs).map_err(|out| match out {
            OutOfTime::Early { secs } => CrossError::NotYetValid { secs },
            OutOfTime::Late { secs } => CrossError::Expired { secs },
        })?;
    }
    if issuer.key != issuer_key.public_key() {
        return Err(CrossError::Key);
    }
    if subject.key == issuer.key {
        return Err(CrossError::SameKey);
    }
    // Whoever builds a path could not tell them apart.
    if subject.parsed.subject().as_raw() == issuer.parsed.subject().as_raw() {
        return Err(CrossError::SameName);
    }
    let mut params = params_like(&subject).ok_or(CrossError::Name)?;
    params.use_authority_key_identifier_extension = true;
    let begin_secs = plan.now_secs.saturating_sub(BACKDATE_SECS);
    let end_secs = subject.not_after_secs.min(issuer.not_after_secs);
    profile::number_and_date(&mut params, plan.serial, begin_secs, end_secs);
    let signer = Issuer::from_ca_cert_der(&issuer_der.as_slice().into(), issuer_key);
    let signer = signer.map_err(CrossError::Make)?;
    let made = params.signed_by(&subject.key, &signer).map_err(CrossError::Make)?;
    // The writer takes names apart and puts them together again, and loses parts of some.
    let cross = Certificate::read_authority(made.der()).map_err(|_| CrossError::Name)?;
    let is_same = cross.parsed.subject().as_raw() == subject.parsed.subject().as_raw();
    if is_same && cross.names_issuer(&issuer) { Ok(made.pem()) } else { Err(CrossError::Name) }
}

/// What a root says of itself, to be said of it again; `None` for names that cannot be written.
pub(crate) fn params_like(root: &Certificate<'_>) -> Option<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for attribute in root.parsed.subject().iter_attributes() {
        let oid: Vec<u64> = attribute.attr_type().iter()?.collect();
        let text = attribute.as_str().ok()?;
        let value = match attribute.attr_value().tag() {
            Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
            Tag::PrintableString => DnValue::PrintableString(text.try_into().ok()?),
            _ => return None,
        };
        params.distinguished_name.push(DnType::CustomDnType(oid), value);
    }
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::PreSpecified(root.key.identifier());
    Some(params)
}

fn only(root_pem: &str) -> Result<Vec<u8>, CrossError> {
    let mut roots = pem::pem_to_der(root_pem).map_err(CrossError::Pem)?;
    match (roots.pop(), roots.len()) {
        (Some(root), 0) => Ok(root),
        (_, others) => Err(CrossError::Count { count: others.saturating_add(1) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture::{self, DAY, HOUR, NOW, ROOT_END, Root};

    fn cross(subject: &Root, issuer: &Root, now_secs: u64) -> Result<String, String> {
        let (subject_pem, issuer_pem) = (&subject.pem, &issuer.pem);
        let plan = CrossPlan { subject_pem, issuer_pem, now_secs, serial: [5; SERIAL_BYTES] };
        cross_sign(&plan, &issuer.key).map_err(|error| error.to_string())
    }

    #[test]
    fn a_cross_certificate_is_the_one_root_signed_by_the_other() {
        let (old, new) = (Root::of(1, NOW), Root::of(2, NOW + 30 * DAY));
        let now = NOW + 40 * DAY;
        for (subject, issuer) in [(&new, &old), (&old, &new)] {
            let (made, root) = (cross(subject, issuer, now).unwrap(), fixture::only(&subject.pem));
            let (made, above) = (fixture::only(&made), fixture::only(&issuer.pem));
            let [made, root, above] =
                [&made, &root, &above].map(|der| Certificate::read_authority(der).unwrap());
            assert_eq!(made.parsed.subject().as_raw(), root.parsed.subject().as_raw());
            assert_eq!(made.key, root.key);
            assert!(made.names_issuer(&above) && made.is_signed_by(&above));
            assert_eq!((made.not_before_secs, made.not_after_secs), (now - HOUR, ROOT_END));
            assert_ne!(made.parsed.raw_serial(), root.parsed.raw_serial());
            let limit = made.parsed.basic_constraints().unwrap().unwrap().value.path_len_constraint;
            assert_eq!(limit, None, "several verifiers would refuse it");
        }
    }

    #[test]
    fn roots_that_cannot_vouch_for_each_other_are_refused_by_name() {
        let (old, new) = (Root::of(1, NOW), Root::of(2, NOW + 30 * DAY));
        let now = NOW + 30 * DAY;
        let refused = |subject: &Root, issuer: &Root, now| cross(subject, issuer, now).unwrap_err();
        let mixed = |pem: &Root, key: Root| Root { pem: pem.pem.clone(), key: key.key };
        assert_eq!(refused(&new, &old, ROOT_END + 1), "root certificate expired 1 s ago");
        let early = refused(&new, &old, now - HOUR - 1);
        assert_eq!(early, "root certificate is not valid for another 1 s");
        let other = refused(&new, &mixed(&old, Root::of(3, NOW)), now);
        assert_eq!(other, "signing key is not that of the root that vouches");
        assert_eq!(refused(&old, &old, now), "both roots have one key");
        let named = Root { pem: old.forged_twin(), key: fixture::new_key() };
        assert_eq!(refused(&named, &old, now), "both roots have one name");
        let two = Root { pem: [new.pem.as_str(), &old.pem].concat(), key: fixture::new_key() };
        assert_eq!(refused(&two, &old, now), "expected one root certificate, found 2");
    }
}
