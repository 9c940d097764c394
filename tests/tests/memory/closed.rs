//! Nobody of the same user, and no dump, gets at the daemon's memory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use tests::node::{clean, has_user_namespaces, is_root};
use tests::{Daemon, Node, Run, binaries, skipped, wait_until};

/// A user without rights, who need not have a name.
const SOMEBODY: u32 = 61_238;

/// The same command, started by a shell that has done something first.
fn after(first: &str, command: &Command) -> Command {
    let mut shell = clean(Path::new("sh"));
    shell.args(["-c", &format!("{first}; exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

#[test]
fn case_37_a_daemon_that_breaks_dumps_no_core_whatever_limit_it_was_given() {
    let test = "case_37_a_daemon_that_breaks_dumps_no_core_whatever_limit_it_was_given";
    let Some(node) = Node::for_test(test) else { return };
    let unlimited = "ulimit -c unlimited 2>/dev/null || ulimit -c $(ulimit -Hc)";
    let mut command = after(unlimited, &node.cofferd());
    // Where a core would come to lie, if the kernel names it plainly.
    command.current_dir(node.scratch().folder());
    let daemon = Daemon::start(&node, command);
    node.coffer(&["swarm", "init"]).said();
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let fields: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(fields[4..6], ["0", "0"], "no limit left to raise: {core}");
    let ended = daemon.end_by(Signal::ABORT);
    assert_eq!(ended.status.signal(), Some(Signal::ABORT.as_raw()));
    assert!(!ended.status.core_dumped());
    let left = fs::read_dir(node.scratch().folder()).unwrap().flatten();
    let left = left.map(|entry| entry.file_name().to_string_lossy().into_owned());
    assert_eq!(left.filter(|name| name.starts_with("core")).collect::<Vec<_>>(), [""; 0]);
}

/// A daemon without root: there nothing but its being non-dumpable stands between it and its equals.
struct Rootless {
    child: Child,
}

impl Drop for Rootless {
    fn drop(&mut self) {
        // It has no task and no mount.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn as_user(command: &mut Command) -> &mut Command {
    if is_root() { command.uid(SOMEBODY).gid(SOMEBODY) } else { command }
}

fn rootless(node: &Node) -> Rootless {
    let (_, cofferd) = binaries::installed(node.scratch());
    let mut command = node.cofferd_at(&cofferd);
    if is_root() {
        command.arg("--rootless");
        let folder = node.scratch().folder();
        std::os::unix::fs::chown(folder, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    }
    let log = fs::File::create(node.scratch().path("log")).unwrap();
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let child = as_user(&mut command).spawn().unwrap();
    let daemon = Rootless { child };
    wait_until("it serves", || {
        fs::read_to_string(node.scratch().path("log")).unwrap().contains("serving")
    });
    daemon
}

/// What a process of the same user hears when it reads a file of another process.
fn reading(pid: u32, file: &str) -> Run {
    let mut command = clean(Path::new("head"));
    command.args(["-c", "1", &format!("/proc/{pid}/{file}")]).env("LC_ALL", "C");
    Run::of(as_user(&mut command), b"")
}

#[test]
fn case_37_another_process_of_the_same_user_cannot_read_the_daemon() {
    let test = "case_37_another_process_of_the_same_user_cannot_read_the_daemon";
    let Some(node) = Node::for_test(test) else { return };
    if !has_user_namespaces(|command| {
        as_user(command);
    }) {
        return skipped(test, "needs user namespaces, for a daemon that is not root");
    }
    let daemon = rootless(&node);
    for file in ["mem", "maps", "environ", "auxv", "io", "syscall", "stack"] {
        let run = reading(daemon.child.id(), file);
        assert!(run.code == Some(1) && run.stdout.is_empty(), "{file}: {run:?}");
        let is_refused = ["Permission denied", "Operation not permitted"];
        assert!(is_refused.iter().any(|text| run.stderr.contains(text)), "{file}: {run:?}");
    }
    let descriptors = reading(daemon.child.id(), "fd/0");
    assert_eq!(descriptors.code, Some(1), "{descriptors:?}");
    // The same look at a process that has not closed itself shows that it is this that keeps them out.
    let mut other = clean(Path::new("sleep"));
    let mut other = as_user(other.arg("1000")).spawn().unwrap();
    wait_until("another process of theirs can be read", || {
        reading(other.id(), "maps").code == Some(0)
    });
    other.kill().unwrap();
    other.wait().unwrap();
    let mode = fs::metadata(node.state_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
}
