//! Backups end to end: saved from a running cluster, checked, restored into an empty node; and what is refused
//! leaves everything as it was.

use std::fs;
use std::path::{Path, PathBuf};

use tests::{Node, wait_until};

/// Throw-away keys of age, of these tests alone.
const IDENTITY: &str = "AGE-SECRET-KEY-1QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSKMP32K";
const RECIPIENT: &str = "age1zwlyl6h27gzv0lfntr7fcqrjrzqazap8sy5zylkxwneh7llf0dksu37mwt";
const OTHER: &str = "AGE-SECRET-KEY-1PYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSTFVYXW";
const REFUSED: &str = "the backup is refused: ";

fn file(node: &Node, name: &str, bytes: &[u8]) -> String {
    let path = node.scratch().path(name);
    fs::write(&path, bytes).unwrap();
    text(&path)
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn save(node: &Node, name: &str) -> PathBuf {
    let path = node.scratch().path(name);
    node.coffer(&["backup", "save", "-r", RECIPIENT, &text(&path)]).said();
    path
}

/// What the command line refuses before anything else: the daemon's words, in one line.
#[track_caller]
fn refusal(node: &Node, verb: &str, key: &str, file: &str) -> String {
    let run = node.coffer(&["backup", verb, "-i", key, file]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:?}");
    run.stderr
}

/// Names and bytes of all files below a folder.
fn everything(folder: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(everything(&path));
            all.push((path, None));
        } else {
            let bytes = fs::read(&path).unwrap();
            all.push((path, Some(bytes)));
        }
    }
    all.sort();
    all
}

#[test]
fn case_70_a_cluster_comes_back_on_an_empty_node_with_all_that_it_held() {
    let test = "case_70_a_cluster_comes_back_on_an_empty_node_with_all_that_it_held";
    let (Some(old), Some(new)) = (Node::for_test(test), Node::for_test(test)) else { return };
    let daemon = old.start_cluster();
    old.secret("pw", b"first");
    old.coffer_reading(&["secret", "rotate", "pw", "-"], b"a secret that comes back").said();
    old.coffer_reading(&["config", "create", "motd", "-"], b"a config").said();
    let create = ["service", "create", "-d", "--name", "web", "--secret", "pw", "--secret"];
    let script = format!(
        "cat /run/secrets/pw /run/secrets/old; echo; exec sleep 1000; : {}",
        new.scratch().name()
    );
    let pinned = "source=pw@1,target=old";
    old.coffer(&[&create[..], &[pinned, "--", "sh", "-c", &script]].concat()).said();
    old.coffer(&["swarm", "rotate-keys"]).said();
    let shown = |node: &Node, args: &[&str]| node.coffer(args).said();
    let config = shown(&old, &["config", "inspect", "motd"]);
    let versions = ["secret", "inspect", "--format", "{{json .Versions}}", "pw"];
    let secret = shown(&old, &versions);
    let token = shown(&old, &["swarm", "join-token", "-q", "manager"]);

    let backup = save(&old, "cluster.age");
    let bytes = fs::read(&backup).unwrap();
    let found = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(!found(b"a secret that comes back") && !found(b"motd"), "the file is sealed");
    let key = file(&new, "key.txt", IDENTITY.as_bytes());
    let backup = text(&backup);

    let other = new.start();
    let said = shown(&new, &["backup", "verify", "-i", &key, &backup]);
    assert!(said.contains("Holds       1 secrets, 1 configs, 1 services, 1 nodes"), "{said}");
    assert!(said.contains("whole; 6 sealed values opened"), "{said}");
    let json = shown(&new, &["backup", "inspect", "--format", "json", "-i", &key, &backup]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["RecoveryEpoch"], &json["Secrets"]), (&1.into(), &1.into()), "{json}");
    let said = shown(&new, &["backup", "restore", "-i", &key, &backup]);
    assert!(said.contains("Swarm restored") && said.contains("1 secrets, 1 configs"), "{said}");

    assert_eq!(shown(&new, &["config", "inspect", "motd"]), config);
    assert_eq!(shown(&new, &versions), secret);
    new.logs_with("web", "a secret that comes backfirst");
    assert_eq!(shown(&new, &["node", "ls", "-q"]).lines().count(), 1);
    let new_token = shown(&new, &["swarm", "join-token", "-q", "manager"]);
    assert_ne!(new_token, token, "tokens are new");
    assert_eq!(new_token.split('-').nth(2), token.split('-').nth(2), "the root is the same");
    new.coffer(&["backup", "restore", "-i", &key, &backup])
        .refused_by_daemon("This node is already part of a swarm. Use \"coffer swarm leave\" to leave this swarm and join another one.");

    let calls = |node: &Node| node.coffer(&["audit", "tail", "--format", "{{.Call}}"]).said();
    wait_until("the record says who saved", || calls(&old).contains("Backup/Save"));
    wait_until("and who restored", || calls(&new).contains("Backup/Restore"));

    // It is a cluster like any other: it goes on after a start, and can be saved and written to.
    new.secret("more", b"more");
    other.end();
    let other = new.start();
    assert_eq!(shown(&new, &["config", "inspect", "motd"]), config);
    new.logs_with("web", "a secret that comes backfirst");
    save(&new, "again.age");
    other.end();
    daemon.end();
}

