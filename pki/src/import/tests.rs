//! Roots with one defect each: by our writer where it can make it, by OpenSSL's otherwise (`vectors/`).

use super::*;
use crate::tests::fixture::{DAY, HOUR, NOW, ROOT_END, Root, new_key};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    GeneralSubtree, IsCa, KeyUsagePurpose, NameConstraints,
};
use ring::rand::SystemRandom;

type Change = fn(&mut CertificateParams);

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "elsewhere");
    params.distinguished_name.push(DnType::CommonName, "root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    crate::profile::number_and_date(&mut params, [9; SERIAL_BYTES], NOW - HOUR, ROOT_END);
    params
}

/// A root and its key in PEM, made with a change.
fn made(change: Change) -> (String, String) {
    let mut params = params();
    change(&mut params);
    let document = KeyDocument::generate(&SystemRandom::new()).unwrap();
    let random = SystemRandom::new();
    let key = SigningKey::parse(document.expose(), &random).unwrap();
    let body = crate::tests::fixture::to_pem(document.expose());
    let key_pem = body.replace("CERTIFICATE", "PRIVATE KEY");
    (params.self_signed(&key).unwrap().pem(), key_pem)
}

fn refused(certificate_pem: &str, key_pem: Option<&str>, current: &Root, now_secs: u64) -> String {
    let wanted = Import { certificate_pem, key_pem, current_pem: &current.pem, now_secs };
    match import(&wanted, &SystemRandom::new()) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_good_root_is_taken_with_its_key_or_without() {
    let (root, key) = made(|_| {});
    let current = Root::new();
    let taken = |key_pem| {
        let (certificate_pem, current_pem) = (root.as_str(), current.pem.as_str());
        let wanted = Import { certificate_pem, key_pem, current_pem, now_secs: NOW };
        import(&wanted, &SystemRandom::new()).unwrap()
    };
    assert!(taken(None).is_none());
    let document = taken(Some(&key)).expect("it was brought");
    let random = SystemRandom::new();
    let signing = SigningKey::parse(document.expose(), &random).unwrap();
    let der = only(&root).unwrap();
    assert_eq!(Certificate::read(&der).unwrap().key, signing.public_key());
}

#[test]
fn case_c62_each_defect_of_a_root_has_its_own_words() {
    let current = Root::new();
    let rows: [(&str, Change); 9] = [
        ("of an authority", |params| params.is_ca = IsCa::ExplicitNoCa),
        ("of an authority", |params| params.is_ca = IsCa::NoCa),
        ("chains of 0 more", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
        ("may not sign others", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]),
        ("may not sign others", |params| params.key_usages.clear()),
        ("limits names", |params| {
            let permitted_subtrees = vec![GeneralSubtree::DnsName("internal".to_owned())];
            let excluded_subtrees = Vec::new();
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees, excluded_subtrees });
        }),
        ("not known: 1.2.3.4", |params| {
            let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
            extension.set_criticality(true);
            params.custom_extensions.push(extension);
        }),
        ("no subject", |params| params.distinguished_name = DistinguishedName::new()),
        ("expires too soon: in 31535999 s", |params| {
            let end_secs = NOW + ROOT_LEFT_MIN_SECS - 1;
            crate::profile::number_and_date(params, [9; SERIAL_BYTES], NOW, end_secs);
        }),
    ];
    for (text, change) in rows {
        let said = refused(&made(change).0, None, &current, NOW);
        assert!(said.contains(text), "{text}: {said:?}");
    }
    let (root, key) = made(|_| {});
    let twice = [root.as_str(), &root].concat();
    let other = made(|_| {}).1;
    let sec1 = key.replace("PRIVATE", "EC PRIVATE");
    let own = Root::of(2, NOW);
    let twin = own.forged_twin();
    for (text, certificate, key, current, now_secs) in [
        ("no PEM", "", None, &current, NOW),
        ("multiple certificates", twice.as_str(), None, &current, NOW),
        ("expired 1 s ago", &root, None, &current, ROOT_END + 1),
        ("not valid for another 1 s", &root, None, &current, NOW - HOUR - 1),
        ("expires too soon", &root, None, &current, ROOT_END - 364 * DAY),
        ("not one unencrypted PKCS #8 key", &root, Some(sec1.as_str()), &current, NOW),
        ("not one unencrypted PKCS #8 key", &root, Some("no key"), &current, NOW),
        ("certificate key mismatch", &root, Some(&other), &current, NOW),
        ("identical key", &own.pem, None, &own, NOW),
        ("name of the root in use", &twin, None, &own, NOW),
    ] {
        let said = refused(certificate, key, current, now_secs);
        assert!(said.contains(text), "{text}: {said:?}");
    }
    let others_key = new_key();
    let under = current.sign(&params(), &others_key);
    let said = refused(&crate::tests::fixture::to_pem(&under), None, &Root::new(), NOW);
    assert_eq!(said, "the desired CA certificate is not signed by its own key");
}

#[test]
fn a_root_that_openssl_made_is_taken() {
    let (root, other) = (include_str!("../../vectors/root-openssl.pem"), Root::new());
    assert_eq!(refused(root, None, &other, NOW), "");
}

#[test]
fn case_c62_roots_of_other_forms_are_refused_by_what_they_are() {
    let current = Root::new();
    for (text, pem) in [
        ("of X.509 version 1", include_str!("../../vectors/root-version-1.pem")),
        ("signed over MD5", include_str!("../../vectors/root-md5.pem")),
        ("signed over SHA-1", include_str!("../../vectors/root-sha1.pem")),
        ("an RSA key of 1024 bits", include_str!("../../vectors/root-rsa-1024.pem")),
        ("an RSA key of 2048 bits", include_str!("../../vectors/root-rsa-2048.pem")),
        ("another point of 384 bits", include_str!("../../vectors/root-p384.pem")),
        ("a key of another kind (1.3.101.112)", include_str!("../../vectors/root-ed25519.pem")),
        ("several values in one part", include_str!("../../vectors/root-multi-valued.pem")),
        ("a part of its subject twice", include_str!("../../vectors/root-repeated-name.pem")),
    ] {
        let said = refused(pem, None, &current, NOW);
        assert!(said.contains(text), "{text}: {said:?}");
    }
}

#[test]
fn no_byte_of_a_root_can_be_changed() {
    let current = Root::new();
    let (root, _) = made(|_| {});
    let der = only(&root).unwrap();
    for at in 0..der.len() {
        let mut changed = der.clone();
        changed[at] ^= 1;
        let pem = crate::tests::fixture::to_pem(&changed);
        assert_ne!(refused(&pem, None, &current, NOW), "", "byte {at}");
    }
}
