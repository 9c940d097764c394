//! Connections that stand open while what the record says of their node changes.

use std::time::{Duration, Instant};

use tests::cluster::{form, id, nodes, wait_listed};
use tests::{Node, impostor, wait_until};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use vault::tls::{Credentials, Tls};

use super::settled;

/// Within so long everything is closed, on every manager.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// A connection with a node's certificate to each of these.
fn connected(runtime: &Runtime, own: &Credentials, to: &[&Node]) -> Vec<TlsStream<TcpStream>> {
    let tls = Tls::new(own).expect("they can be used");
    let connect = async |node: &Node| {
        let stream = TcpStream::connect(node.address().expect("it has one")).await.unwrap();
        let name = ServerName::try_from(id(node)).unwrap();
        TlsConnector::from(tls.client()).connect(name, stream).await.unwrap()
    };
    to.iter().map(|node| runtime.block_on(connect(node))).collect()
}

/// Reads until the other side hangs up: whether that comes in time.
fn is_closed(runtime: &Runtime, stream: &mut TlsStream<TcpStream>, within: Duration) -> bool {
    let hung_up = async {
        let mut bytes = [0; 1024];
        while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    };
    runtime.block_on(async { tokio::time::timeout(within, hung_up).await.is_ok() })
}

#[test]
fn case_14_15_c26_open_connections_of_who_was_demoted_or_removed_are_closed_by_every_manager() {
    let test =
        "case_14_15_c26_open_connections_of_who_was_demoted_or_removed_are_closed_by_every_manager";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons = form(&nodes);
    settled(&nodes);
    let runtime = Runtime::new().unwrap();
    let left = [&nodes[0], &nodes[1]];
    let (own, gone) = (impostor::credentials(&nodes[2]), id(&nodes[2]));
    let mut as_manager = connected(&runtime, &own, &left);
    let other = impostor::credentials(&nodes[1]);
    let mut stays = connected(&runtime, &other, &[&nodes[0]]);
    nodes[0].coffer(&["node", "demote", &gone]).said();
    let demoted = Instant::now();
    for stream in &mut as_manager {
        let rest = CLOSED_WITHIN.saturating_sub(demoted.elapsed());
        assert!(is_closed(&runtime, stream, rest), "after {:?}", demoted.elapsed());
    }
    assert!(!is_closed(&runtime, &mut stays[0], Duration::from_millis(300)), "another node's");
    // A worker's from here on.
    let mut as_worker = connected(&runtime, &own, &left);
    for stream in &mut as_worker {
        assert!(!is_closed(&runtime, stream, Duration::from_millis(300)), "it may stay");
    }
    daemons.pop().expect("three were started").kill();
    wait_listed(left[0], &gone, "Down");
    wait_until("it is removed", || left[0].coffer(&["node", "rm", &gone]).code == Some(0));
    let removed = Instant::now();
    for stream in &mut as_worker {
        let rest = CLOSED_WITHIN.saturating_sub(removed.elapsed());
        assert!(is_closed(&runtime, stream, rest), "after {:?}", removed.elapsed());
    }
}