#[test]
fn case_70_a_backup_that_is_cut_changed_or_foreign_is_refused_before_anything_is_touched() {
    let test =
        "case_70_a_backup_that_is_cut_changed_or_foreign_is_refused_before_anything_is_touched";
    let (Some(old), Some(new)) = (Node::for_test(test), Node::for_test(test)) else { return };
    let daemon = old.start_cluster();
    for n in 0..3 {
        old.coffer_reading(&["config", "create", &format!("c{n}"), "-"], &[n; 100_000]).said();
    }
    let backup = save(&old, "cluster.age");
    let bytes = fs::read(&backup).unwrap();
    let (key, other_key) =
        (file(&new, "key.txt", IDENTITY.as_bytes()), file(&new, "other.txt", OTHER.as_bytes()));
    let other = new.start();
    let before = everything(&new.state_dir());

    const PIECE: usize = (64 << 10) + 16;
    let start = bytes.len() % PIECE;
    let swapped = [
        &bytes[..300],
        &bytes[300 + PIECE..300 + 2 * PIECE],
        &bytes[300..300 + PIECE],
        &bytes[300 + 2 * PIECE..],
    ]
    .concat();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    let mut cases = vec![
        ("nothing", Vec::new()),
        ("another file", b"hello".to_vec()),
        ("swapped", swapped),
        ("flipped", flipped),
        ("longer", [bytes.as_slice(), &[0]].concat()),
        ("twice", [bytes.as_slice(), bytes.as_slice()].concat()),
        ("cut in the start", bytes[..start.min(100)].to_vec()),
    ];
    cases.extend((1..=bytes.len() >> 16).map(|n| ("cut", bytes[..n << 16].to_vec())));
    assert!(cases.len() > 10, "several pieces");
    for (what, bytes) in cases {
        let path = file(&new, "damaged.age", &bytes);
        for verb in ["verify", "restore"] {
            let said = refusal(&new, verb, &key, &path);
            assert!(said.contains(REFUSED), "{what}: {verb}: {said}");
        }
    }
    let said = refusal(&new, "restore", &other_key, &text(&backup));
    assert!(said.contains("this key does not open it"), "{said}");
    assert_eq!(everything(&new.state_dir()), before, "nothing was touched");
    let info = new.coffer(&["node", "ls"]);
    assert!(info.stderr.contains("not a swarm manager"), "{info:?}");

    // Into a cluster that is there nothing is restored either; and the node can still be restored into.
    let said = refusal(&old, "restore", &key, &text(&backup));
    assert!(said.contains("already part of a swarm"), "{said}");
    assert_eq!(old.coffer(&["config", "ls", "-q"]).said().lines().count(), 3);
    new.coffer(&["backup", "restore", "-i", &key, &text(&backup)]).said();
    assert_eq!(new.coffer(&["config", "ls", "-q"]).said().lines().count(), 3);
    other.end();
    daemon.end();
}

