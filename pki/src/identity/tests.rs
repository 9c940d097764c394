//! Judging: what makes a certificate unbelievable, one change at a time.

use super::*;
use crate::cross;
use crate::leaf::{self, LeafPlan};
use crate::public::PublicKeyError;
use crate::tests::fixture::{self, CLUSTER, DAY, HOUR, NODE, NOW, ROOT_END, Root, new_key, plan};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
    SanType,
};

type Change = fn(&mut CertificateParams);

/// One certificate, made with a change, judged when the root was new.
fn judged(root: &Root, change: Change) -> Result<Claim, IdentityError> {
    judge(&[&root.forge(change)], &root.pem, NOW)
}

#[track_caller]
fn assert_judged(rows: &[(&str, Change, Result<(), IdentityError>)]) {
    let root = Root::new();
    for (name, change, expected) in rows {
        assert_eq!(judged(&root, *change).map(|_| ()), *expected, "{name}");
    }
}

fn add_unit(params: &mut CertificateParams, unit: &str) {
    // By another way, or it would replace the one that is there.
    params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 11]), unit);
}

fn common_name(params: &mut CertificateParams, name: impl Into<DnValue>) {
    params.distinguished_name.push(DnType::CommonName, name);
}

fn uri(params: &mut CertificateParams, uri: &str) {
    params.subject_alt_names.retain(|name| !matches!(name, SanType::URI(_)));
    params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
}

fn dns(params: &mut CertificateParams, name: &str) {
    params.subject_alt_names.push(SanType::DnsName(name.try_into().unwrap()));
}

#[test]
fn case_c31_c32_a_subject_has_each_part_once() {
    let subject = Err(IdentityError::Subject);
    assert_judged(&[
        ("nothing", |_| {}, Ok(())),
        ("two units", |params| add_unit(params, "swarm-manager"), subject),
        (
            "other unit",
            |params| {
                params.distinguished_name.push(DnType::OrganizationalUnitName, "swarm-admin");
            },
            Err(IdentityError::Role),
        ),
        (
            "unit in capitals",
            |params| {
                params.distinguished_name.push(DnType::OrganizationalUnitName, "SWARM-MANAGER");
            },
            Err(IdentityError::Role),
        ),
        (
            "no unit",
            |params| {
                params.distinguished_name.remove(DnType::OrganizationalUnitName);
            },
            subject,
        ),
        (
            "two names",
            |params| {
                params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), "n");
            },
            subject,
        ),
        (
            "two organizations",
            |params| {
                params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 10]), "c");
            },
            subject,
        ),
        (
            "a country",
            |params| {
                params.distinguished_name.push(DnType::CountryName, "XX");
            },
            subject,
        ),
        ("empty", |params| params.distinguished_name = DistinguishedName::new(), subject),
    ]);
}

#[test]
fn case_c14_c31_c32_ids_in_a_subject_are_plain_text() {
    let (subject, id) = (Err(IdentityError::Subject), Err(IdentityError::Id));
    assert_judged(&[
        ("space behind", |params| common_name(params, "n0de56789abcdefghijklmnop "), id),
        ("capitals", |params| common_name(params, "N0DE56789ABCDEFGHIJKLMNOP"), id),
        ("looks alike", |params| common_name(params, "n0de56789abcdefghijklmn\u{43e}p"), id),
        ("nul", |params| common_name(params, "n0de56789abcdefghijklmnop\0"), id),
        ("long", |params| common_name(params, "n".repeat(64)), id),
        ("none", |params| common_name(params, ""), id),
        (
            "of two bytes a letter",
            |params| {
                common_name(params, DnValue::BmpString(NODE.try_into().unwrap()));
            },
            subject,
        ),
        (
            "of an old alphabet",
            |params| {
                common_name(params, DnValue::TeletexString(NODE.try_into().unwrap()));
            },
            subject,
        ),
        (
            "printable",
            |params| {
                common_name(params, DnValue::PrintableString(NODE.try_into().unwrap()));
            },
            Ok(()),
        ),
    ]);
}

