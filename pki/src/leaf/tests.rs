//! Issuing: what a node's certificate says, byte for byte, and what is not issued.

use super::*;
use crate::identity::{Claim, judge};
use crate::tests::fixture::{self, CLUSTER, DAY, HOUR, NODE, NOW, ROOT_END, Root, new_key, plan};
use rcgen::BasicConstraints;
use ring::rand::SystemRandom;

#[test]
fn what_is_issued_is_believed() {
    let root = Root::new();
    for role in [Role::Worker, Role::Manager] {
        let public = new_key().public_key();
        let leaf = root.leaf(&plan(role), &public);
        let expected = Claim {
            cluster: CLUSTER.to_owned(),
            node: NODE.to_owned(),
            role,
            key: public.digest(),
            not_before_secs: NOW - HOUR,
            not_after_secs: NOW + DAY,
        };
        assert_eq!(judge(&[&leaf], &root.pem, NOW), Ok(expected.clone()));
        assert_eq!(Claim::of(&leaf), Ok(expected));
    }
}

#[test]
fn what_a_nodes_certificate_says_is_written_as_it_always_was() {
    let random = SystemRandom::new();
    let root_key = SigningKey::parse(&fixture::bytes_of(fixture::KEY), &random).unwrap();
    let root = fixture::root_at(&root_key, NOW);
    // The key of the certificate is the first point of the curve.
    let point = fixture::bytes_of(concat!(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    ));
    let public = PublicKey::from_point(&point).unwrap();
    for (role, expected) in [
        (Role::Worker, (604, "28a7cf9cdbef343c283127f6c825936d33c48dbd8107ff53d9d56d1ec63c0b17")),
        (Role::Manager, (618, "c94fc5e9abe11cfbad987d3be1629e3bc27f24f99e2c3fa77ca5c9091294e4fa")),
    ] {
        let leaf = issue_leaf(&plan(role), &public, &root, &root_key).unwrap();
        let (length, digest) = fixture::said(&leaf);
        assert_eq!((length, digest.as_str()), expected, "{role:?}");
    }
}

#[test]
fn names_and_issuer_are_exactly_these() {
    let root = Root::new();
    let root_der = fixture::only(&root.pem);
    let root_read = Certificate::read_authority(&root_der).unwrap();
    for (role, names, subject) in [
        (Role::Worker, vec!["swarm-worker", NODE], "swarm-worker"),
        (Role::Manager, vec!["swarm-manager", NODE, "swarm-ca"], "swarm-manager"),
    ] {
        let der = root.leaf(&plan(role), &new_key().public_key());
        let leaf = Certificate::read(&der).unwrap();
        let issuer = leaf.parsed.issuer().as_raw();
        assert_eq!(issuer, root_read.parsed.subject().as_raw(), "byte for byte");
        assert_eq!(
            leaf.parsed.subject().to_string(),
            format!("O={CLUSTER}, OU={subject}, CN={NODE}")
        );
        let found = leaf.parsed.subject_alternative_name().unwrap().unwrap();
        let found: Vec<String> =
            found.value.general_names.iter().map(|name| name.to_string()).collect();
        let mut expected: Vec<String> =
            names.iter().map(|name| format!("DNSName({name})")).collect();
        expected.push(format!("URI(spiffe://{CLUSTER}.coffer.internal/node/{NODE})"));
        assert_eq!(found, expected);
        let usage = leaf.parsed.key_usage().unwrap().unwrap();
        assert_eq!((usage.critical, usage.value.flags), (true, 1), "digital signature alone");
        let constraints = leaf.parsed.basic_constraints().unwrap().unwrap();
        assert_eq!((constraints.critical, constraints.value.ca), (true, false));
    }
}

#[test]
fn case_c17_c18_a_lifetime_is_kept_cut_at_the_roots_end_or_refused() {
    let root = Root::new();
    let public = new_key().public_key();
    for (lifetime, now, end) in [
        (HOUR, NOW, Some(NOW + HOUR)),
        (LIFETIME_DEFAULT_SECS, NOW, Some(NOW + 90 * DAY)),
        (u64::MAX, NOW, Some(ROOT_END)),
        (HOUR, ROOT_END - 1, Some(ROOT_END)),
        (HOUR, ROOT_END, Some(ROOT_END)),
        (0, NOW, None),
        (1, NOW, None),
        (HOUR - 1, NOW, None),
    ] {
        let plan = LeafPlan { lifetime_secs: lifetime, now_secs: now, ..plan(Role::Worker) };
        let made = issue_leaf(&plan, &public, &root.pem, &root.key);
        match end {
            Some(end) => {
                let claim = judge(&[&fixture::only(&made.unwrap())], &root.pem, now).unwrap();
                let dates = (claim.not_before_secs, claim.not_after_secs);
                assert_eq!(dates, (now - HOUR, end), "lifetime {lifetime}");
            }
            None => {
                let error = made.expect_err("too short").to_string();
                let expected =
                    format!("certificate lifetime is {lifetime} s, at least 3600 s are needed");
                assert_eq!(error, expected);
            }
        }
    }
}

