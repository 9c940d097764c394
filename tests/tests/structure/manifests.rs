//! The walls between the packages, as their manifests draw them.

use crate::tree::{assert_none, read};

/// Which packages of ours each one may depend on: only those below it.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("pki", &[]),
    ("vault/core", &["pki"]),
    ("vault/histogram", &[]),
    ("vault/memory", &[]),
    ("fusefs", &["vault-core", "vault-memory"]),
    ("vault", &["proto", "pki", "vault-core", "vault-memory", "fusefs"]),
    ("ctl", &["proto", "pki", "vault-core", "vault-memory"]),
    ("tests", &["proto", "pki", "vault-core", "vault-memory", "fusefs", "vault", "ctl", "fate"]),
    ("tests/fate", &[]),
];

/// Our packages, by the names that they are imported by.
const OURS: &[&str] =
    &["proto", "pki", "vault-core", "vault-memory", "fusefs", "vault", "ctl", "tests", "fate"];

/// The two packages that do no I/O, read no clock and draw no randomness.
const PURE: &[&str] = &["pki", "vault/core"];

/// What a pure package may be built or tested with. Each is computation alone, or is handed its time and
/// randomness; whatever is added here has to be, too.
const PURE_CRATES: &[&str] = &[
    "chacha20poly1305",
    "imbl",
    "pki",
    "proptest",
    "rcgen",
    "ring",
    "static_assertions",
    "subtle",
    "thiserror",
    "x509-parser",
    "zeroize",
];

/// What the nested clippy.toml of a pure package has to ban.
const BANNED: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "env::var",
    "std::fs::",
    "thread::spawn",
    "fs::File",
    "TcpStream",
    "Mutex",
    "RwLock",
    "HashMap",
    "HashSet",
];

/// Sections that list what a package needs.
pub(crate) const BUILT_WITH: &[&str] = &["dependencies", "build-dependencies"];
const ALL: &[&str] = &["dependencies", "build-dependencies", "dev-dependencies"];

/// The names in sections of one manifest, those for single targets and the whole workspace among them.
pub(crate) fn dependencies(manifest: &str, sections: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_wanted = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(title) = line.strip_prefix('[') {
            let section = title.trim_end_matches(']').rsplit('.').next().unwrap_or_default();
            is_wanted = sections.contains(&section);
        } else if is_wanted && !line.is_empty() && !line.starts_with('#') {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            names.push(line[..end].to_owned());
        }
    }
    names
}

#[test]
fn packages_import_only_from_below() {
    let mut wrong = Vec::new();
    for (package, allowed) in MAY_IMPORT {
        let manifest = read(&format!("{package}/Cargo.toml"));
        for name in dependencies(&manifest, ALL) {
            let is_ours = OURS.contains(&name.as_str());
            let is_fine = !is_ours || allowed.contains(&name.as_str());
            wrong.extend((!is_fine).then(|| format!("{package} must not import {name}")));
        }
    }
    assert_none("walls", wrong);
}

#[test]
fn every_package_stands_in_the_picture() {
    let manifest = read("Cargo.toml");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    let members: Vec<String> = serde_json::from_str(members).expect("a list in one line");
    let known: Vec<&str> = MAY_IMPORT.iter().map(|(package, _)| *package).collect();
    let unknown = members.into_iter().filter(|member| !known.contains(&member.as_str()));
    assert_none("packages without a level", unknown.collect());
}

#[test]
fn pure_packages_can_do_no_input_or_output() {
    let mut wrong = Vec::new();
    for package in PURE {
        let manifest = read(&format!("{package}/Cargo.toml"));
        let names = dependencies(&manifest, ALL).into_iter();
        let odd = names.filter(|name| !PURE_CRATES.contains(&name.as_str()));
        wrong.extend(odd.map(|name| format!("{package} lists {name}")));
        let clippy = read(&format!("{package}/clippy.toml"));
        let missing = BANNED.iter().filter(|ban| !clippy.contains(*ban));
        wrong.extend(missing.map(|ban| format!("{package}/clippy.toml does not ban {ban}")));
    }
    assert_none("pure packages", wrong);
}

#[test]
fn dependencies_are_chosen_in_the_root_manifest_alone() {
    let mut wrong = Vec::new();
    for (package, _) in MAY_IMPORT {
        let manifest = read(&format!("{package}/Cargo.toml"));
        for name in dependencies(&manifest, ALL) {
            let is_shared = manifest.contains(&format!("\n{name}.workspace = true"))
                || manifest.contains(&format!("\n{name} = {{ workspace = true"));
            wrong.extend((!is_shared).then(|| format!("{package}: {name}")));
        }
    }
    assert_none("versions and features stand in the root manifest", wrong);
}

#[test]
fn nobody_depends_on_a_crate_whose_job_has_another_one() {
    let refused =
        ["anyhow", "eyre", "color-eyre", "openssl", "native-tls", "aws-lc-rs", "rand", "nix"];
    let manifest = read("Cargo.toml");
    let names = dependencies(&manifest, ALL).into_iter();
    let found = names.filter(|name| refused.contains(&name.as_str()));
    assert_none("one library for one job", found.collect());
}
