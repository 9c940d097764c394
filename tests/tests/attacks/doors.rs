//! The node port and the socket under more than they can take.

use std::fs;
use std::io::Write;
use std::net::{SocketAddrV4, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Resource, getrlimit, setrlimit};
use tests::cluster::{form, join, nodes, token};
use tests::{Daemon, Node, wait_until};

use super::{go_on, settled};

/// More than the handshakes that a manager has at one time, several times over.
const STORM: usize = 800;
/// How many there are instead, if somebody says so: 10,000, say.
const STORM_VARIABLE: &str = "COFFER_TEST_CONNECTIONS";
/// Descriptors that a daemon may have: far fewer than it has places for connections.
const DESCRIPTORS: usize = 96;

/// A field of `/proc/PID/status`, in KiB.
pub(crate) fn kib(daemon: &Daemon, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("it says so")
}

/// How many connections to make, and descriptors enough for them, here and in the daemons.
fn storm() -> usize {
    let Some(count) = std::env::var(STORM_VARIABLE).ok() else { return STORM };
    let count: usize = count.parse().expect("a number of connections");
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(count).expect("it fits") + 1_000;
    limit.current = limit.current.max(Some(wanted));
    limit.maximum = limit.maximum.map(|most| most.max(wanted));
    setrlimit(Resource::Nofile, limit).expect("so many descriptors may be had");
    count
}

/// A connection that is made at once, or waits in the queues of the port until there is a place.
fn knocking(address: SocketAddrV4) -> TcpStream {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
    let socket = socket.expect("there are descriptors");
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => TcpStream::from(socket),
        Err(error) => panic!("{error}"),
    }
}

/// Connections without a greeting, with half of one, and with one letter now and then.
#[test]
fn case_22_50_a_storm_of_half_open_joins_takes_no_memory_and_no_place() {
    let test = "case_22_50_a_storm_of_half_open_joins_takes_no_memory_and_no_place";
    let Some(nodes) = nodes::<4>(test) else { return };
    let storm = storm();
    let mut daemons = form(&nodes[..3]);
    settled(&nodes[..3]);
    let address = nodes[0].address().expect("it has one").parse().expect("it is one");
    let before = kib(&daemons[0], "VmRSS");
    let silent: Vec<_> = (0..storm).map(|_| knocking(address)).collect();
    for (count, stream) in silent.iter().enumerate() {
        if count % 2 == 1 {
            // A handshake record that promises more than comes. Those that wait in a queue say it never.
            (&*stream).write_all(&[0x16, 3, 1, 2, 0, 1, 0]).ok();
        }
    }
    println!("{} half-open connections", silent.len());
    let taken = kib(&daemons[0], "VmRSS").saturating_sub(before);
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
