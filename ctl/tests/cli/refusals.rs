//! Every refused command line: its text, its exit code, and that nothing was printed as a result.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::support::Run;
use crate::support::Scratch;
use crate::support::coffer;
use crate::support::install;
use crate::support::run;
use crate::support::run_at;

/// A user without rights.
const NOBODY: u32 = 65_534;

fn refused(args: &[&str]) -> Run {
    let scratch = Scratch::new();
    run_at(&scratch.path("none.sock"), args, b"")
}

/// Each does not parse: its usage is shown and the exit code is 125.
fn assert_not_parsed(table: &[(&[&str], &str)]) {
    for (args, expected) in table {
        let run = refused(args);
        assert_eq!((run.code, run.stdout.as_str()), (Some(125), ""), "{args:?}: {run:?}");
        assert!(run.stderr.contains(expected), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains("Usage:"), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn a_command_line_that_does_not_parse_ends_with_125_and_the_usage() {
    assert_not_parsed(&[
        (&["bogus"], "unrecognized subcommand 'bogus'"),
        (&["secret", "bogus"], "unrecognized subcommand 'bogus'"),
        (&["swarm", "join-token"], "<worker|manager>"),
        (&["swarm", "rotate-keys", "x"], "unexpected argument 'x'"),
        (&["events", "--since", "x"], "invalid value 'x'"),
        (&["events", "--filter", "type"], "bad format of filter (expected name=value)"),
        (&["events", "--no-follow"], "--since <INDEX>"),
        (&["events", "x"], "unexpected argument 'x'"),
        (&["audit", "tail", "-n", "0"], "0 is not in 1.."),
        (&["audit", "tail", "x"], "unexpected argument 'x'"),
        (&["audit", "verify", "x"], "unexpected argument 'x'"),
        (&["dev", "--bogus"], "unexpected argument '--bogus'"),
    ]);
}

#[test]
fn a_secret_or_config_command_that_does_not_parse_ends_with_125_and_the_usage() {
    assert_not_parsed(&[
        (&["secret", "ls", "--bogus"], "unexpected argument '--bogus'"),
        (&["secret", "ls", "-f", "bogus"], "bad format of filter (expected name=value)"),
        (&["secret", "ls", "-f", "other"], "Usage: coffer secret ls [OPTIONS]"),
        (&["secret", "create"], "<SECRET>"),
        (&["secret", "create", "a", "b", "c"], "unexpected argument 'c'"),
        (&["secret", "create", "-l", "=x", "a"], "the key is missing"),
        (&["secret", "create", "--from-dir", "d", "a"], "cannot be used with"),
        (&["secret", "create", "--from-dir", "d", "a", "f"], "cannot be used with"),
        (&["secret", "create", "--version-limit", "0", "a", "f"], "invalid value '0'"),
        (&["config", "create"], "<CONFIG>"),
        (&["config", "create", "a", "b", "c"], "unexpected argument 'c'"),
        (&["secret", "inspect"], "<SECRET>..."),
        (&["secret", "rm"], "<SECRET>..."),
        (&["config", "rm"], "<CONFIG>..."),
        (&["secret", "update", "a"], "--label-add <KEY=VALUE>"),
        (&["secret", "update", "--label-add", "a=b"], "<SECRET>"),
        (&["secret", "update", "--version-limit", "0", "a"], "invalid value '0'"),
    ]);
}

#[test]
fn a_command_about_versions_that_does_not_parse_ends_with_125_and_the_usage() {
    assert_not_parsed(&[
        (&["secret", "rotate"], "Usage: coffer secret rotate [OPTIONS] SECRET"),
        (&["config", "rotate"], "Usage: coffer config rotate [OPTIONS] CONFIG"),
        (&["secret", "rotate", "--activate=maybe", "a", "f"], "invalid value 'maybe'"),
        (&["secret", "rotate", "--if-version", "0", "a", "f"], "invalid value '0'"),
        (&["secret", "activate"], "<SECRET[@VERSION]>..."),
        (&["config", "activate"], "<CONFIG[@VERSION]>..."),
        (&["secret", "rollback"], "<SECRET>..."),
        (&["secret", "versions"], "<SECRET>"),
        (&["secret", "versions", "a", "b"], "unexpected argument 'b'"),
        (&["secret", "destroy", "a"], "--version <N>"),
        (&["secret", "destroy", "--version", "1"], "<SECRET>"),
        (&["secret", "destroy", "--version", "0", "-f", "a"], "invalid value '0'"),
        (&["secret", "destroy", "--version", "1", "-f", "a", "b"], "unexpected argument 'b'"),
    ]);
}

#[test]
fn a_service_command_that_does_not_parse_ends_with_125_and_the_usage() {
    let with_secret = |secret| ["service", "create", "--name", "n", "--secret", secret, "true"];
    assert_not_parsed(&[
        (&["service", "create", "true"], "--name <NAME>"),
        (&["service", "create", "--name", "n"], "<COMMAND>..."),
        (&["service", "create", "--name", "n", "--replicas", "-1", "true"], "-1"),
        (&with_secret("source=a,bogus=1"), "invalid field in secret request: bogus"),
        (&with_secret("a@"), "the version behind '@' is missing in 'a@'"),
        (&["service", "logs", "-n", "some", "web"], "expected a number of lines, or 'all'"),
        (&["service", "logs"], "<SERVICE>"),
    ]);
}

#[test]
fn help_and_version_are_a_success() {
    for (args, expected) in [
        (&["--help"][..], "Usage: coffer"),
        (&["--version"], "coffer 0."),
        (&["version"], " Version:  0."),
        (&["secret", "--help"], "List secrets"),
        (&["secret", "create", "--help"], "Examples:"),
        (&["dev", "--help"], "--exit"),
        (&["config", "rotate", "--help"], "coffer config rotate nginx ./nginx.conf"),
    ] {
        let run = refused(args);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(run.stdout.contains(expected), "{args:?}: {}", run.stdout);
    }
}

#[test]
fn a_group_of_commands_named_alone_shows_what_is_in_it() {
    let groups = ["secret", "config", "swarm", "node", "service", "audit"];
    let typed = groups.iter().map(std::slice::from_ref).chain([&[][..]]);
    for args in typed {
        let whole = ["coffer"].iter().chain(args).copied().collect::<Vec<_>>().join(" ");
        let mut bare = coffer();
        bare.args(args);
        let mut with_host = coffer();
        with_host.args(args).env("COFFER_HOST", "unix:///none.sock");
        for command in [bare, with_host] {
            let run = run(command, b"");
            assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{args:?}");
            let usage = format!("Usage: {whole} [OPTIONS] <COMMAND>\n\nCommands:\n");
            assert!(run.stdout.contains(&usage), "{args:?}: {}", run.stdout);
        }
        let run = refused(args);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "-H and {args:?}");
        assert!(run.stdout.contains(&format!("Usage: {whole} [OPTIONS]")), "{}", run.stdout);
    }
}

/// Each is refused with this text and exit code 1, before any daemon is needed.
fn assert_refused(table: &[(&[&str], &str)]) {
    for (args, expected) in table {
        let run = refused(args);
        let expected =
            Run { code: Some(1), stdout: String::new(), stderr: format!("{expected}\n") };
        assert_eq!(run, expected, "{args:?}");
    }
}

#[test]
fn a_secret_without_a_usable_value_is_refused() {
    let scratch = Scratch::new();
    let empty = scratch.file("empty", b"").display().to_string();
    let large = scratch.file("large", &vec![b'x'; 512_000]).display().to_string();
    let folder = scratch.path("").display().to_string();
    assert_refused(&[
        (&["secret", "create", "a"], "secret file is required"),
        (&["secret", "rotate", "a"], "secret file is required"),
        (
            &["secret", "create", "a", "nofile"],
            "error reading from nofile: open nofile: no such file or directory",
        ),
        (&["secret", "create", "a", "-"], "error reading from STDIN: data is empty"),
        (&["secret", "create", "a", &empty], &format!("error reading from {empty}: data is empty")),
        (
            &["secret", "rotate", "a", &folder],
            &format!("error reading from {folder}: read {folder}: is a directory"),
        ),
        (
            &["secret", "create", "a", &large],
            "secret data must be larger than 0 and less than 512000 bytes",
        ),
    ]);
}

#[test]
fn a_config_without_a_usable_value_is_refused_in_dockers_words() {
    let scratch = Scratch::new();
    let large = scratch.file("large", &vec![b'x'; 1_024_000]).display().to_string();
    assert_refused(&[
        (&["config", "create", "a"], "config file is required"),
        (&["config", "rotate", "a"], "config file is required"),
        (
            &["config", "create", "a", "nofile"],
            "Error reading content from \"nofile\": error reading from nofile: \
             open nofile: no such file or directory",
        ),
        (
            &["config", "rotate", "a", "-"],
            "Error reading content from \"-\": error reading from STDIN: data is empty",
        ),
        (
            &["config", "create", "a", &large],
            "config data must be larger than 0 and less than 1024000 bytes",
        ),
    ]);
}

#[test]
fn a_change_of_versions_that_is_not_clear_is_refused() {
    assert_refused(&[
        (
            &["secret", "rotate", "a", "f", "g"],
            "give one secret and its file, or NAME=FILE for each secret that is to change",
        ),
        (&["secret", "rotate", "a=f", "g"], "'g' is not of the form NAME=FILE"),
        (&["secret", "rotate", "a=", "b=f"], "'a=' is not of the form NAME=FILE"),
        (
            &["config", "rotate", "a=-", "b=-"],
            "'-' is given 2 times, and standard input holds one value",
        ),
        (
            &["secret", "rotate", "--if-version", "7", "a=f", "b=f"],
            "--if-version is for one secret: each has a version index of its own",
        ),
        (
            &["secret", "activate", "a", "b@"],
            "the version behind '@' is missing in 'b@'; leave both out for the pending one",
        ),
        (
            &["config", "destroy", "--version", "1", "a"],
            "destroying a version asks first, and standard input is not a terminal; \
             give -y (--yes) if it is meant",
        ),
    ]);
}

#[test]
fn formats_and_filters_that_cannot_be_used_are_refused() {
    let not_understood = "template parsing error: '{{if .ID}}' is not understood: use {{.Field}}, \
                          {{.Label \"key\"}}, {{index .Field \"key\"}}, {{json .}} and plain text";
    assert_refused(&[
        (
            &["secret", "inspect", "--pretty", "-f", "{{.ID}}", "a"],
            "cannot supply extra formatting options to the pretty template",
        ),
        (&["secret", "ls", "--format", "{{if .ID}}x{{end}}"], not_understood),
        (&["config", "versions", "--format", "{{if .ID}}x{{end}}", "a"], not_understood),
        (&["events", "--format", "{{if .ID}}x{{end}}"], not_understood),
        (&["audit", "tail", "--format", "{{"], "template parsing error: unclosed action after ''"),
        (&["events", "--filter", "bogus=1"], "invalid filter 'bogus'; use type= or event="),
        (
            &["events", "--filter", "event=delete"],
            "invalid filter 'event=delete'; use create, update, remove",
        ),
    ]);
}

#[test]
fn a_swarm_or_a_service_that_cannot_be_is_refused() {
    let secrets = ["--secret", "a", "--secret", "src=b,target=a"];
    assert_refused(&[
        (&["swarm", "join-token", "bogus"], "unknown role bogus"),
        (
            &[&["service", "create", "--name", "n"][..], &secrets, &["x"]].concat(),
            "duplicate secret target for b not allowed",
        ),
    ]);
}

#[test]
fn a_host_that_is_no_unix_socket_is_refused() {
    let long = format!("unix:///{}", "p".repeat(200));
    for (host, expected) in [
        (
            "tcp://127.0.0.1:2375",
            "invalid host 'tcp://127.0.0.1:2375': only unix:// is supported, as in \
             unix:///run/coffer/coffer.sock",
        ),
        ("/a.sock", "invalid host '/a.sock': write it as a URL, unix:///a.sock"),
        (&long, "invalid host: the path of the socket has 201 bytes, a Unix socket allows 107"),
    ] {
        for by_flag in [true, false] {
            let mut command = coffer();
            command.args(["secret", "ls"]);
            if by_flag {
                command.args(["-H", host]);
            } else {
                command.env("COFFER_HOST", host);
            }
            let run = run(command, b"");
            assert_eq!((run.code, run.stderr), (Some(1), format!("{expected}\n")), "{host}");
        }
    }
}

#[test]
fn a_daemon_that_is_not_there_is_named_with_what_to_do() {
    let scratch = Scratch::new();
    let dead = scratch.path("dead.sock");
    drop(UnixListener::bind(&dead).unwrap());
    let plain = scratch.file("plain.sock", b"text");
    let none = scratch.path("none.sock");
    let start = "is it running? start it with 'cofferd', or try 'coffer dev'";
    let elsewhere = "give the path of cofferd's socket with -H";
    for (socket, reason, advice) in [
        (&dead, "connection refused", start),
        (&none, "no such socket", start),
        (&plain, "it is not a socket", elsewhere),
    ] {
        let run = run_at(socket, &["secret", "ls"], b"");
        let text =
            format!("cannot reach cofferd at unix://{}: {reason}; {advice}\n", socket.display());
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{reason}");
        assert_eq!(run.stderr, text);
    }
}

#[test]
fn a_socket_that_others_keep_closed_is_named_with_what_to_do() {
    let scratch = Scratch::new();
    let socket = scratch.path("closed.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, PermissionsExt::from_mode(0o000)).unwrap();
    // Root is let in everywhere, so that it has to step down, to where it can start a copy.
    let copy = scratch.path("coffer");
    install(Path::new(env!("CARGO_BIN_EXE_coffer")), &copy);
    let mut command = Command::new(copy);
    command.args(["swarm", "init", "-H"]).arg(format!("unix://{}", socket.display()));
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let run = run(command, b"");
    let text = format!(
        "cannot reach cofferd at unix://{}: permission denied; run this as root, or be in the group coffer\n",
        socket.display()
    );
    assert_eq!(run, Run { code: Some(1), stdout: String::new(), stderr: text });
}

#[test]
fn a_listener_that_talks_something_else_is_named() {
    let scratch = Scratch::new();
    for (name, greeting) in [
        ("http.sock", &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..]),
        ("noise.sock", &[0xff; 64]),
    ] {
        let socket = scratch.path(name);
        let listener = UnixListener::bind(&socket).unwrap();
        let stranger = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(greeting).unwrap();
            // Held open until the other side has had enough.
            std::io::copy(&mut stream, &mut std::io::sink()).ok();
        });
        let run = run_at(&socket, &["secret", "ls"], b"");
        stranger.join().unwrap();
        assert_no_proper_answer(&run, &socket);
    }
}

fn assert_no_proper_answer(run: &Run, socket: &Path) {
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let start = format!("no proper answer from unix://{}: ", socket.display());
    assert!(run.stderr.starts_with(&start), "{}", run.stderr);
    let end = "; is it the socket of cofferd, and is cofferd well? look at its log\n";
    assert!(run.stderr.ends_with(end), "{}", run.stderr);
}

#[test]
fn a_listener_that_hangs_up_is_named() {
    let scratch = Scratch::new();
    let socket = scratch.path("short.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let stranger = thread::spawn(move || drop(listener.accept().unwrap()));
    let run = run_at(&socket, &["secret", "ls"], b"");
    stranger.join().unwrap();
    assert_no_proper_answer(&run, &socket);
}
