//! The listener: where it may listen, and what it takes of those who mean no good.

use std::io::Write;
use std::net::TcpStream;

use tests::http::{ask, exchange};
use tests::{Daemon, Node, Run, wait_until};

use crate::start;

#[test]
fn an_address_that_others_reach_is_refused() {
    let Some(node) = Node::for_test("an_address_that_others_reach_is_refused") else { return };
    for addr in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9238"] {
        let mut command = node.cofferd();
        command.args(["--metrics-addr", addr]);
        let run = Run::of(&mut command, b"");
        assert_eq!(run.code, Some(125), "{run:?}");
        assert!(run.stderr.contains("no loopback address"), "{run:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let Some(node) = Node::for_test("an_address_that_is_taken_is_named") else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let mut command = node.cofferd();
    command.args(["--metrics-addr", &addr]);
    let ended = Daemon::try_start(&node, command).map(drop).unwrap_err();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.log.contains(&format!("cannot serve metrics at {addr}")), "{ended:?}");
}

#[test]
fn whoever_sends_nonsense_or_nothing_does_not_keep_others_out() {
    let test = "whoever_sends_nonsense_or_nothing_does_not_keep_others_out";
    let Some(node) = Node::for_test(test) else { return };
    let (daemon, addr) = start(&node);
    for (request, expected) in [
        (b"POST /metrics HTTP/1.1\r\n\r\n".to_vec(), "HTTP/1.1 405 "),
        (b"\x16\x03\x01 hello\r\n\r\n".to_vec(), "HTTP/1.1 400 "),
        (
            [b"GET /metrics HTTP/1.1\r\nX: ", &[b'x'; 9_000][..], b"\r\n\r\n"].concat(),
            "HTTP/1.1 431 ",
        ),
    ] {
        // A connection that is ended with bytes unread may lose its answer on the way.
        let said = exchange(&addr, &request).unwrap_or_default();
        assert!(said.is_empty() || said.starts_with(expected), "{expected}: {said}");
    }
    // More than may be open at one time: they go after a while, and others get their turn.
    let mut silent: Vec<_> = (0..40).map(|_| TcpStream::connect(&addr).unwrap()).collect();
    for stream in &mut silent {
        stream.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    }
    wait_until("somebody who asks is answered", || {
        tests::http::try_ask(&addr, "/healthz").is_some_and(|answer| answer.status == 200)
    });
    drop(silent);
    assert_eq!(ask(&addr, "/healthz").status, 200);
    daemon.end();
}
