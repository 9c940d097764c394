//! For tests: a cluster's root, its nodes' certificates, and such as nobody would issue.

use rcgen::{CertificateParams, Issuer};
use ring::digest;
use ring::rand::SystemRandom;

use crate::certificate::Certificate;
use crate::cross::{self, CrossPlan, cross_sign};
use crate::key::{KeyDocument, SigningKey};
use crate::leaf::{self, LeafPlan, Role};
use crate::pem::pem_to_der;
use crate::public::PublicKey;
use crate::root::{RootPlan, SERIAL_BYTES, issue_root};

pub(crate) const CLUSTER: &str = "0123456789abcdefghijklmno";
pub(crate) const NODE: &str = "n0de56789abcdefghijklmnop";
/// When the root was made. In January 2027.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const HOUR: u64 = 3_600;
pub(crate) const DAY: u64 = 24 * HOUR;
/// When the root ends.
pub(crate) const ROOT_END: u64 = NOW + 3_650 * DAY;

/// A key of tests alone: PKCS #8, in hexadecimal.
pub(crate) const KEY: &str = concat!(
    "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420d840e20e",
    "04b5ac537c2d893fcdbb387a950defb7a39820631ffdd352e953962ca14403420004a469250f5d24",
    "9b8ecc0cdc0121a321e613ff1358b5854ce15e7759dd4fa312defb94582161a992dc9e163cc92614",
    "d9b5e2d593a5a7259bd9f05d8858b9aa511e",
);

pub(crate) fn bytes_of(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// A key that lives as long as the tests.
pub(crate) fn new_key() -> SigningKey<'static> {
    let random: &'static SystemRandom = Box::leak(Box::new(SystemRandom::new()));
    let document = KeyDocument::generate(random).unwrap();
    SigningKey::parse(document.expose(), random).unwrap()
}

/// A root certificate and its key.
pub(crate) struct Root {
    pub(crate) pem: String,
    pub(crate) key: SigningKey<'static>,
}

impl Root {
    pub(crate) fn new() -> Self {
        let key = new_key();
        Self { pem: root_at(&key, NOW), key }
    }

    /// The root of a later generation.
    pub(crate) fn of(generation: u32, now_secs: u64) -> Self {
        let key = new_key();
        let serial = [9; SERIAL_BYTES];
        let plan = RootPlan { cluster: CLUSTER, generation, now_secs, serial };
        Self { pem: issue_root(&plan, &key).unwrap(), key }
    }

    /// A root certificate with this one's name and another key.
    pub(crate) fn forged_twin(&self) -> String {
        let root = only(&self.pem);
        let params = cross::params_like(&Certificate::read(&root).unwrap()).unwrap();
        params.self_signed(&new_key()).unwrap().pem()
    }

    /// This root, signed by another one, in DER.
    pub(crate) fn crossed_by(&self, issuer: &Self, now_secs: u64) -> Vec<u8> {
        let (subject_pem, issuer_pem) = (&self.pem, &issuer.pem);
        let plan = CrossPlan { subject_pem, issuer_pem, now_secs, serial: [5; SERIAL_BYTES] };
        only(&cross_sign(&plan, &issuer.key).unwrap())
    }

    /// An honest certificate.
    pub(crate) fn leaf(&self, plan: &LeafPlan<'_>, public: &PublicKey) -> Vec<u8> {
        only(&leaf::issue_leaf(plan, public, &self.pem, &self.key).unwrap())
    }

    /// A manager's certificate with something changed.
    pub(crate) fn forge(&self, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let public = new_key().public_key();
        let mut params = leaf::params(&plan(Role::Manager), &public, NOW + DAY).unwrap();
        change(&mut params);
        self.sign(&params, &public)
    }

    pub(crate) fn sign(
        &self,
        params: &CertificateParams,
        public: &impl rcgen::PublicKeyData,
    ) -> Vec<u8> {
        let root = only(&self.pem);
        let issuer = Issuer::from_ca_cert_der(&root.as_slice().into(), &self.key).unwrap();
        params.signed_by(public, &issuer).unwrap().der().to_vec()
    }
}

/// A root certificate for a key, made at some time.
pub(crate) fn root_at(key: &SigningKey<'_>, now_secs: u64) -> String {
    let plan = RootPlan { cluster: CLUSTER, generation: 1, now_secs, serial: [9; SERIAL_BYTES] };
    issue_root(&plan, key).unwrap()
}

/// What is asked for in most tests.
pub(crate) fn plan(role: Role) -> LeafPlan<'static> {
    LeafPlan {
        cluster: CLUSTER,
        node: NODE,
        role,
        now_secs: NOW,
        lifetime_secs: DAY,
        serial: [7; SERIAL_BYTES],
    }
}

/// The one certificate of a PEM.
pub(crate) fn only(pem: &str) -> Vec<u8> {
    let mut all = pem_to_der(pem).unwrap();
    assert_eq!(all.len(), 1, "{pem}");
    all.remove(0)
}

/// A certificate as PEM.
pub(crate) fn to_pem(der: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in der.chunks(3) {
        let at = |place: usize| u32::from(three.get(place).copied().unwrap_or_default());
        let number = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = usize::try_from(number >> (18 - 6 * place) & 63).unwrap();
            text.push(if place <= three.len() { char::from(digits[digit]) } else { '=' });
        }
    }
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// Length and digest of what is signed in a certificate. The signature behind it is random.
pub(crate) fn said(pem: &str) -> (usize, String) {
    let der = only(pem);
    let certificate = Certificate::read(&der).unwrap();
    let signed = certificate.parsed.tbs_certificate.as_ref();
    let digest = digest::digest(&digest::SHA256, signed);
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
    (signed.len(), hex.concat())
}