#[test]
fn case_c17_c18_dates_from_2050_on_are_read_as_they_were_written() {
    // 2049-12-31 23:59:59, a leap day of 2052, the last of 2099.
    for now in [2_524_607_999, 2_524_608_000, 2_592_000_000, 4_102_444_799] {
        let key = new_key();
        let root = Root { pem: fixture::root_at(&key, now), key };
        let plan = LeafPlan { now_secs: now, ..plan(Role::Worker) };
        let leaf = root.leaf(&plan, &new_key().public_key());
        let claim = judge(&[&leaf], &root.pem, now).unwrap();
        assert_eq!((claim.not_before_secs, claim.not_after_secs), (now - HOUR, now + DAY));
    }
}

#[test]
fn case_c11_nothing_is_issued_that_would_not_be_believed() {
    let root = Root::new();
    let other = Root::new();
    let public = new_key().public_key();
    let worker = || plan(Role::Worker);
    let both = [root.pem.as_str(), other.pem.as_str()].concat();
    let leaf = root.leaf(&worker(), &public);
    let leaf = fixture::to_pem(&leaf);
    for (name, plan, root_pem, key, public, expected) in [
        (
            "other key",
            worker(),
            &root.pem,
            &other.key,
            public,
            "signing key is not the root certificate's",
        ),
        (
            "other root",
            worker(),
            &other.pem,
            &root.key,
            public,
            "signing key is not the root certificate's",
        ),
        (
            "root's key",
            worker(),
            &root.pem,
            &root.key,
            root.key.public_key(),
            "a node cannot have the root's key",
        ),
        ("two roots", worker(), &both, &root.key, public, "expected one root certificate, found 2"),
        ("no PEM", worker(), &String::new(), &root.key, public, "root certificate is no PEM"),
        ("a leaf", worker(), &leaf, &root.key, public, "root certificate cannot sign"),
        (
            "expired",
            LeafPlan { now_secs: ROOT_END + 5, ..worker() },
            &root.pem,
            &root.key,
            public,
            "root certificate expired 5 s ago; rotate the root",
        ),
        (
            "early",
            LeafPlan { now_secs: NOW - HOUR - 5, ..worker() },
            &root.pem,
            &root.key,
            public,
            "root certificate is not valid for another 5 s; check this node's clock",
        ),
        (
            "clock at 0",
            LeafPlan { now_secs: 0, ..worker() },
            &root.pem,
            &root.key,
            public,
            "root certificate is not valid for another 1799996400 s; check this node's clock",
        ),
    ] {
        let made = issue_leaf(&plan, &public, root_pem, key);
        assert_eq!(made.expect_err(name).to_string(), expected, "{name}");
    }
}

#[test]
fn case_c14_nothing_but_an_id_reaches_a_name() {
    let root = Root::new();
    let public = new_key().public_key();
    let worker = || plan(Role::Worker);
    let long = "n".repeat(64);
    for id in ["", "UPPER", "a b", "a.b", "*", "a\n", "a\0", "n\u{f6}de", "xn--node", "a/b", &long]
    {
        for plan in [LeafPlan { node: id, ..worker() }, LeafPlan { cluster: id, ..worker() }] {
            let made = issue_leaf(&plan, &public, &root.pem, &root.key);
            assert!(matches!(made, Err(LeafError::Id)), "{id:?}");
        }
    }
}

#[test]
fn case_23_c16_serial_numbers_are_positive_and_of_full_length_whatever_was_drawn() {
    let root = Root::new();
    let public = new_key().public_key();
    for (drawn, first) in [(0x00, 0x40), (0xff, 0x7f), (0x80, 0x40), (0x3f, 0x7f)] {
        let plan = LeafPlan { serial: [drawn; SERIAL_BYTES], ..plan(Role::Worker) };
        let der = root.leaf(&plan, &public);
        let leaf = Certificate::read(&der).unwrap();
        assert_eq!(leaf.parsed.raw_serial().len(), SERIAL_BYTES, "{drawn:02x}");
        assert_eq!(leaf.parsed.raw_serial()[0], first, "{drawn:02x}");
    }
}

/// A root whose subject has the same part twice: the writer keeps one of them.
#[test]
fn a_root_whose_name_would_be_lost_is_refused() {
    let key = new_key();
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationalUnitName, "one");
    subject.push(DnType::CustomDnType(vec![2, 5, 4, 11]), "two");
    subject.push(DnType::CommonName, "root");
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    profile::number_and_date(&mut params, [1; SERIAL_BYTES], NOW, NOW + DAY);
    let root = params.self_signed(&key).unwrap().pem();
    let made = issue_leaf(&plan(Role::Worker), &new_key().public_key(), &root, &key);
    assert!(matches!(made, Err(LeafError::IssuerName)), "{made:?}");
}
