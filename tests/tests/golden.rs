//! State directories as released versions wrote them: each must be read by this version, whole.
//!
//! `tests/golden/format-N` was written once and is never written again; a new format gets a new directory.
//! The keys in it are those of a throw-away cluster.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use tests::golden::{self, LENGTHS, copy};
use tests::{Node, Scratch};
use vault::disk::log;
use vault::manager::{Limits, Manager};
use vault::space::Space;
use vault_core::versioned::{Class, Versioned};

/// The format that this version writes.
const NEWEST: &str = "format-1";

/// The files below a folder, by their paths in it.
fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            let below = files_below(&entry.path()).into_iter();
            files.extend(below.map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
        } else {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// What the objects of a class are: name, labels, and for each version its number, labels and value.
fn objects(manager: &Manager, class: Class) -> Vec<String> {
    let view = manager.consensus().view();
    let shown = |object: &Versioned| {
        let labels: Vec<_> =
            object.labels.as_map().iter().map(|(key, value)| format!("{key}={value}")).collect();
        let versions = object.versions.iter().map(|version| {
            let tags: Vec<_> = object.labels_of(version.number).map(ToString::to_string).collect();
            let value = manager.open_version(class, object.id, version).unwrap();
            let value = String::from_utf8_lossy(value.expose()).into_owned();
            let value = match value.len() {
                0..40 => value,
                length => format!("{length} bytes of {}", &value[..1]),
            };
            format!("{}[{}]={value}", version.number, tags.join(","))
        });
        let versions: Vec<_> = versions.collect();
        let (name, limit) = (object.name.as_str(), object.limit.versions());
        format!("{name} {} limit {limit}: {}", labels.join(","), versions.join(" "))
    };
    let mut all: Vec<_> = view.state.of_class(class).iter().map(|object| shown(object)).collect();
    all.sort();
    all
}

#[test]
fn a_state_directory_of_format_1_is_read_whole() {
    let state_dir = Scratch::new();
    copy("format-1", state_dir.folder());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let space = Space::watch(state_dir.folder().to_owned()).unwrap();
        let log = log::Options { segment_bytes: 64 << 10, ..log::Options::default() };
        let limits = Limits { memory_budget: u64::MAX, space, log, meters: Arc::default() };
        let manager = Manager::open(state_dir.folder(), limits).await.unwrap().unwrap();
        manager.consensus().lead().await.unwrap();
        assert_eq!(
            objects(&manager, Class::Secret),
            [
                "api-key  limit 10: 1[current]=first",
                "db-password env=prod,team=storage limit 5: 1[]=one 2[previous]=two \
                 3[blue,current]=three 4[pending]=four",
                "large  limit 5: 1[current]=60000 bytes of v",
                "late  limit 5: 1[previous]=before 2[current]=behind the snapshot",
            ]
        );
        assert_eq!(objects(&manager, Class::Config), ["motd  limit 5: 1[current]=hello"]);
        let view = manager.consensus().view();
        let services: Vec<_> = view.state.services().iter().collect();
        assert_eq!(services.len(), 1);
        let spec = &services[0].spec;
        assert_eq!((spec.name.as_str(), spec.replicas), ("web", 0));
        let grants: Vec<_> = spec.grants.iter().map(|grant| grant.target.as_str()).collect();
        assert_eq!(grants, ["db-password"]);
        assert_eq!(view.state.nodes().count(), 1);
        assert_eq!(view.state.epoch().0, 2, "the data key was rotated once");
        assert!(view.state.requests().iter().count() > 0, "answers are remembered");
        let (first, last) = manager.audit().verify().unwrap();
        assert!(first == 1 && last > 10, "audit records {first} to {last}");
        manager.consensus().stop().await;
    });
}

/// Writes the directory of the newest format, if it is asked for and not there yet.
#[test]
fn the_newest_format_has_a_golden_directory() {
    let folder = golden::folder(NEWEST);
    if std::env::var_os("COFFER_WRITE_GOLDEN").is_none() {
        return assert!(folder.join(LENGTHS).exists(), "{NEWEST} is missing");
    }
    assert!(!folder.exists(), "{NEWEST} is there: a new format gets a new directory");
    let node = Node::for_test("the_newest_format_has_a_golden_directory").unwrap();
    fill(&node.with_log_segments_of(64 << 10), &folder);
}

fn fill(node: &Node, folder: &Path) {
    let daemon = node.start_cluster();
    let say = |args: &[&str], input: &[u8]| node.coffer_reading(args, input).said();
    let create = ["secret", "create", "-l", "env=prod", "-l", "team=storage", "db-password", "-"];
    say(&create, b"one");
    say(&["secret", "rotate", "db-password", "-"], b"two");
    say(&["secret", "rotate", "--label", "blue", "db-password", "-"], b"three");
    say(&["secret", "rollback", "db-password"], b"");
    say(&["secret", "create", "--version-limit", "10", "api-key", "-"], b"first");
    say(&["secret", "create", "late", "-"], b"before");
    say(&["config", "create", "motd", "-"], b"hello");
    say(&["secret", "create", "large", "-"], &[b'v'; 60_000]);
    let service = ["service", "create", "--name", "web", "--replicas", "0", "-d"];
    say(&[&service[..], &["--secret", "db-password", "--", "sleep", "1"]].concat(), b"");
    // Writes a snapshot, too.
    say(&["swarm", "rotate-keys"], b"");
    daemon.end();
    let daemon = node.start();
    say(&["secret", "rotate", "late", "-"], b"behind the snapshot");
    say(&["secret", "activate", "db-password@3"], b"");
    say(&["secret", "rotate", "--activate=false", "db-password", "-"], b"four");
    daemon.end();
    let mut lengths = String::new();
    for (path, mut bytes) in files_below(&node.state_dir()) {
        if path == "lock" {
            continue;
        }
        lengths.push_str(&format!("{path} {}\n", bytes.len()));
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(used);
        fs::create_dir_all(folder.join(&path).parent().unwrap()).unwrap();
        fs::write(folder.join(&path), bytes).unwrap();
    }
    fs::write(folder.join(LENGTHS), lengths).unwrap();
}
