//! The node port and the socket under more than they can take.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use tests::cluster::{form, join, nodes, token};
use tests::{Daemon, Node, wait_until};

use super::{go_on, settled};

/// More than the handshakes that a manager has at one time, several times over.
const STORM: usize = 800;
/// Descriptors that a daemon may have: far fewer than it has places for connections.
const DESCRIPTORS: usize = 96;

fn resident_kib(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("it says so")
}

/// Connections without a greeting, with half of one, and with one letter now and then.
#[test]
fn case_22_50_a_storm_of_half_open_joins_takes_no_memory_and_no_place() {
    let test = "case_22_50_a_storm_of_half_open_joins_takes_no_memory_and_no_place";
    let Some(nodes) = nodes::<4>(test) else { return };
    let mut daemons = form(&nodes[..3]);
    settled(&nodes[..3]);
    let address = nodes[0].address().expect("it has one").parse().expect("it is one");
    let before = resident_kib(&daemons[0]);
    let mut silent = Vec::new();
    for count in 0..STORM {
        // Where the queue of the port is full, there are enough of them.
        let stream = match TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
            Ok(stream) => stream,
            Err(error) => {
                println!("after {count} connections: {error}");
                break;
            }
        };
        if count % 2 == 1 {
            // A handshake record that promises more than comes.
            (&stream).write_all(&[0x16, 3, 1, 2, 0, 1, 0]).ok();
        }
        silent.push(stream);
    }
    println!("{} half-open connections", silent.len());
    assert!(silent.len() > 256, "{}", silent.len());
    let taken = resident_kib(&daemons[0]).saturating_sub(before);
    assert!(taken < 64 << 10, "{taken} KiB");
    // Managers who are connected already feel nothing, and one more gets in.
    let three = [&nodes[0], &nodes[1], &nodes[2]];
    go_on(&three, &mut daemons.iter_mut().collect::<Vec<_>>(), "during");
    let _fourth = nodes[3].start();
    let token = token(&nodes[0], "manager");
    wait_until("one more joins", || join(&nodes[3], &nodes[0], &token).code == Some(0));
    drop(silent);
    go_on(&three, &mut daemons.iter_mut().collect::<Vec<_>>(), "after");
}

/// Without descriptors no connection can be accepted; with some again, all goes on.
#[test]
fn case_53_a_daemon_without_descriptors_serves_again_once_it_has_some() {
    let test = "case_53_a_daemon_without_descriptors_serves_again_once_it_has_some";
    let Some(node) = Node::for_test(test) else { return };
    let plain = node.cofferd();
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}")).arg(plain.get_program());
    limited.args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let daemon = Daemon::start(&node, limited);
    node.coffer(&["swarm", "init"]).said();
    let open = || fs::read_dir(format!("/proc/{}/fd", daemon.pid())).map_or(0, Iterator::count);
    let mut taken = Vec::new();
    wait_until("there are no descriptors left", || {
        taken.extend(UnixStream::connect(node.socket()));
        open() >= DESCRIPTORS
    });
    // The last of them may just have been given to somebody: it is missed by who comes next.
    wait_until("it says so", || {
        let says_so = daemon.log().contains("not accepted");
        if !says_so {
            taken.extend(UnixStream::connect(node.socket()));
        }
        says_so
    });
    drop(taken);
    wait_until("it serves again", || node.coffer(&["config", "ls"]).code == Some(0));
    node.secret("after", b"value");
    daemon.end();
}