#[test]
fn case_c31_c32_alternative_names_are_those_of_the_subject() {
    let wrong = Err(IdentityError::Names);
    let id = format!("spiffe://{CLUSTER}.coffer.internal/node/{NODE}");
    let root = Root::new();
    for other in [
        id.replace("node/", "node//"),
        id.replace("node/", "x/../node/"),
        id.replace("/node/", "%2fnode/"),
        id.replace("internal", "INTERNAL"),
        id.replace(".internal", ".internal:443"),
        id.replace(NODE, "another"),
        format!("{id}?"),
        format!("{id}/{}", "x".repeat(2_048 - id.len())),
    ] {
        let leaf = root.forge(|params| uri(params, &other));
        assert_eq!(judge(&[&leaf], &root.pem, NOW).map(|_| ()), wrong, "{other}");
    }
    assert_judged(&[
        (
            "another's URI too",
            |params| {
                params.subject_alt_names.push(SanType::URI("spiffe://a/b".try_into().unwrap()));
            },
            wrong,
        ),
        (
            "the URI twice",
            |params| {
                let again = params.subject_alt_names.last().unwrap().clone();
                params.subject_alt_names.push(again);
            },
            wrong,
        ),
        (
            "no URI",
            |params| {
                params.subject_alt_names.pop();
            },
            Ok(()),
        ),
        ("another's DNS name", |params| dns(params, "another"), wrong),
        ("the other role's", |params| dns(params, "swarm-worker"), wrong),
        (
            "an address",
            |params| {
                params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
            },
            wrong,
        ),
        (
            "not its role's",
            |params| {
                params.subject_alt_names.remove(0);
            },
            wrong,
        ),
        ("none", |params| params.subject_alt_names.clear(), wrong),
        (
            "a worker as authority",
            |params| {
                params.distinguished_name.push(DnType::OrganizationalUnitName, "swarm-worker");
                params.subject_alt_names.remove(0);
                dns(params, "swarm-worker");
            },
            wrong,
        ),
    ]);
}

#[test]
fn case_c34_uses_are_those_of_a_node() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
    let purpose = Err(IdentityError::Purpose);
    let usage = Err(IdentityError::KeyUsage);
    let authority = Err(IdentityError::Authority);
    assert_judged(&[
        ("server alone", |params| params.extended_key_usages = vec![ServerAuth], purpose),
        ("client alone", |params| params.extended_key_usages = vec![ClientAuth], purpose),
        ("any", |params| params.extended_key_usages = vec![Any], purpose),
        ("none", |params| params.extended_key_usages.clear(), purpose),
        ("no usage", |params| params.key_usages.clear(), usage),
        ("other usage", |params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement], usage),
        ("signs others", |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign), usage),
        ("as stock", |params| params.key_usages.push(KeyUsagePurpose::KeyEncipherment), Ok(())),
        ("authority", |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), authority),
        ("not said", |params| params.is_ca = IsCa::NoCa, authority),
    ]);
}

#[test]
fn extensions_that_nothing_follows_are_refused_if_they_insist() {
    let refused = Err(IdentityError::Certificate(CertificateError::Extension));
    assert_judged(&[
        (
            "unknown",
            |params| {
                params.custom_extensions =
                    vec![CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0])];
            },
            Ok(()),
        ),
        (
            "unknown, critical",
            |params| {
                let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]);
                unknown.set_criticality(true);
                params.custom_extensions = vec![unknown];
            },
            refused,
        ),
        (
            "constraints on names",
            |params| {
                let permitted_subtrees = vec![GeneralSubtree::DnsName(NODE.to_owned())];
                params.name_constraints =
                    Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
            },
            refused,
        ),
        (
            "key usage twice",
            |params| {
                params.custom_extensions =
                    vec![CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![3, 2, 7, 0x80])];
            },
            Err(IdentityError::KeyUsage),
        ),
        (
            "constraints twice",
            |params| {
                params.custom_extensions =
                    vec![CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 0])];
            },
            Err(IdentityError::Authority),
        ),
        (
            "purposes twice",
            |params| {
                params.custom_extensions =
                    vec![CustomExtension::from_oid_content(&[2, 5, 29, 37], vec![0x30, 0])];
            },
            Err(IdentityError::Purpose),
        ),
    ]);
}

