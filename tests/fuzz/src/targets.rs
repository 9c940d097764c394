//! What is done with hostile bytes: parsed, and what was taken must say what was given. Keys are those of
//! the golden vectors, so that mutants of these get past the first look.

use std::collections::BTreeMap;
use std::sync::Arc;

use pki::csr::{self, CSR_BYTES_MAX};
use pki::identity::Claim;
use pki::import::{Import, import};
use pki::pem::pem_to_der;
use pki::token::JoinToken;
use tests::disk::{FaultyDisk, Image};
use vault::disk::diskkey::DiskKey;
use vault::disk::keyring::Keyring;
use vault::disk::log::{self, LogKey, Options};
use vault::disk::node::Membership;
use vault::disk::snapshot::read_records;
use vault_core::id::{ClusterId, ObjectId};
use vault_core::labels::Labels;
use vault_core::name::{SecretName, ServiceName, Target};

/// A function that takes hostile bytes.
pub type Hostile = fn(&[u8]);

/// Every target with its name, and the golden vectors that it starts from.
pub const ALL: [(&str, Hostile, &[&str]); 13] = [
    ("certificate", certificate, &[]),
    ("csr", request, &[]),
    ("disk_key", disk_key, &["disk-key"]),
    ("join_token", join_token, &[]),
    ("keyring", keyring, &["keyring", "sealed-file"]),
    ("labels", labels, &[]),
    ("log_segment", log_segment, &["log-segment"]),
    ("name", name, &[]),
    ("node", node, &["node", "sealed-file"]),
    ("object_id", object_id, &[]),
    ("pem", pem, &[]),
    ("root", root, &[]),
    ("snapshot", snapshot, &["snapshot"]),
];

const DISK_KEY: [u8; 32] = [1; 32];
const OPTIONS: Options =
    Options { segment_bytes: 32 << 10, batch_bytes: 8 << 10, keep_bytes: usize::MAX };

/// A log: the first 32 KiB are one segment, what follows is the next.
pub fn log_segment(data: &[u8]) {
    let mut image = Image::default();
    let first = data.len().min(8 << 12);
    image.put("0000000000000001.seg", data[..first].to_vec());
    if data.len() > first {
        image.put("0000000000000002.seg", data[first..].to_vec());
    }
    let disk_key =
        Arc::new(DiskKey::filled(|bytes| bytes.fill(1)).expect("there is memory for a key"));
    let key = LogKey { context: b"node".to_vec(), disk_key };
    let folder = Arc::new(FaultyDisk::from(image));
    let opened = log::open(folder, key, OPTIONS, Box::new(|| [9; 32]), Box::new(|_| {}));
    if let Ok((recovered, _writer)) = opened {
        // Without the key nobody makes an entry; the golden log has one.
        assert!(recovered.entries.len() <= 1, "{} entries", recovered.entries.len());
    }
}

/// A snapshot of the golden cluster.
pub fn snapshot(data: &[u8]) {
    let ring = Keyring::first(|key| key.fill(3)).expect("there is memory for a key");
    let cluster = ClusterId::from_entropy([1; 17]);
    let mut bytes = 0;
    let add = |record: &[u8]| {
        bytes += record.len();
        Some(())
    };
    if read_records("s", data, &ring, cluster, add).is_ok() {
        assert!(bytes <= data.len(), "more came out than went in");
    }
}

/// A keyring under the golden disk key.
pub fn keyring(data: &[u8]) {
    if let Ok(ring) = Keyring::parse(&DISK_KEY, b"here", data) {
        assert_ne!(ring.newest().epoch.0, 0);
    }
}

/// A disk key's file: its digest is no seal, so that anything may follow.
pub fn disk_key(data: &[u8]) {
    if let Ok(key) = DiskKey::parse(data) {
        assert!(data.windows(32).any(|window| window == key.expose()));
    }
}

/// A node's record under the golden disk key.
pub fn node(data: &[u8]) {
    if let Ok(membership) = Membership::parse(&DISK_KEY, data) {
        let nonce = data[16..40].try_into().expect("it was long enough to open");
        assert_eq!(membership.to_file(&DISK_KEY, nonce), data);
    }
}

/// A join token as somebody typed it.
pub fn join_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(token) = JoinToken::parse(text) {
        assert_eq!(token.to_text().as_str(), text);
    }
}

/// A node's certificate that nobody has looked at yet.
pub fn certificate(data: &[u8]) {
    if let Ok(claim) = Claim::of(data) {
        for id in [&claim.cluster, &claim.node] {
            assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
            assert!(data.windows(id.len()).any(|window| window == id.as_bytes()));
        }
        assert!(claim.not_before_secs <= claim.not_after_secs);
    }
}

/// A request for a certificate, in DER or PEM. None gets through but those of the corpus.
pub fn request(data: &[u8]) {
    if csr::read(data).is_ok() {
        assert!(data.len() <= CSR_BYTES_MAX);
    }
}

/// A bundle of certificates: what is taken has no more bytes than its digits say.
pub fn pem(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(certificates) = pem_to_der(text) {
        assert!(!certificates.is_empty());
        let bytes: usize = certificates.iter().map(Vec::len).sum();
        assert!(bytes * 4 / 3 <= text.len());
    }
}

/// A root that somebody brings.
pub fn root(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let current_pem = include_str!("../../../pki/vectors/root-openssl-2.pem");
    let wanted =
        Import { certificate_pem: text, key_pem: None, current_pem, now_secs: 1_800_000_000 };
    if import(&wanted, &vault::entropy::source()).is_ok() {
        assert_eq!(pem_to_der(text).map(|all| all.len()), Ok(1));
    }
}

/// Names of secrets and services, and targets.
pub fn name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(name) = SecretName::parse(text) {
        assert_eq!(name.as_str(), text);
        assert!(!text.contains('/') && !text.starts_with('.'), "{text:?}");
    }
    if let Ok(name) = ServiceName::parse(text) {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(target) = Target::parse(text) {
        assert!(!target.as_str().split('/').any(|part| part == ".."), "{text:?}");
        assert!(!target.as_str().contains('\0'), "{text:?}");
    }
}

/// Labels: lines of `key=value`.
pub fn labels(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pairs = text.lines().map(|line| line.split_once('=').unwrap_or((line, "")));
    let map: BTreeMap<String, String> =
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    if let Ok(labels) = Labels::parse(map.clone()) {
        assert_eq!(labels.as_map(), &map);
    }
}

/// An object's ID.
pub fn object_id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(id) = ObjectId::parse(text) {
        assert_eq!(id.as_str(), text);
    }
}
