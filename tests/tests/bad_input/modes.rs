//! Whatever the umask of whoever starts the daemon: what it makes is closed to others.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{Daemon, Node};

#[test]
fn case_36_files_are_closed_under_an_open_umask() {
    files_are_closed_under("case_36_files_are_closed_under_an_open_umask", "000");
}

#[test]
fn case_36_files_are_closed_under_a_narrow_umask() {
    files_are_closed_under("case_36_files_are_closed_under_a_narrow_umask", "077");
}

fn files_are_closed_under(test: &str, umask: &str) {
    let Some(node) = Node::for_test(test) else { return };
    let daemon = Daemon::start(&node, under_umask(umask, &node.cofferd()));
    node.coffer(&["swarm", "init"]).said();
    node.secret("pw", b"value");
    let create = ["service", "create", "-d", "--name", "web", "--secret", "pw", "--"];
    node.coffer(&[&create[..], &["sh", "-c", "umask; exec sleep 1000"]].concat()).said();
    node.logs_with("web", "0022");
    all_is_closed(&node);
    daemon.kill();
    let daemon = Daemon::start(&node, under_umask(umask, &node.cofferd()));
    all_is_closed(&node);
    daemon.end();
}

/// The same command, started by a shell that has set its umask.
fn under_umask(umask: &str, command: &Command) -> Command {
    let mut shell = tests::node::clean(Path::new("sh"));
    shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

fn all_is_closed(node: &Node) {
    let mut seen = 0;
    let mut open = vec![node.state_dir(), node.run_dir()];
    while let Some(path) = open.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        let mode = found.permissions().mode() & 0o7777;
        let kind = found.file_type();
        let allowed: &[u32] = match () {
            // Where there is a group `coffer`, it may pass to the socket.
            () if path == node.run_dir() => &[0o700, 0o710],
            () if kind.is_dir() => &[0o700],
            () if kind.is_socket() => &[0o600, 0o660],
            () => &[0o600],
        };
        assert!(allowed.contains(&mode), "{}: {mode:04o}", path.display());
        seen += 1;
        if kind.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    let expected: [PathBuf; 3] =
        ["disk.key", "node", "keyring"].map(|name| node.state_dir().join("cluster").join(name));
    assert!(expected.iter().all(|path| path.exists()) && seen > expected.len());
}
