//! Requests: those of others (`vectors/`, made with OpenSSL), and such as no tool makes.

use super::*;
use crate::identity::judge;
use crate::leaf::Role;
use crate::tests::fixture::{NOW, Root, bytes_of, new_key, plan};
use rcgen::SigningKey as _;

macro_rules! vector {
    ($name:literal) => {
        ($name, include_str!(concat!("../../vectors/", $name, ".pem")))
    };
}

/// One key is behind all of the first three.
const KEY: &str = include_str!("../../vectors/p256.point");

const SHA256: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// One DER value.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let [high, low] = u16::try_from(body.len()).unwrap().to_be_bytes();
    let head = match (high, low) {
        (0, 0..0x80) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head, body].concat()
}

/// A request from its parts, signed.
fn request(version: u8, attributes: &[u8], key: &SigningKey<'_>) -> Vec<u8> {
    let spki = rcgen::PublicKeyData::subject_public_key_info(key);
    let about = der(0x30, &[&[2, 1, version], &[0x30, 0], &spki, &der(0xa0, &[attributes])]);
    let signature = der(3, &[&[0], &key.sign(&about).unwrap()]);
    der(0x30, &[&about, &SHA256, &signature])
}

/// DER of a request in PEM.
fn body(pem: &str) -> Vec<u8> {
    pem::blocks(pem, KIND).unwrap().remove(0)
}

#[test]
fn case_c1_c2_c3_c4_of_a_request_only_the_key_is_taken() {
    let root = Root::new();
    for (name, pem) in [vector!("plain"), vector!("greedy"), vector!("sha384")] {
        let key = read(pem.as_bytes()).expect(name);
        assert_eq!(key.point(), bytes_of(KEY.trim()).as_slice(), "{name}");
        assert_eq!(read(&body(pem)), Ok(key), "{name} in DER");
        // "greedy" asks to be an authority, a manager, and another node.
        let leaf = root.leaf(&plan(Role::Worker), &key);
        let claim = judge(&[&leaf], &root.pem, NOW).unwrap();
        assert_eq!((claim.role, claim.key), (Role::Worker, key.digest()), "{name}");
        let has = |text: &str| leaf.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!has("another") && !has("swarm-manager") && !has("swarm-ca"), "{name}");
    }
}

#[test]
fn our_own_requests_are_taken_and_say_nothing_else() {
    let key = new_key();
    let pem = make(&key).unwrap();
    assert_eq!(read(pem.as_bytes()), Ok(key.public_key()));
    assert_eq!(read(pem.replace('\n', "\r\n").as_bytes()), Ok(key.public_key()));
    let der = body(&pem);
    let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
    let about = request.certification_request_info;
    assert_eq!((about.subject.iter().count(), about.attributes().len()), (0, 0));
}

#[test]
fn case_c5_c6_c7_c8_keys_and_signatures_of_other_kinds_are_refused() {
    for ((name, pem), expected) in [
        (vector!("p384"), CsrError::Key(PublicKeyError)),
        (vector!("p384-sha256"), CsrError::Key(PublicKeyError)),
        (vector!("secp256k1"), CsrError::Key(PublicKeyError)),
        (vector!("explicit"), CsrError::Key(PublicKeyError)),
        (vector!("compressed"), CsrError::Key(PublicKeyError)),
        (vector!("ed25519"), CsrError::Key(PublicKeyError)),
        (vector!("rsa1024"), CsrError::Key(PublicKeyError)),
        (vector!("rsa2048"), CsrError::Key(PublicKeyError)),
        (vector!("sha1"), CsrError::Algorithm),
        (vector!("sha512"), CsrError::Algorithm),
    ] {
        assert_eq!(read(pem.as_bytes()), Err(expected), "{name}");
    }
}

#[test]
fn case_c5_c6_c7_c8_points_that_are_not_on_the_curve_are_refused() {
    let plain = body(vector!("plain").1);
    let point = bytes_of(KEY.trim());
    let at = plain.windows(65).position(|part| part == point).unwrap();
    for (name, other) in [("zero", [0_u8; 64]), ("ones", [1; 64]), ("past the prime", [0xff; 64])] {
        let mut changed = plain.clone();
        changed[at + 1..at + 65].copy_from_slice(&other);
        assert_eq!(read(&changed), Err(CsrError::Signature), "{name}");
    }
}

