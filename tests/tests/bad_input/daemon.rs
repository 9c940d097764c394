//! A daemon that is not there, is not one, or must not start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use tests::node::is_root;
use tests::{Daemon, Node, Run, binaries, skipped};

use crate::SOMEBODY;

/// How a start ends that must be refused: at once, with an error in the log.
#[track_caller]
fn refused(node: &Node, command: Command, text: &str) {
    match Daemon::try_start(node, command) {
        Ok(daemon) => panic!("it started:\n{}", daemon.log()),
        Err(ended) => {
            assert_eq!(ended.status.code(), Some(1), "{}", ended.log);
            assert!(ended.log.contains("ERROR"), "{}", ended.log);
            assert!(ended.log.contains(text), "not \"{text}\" but: {}", ended.log);
        }
    }
}

#[test]
fn a_daemon_that_is_gone_is_named_with_what_to_do() {
    let test = "a_daemon_that_is_gone_is_named_with_what_to_do";
    let Some(node) = Node::for_test(test) else { return };
    let start = "is it running? start it with 'cofferd', or try 'coffer dev'";
    let said = |reason: &str, advice: &str| {
        format!("cannot reach cofferd at unix://{}: {reason}; {advice}", node.socket().display())
    };
    node.coffer(&["secret", "ls"]).refused(&said("no such socket", start));
    node.start_cluster().kill();
    node.coffer(&["secret", "ls"]).refused(&said("connection refused", start));
    fs::remove_file(node.socket()).unwrap();
    fs::write(node.socket(), "").unwrap();
    let elsewhere = "give the path of cofferd's socket with -H";
    node.coffer(&["secret", "ls"]).refused(&said("it is not a socket", elsewhere));
    fs::remove_file(node.socket()).unwrap();
    node.start().end();
    node.coffer(&["secret", "ls"]).refused(&said("no such socket", start));
}

#[test]
fn case_36_a_state_directory_that_others_can_read_is_refused() {
    let test = "case_36_a_state_directory_that_others_can_read_is_refused";
    let Some(node) = Node::for_test(test) else { return };
    fs::create_dir(node.state_dir()).unwrap();
    for mode in [0o755, 0o750, 0o701, 0o720] {
        fs::set_permissions(node.state_dir(), PermissionsExt::from_mode(mode)).unwrap();
        let path = node.state_dir().display().to_string();
        let text = format!(
            "{path} can be read or written by others (mode {mode:04o}); close it with: chmod 0700 {path}"
        );
        refused(&node, node.cofferd(), &text);
        let found = fs::metadata(node.state_dir()).unwrap().permissions().mode();
        assert_eq!(found & 0o7777, mode, "it is left as it was");
        assert_eq!(fs::read_dir(node.state_dir()).unwrap().count(), 0);
    }
    assert!(!node.run_dir().exists());
}

#[test]
fn case_36_a_key_file_that_others_could_read_is_refused() {
    let test = "case_36_a_key_file_that_others_could_read_is_refused";
    let Some(node) = Node::for_test(test) else { return };
    node.start_cluster().end();
    let cluster = node.state_dir().join("cluster");
    for name in ["disk.key", "node", "keyring"] {
        let path = cluster.join(name);
        for mode in [0o644, 0o640, 0o606] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let text = format!(
                "{path} can be read or written by others (mode {mode:04o}): who could read it may have \
                 what it protects. Close it with: chmod 0600 {path}",
                path = path.display()
            );
            refused(&node, node.cofferd(), &text);
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let elsewhere = node.scratch().path(name);
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        refused(&node, node.cofferd(), &format!("{} is not a plain file", path.display()));
        fs::rename(&elsewhere, &path).unwrap();
    }
    node.start().end();
}

#[test]
fn a_state_directory_that_is_none_is_refused() {
    let Some(node) = Node::for_test("a_state_directory_that_is_none_is_refused") else { return };
    let path = node.scratch().file("state", b"text").display().to_string();
    let text = format!("{path} is not a directory; give another one with --state-dir");
    refused(&node, node.cofferd(), &text);
    assert_eq!(fs::read(&path).unwrap(), b"text");
}