#[test]
fn a_follower_saves_too_and_managers_of_before_come_back_by_joining_alone() {
    let test = "a_follower_saves_too_and_managers_of_before_come_back_by_joining_alone";
    let (Some(first), Some(second)) = (Node::for_test(test), Node::for_test(test)) else { return };
    let Some(new) = Node::for_test(test) else { return };
    let (one, two) = (first.start_cluster(), second.start());
    let joining = |node: &Node| {
        let said = node.coffer(&["swarm", "join-token", "manager"]).said();
        let line = said.lines().find(|line| line.contains("swarm join --token")).unwrap();
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        (words[words.len() - 2].clone(), words[words.len() - 1].clone())
    };
    let (old_token, addr) = joining(&first);
    second.coffer(&["swarm", "join", "--token", &old_token, &addr]).said();
    first.secret("pw", b"value");
    // A follower answers with all that was acknowledged before, by whichever manager.
    let pass = file(&new, "pass.txt", b"a passphrase of some length\n");
    let path = text(&new.scratch().path("cluster.age"));
    let said = second.coffer(&["backup", "save", "--passphrase-file", &pass, &path]).said();
    assert!(said.contains("1 secrets") && said.contains("2 nodes"), "{said}");
    let three = new.start();
    let wrong = file(&new, "wrong.txt", b"another passphrase\n");
    let run = new.coffer(&["backup", "verify", "--passphrase-file", &wrong, &path]);
    assert!(run.stderr.contains("this key does not open it"), "{run:?}");
    let key = file(&new, "key.txt", IDENTITY.as_bytes());
    let said = refusal(&new, "verify", &key, &path);
    assert!(said.contains("sealed under a passphrase"), "{said}");
    new.coffer(&["backup", "restore", "--passphrase-file", &pass, &path]).said();

    // The old cluster goes on by itself: neither is told of the other.
    assert_eq!(new.coffer(&["node", "ls", "-q"]).said().lines().count(), 1);
    first.secret("later", b"value");
    assert_eq!(new.coffer(&["secret", "ls", "-q"]).said().lines().count(), 1);
    let (token, addr) = joining(&new);
    second.coffer(&["swarm", "leave", "--force"]).said();
    let run = second.coffer(&["swarm", "join", "--token", &old_token, &addr]);
    assert!(run.stderr.contains("A valid join token is necessary"), "{run:?}");
    second.coffer(&["swarm", "join", "--token", &token, &addr]).said();
    wait_until("it came back as another node", || {
        second.coffer(&["node", "ls", "-q"]).stdout.lines().count() == 2
    });
    assert_eq!(second.coffer(&["secret", "ls", "-q"]).said().lines().count(), 1);
    two.end();
    three.end();
    one.end();
}

#[test]
fn case_70_what_is_asked_for_wrongly_saves_nothing() {
    let Some(node) = Node::for_test("case_70_what_is_asked_for_wrongly_saves_nothing") else {
        return;
    };
    let daemon = node.start_cluster();
    let path = text(&node.scratch().path("cluster.age"));
    let short = file(&node, "short.txt", b"short\n");
    for (args, expected) in [
        (vec!["-r", "age1nonsense"], "recipient 1 is no public key of age"),
        (vec!["--passphrase-file", &short], "fewer than 12 bytes"),
        (vec![], "the passphrase is missing"),
    ] {
        let run = node.coffer(&[&["backup", "save"], args.as_slice(), &[&path]].concat());
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.contains(expected), "{run:?}");
        assert!(!Path::new(&path).exists() && !Path::new(&format!("{path}.part")).exists());
    }
    save(&node, "cluster.age");
    let run = node.coffer(&["backup", "save", "-r", RECIPIENT, &path]);
    run.refused(&format!("{path} is there already; nothing was saved"));
    daemon.end();
    // Nothing leaves a node that is in no cluster.
    let empty = Node::for_test("case_70_what_is_asked_for_wrongly_saves_nothing").unwrap();
    let daemon = empty.start();
    let run = empty.coffer(&["backup", "save", "-r", RECIPIENT, &path.replace(".age", ".2")]);
    assert!(run.stderr.contains("not a swarm manager"), "{run:?}");
    daemon.end();
}

#[path = "backup/locked.rs"]
mod locked;
#[path = "backup/scheduled.rs"]
mod scheduled;
