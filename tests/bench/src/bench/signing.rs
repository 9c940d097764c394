//! From a request to a certificate, beside one verification and one signature of the same kind.

use std::hint::black_box;
use std::time::{Duration, Instant};

use pki::csr;
use pki::key::{KeyDocument, SigningKey};
use pki::leaf::{LeafPlan, Role, issue_leaf};
use pki::root::{RootPlan, issue_root};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};

use crate::Failure;

const CLUSTER: &str = "0123456789abcdefghijklmno";
const NODE: &str = "n0de56789abcdefghijklmnop";
const NOW_SECS: u64 = 1_800_000_000;
/// As many bytes as a certificate has that is signed.
const SIGNED_BYTES: usize = 500;

/// How many a second.
pub struct Signed {
    pub certificates: f64,
    /// The same as a manager does it, which opens the root key for each certificate.
    pub opened: f64,
    pub bare: f64,
}

pub fn measure(time: Duration) -> Result<Signed, Failure> {
    let random = SystemRandom::new();
    let root_document = KeyDocument::generate(&random)?;
    let root_key = SigningKey::parse(root_document.expose(), &random)?;
    let plan = RootPlan { cluster: CLUSTER, generation: 1, now_secs: NOW_SECS, serial: [9; 20] };
    let root = issue_root(&plan, &root_key)?;
    let own = KeyDocument::generate(&random)?;
    let request = csr::make(&SigningKey::parse(own.expose(), &random)?)?;
    let plan = LeafPlan {
        cluster: CLUSTER,
        node: NODE,
        role: Role::Worker,
        now_secs: NOW_SECS,
        lifetime_secs: 90 * 24 * 3_600,
        serial: [5; 20],
    };
    let certificates = rate(time, || {
        let public = csr::read(black_box(request.as_bytes()))?;
        black_box(issue_leaf(&plan, &public, &root, &root_key)?);
        Ok(())
    })?;
    let opened = rate(time, || {
        let public = csr::read(black_box(request.as_bytes()))?;
        let key = SigningKey::parse(root_document.expose(), &random)?;
        black_box(issue_leaf(&plan, &public, &root, &key)?);
        Ok(())
    })?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, own.expose(), &random)?;
    let message = [7; SIGNED_BYTES];
    let signature = pair.sign(&random, &message)?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref());
    let bare = rate(time, || {
        public.verify(black_box(&message), signature.as_ref())?;
        black_box(pair.sign(&random, black_box(&message))?);
        Ok(())
    })?;
    Ok(Signed { certificates, opened, bare })
}

fn rate(time: Duration, mut once: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let start = Instant::now();
    let mut done = 0_u32;
    while start.elapsed() < time {
        once()?;
        done += 1;
    }
    Ok(f64::from(done) / start.elapsed().as_secs_f64())
}