#[test]
fn a_state_directory_that_another_daemon_holds_is_refused() {
    let test = "a_state_directory_that_another_daemon_holds_is_refused";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    node.secret("pw", b"value");
    let path = node.state_dir().display().to_string();
    let text = format!("{path} is held by another cofferd (process {})", daemon.pid());
    refused(&node, node.cofferd(), &text);
    // The one that holds it has not noticed.
    assert_eq!(node.coffer(&["secret", "ls", "--format", "{{.Name}}"]).said(), "pw\n");
    daemon.end();
}

#[test]
fn a_state_directory_of_another_user_is_refused() {
    let test = "a_state_directory_of_another_user_is_refused";
    if !is_root() {
        return skipped(test, "needs root, to give a directory away");
    }
    let Some(node) = Node::for_test(test) else { return };
    fs::create_dir(node.state_dir()).unwrap();
    fs::set_permissions(node.state_dir(), PermissionsExt::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(node.state_dir(), Some(SOMEBODY), None).unwrap();
    let path = node.state_dir().display().to_string();
    let text = format!("{path} belongs to user {SOMEBODY}, this daemon runs as user 0");
    refused(&node, node.cofferd(), &text);
}

/// As somebody, or as ourselves if we are nobody special.
#[test]
fn without_root_the_daemon_says_how_to_start_it() {
    let scratch = tests::Scratch::new();
    let (_, cofferd) = binaries::installed(&scratch);
    let mut command = tests::node::clean(&cofferd);
    if is_root() {
        command.uid(SOMEBODY).gid(SOMEBODY);
    }
    let (state, run) = (scratch.path("state"), scratch.path("run"));
    command.arg("--state-dir").arg(&state).arg("--run-dir").arg(&run);
    let Run { code, stdout, stderr } = Run::of(&mut command, b"");
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("cofferd must be root, or be started with --rootless"), "{stderr}");
    assert!(!state.exists() && !run.exists());
}

#[test]
fn a_command_line_that_does_not_parse_ends_with_125() {
    for (args, text) in [
        (&["--bogus"][..], "unexpected argument '--bogus'"),
        (&["bogus"], "unexpected argument 'bogus'"),
        (&["--listen-addr", "nowhere"], "--listen-addr"),
        (&["--listen-addr", "127.0.0.1"], "--listen-addr"),
        (&["--advertise-addr", "host:1"], "--advertise-addr"),
        (&["--log-format", "xml"], "[possible values: text, json]"),
        (&["--log-level", "loud"], "[possible values: error, warn, info, debug, trace]"),
        (&["--state-dir"], "--state-dir <DIR>"),
    ] {
        let run = Run::of(tests::node::clean(&binaries::cofferd()).args(args), b"");
        assert_eq!((run.code, run.stdout.as_str()), (Some(125), ""), "{args:?}: {run:?}");
        assert!(run.stderr.contains(text), "{args:?}: {run:?}");
    }
    for (args, text) in [
        (&["secret", "ls", "--bogus"][..], "unexpected argument '--bogus'"),
        (&["bogus"], "unrecognized subcommand 'bogus'"),
        (&["service", "create", "--name", "n", "--replicas", "some", "true"], "--replicas <N>"),
    ] {
        let run = Run::of(tests::node::clean(&binaries::coffer()).args(args), b"");
        assert_eq!((run.code, run.stdout.as_str()), (Some(125), ""), "{args:?}: {run:?}");
        assert!(run.stderr.contains(text), "{args:?}: {run:?}");
    }
}

#[test]
fn a_bad_value_in_the_environment_ends_with_125_as_a_flag_does() {
    let mut command = tests::node::clean(&binaries::cofferd());
    let run = Run::of(command.env("COFFERD_LOG_LEVEL", "loud"), b"");
    assert_eq!(run.code, Some(125), "{run:?}");
    assert!(run.stderr.contains("--log-level"), "{run:?}");
}
