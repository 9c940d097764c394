//! The list of certificates that were taken back before their end, signed by the root.
//!
//! No node of the cluster needs it: records decide there. It is for others who believe the cluster's root.

use std::time::Duration;

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, RevocationReason, RevokedCertParams,
    SerialNumber,
};

use crate::certificate::{Certificate, CertificateError};
use crate::key::SigningKey;
use crate::pem::{PemError, pem_to_der};
use crate::profile::LAST_MOMENT_SECS;

/// How long a list holds: whoever fetches it has to do so again before.
pub const CRL_LIFETIME_SECS: u64 = 7 * 24 * 3_600;

/// A certificate that was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken<'a> {
    /// Big end first.
    pub serial: &'a [u8],
    pub at_secs: u64,
}

/// What a list says.
#[derive(Clone, Debug)]
pub struct CrlPlan<'a> {
    pub now_secs: u64,
    /// Grows from list to list.
    pub number: u64,
    pub taken: &'a [Taken<'a>],
}

/// Why no list was made.
#[derive(Debug, thiserror::Error)]
pub enum CrlError {
    #[error("root certificate is no PEM")]
    RootPem(#[from] PemError),
    #[error("root certificate cannot sign")]
    Root(#[source] CertificateError),
    #[error("root certificate does not hold now; check this node's clock, or rotate the root")]
    RootDates,
    #[error("signing key is not the root certificate's")]
    RootKey,
    #[error("list cannot be made")]
    Make(#[source] rcgen::Error),
}

/// Signs the list by the first root of a bundle. Returns one PEM block.
pub fn issue_crl(
    plan: &CrlPlan<'_>,
    root_pem: &str,
    root_key: &SigningKey<'_>,
) -> Result<String, CrlError> {
    let roots = pem_to_der(root_pem)?;
    let root_der = roots.first().map_or(&[][..], Vec::as_slice);
    let root = Certificate::read_authority(root_der).map_err(CrlError::Root)?;
    root.holds_at(plan.now_secs).map_err(|_| CrlError::RootDates)?;
    if root.key != root_key.public_key() {
        return Err(CrlError::RootKey);
    }
    let end_secs = plan.now_secs.saturating_add(CRL_LIFETIME_SECS).min(root.not_after_secs);
    // The type that the writer takes has no name here.
    #[expect(clippy::arithmetic_side_effects, reason = "the year is bounded just before")]
    let moment = |secs: u64| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(secs.min(LAST_MOMENT_SECS))
    };
    let taken = plan.taken.iter().map(|taken| RevokedCertParams {
        serial_number: SerialNumber::from_slice(taken.serial),
        revocation_time: moment(taken.at_secs),
        reason_code: Some(RevocationReason::CessationOfOperation),
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: moment(plan.now_secs),
        next_update: moment(end_secs),
        crl_number: SerialNumber::from(plan.number),
        issuing_distribution_point: None,
        revoked_certs: taken.collect(),
        key_identifier_method: KeyIdMethod::PreSpecified(root.key.identifier()),
    };
    let issuer = Issuer::from_ca_cert_der(&root_der.into(), root_key);
    let issuer = issuer.map_err(CrlError::Make)?;
    let list = params.signed_by(&issuer).map_err(CrlError::Make)?;
    list.pem().map_err(CrlError::Make)
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{CertificateRevocationList, FromDer};

    use super::*;
    use crate::pem::blocks;
    use crate::tests::fixture::{DAY, NOW, ROOT_END, Root, new_key, only};

    fn list(root: &Root, plan: &CrlPlan<'_>) -> Vec<u8> {
        let pem = issue_crl(plan, &root.pem, &root.key).unwrap();
        let mut bodies = blocks(&pem, "X509 CRL").unwrap();
        assert_eq!(bodies.len(), 1);
        bodies.pop().unwrap()
    }

    #[test]
    fn case_c65_a_list_names_what_was_taken_back_under_the_roots_signature() {
        let root = Root::new();
        let serials: Vec<[u8; 20]> = (1..=100).map(|n| [n; 20]).collect();
        let taken: Vec<_> =
            serials.iter().map(|serial| Taken { serial, at_secs: NOW + 5 }).collect();
        for taken in [&taken[..], &[]] {
            let der = list(&root, &CrlPlan { now_secs: NOW + DAY, number: 300, taken });
            let (rest, read) = CertificateRevocationList::from_der(&der).unwrap();
            assert!(rest.is_empty());
            let named: Vec<_> =
                read.iter_revoked_certificates().map(|one| one.raw_serial().to_vec()).collect();
            let expected: Vec<_> = taken.iter().map(|taken| taken.serial.to_vec()).collect();
            assert_eq!(named, expected);
            let end = i64::try_from(NOW + DAY + CRL_LIFETIME_SECS).unwrap();
            assert_eq!(read.next_update().unwrap().timestamp(), end);
            assert_eq!(read.crl_number().unwrap().to_string(), "300");
            let root_der = only(&root.pem);
            let issuer = Certificate::read(&root_der).unwrap();
            assert_eq!(read.issuer().as_raw(), issuer.parsed.subject().as_raw());
            let signed = read.tbs_cert_list.as_ref();
            let scheme = crate::public::Scheme::of(&read.signature_algorithm).unwrap();
            assert!(issuer.key.signed(scheme, signed, &read.signature_value.data));
        }
    }

    #[test]
    fn a_list_ends_with_its_root_and_is_signed_by_no_other_key() {
        let root = Root::new();
        let plan = CrlPlan { now_secs: ROOT_END - DAY, number: 1, taken: &[] };
        let der = list(&root, &plan);
        let (_, read) = CertificateRevocationList::from_der(&der).unwrap();
        assert_eq!(read.next_update().unwrap().timestamp(), i64::try_from(ROOT_END).unwrap());
        let late = CrlPlan { now_secs: ROOT_END + 1, ..plan.clone() };
        assert!(matches!(issue_crl(&late, &root.pem, &root.key), Err(CrlError::RootDates)));
        assert!(matches!(issue_crl(&plan, &root.pem, &new_key()), Err(CrlError::RootKey)));
        assert!(matches!(issue_crl(&plan, "", &root.key), Err(CrlError::RootPem(_))));
    }
}
