//! Versions of secrets and configs against the fake daemon: the same verbs for both.

use std::fs;
use std::os::unix::fs::symlink;

use crate::fake::Fake;
use crate::support::Scratch;
use crate::verbs::failed;
use crate::verbs::printed;

const CLASSES: [&str; 2] = ["secret", "config"];

impl Fake {
    /// Runs a command that prints something, and gives what it printed.
    fn said(&self, args: &[&str], input: &[u8]) -> String {
        let run = self.run(args, input);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{args:?}");
        run.stdout
    }

    /// Two tasks of the service "web" hold this version.
    fn hold(&self, class: &str, name: &str, version: u32) {
        let mut kept = self.kept();
        let shelf = if class == "secret" { &mut kept.secrets } else { &mut kept.configs };
        shelf.get_mut(name).expect("it was made").holders = vec![(version, "web".to_owned(), 2)];
    }

    fn versions(&self, class: &str, name: &str) -> String {
        self.said(&[class, "versions", "--format", "{{.Version}} {{.Labels}}", name], b"")
    }
}

#[test]
fn a_config_is_shown_with_its_value() {
    let fake = Fake::start();
    let text = b"port = 80\n\xff";
    fake.said(&["config", "create", "-l", "env=prod", "web", "-"], text);
    let data = fake.said(&["config", "inspect", "-f", "{{.Spec.Data}}", "web"], b"");
    assert_eq!(data, "cG9ydCA9IDgwCv8=\n");
    let pretty = fake.said(&["config", "inspect", "--pretty", "WEB"], b"");
    assert!(pretty.starts_with("ID:\t\t\t0000000000000000000000000\nName:\t\t\tweb\n"), "{pretty}");
    assert!(
        pretty.ends_with("utc\nVersions:\n - 1 (current)\nData:\nport = 80\n\u{fffd}\n"),
        "{pretty}"
    );
    let list = fake.said(&["config", "ls"], b"");
    assert!(list.starts_with("ID                          NAME      CREATED"), "{list}");
    let missing = "Error response from daemon: config none not found\n";
    assert_eq!(fake.run(&["config", "rm", "none", "web"], b""), failed("web\n", missing));
    assert!(fake.kept().configs.is_empty());
}

#[test]
fn the_largest_config_goes_in_and_its_value_comes_out() {
    let fake = Fake::start();
    let largest = vec![b'x'; 1_023_999];
    fake.said(&["config", "create", "big", "-"], &largest);
    assert!(fake.kept().configs["big"].values[&1] == largest);
    let pretty = fake.said(&["config", "inspect", "--pretty", "big"], b"");
    assert!(pretty.len() > largest.len());
}

#[test]
fn a_filter_that_the_daemon_does_not_know_is_refused_by_it() {
    let fake = Fake::start();
    for (class, key) in [("secret", "bogus"), ("config", "bogus"), ("config", "names")] {
        let run = fake.run(&[class, "ls", "-f", &format!("{key}=x")], b"");
        let text = format!("Error response from daemon: invalid filter '{key}'\n");
        assert_eq!(run, failed("", &text), "{class}");
    }
}

#[test]
fn each_regular_file_of_a_directory_becomes_one_object() {
    let fake = Fake::start();
    let scratch = Scratch::new();
    scratch.file("b-key", b"second");
    scratch.file("a-key", b"first");
    fs::create_dir(scratch.path("folder")).unwrap();
    symlink("a-key", scratch.path("link")).unwrap();
    let folder = scratch.path("").display().to_string();
    for class in CLASSES {
        let create = [class, "create", "--from-dir", &folder, "-l", "x=y", "--version-limit", "3"];
        let ids = "0000000000000000000000000\n0000000000000000000000001\n";
        assert_eq!(fake.run(&create, b""), printed(ids), "{class}");
    }
    let kept = fake.kept();
    for shelf in [&kept.secrets, &kept.configs] {
        let names: Vec<_> = shelf.keys().map(String::as_str).collect();
        assert_eq!(names, ["a-key", "b-key"]);
        assert_eq!(shelf["a-key"].values[&1], b"first");
        assert!(shelf.values().all(|stored| stored.version_limit == 3));
        assert!(shelf.values().all(|stored| stored.spec.labels["x"] == "y"));
    }
}

#[test]
fn a_directory_is_created_whole_or_not_at_all() {
    let fake = Fake::start();
    fake.said(&["secret", "create", "b", "-"], b"v");
    let scratch = Scratch::new();
    scratch.file("a", b"v");
    scratch.file("b", b"v");
    let folder = scratch.path("").display().to_string();
    let run = fake.run(&["secret", "create", "--from-dir", &folder], b"");
    assert_eq!(run, failed("", "Error response from daemon: secret b already exists\n"));
    assert_eq!(fake.kept().secrets.len(), 1);
}

/// A directory of files of these sizes.
fn folder_of(scratch: &Scratch, name: &str, sizes: &[usize]) -> String {
    fs::create_dir(scratch.path(name)).expect("the directory is new");
    for (number, size) in sizes.iter().enumerate() {
        scratch.file(&format!("{name}/{number}"), &vec![b'x'; *size]);
    }
    scratch.path(name).display().to_string()
}