#[test]
fn keys_of_other_kinds_are_refused() {
    let root = Root::new();
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let public = new_key().public_key();
        let params = leaf::params(&plan(Role::Worker), &public, NOW + DAY).unwrap();
        let der = root.sign(&params, &key);
        let expected = IdentityError::Certificate(CertificateError::Key(PublicKeyError));
        assert_eq!(judge(&[&der], &root.pem, NOW), Err(expected), "{algorithm:?}");
    }
}

#[test]
fn case_c16_serial_numbers_that_are_not_allowed_are_refused() {
    let root = Root::new();
    let refused = Err(IdentityError::Certificate(CertificateError::Serial));
    for (serial, expected) in [
        (vec![1], Ok(())),
        (vec![0], refused),
        (vec![0x7f; 20], Ok(())),
        (vec![0xff; 20], refused),
        (vec![0x7f; 21], refused),
    ] {
        let leaf = root.forge(|params| {
            params.serial_number = Some(rcgen::SerialNumber::from_slice(&serial));
        });
        assert_eq!(judge(&[&leaf], &root.pem, NOW).map(|_| ()), expected, "{serial:02x?}");
    }
}

#[test]
fn case_c22_c23_c28_a_certificate_holds_from_its_first_second_to_its_last() {
    let root = Root::new();
    let start = NOW + 10 * DAY;
    let plan = LeafPlan { now_secs: start, ..plan(Role::Worker) };
    let leaf = root.leaf(&plan, &new_key().public_key());
    for (now, expected) in [
        (start, Ok(())),
        (start - HOUR, Ok(())),
        (start - HOUR - 1, Err(IdentityError::NotYetValid { secs: 1 })),
        (start - HOUR - 90, Err(IdentityError::NotYetValid { secs: 90 })),
        (start + DAY, Ok(())),
        (start + DAY + 1, Err(IdentityError::Expired { secs: 1 })),
        (ROOT_END, Err(IdentityError::Expired { secs: ROOT_END - start - DAY })),
        (ROOT_END + 1, Err(IdentityError::RootExpired { secs: 1 })),
        (u64::MAX, Err(IdentityError::RootExpired { secs: u64::MAX - ROOT_END })),
        (NOW - HOUR - 1, Err(IdentityError::RootNotYetValid { secs: 1 })),
        (0, Err(IdentityError::RootNotYetValid { secs: NOW - HOUR })),
    ] {
        assert_eq!(judge(&[&leaf], &root.pem, now).map(|_| ()), expected, "at {now}");
    }
    // Longer than its root, which nobody issues: it ends with it.
    let long = root.forge(|params| params.not_after = rcgen::date_time_ymd(2099, 1, 1));
    assert_eq!(judge(&[&long], &root.pem, ROOT_END).map(|_| ()), Ok(()));
    let late = judge(&[&long], &root.pem, ROOT_END + 1);
    assert_eq!(late, Err(IdentityError::RootExpired { secs: 1 }));
}

#[test]
fn case_c29_c30_only_a_roots_own_signature_counts() {
    let root = Root::new();
    let other = Root::new();
    let key = new_key();
    let leaf = root.leaf(&plan(Role::Manager), &key.public_key());
    let both = [other.pem.as_str(), &root.pem].concat();
    assert_eq!(judge(&[&leaf], &both, NOW), judge(&[&leaf], &root.pem, NOW));
    // The same texts, from another cluster.
    assert_eq!(judge(&[&leaf], &other.pem, NOW), Err(IdentityError::UnknownIssuer));

    // Another key under the root's very name.
    let public = new_key().public_key();
    let params = leaf::params(&plan(Role::Manager), &public, NOW + DAY).unwrap();
    let impostor = Root { pem: root.pem.clone(), key: new_key() };
    let forged = impostor.sign(&params, &public);
    assert_eq!(judge(&[&forged], &root.pem, NOW), Err(IdentityError::Signature));
    // Two roots may have one name: the one that signed is found.
    let twin = fixture::to_pem(&twin_of(&root, &impostor));
    let twins = [twin.as_str(), &root.pem].concat();
    assert!(judge(&[&leaf], &twins, NOW).is_ok(), "signed by the second");
    assert!(judge(&[&forged], &twins, NOW).is_ok(), "signed by the first");

    // A manager's key is no authority, whatever stands behind in the chain.
    let below = Root { pem: fixture::to_pem(&leaf), key };
    let grandchild = below.sign(&params, &public);
    let chain = [grandchild.as_slice(), &leaf];
    assert_eq!(judge(&chain, &root.pem, NOW), Err(IdentityError::UnknownIssuer));
    let own = params.self_signed(&new_key()).unwrap();
    assert_eq!(judge(&[own.der()], &root.pem, NOW), Err(IdentityError::UnknownIssuer));
}

