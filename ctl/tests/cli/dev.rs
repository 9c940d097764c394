//! `coffer dev` around a stand-in for `cofferd`: its show, its failures, and that nothing is left.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use crate::fake::Fake;
use crate::fake::daemon_script;
use crate::support::Scratch;
use crate::support::install;
use crate::support::run;

/// A folder with `coffer`, a runtime directory, and this script as `cofferd`.
fn installed(script: Option<&str>) -> Scratch {
    let scratch = Scratch::new();
    install(Path::new(env!("CARGO_BIN_EXE_coffer")), &scratch.path("coffer"));
    fs::create_dir(scratch.path("run")).expect("the folder is new");
    if let Some(script) = script {
        install(&scratch.file("script", script.as_bytes()), &scratch.path("cofferd"));
    }
    scratch
}

fn dev(scratch: &Scratch, args: &[&str]) -> Command {
    let mut command = Command::new(scratch.path("coffer"));
    command.arg("dev").args(args).env("XDG_RUNTIME_DIR", scratch.path("run"));
    command
}

fn leftovers(scratch: &Scratch) -> usize {
    fs::read_dir(scratch.path("run")).expect("the folder is there").count()
}

#[test]
fn the_show_goes_the_whole_way_and_leaves_nothing() {
    let fake = Fake::start();
    let notes = Scratch::new();
    let scratch = installed(Some(&daemon_script(&fake.socket(), &notes.path("args"))));
    let run = run(dev(&scratch, &["--exit"]), b"");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
    for part in [
        "   $ coffer swarm init\n   Swarm initialized: current node (",
        "   $ echo 'hello from coffer ",
        "first-service.1.tttttttttttt@host    | hello from coffer ",
        "   $ echo 'hello again from coffer ",
        "| coffer secret rotate first-secret -\n   first-secret version 2\n",
        "   $ coffer service logs --tail 2 first-service\n   \
         first-service.1.tttttttttttt@host    | hello again from coffer ",
        "@host    | (the task now sleeps)\n",
        "\nStopped. Nothing of it is left.\n",
    ] {
        assert!(run.stdout.contains(part), "{part:?} in {}", run.stdout);
    }
    assert_eq!(leftovers(&scratch), 0);
    let typed = fs::read_to_string(notes.path("args")).unwrap();
    assert!(typed.contains("--listen-addr 127.0.0.1:0 --log-level warn"), "{typed}");
    assert_eq!(typed.contains("--rootless"), !rustix::process::geteuid().is_root(), "{typed}");
}

#[test]
fn it_stays_until_it_is_asked_to_end() {
    let fake = Fake::start();
    let notes = Scratch::new();
    let scratch = installed(Some(&daemon_script(&fake.socket(), &notes.path("args"))));
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = dev(&scratch, &[]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("export COFFER_HOST=unix://") {
            line.clear();
            assert_ne!(
                output.read_line(&mut line).unwrap(),
                0,
                "the show ends with the export line"
            );
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal:?}");
        assert!(rest.ends_with("Stopped. Nothing of it is left.\n"), "{rest}");
        assert_eq!(leftovers(&scratch), 0);
        *fake.kept() = crate::fake::Kept::default();
    }
}

#[test]
fn a_daemon_that_dies_at_once_is_quoted() {
    let scratch =
        installed(Some("#!/bin/sh\necho user namespaces are not allowed here >&2\nexit 3\n"));
    let run = run(dev(&scratch, &["--exit"]), b"");
    let expected = "cofferd ended by itself (exit status: 3); it said:\n\
                    user namespaces are not allowed here\n";
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), expected));
    assert_eq!(leftovers(&scratch), 0);
}

#[test]
fn a_daemon_that_was_not_built_is_said_with_what_to_do() {
    let scratch = installed(None);
    let mut command = dev(&scratch, &["--exit"]);
    command.env("PATH", scratch.path("run"));
    let run = run(command, b"");
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("build it with 'cargo build -p vault'"), "{}", run.stderr);
}