#[test]
fn case_c9_c10_a_request_is_one_object_and_nothing_else() {
    let pem = make(&new_key()).unwrap();
    let der = body(&pem);
    let trailing = [&der[..], &[0]].concat();
    let twice = [&der[..], &der].concat();
    // Of indefinite length: BER, not DER.
    let indefinite = [&[0x30, 0x80][..], &der[3..], &[0, 0]].concat();
    let with_header = pem.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n\n", 1);
    for (name, bytes, expected) in [
        ("empty", &b""[..], CsrError::Malformed),
        ("text", b"no request", CsrError::Malformed),
        ("trailing byte", &trailing, CsrError::Malformed),
        ("twice", &twice, CsrError::Malformed),
        ("indefinite", &indefinite, CsrError::Malformed),
        ("two blocks", [pem.as_str(), &pem].concat().as_bytes(), CsrError::Count { count: 2 }),
        ("headers", with_header.as_bytes(), CsrError::Pem(PemError::Base64 { line: 2 })),
        (
            "text behind",
            format!("{pem}text").as_bytes(),
            CsrError::Pem(PemError::Outside { line: pem.lines().count() + 1 }),
        ),
        ("certificate", Root::new().pem.as_bytes(), CsrError::Pem(PemError::Outside { line: 1 })),
        ("no UTF-8", b"-----\xff", CsrError::Malformed),
    ] {
        assert_eq!(read(bytes), Err(expected), "{name}");
    }
    for length in 0..der.len() {
        assert_eq!(read(&der[..length]), Err(CsrError::Malformed), "{length} bytes");
    }
}

#[test]
fn case_c5_c6_c7_c8_no_byte_of_a_request_can_be_changed() {
    let der = body(&make(&new_key()).unwrap());
    for place in 0..der.len() {
        let mut changed = der.clone();
        changed[place] ^= 1;
        assert!(read(&changed).is_err(), "byte {place}");
    }
}

#[test]
fn case_c9_c10_attributes_do_not_matter_and_the_version_does() {
    let key = new_key();
    // An attribute that nobody knows, and one that is nested deep.
    let unknown = der(0x30, &[&[6, 3, 0x2a, 3, 4], &der(0x31, &[&[5, 0]])]);
    let nested = (0..200).fold(vec![5, 0], |inner, _| der(0x30, &[&inner]));
    let nested = der(0x30, &[&[6, 3, 0x2a, 3, 4], &der(0x31, &[&nested])]);
    for attributes in [&[][..], &unknown, &nested] {
        assert_eq!(read(&request(0, attributes, &key)), Ok(key.public_key()));
    }
    for version in [1, 2, 255] {
        assert_eq!(read(&request(version, &[], &key)), Err(CsrError::Malformed), "{version}");
    }
}

#[test]
fn case_c9_c10_size_is_looked_at_first() {
    let key = new_key();
    let base = request(0, &der(0x30, &[&[6, 3, 0x2a, 3, 4], &der(0x31, &[&der(4, &[])])]), &key);
    let with = |bytes: usize| {
        let value = der(4, &[&vec![0; bytes]]);
        request(0, &der(0x30, &[&[6, 3, 0x2a, 3, 4], &der(0x31, &[&value])]), &key)
    };
    // Lengths and signatures take a few bytes more or less.
    let fits = with(CSR_BYTES_MAX - base.len() - 16);
    assert!(fits.len() <= CSR_BYTES_MAX && fits.len() > CSR_BYTES_MAX - 32, "{}", fits.len());
    assert_eq!(read(&fits), Ok(key.public_key()));
    for bytes in [CSR_BYTES_MAX + 1, 5_000_000] {
        assert_eq!(read(&vec![0x30; bytes]), Err(CsrError::TooLarge { bytes }));
        assert_eq!(read(&vec![b'-'; bytes]), Err(CsrError::TooLarge { bytes }));
    }
}