#[test]
fn a_directory_without_values_is_refused_with_the_reason() {
    let fake = Fake::start();
    let scratch = Scratch::new();
    let none = scratch.path("none").display().to_string();
    let [empty, hole] = [("empty", &[][..]), ("hole", &[5, 0])]
        .map(|(name, sizes)| folder_of(&scratch, name, sizes));
    for (folder, expected) in [
        (&none, format!("cannot read the directory {none}: no such file or directory\n")),
        (&empty, format!("there is no regular file in {empty}\n")),
        (&hole, format!("error reading from {hole}/1: data is empty\n")),
    ] {
        let run = fake.run(&["secret", "create", "--from-dir", folder], b"");
        assert_eq!(run, failed("", &expected), "{folder}");
    }
    assert!(fake.kept().secrets.is_empty());
}

#[test]
fn a_directory_that_is_too_large_for_one_request_is_refused_with_the_figure() {
    let fake = Fake::start();
    let scratch = Scratch::new();
    let large = folder_of(&scratch, "large", &[500_000; 9]);
    let text = format!(
        "the files in {large} have 4500000 bytes together, and one request takes 4194304 (4 MiB); \
         nothing was created\n"
    );
    let run = fake.run(&["secret", "create", "--from-dir", &large], b"");
    assert_eq!(run, failed("", &text));
    // Values that fill a request to the last byte: their frames and names no longer fit.
    let close = folder_of(&scratch, "close", &[&[500_000; 8][..], &[194_304]].concat());
    let text = "the values make a request of 4194439 bytes, and one may have 4194304 (4 MiB); \
                nothing was sent: use several commands\n";
    let run = fake.run(&["secret", "create", "--from-dir", &close], b"");
    assert_eq!(run, failed("", text));
    assert!(fake.kept().secrets.is_empty());
}

#[test]
fn rotate_adds_a_version_that_is_current_at_once() {
    let fake = Fake::start();
    for class in CLASSES {
        fake.said(&[class, "create", "a", "-"], b"one");
        assert_eq!(
            fake.said(&[class, "rotate", "--label", "blue", "a", "-"], b"two"),
            "a version 2\n"
        );
        assert_eq!(fake.versions(class, "a"), "2 blue,current\n1 previous\n");
    }
    let kept = fake.kept();
    assert_eq!(
        (&kept.secrets["a"].values[&2], &kept.configs["a"].values[&2]),
        (&b"two".to_vec(), &b"two".to_vec())
    );
}

#[test]
fn several_objects_are_rotated_in_one_request() {
    let fake = Fake::start();
    let scratch = Scratch::new();
    let file = scratch.file("f", b"from the file").display().to_string();
    for class in CLASSES {
        for name in ["a", "b"] {
            fake.said(&[class, "create", name, "-"], b"one");
        }
        fake.said(&[class, "rotate", "b", "-"], b"two");
        let [a, b] = [format!("a={file}"), "b=-".to_owned()];
        let said = fake.said(&[class, "rotate", &a, &b], b"from standard input");
        assert_eq!(said, "a version 2\nb version 3\n");
        let missing = format!("Error response from daemon: {class} none not found\n");
        let run = fake.run(&[class, "rotate", &a, "none=-"], b"x");
        assert_eq!(run, failed("", &missing));
    }
    let kept = fake.kept();
    for shelf in [&kept.secrets, &kept.configs] {
        assert_eq!(shelf["a"].values.len(), 2);
        assert_eq!(shelf["a"].values[&2], b"from the file");
        assert_eq!(shelf["b"].values[&3], b"from standard input");
    }
}

#[test]
fn a_rotation_that_is_too_large_for_one_request_is_not_sent() {
    let fake = Fake::start();
    let scratch = Scratch::new();
    let file = scratch.file("f", &vec![b'x'; 1_000_000]).display().to_string();
    let typed: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| format!("{name}={file}")).into();
    let words: Vec<_> =
        ["config", "rotate"].into_iter().chain(typed.iter().map(String::as_str)).collect();
    let run = fake.run(&words, b"");
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.starts_with("the values make a request of 5000"), "{}", run.stderr);
}

#[test]
fn a_rotation_of_something_that_has_changed_is_refused() {
    let fake = Fake::start();
    fake.said(&["secret", "create", "a", "-"], b"one");
    let rotate = ["secret", "rotate", "--if-version", "11", "a", "-"];
    assert_eq!(fake.said(&rotate, b"two"), "a version 2\n");
    let stale = "Error response from daemon: update out of sequence\n";
    assert_eq!(fake.run(&rotate, b"three"), failed("", stale));
    assert_eq!(fake.kept().secrets["a"].values.len(), 2);
}

