//! Each verb against the fake daemon: what goes over the wire, what is shown, how it ends.

use std::process::Stdio;

use crate::fake::Fake;
use crate::fake::NODE;
use crate::support::Run;
use crate::support::coffer;

pub(crate) fn printed(text: &str) -> Run {
    Run { code: Some(0), stdout: text.to_owned(), stderr: String::new() }
}

pub(crate) fn failed(stdout: &str, stderr: &str) -> Run {
    Run { code: Some(1), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

#[test]
fn init_and_join_token_print_swarms_texts() {
    let fake = Fake::start();
    let worker = "To add a worker to this swarm, run the following command:\n\n    \
                  coffer swarm join --token SWMTKN-1-w 127.0.0.1:2377\n\n";
    let init = format!(
        "Swarm initialized: current node ({NODE}) is now a manager.\n\n{worker}\
         To add a manager to this swarm, run 'coffer swarm join-token manager' and follow the instructions.\n"
    );
    assert_eq!(fake.run(&["swarm", "init"], b""), printed(&init));
    let again = "Error response from daemon: This node is already part of a swarm.\n";
    assert_eq!(fake.run(&["swarm", "init"], b""), failed("", again));
    assert_eq!(fake.run(&["swarm", "join-token", "worker"], b""), printed(worker));
    assert_eq!(fake.run(&["swarm", "join-token", "-q", "manager"], b""), printed("SWMTKN-1-m\n"));
}

#[test]
fn a_value_goes_in_from_standard_input_or_a_file_whole_and_unchanged() {
    let fake = Fake::start();
    let value = b"line\0\xff\n";
    let run = fake.run(&["secret", "create", "-l", "env=prod", "-l", "old", "a", "-"], value);
    assert_eq!(run, printed("0000000000000000000000000\n"));
    let largest = vec![7; 511_999];
    let scratch = crate::support::Scratch::new();
    let file = scratch.file("value", &largest).display().to_string();
    let run = fake.run(&["secret", "create", "b", &file], b"");
    assert_eq!(run, printed("0000000000000000000000001\n"));
    let kept = fake.kept();
    assert_eq!(kept.secrets["a"].values[&1], value);
    assert!(kept.secrets["b"].values[&1] == largest);
    let labels = &kept.secrets["a"].spec.labels;
    assert_eq!(
        labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
        ["env=prod", "old="]
    );
}

#[test]
fn a_word_in_the_place_of_the_file_is_a_file_and_never_a_value() {
    let fake = Fake::start();
    let run = fake.run(&["secret", "create", "a", "the-value"], b"");
    let text = "error reading from the-value: open the-value: no such file or directory\n";
    assert_eq!(run, failed("", text));
    assert!(fake.kept().secrets.is_empty());
}

#[test]
fn autolock_is_shown_in_swarms_texts() {
    let fake = Fake::start();
    assert_eq!(fake.run(&["swarm", "unlock-key"], b""), failed("", "no unlock key is set\n"));
    let unlock = |key| {
        format!(
            "To unlock a swarm manager after it restarts, run the `coffer swarm unlock`\n\
             command and provide the following key:\n\n    {key}\n\n\
             Remember to store this key in a password manager, since without it you\n\
             will not be able to restart the manager.\n"
        )
    };
    let init = fake.run(&["swarm", "init", "--autolock"], b"");
    assert!(
        init.stdout.ends_with(&format!("follow the instructions.\n\n{}", unlock("SWMKEY-1-k")))
    );
    let on = fake.run(&["swarm", "update", "--autolock=true"], b"");
    assert_eq!(on.stdout, format!("Swarm updated.\n{}", unlock("SWMKEY-1-k")));
    assert!(on.stderr.contains("Until now the CA key lay readable"), "{}", on.stderr);
    let off = fake.run(&["swarm", "update", "--autolock=false"], b"");
    assert_eq!(off, printed("Swarm updated.\n"));
    assert_eq!(fake.run(&["swarm", "unlock-key", "-q"], b""), printed("SWMKEY-1-k\n"));
    let rotated = format!("Successfully rotated manager unlock key.\n\n{}", unlock("SWMKEY-1-new"));
    assert_eq!(fake.run(&["swarm", "unlock-key", "--rotate"], b""), printed(&rotated));
    let not_locked = failed("", "Error: swarm is not locked\n");
    assert_eq!(fake.run(&["swarm", "unlock"], b"SWMKEY-1-k\n"), not_locked);
}

#[test]
fn a_name_that_is_taken_is_refused_in_swarms_words() {
    let fake = Fake::start();
    fake.run(&["secret", "create", "a", "-"], b"v");
    let run = fake.run(&["secret", "create", "a", "-"], b"v");
    assert_eq!(run, failed("", "Error response from daemon: secret a already exists\n"));
}

#[test]
fn secrets_of_all_pages_are_listed_in_natural_order() {
    let fake = Fake::start();
    for name in ["key-10", "key-9", "other"] {
        fake.run(&["secret", "create", name, "-"], b"v");
    }
    for (args, expected) in [
        (&["--format", "{{.Name}}"][..], "key-9\nkey-10\nother\n"),
        (&["--format", "{{.Name}}", "-f", "names=OTHER"], "other\n"),
        (&["--format", "{{.Name}}", "-f", "name=KEY"], "key-9\nkey-10\n"),
        (&["-q", "-f", "name=other"], "0000000000000000000000002\n"),
        (&["-f", "label=none", "-q"], ""),
    ] {
        let run = fake.run(&[&["secret", "ls"], args].concat(), b"");
        assert_eq!(run, printed(expected), "{args:?}");
    }
    let table = fake.run(&["secret", "ls"], b"").stdout;
    let header = "ID                          NAME      DRIVER    CREATED";
    assert!(table.starts_with(header), "{table}");
}

#[test]
fn inspect_shows_what_is_there_before_the_error() {
    let fake = Fake::start();
    fake.run(&["secret", "create", "a", "-"], b"v");
    let time = "2026-11-20T20:31:12.518797996Z";
    let found = format!(
        "[\n    {{\n        \"ID\": \"0000000000000000000000000\",\n        \"Version\": {{\n            \
         \"Index\": 11\n        }},\n        \"CreatedAt\": \"{time}\",\n        \"UpdatedAt\": \"{time}\",\n        \
         \"Spec\": {{\n            \"Name\": \"a\",\n            \"Labels\": {{}}\n        }},\n        \
         \"Versions\": [\n            {{\n                \"Number\": 1,\n                \"Labels\": [\n                    \
         \"current\"\n                ],\n                \"HeldBy\": []\n            }}\n        ]\n    }}\n]\n"
    );
    let missing = "Error response from daemon: secret none not found\n";
    assert_eq!(fake.run(&["secret", "inspect", "a"], b""), printed(&found));
    assert_eq!(fake.run(&["secret", "inspect", "none", "a"], b""), failed(&found, missing));
    assert_eq!(fake.run(&["secret", "inspect", "none"], b""), failed("[]\n", missing));
    let run = fake.run(&["secret", "inspect", "-f", "{{.Spec.Name}}", "a"], b"");
    assert_eq!(run, printed("a\n"));
}

#[test]
fn rm_goes_on_after_an_error() {
    let fake = Fake::start();
    fake.run(&["secret", "create", "a", "-"], b"v");
    let missing = |name| format!("Error response from daemon: secret {name} not found\n");
    let run = fake.run(&["secret", "remove", "x", "a", "y"], b"");
    assert_eq!(run, failed("a\n", &[missing("x"), missing("y")].concat()));
    assert!(fake.kept().secrets.is_empty());
}

#[test]
fn the_own_node_is_marked_in_the_list() {
    let fake = Fake::start();
    let table = format!(
        "ID                            HOSTNAME   STATUS    AVAILABILITY   MANAGER STATUS   ENGINE VERSION\n\
         {NODE} *   host       Ready     Active         Leader           0.1.0\n"
    );
    assert_eq!(fake.run(&["node", "ls"], b""), printed(&table));
    assert_eq!(fake.run(&["node", "ls", "-q"], b""), printed(&format!("{NODE}\n")));
}

#[test]
fn a_service_is_created_with_its_grants() {
    let fake = Fake::start();
    fake.run(&["secret", "create", "Db", "-"], b"v");
    let grant = "source=db,target=pw,uid=5,mode=0400";
    let create = ["service", "create", "-d", "--name", "web", "--secret", grant, "-e", "A=b"];
    let run = fake.run(&[&create[..], &["--", "sh", "-c", "true"]].concat(), b"");
    assert_eq!(run, printed("sssssssssssssssssssssssss\n"));
    let kept = fake.kept();
    let spec = kept.services["web"].spec.as_ref().unwrap();
    assert_eq!((spec.replicas, spec.env.join(" ")), (1, "A=b".to_owned()));
    assert_eq!(spec.command, ["sh", "-c", "true"]);
    let secret = spec.secrets.first().unwrap();
    let texts = [&secret.secret_id, &secret.secret_name, &secret.target, &secret.uid, &secret.gid];
    assert_eq!(texts, ["0000000000000000000000000", "Db", "pw", "5", ""]);
    assert_eq!((secret.mode, secret.version.as_str()), (0o400, ""));
}

#[test]
fn a_version_behind_the_name_goes_into_the_grant() {
    let fake = Fake::start();
    fake.run(&["secret", "create", "db", "-"], b"v");
    let grants = ["--secret", "db@3", "--secret", "source=DB@blue,target=pw"];
    let create = [&["service", "create", "-d", "--name", "web"][..], &grants, &["true"]].concat();
    assert_eq!(fake.run(&create, b"").code, Some(0));
    let kept = fake.kept();
    let grants = &kept.services["web"].spec.as_ref().unwrap().secrets;
    let sent = |grant: &proto::v1::SecretGrant| {
        [&grant.secret_name, &grant.target, &grant.version].map(String::clone)
    };
    let sent: Vec<_> = grants.iter().map(sent).collect();
    assert_eq!(sent, [["db", "db", "3"], ["db", "pw", "blue"]]);
}

#[test]
fn a_service_that_names_no_secret_exactly_is_refused() {
    let fake = Fake::start();
    fake.run(&["secret", "create", "a", "-"], b"v");
    // The second one is the beginning of an ID, which the daemon would find.
    for name in ["none", "000"] {
        let run = fake.run(&["service", "create", "--name", "web", "--secret", name, "true"], b"");
        assert_eq!(run, failed("", &format!("secret not found: {name}\n")));
    }
    assert!(fake.kept().services.is_empty());
}

#[test]
fn a_service_is_waited_for_and_its_progress_is_said() {
    let fake = Fake::start();
    let run = fake.run(&["service", "create", "--name", "web", "true"], b"");
    let id = "sssssssssssssssssssssssss";
    let text = format!(
        "{id}\noverall progress: 1 out of 1 tasks\n\
         verify: Waiting 5 seconds to verify that tasks are stable...\nverify: Service {id} converged\n"
    );
    assert_eq!(run, printed(&text));
}

#[test]
fn services_and_tasks_are_listed_inspected_and_removed() {
    let fake = Fake::start();
    fake.run(&["service", "create", "-d", "--name", "web", "--replicas", "2", "sleep", "9"], b"");
    let list = "ID             NAME      MODE         REPLICAS   COMMAND\n\
                ssssssssssss   web       replicated   2/2        \"sleep 9\"\n";
    assert_eq!(fake.run(&["service", "ls"], b""), printed(list));
    let format = "{{.Name}} {{.Node}} {{.DesiredState}} {{.Command}}";
    let tasks = "web.1 host Running \"sleep 9\"\nweb.2 host Running \"sleep 9\"\n";
    assert_eq!(fake.run(&["service", "ps", "--format", format, "web"], b""), printed(tasks));
    let run = fake.run(&["service", "inspect", "-f", "{{.Spec.Mode}}", "web"], b"");
    assert_eq!(run, printed("map[Replicated:map[Replicas:2]]\n"));
    let missing = "Error response from daemon: service none not found\n";
    assert_eq!(fake.run(&["service", "ps", "none"], b""), failed("", missing));
    assert_eq!(fake.run(&["service", "rm", "none", "web"], b""), failed("web\n", missing));
}

#[test]
fn log_lines_name_their_task_and_keep_their_stream() {
    let fake = Fake::start();
    fake.run(&["secret", "create", "a", "-"], b"what the task read\n");
    fake.run(&["service", "create", "-d", "--name", "web", "true"], b"");
    let run = fake.run(&["service", "logs", "--tail", "3", "web"], b"");
    let prefix = "web.1.tttttttttttt@host    | ";
    let stdout = format!("{prefix}what the task read\n{prefix}(the task waits for a new value)\n");
    let expected = Run { code: Some(0), stdout, stderr: format!("{prefix}a complaint\n") };
    assert_eq!(run, expected);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let fake = Fake::start();
    let mut command = coffer();
    command.args(["node", "ls", "-H"]).arg(format!("unix://{}", fake.socket().display()));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