/// A root certificate with the first one's name and the second one's key.
fn twin_of(root: &Root, impostor: &Root) -> Vec<u8> {
    let key = impostor.key.public_key();
    let mut params = leaf::params(&plan(Role::Manager), &key, ROOT_END).unwrap();
    let der = fixture::only(&root.pem);
    let read = Certificate::read(&der).unwrap();
    let texts = read.parsed.subject().iter_attributes().map(|part| part.as_str().unwrap());
    let texts: Vec<&str> = texts.collect();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, texts[0]);
    common_name(&mut params, texts[1]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    impostor.sign(&params, &key)
}

#[test]
fn case_c29_c30_a_certificate_of_another_cluster_under_the_same_root_says_so() {
    let root = Root::new();
    let plan = LeafPlan { cluster: "another", ..plan(Role::Worker) };
    let leaf = root.leaf(&plan, &new_key().public_key());
    assert_eq!(judge(&[&leaf], &root.pem, NOW).unwrap().cluster, "another");
}

#[test]
fn roots_have_to_be_authorities() {
    let root = Root::new();
    let leaf = root.leaf(&plan(Role::Worker), &new_key().public_key());
    let refused = Err(IdentityError::Root(CertificateError::NoAuthority));
    let changes: [(&str, Change); 4] = [
        ("a leaf", |_| {}),
        ("no key usage", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages.clear();
        }),
        ("other key usage", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }),
        ("key usage alone", |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign)),
    ];
    for (name, change) in changes {
        let wrong = fixture::to_pem(&root.forge(change));
        let bundle = [root.pem.as_str(), &wrong].concat();
        assert_eq!(judge(&[&leaf], &bundle, NOW), refused, "{name}");
    }
    let count = Err(IdentityError::RootCount { count: 4 });
    assert_eq!(judge(&[&leaf], &root.pem.repeat(4), NOW), count);
    assert!(judge(&[&leaf], &root.pem.repeat(3), NOW).is_ok(), "three roots");
    assert_eq!(judge(&[&leaf], "", NOW), Err(IdentityError::RootPem(PemError::Empty)));
}

/// Each of its roots was signed by the one before.
#[test]
fn case_c54_a_node_that_slept_through_rotations_believes_by_cross_certificates() {
    let roots: [Root; 3] = [1, 2, 3].map(|generation| Root::of(generation, NOW));
    let [first, second, third] = &roots;
    let leaf = third.leaf(&plan(Role::Manager), &new_key().public_key());
    let (by_second, by_first) = (third.crossed_by(second, NOW), second.crossed_by(first, NOW));
    let judged = |chain: &[&[u8]], root: &Root| judge(chain, &root.pem, NOW).map(|_| ());
    let both: [&[u8]; 3] = [&leaf, &by_second, &by_first];
    for (name, chain, root, expected) in [
        ("its own root", &[leaf.as_slice()][..], third, Ok(())),
        ("one link", &both[..2], second, Ok(())),
        ("two links", &both, first, Ok(())),
        ("in any order", &[&leaf, &by_first, &by_second], first, Ok(())),
        ("with one too many", &[&leaf, &leaf, &by_second, &by_first], first, Ok(())),
        ("a link is missing", &both[..2], first, Err(IdentityError::UnknownIssuer)),
        ("no link", &both[..1], second, Err(IdentityError::UnknownIssuer)),
    ] {
        assert_eq!(judged(chain, root), expected, "{name}");
    }
    // Roots that vouch for each other lead nowhere by themselves.
    let round =
        [&leaf[..], &by_second, &second.crossed_by(third, NOW), &third.crossed_by(second, NOW)];
    assert_eq!(judged(&round, first), Err(IdentityError::UnknownIssuer));
    let ended = judge(&both, &first.pem, ROOT_END + 1);
    assert_eq!(ended, Err(IdentityError::UnknownIssuer), "links end, too");
}