#[test]
fn a_pending_version_waits_until_it_is_activated() {
    let fake = Fake::start();
    for class in CLASSES {
        fake.said(&[class, "create", "a", "-"], b"one");
        fake.said(&[class, "rotate", "--activate=false", "a", "-"], b"two");
        assert_eq!(fake.versions(class, "a"), "2 pending\n1 current\n");
        assert_eq!(fake.said(&[class, "activate", "a"], b""), "a\n");
        assert_eq!(fake.versions(class, "a"), "2 current\n1 previous\n");
        assert_eq!(fake.said(&[class, "activate", "a@1"], b""), "a@1\n");
        assert_eq!(fake.versions(class, "a"), "2 previous\n1 current\n");
        assert_eq!(fake.said(&[class, "activate", "a@previous"], b""), "a@previous\n");
        assert_eq!(fake.said(&[class, "rollback", "a"], b""), "a\n");
        assert_eq!(fake.versions(class, "a"), "2 previous\n1 current\n");
        let text = format!("Error response from daemon: {class} a has no version pending\n");
        assert_eq!(fake.run(&[class, "activate", "a"], b""), failed("", &text));
    }
}

#[test]
fn versions_are_a_table_numbers_or_json() {
    let fake = Fake::start();
    fake.said(&["secret", "create", "a", "-"], b"four");
    fake.said(&["secret", "rotate", "a", "-"], b"seven..");
    assert_eq!(fake.said(&["secret", "versions", "-q", "a"], b""), "2\n1\n");
    let table = fake.said(&["secret", "versions", "a"], b"");
    assert!(table.starts_with("VERSION   LABELS     CREATED"), "{table}");
    assert!(table.contains("\n2         current    "), "{table}");
    assert!(table.ends_with("   4B                  0\n"), "{table}");
    let json = fake.said(&["secret", "versions", "--format", "json", "a"], b"");
    assert_eq!(json.lines().count(), 2);
    assert!(
        json.contains("\"Labels\":\"current\",\"Size\":\"7B\",\"Tasks\":\"0\",\"Version\":\"2\""),
        "{json}"
    );
    let missing = "Error response from daemon: secret none not found\n";
    assert_eq!(fake.run(&["secret", "versions", "none"], b""), failed("", missing));
}

#[test]
fn whose_tasks_hold_which_version_is_shown() {
    let fake = Fake::start();
    fake.said(&["secret", "create", "a", "-"], b"one");
    fake.hold("secret", "a", 1);
    let versions = ["secret", "versions", "--format", "{{.HeldBy}}|{{.Tasks}}", "a"];
    assert_eq!(fake.said(&versions, b""), "web|2\n");
    let list = fake.said(&["secret", "ls", "--format", "{{.HeldBy}}"], b"");
    assert_eq!(list, "1: web (2)\n");
    let inspect = fake.said(&["secret", "inspect", "-f", "{{json .Versions}}", "a"], b"");
    assert!(inspect.contains("\"HeldBy\":[{\"Service\":\"web\",\"Tasks\":2}]"), "{inspect}");
    let pretty = fake.said(&["secret", "inspect", "--pretty", "a"], b"");
    assert!(pretty.ends_with("Versions:\n - 1 (current), held by web (2)\n"), "{pretty}");
}

#[test]
fn a_version_is_destroyed_only_if_it_is_meant() {
    let fake = Fake::start();
    for class in CLASSES {
        fake.said(&[class, "create", "a", "-"], b"one");
        fake.said(&[class, "rotate", "a", "-"], b"two");
        let run = fake.run(&[class, "destroy", "--version", "1", "a"], b"y\n");
        assert_eq!(run.code, Some(1), "{run:?}");
        fake.hold(class, "a", 1);
        for sure in ["-y", "--yes"] {
            let run = fake.run(&[class, "destroy", sure, "--version", "1", "a"], b"");
            assert_eq!(run, failed("", "Error response from daemon: it is held\n"), "{sure}");
        }
        assert_eq!(fake.said(&[class, "destroy", "--force", "--version", "1", "a"], b""), "a\n");
        assert_eq!(fake.said(&[class, "versions", "-q", "a"], b""), "2\n");
        let missing = "Error response from daemon: no version 1\n";
        let run = fake.run(&[class, "destroy", "-f", "--version", "1", "a"], b"");
        assert_eq!(run, failed("", missing));
    }
}

#[test]
fn update_changes_labels_and_the_number_of_versions() {
    let fake = Fake::start();
    for class in CLASSES {
        fake.said(&[class, "create", "-l", "old=1", "-l", "env=dev", "a", "-"], b"one");
        let labels = ["--label-rm", "old", "--label-add", "env=prod", "--label-add", "new"];
        assert_eq!(fake.said(&[&[class, "update"], &labels[..], &["a"]].concat(), b""), "a\n");
        let shown = fake.said(&[class, "inspect", "-f", "{{.Spec.Labels}}", "a"], b"");
        assert_eq!(shown, "map[env:prod new:]\n");
        assert_eq!(fake.said(&[class, "update", "--version-limit", "9", "a"], b""), "a\n");
        let missing = format!("key old doesn't exist in {class}'s labels\n");
        let run = fake.run(&[class, "update", "--label-rm", "old", "a"], b"");
        assert_eq!(run, failed("", &missing));
    }
    let kept = fake.kept();
    assert_eq!([kept.secrets["a"].version_limit, kept.configs["a"].version_limit], [9, 9]);
    assert_eq!(kept.secrets["a"].spec.labels.len(), 2);
}
