//! What is really built, by Cargo.lock: nothing unwanted, and nothing twice without a reason.
//!
//! Tests of the product may bring what they like: only what is reached by normal and build dependencies
//! counts. For our own packages the manifests tell these from the others; for crates from the registry
//! the lock lists no others.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifests::{BUILT_WITH, dependencies};
use crate::tree::{assert_none, read};

/// A second TLS, a second crypto library.
const UNWANTED: &[&str] = &["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys"];

/// Crates of which more than one version is built, and why. Exact: a version that is gone is taken off.
const TWICE: &[(&str, &str)] = &[
    ("aead", "age is built with the generation of ciphers before ours"),
    ("base64", "tonic and the PEM writer of rcgen are a version apart"),
    ("block-buffer", "openraft's quorum-set hashes with the generation before our cipher's"),
    ("chacha20", "age is built with the generation of ciphers before ours"),
    ("chacha20poly1305", "age is built with the generation of ciphers before ours"),
    ("cipher", "age is built with the generation of ciphers before ours"),
    ("const-oid", "the older one is of age's P-256, the newer one of a build-time hash"),
    ("cpufeatures", "openraft's quorum-set hashes with the generation before our cipher's"),
    ("crypto-common", "openraft's quorum-set hashes with the generation before our cipher's"),
    (
        "digest",
        "age and openraft's quorum-set hash with the older one; the newer one is of a build-time hash",
    ),
    ("foldhash", "comes with hashbrown"),
    ("getrandom", "ring is behind the others"),
    ("hashbrown", "the older one serves the compiler of messages, at build time alone"),
    ("hybrid-array", "age's ML-KEM is behind our cipher"),
    ("inout", "age is built with the generation of ciphers before ours"),
    ("itertools", "prost is behind openraft"),
    ("logos", "two parts of protox, at build time alone"),
    ("logos-codegen", "two parts of protox, at build time alone"),
    ("logos-derive", "two parts of protox, at build time alone"),
    ("nom", "x509-parser is behind age"),
    ("poly1305", "age is built with the generation of ciphers before ours"),
    ("rand", "the older one is of a build script below openraft"),
    ("rand_core", "one for each version of rand, one for imbl"),
    ("r-efi", "comes with getrandom; nothing of it is built on Linux"),
    (
        "sha2",
        "age hashes with the older one; what embeds its messages, at build time, with the newer one",
    ),
    ("syn", "derive macros are moving from one to the other; at build time alone"),
    ("thiserror", "age's reader of message settings, at build time alone"),
    ("thiserror-impl", "age's reader of message settings, at build time alone"),
    ("universal-hash", "age is built with the generation of ciphers before ours"),
    ("windows-sys", "nothing of it is built on Linux"),
];

/// Packages of ours that are in the product, and where their manifests are.
const PRODUCT: &[(&str, &str)] = &[
    ("base2histogram", "vault/histogram"),
    ("ctl", "ctl"),
    ("fusefs", "fusefs"),
    ("pki", "pki"),
    ("proto", "proto"),
    ("vault", "vault"),
    ("vault-core", "vault/core"),
    ("vault-memory", "vault/memory"),
];

/// Name and version.
type Id = (String, String);

/// Every package of the lock, and what it lists.
struct Lock(BTreeMap<Id, Vec<String>>);

impl Lock {
    fn read() -> Self {
        let text = read("Cargo.lock");
        let packages = text.split("[[package]]").skip(1);
        Self(packages.map(|package| (id_of(package), list_of(package))).collect())
    }

    /// An entry of a list is a name, with its version where there are several.
    fn resolve(&self, entry: &str) -> Id {
        let mut words = entry.split(' ');
        let (name, version) = (words.next().unwrap(), words.next());
        let fits = |id: &&Id| id.0 == name && version.is_none_or(|version| id.1 == version);
        self.0.keys().find(fits).unwrap_or_else(|| panic!("{entry} is in the lock")).clone()
    }

    /// Everything that the product is built from.
    fn built(&self) -> BTreeSet<Id> {
        let mut built = BTreeSet::new();
        let mut open: Vec<Id> = PRODUCT.iter().map(|(name, _)| self.resolve(name)).collect();
        while let Some(id) = open.pop() {
            let entries = self.0[&id].iter().filter(|entry| is_wanted(&id.0, entry));
            let next: Vec<Id> = entries.map(|entry| self.resolve(entry)).collect();
            if built.insert(id) {
                open.extend(next);
            }
        }
        built
    }
}

fn field<'a>(package: &'a str, name: &str) -> &'a str {
    let start = format!("{name} = \"");
    let line = package.lines().find_map(|line| line.strip_prefix(&start));
    line.and_then(|rest| rest.strip_suffix('"')).expect("every package has it")
}

fn id_of(package: &str) -> Id {
    (field(package, "name").to_owned(), field(package, "version").to_owned())
}

fn list_of(package: &str) -> Vec<String> {
    let list = package.split_once("dependencies = [").and_then(|(_, rest)| rest.split_once(']'));
    let entries =
        list.map_or("", |(list, _)| list).split(',').map(|entry| entry.trim().trim_matches('"'));
    entries.filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// Whether one of our packages lists it for more than its tests. Crates of others always do.
fn is_wanted(package: &str, entry: &str) -> bool {
    let Some((_, folder)) = PRODUCT.iter().find(|(name, _)| *name == package) else { return true };
    let manifest = read(&format!("{folder}/Cargo.toml"));
    let listed = dependencies(&manifest, BUILT_WITH);
    let name = entry.split(' ').next().unwrap_or_default();
    listed.iter().any(|listed| listed == name)
}

#[test]
fn nothing_unwanted_is_built() {
    let built = Lock::read().built();
    assert!(built.len() > 50, "{} packages are too few to be all", built.len());
    let found = built.iter().filter(|(name, _)| UNWANTED.contains(&name.as_str()));
    assert_none(
        "unwanted crates",
        found.map(|(name, version)| format!("{name} {version}")).collect(),
    );
}

#[test]
fn nothing_is_built_in_two_versions_without_a_reason() {
    let built = Lock::read().built();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, version) in &built {
        versions.entry(name).or_default().push(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let reasoned: Vec<&str> = TWICE.iter().map(|(name, _)| *name).collect();
    let new = versions.iter().filter(|(name, _)| !reasoned.contains(*name));
    let mut wrong: Vec<String> = new.map(|(name, them)| format!("{name}: {them:?}")).collect();
    let gone = reasoned.iter().filter(|name| !versions.contains_key(*name));
    wrong.extend(gone.map(|name| format!("{name}: no longer twice: take it off the list")));
    assert_none("crates in more than one version", wrong);
    assert!(TWICE.iter().all(|(_, reason)| reason.len() > 10), "every reason is given");
}

#[test]
fn the_stand_in_for_openrafts_histograms_is_built_everywhere() {
    let locks = ["Cargo.lock", "tests/bench/Cargo.lock", "tests/fuzz/Cargo.lock"];
    let of_registry = |lock: &&str| {
        let text = read(lock);
        let package = text.split("[[package]]").find(|p| p.contains("name = \"base2histogram\""));
        package.is_none_or(|package| package.contains("registry+"))
    };
    let wrong: Vec<String> = locks.into_iter().filter(of_registry).map(str::to_owned).collect();
    assert_none("`[patch.crates-io]` is not in force", wrong);
}