#[test]
fn case_19_only_an_authority_is_a_link_and_only_the_key_that_signed_counts() {
    let (old, new) = (Root::of(1, NOW), Root::of(2, NOW));
    let leaf = new.leaf(&plan(Role::Manager), &new_key().public_key());
    let link = new.crossed_by(&old, NOW);
    judge(&[&leaf, &link], &old.pem, NOW).unwrap();
    let refused = |chain: &[&[u8]], roots: &str| judge(chain, roots, NOW).map(|_| ()).unwrap_err();
    // The window is over: the old root is gone, and so is who comes by it.
    let late = old.leaf(&plan(Role::Manager), &new_key().public_key());
    assert_eq!(
        refused(&[&late, &old.crossed_by(&Root::of(3, NOW), NOW)], &new.pem),
        IdentityError::UnknownIssuer
    );
    // The new root's name, and another key.
    let twin = Root { pem: new.forged_twin(), key: new_key() };
    assert_eq!(refused(&[&leaf], &twin.pem), IdentityError::Signature);
    let public = new.key.public_key();
    let under = |change: Change| {
        let der = fixture::only(&new.pem);
        let mut params = cross::params_like(&Certificate::read(&der).unwrap()).unwrap();
        change(&mut params);
        old.sign(&params, &public)
    };
    judge(&[&leaf, &under(|_| {})], &old.pem, NOW).unwrap();
    let changes: [(&str, Change); 3] = [
        ("no authority", |params| params.is_ca = IsCa::ExplicitNoCa),
        ("no key usage", |params| params.key_usages.clear()),
        ("other key usage", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]),
    ];
    for (name, change) in changes {
        assert_eq!(
            refused(&[&leaf, &under(change)], &old.pem),
            IdentityError::UnknownIssuer,
            "{name}"
        );
    }
    let anchor = [fixture::to_pem(&leaf), old.pem.clone()].concat();
    let no_authority = IdentityError::Root(CertificateError::NoAuthority);
    assert_eq!(refused(&[&leaf, &link], &anchor), no_authority, "a leaf as an anchor");
}

#[test]
fn case_c40_chains_and_certificates_are_bounded() {
    let root = Root::new();
    let leaf = root.leaf(&plan(Role::Worker), &new_key().public_key());
    for (count, is_fine) in [(0, false), (1, true), (4, true), (5, false), (200, false)] {
        let expected = if is_fine { Ok(()) } else { Err(IdentityError::Chain { count }) };
        let chain = vec![leaf.as_slice(); count];
        assert_eq!(judge(&chain, &root.pem, NOW).map(|_| ()), expected, "{count}");
    }
    let malformed = Err(IdentityError::Certificate(CertificateError::Malformed));
    assert_eq!(Claim::of(&[&leaf[..], &[0]].concat()), malformed, "trailing byte");
    assert_eq!(Claim::of(&[&leaf[..], &leaf].concat()), malformed, "twice");
    for length in 0..leaf.len() {
        assert_eq!(Claim::of(&leaf[..length]), malformed, "{length} bytes");
    }
    let bytes = CERTIFICATE_BYTES_MAX + 1;
    let large = Err(IdentityError::Certificate(CertificateError::TooLarge { bytes }));
    assert_eq!(Claim::of(&vec![0x30; bytes]), large);
}

#[test]
fn no_byte_of_a_certificate_can_be_changed() {
    let root = Root::new();
    let leaf = root.leaf(&plan(Role::Manager), &new_key().public_key());
    for place in 0..leaf.len() {
        for bit in [1, 0x80] {
            let mut changed = leaf.clone();
            changed[place] ^= bit;
            assert!(judge(&[&changed], &root.pem, NOW).is_err(), "byte {place}, bit {bit:02x}");
        }
    }
}
