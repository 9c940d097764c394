//! Frames and messages on the node port that no node sends, behind a good handshake: by a stranger without a
//! certificate, and by somebody who has a manager's.

use std::sync::Arc;
use std::time::Duration;

use tests::cluster::{form, nodes};
use tests::impostor::credentials;
use tests::wire::{field, number, varint};
use tests::{Daemon, Impostor, Node};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::Code;
use vault::tls::{self, Tls};
use vault_core::access::{CALLS, Who};
use vault_core::limits::PEER_MESSAGE_BYTES_MAX;

use super::doors::kib;
use super::{go_on, settled};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frames of one flood.
const FLOOD: u32 = 20_000;
/// What a manager may take at the most for floods, or for the largest messages.
const MEMORY_KIB: u64 = 96 << 10;

/// The frames that a flood goes on with, by how many came before.
type Frames = Box<dyn Fn(u32) -> Vec<u8>>;

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

async fn shaken(node: &Node, config: Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(node.address().unwrap()).await.unwrap();
    let name = ServerName::try_from("swarm-manager").unwrap();
    TlsConnector::from(config).connect(name, stream).await.unwrap()
}

fn floods() -> [(&'static str, Vec<u8>, Frames); 5] {
    // ":method: POST" by its number, and a header of 100 letters that is not to be remembered.
    let header = [&[0x10, 1, b'x', 100][..], &[b'y'; 100]].concat();
    let more = frame(9, 0, 1, &header.repeat(100));
    let open = |stream| frame(1, 4, stream, &[0x83, 0x86, 0x84]);
    [
        ("continuations", frame(1, 0, 1, &[0x83]), Box::new(move |_| more.clone())),
        (
            "resets",
            vec![],
            Box::new(move |count| {
                let stream = count * 2 + 1;
                [open(stream), frame(3, 0, stream, &8_u32.to_be_bytes())].concat()
            }),
        ),
        ("calls that are never finished", vec![], Box::new(move |count| open(count * 2 + 1))),
        ("empty data", open(1), Box::new(|_| frame(0, 0, 1, &[]))),
        ("pings", vec![], Box::new(|_| frame(6, 0, 0, &[7; 8]))),
    ]
}

/// Calls that get the largest messages, too: of a stranger, of a manager, with a command inside.
const WITH_LARGE: [&str; 3] = [
    "/docker.swarmkit.v1.NodeCA/IssueNodeCertificate",
    "/coffer.v1.Managers/Admit",
    "/coffer.v1.Raft/Propose",
];
/// A message that every call gets.
const SMALL_BYTES: usize = 64 << 10;

/// How many frames of a flood are taken before the connection ends, or nobody reads it any more.
async fn poured(node: &Node, config: Arc<ClientConfig>, first: &[u8], next: &Frames) -> u32 {
    let mut stream = shaken(node, config).await;
    stream.write_all(&[PREFACE, &frame(4, 0, 0, &[]), first].concat()).await.unwrap();
    for count in 0..FLOOD {
        let frames = next(count);
        let writing = timeout(Duration::from_secs(2), stream.write_all(&frames)).await;
        if !writing.is_ok_and(|written| written.is_ok()) {
            return count;
        }
    }
    FLOOD
}

#[test]
fn case_51_floods_of_frames_on_the_node_port_take_little_memory_and_nobodys_place() {
    let test = "case_51_floods_of_frames_on_the_node_port_take_little_memory_and_nobodys_place";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons = form(&nodes);
    settled(&nodes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let own = credentials(&nodes[2]);
    let configs =
        [tls::joining(&own.roots).expect("a root"), Tls::new(&own).expect("an identity").client()];
    let before = kib(&daemons[0], "VmHWM");
    for (who, config) in ["a stranger", "a manager"].into_iter().zip(configs) {
        for (what, first, next) in floods() {
            let flood = poured(&nodes[0], Arc::clone(&config), &first, &next);
            let taken = runtime.block_on(flood);
            println!("{what} by {who}: {taken} were taken");
        }
        // A window that is never opened: the answer waits, and nothing else does.
        let stalled = runtime.block_on(async {
            let mut stream = shaken(&nodes[0], Arc::clone(&config)).await;
            let none = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
            let calls =
                (0..1_000).flat_map(|count| frame(1, 5, count * 2 + 1, &[0x83, 0x86, 0x84]));
            let calls: Vec<u8> = calls.collect();
            let all = [PREFACE, &none, &calls].concat();
            timeout(Duration::from_secs(2), stream.write_all(&all)).await.ok();
            stream
        });
        go_on(&nodes.each_ref(), &mut daemons.iter_mut().collect::<Vec<_>>(), "during");
        drop(stalled);
    }
    let taken = kib(&daemons[0], "VmHWM").saturating_sub(before);
    println!("{taken} KiB at the most");
    assert!(taken < MEMORY_KIB, "{taken} KiB");
    go_on(&nodes.each_ref(), &mut daemons.iter_mut().collect::<Vec<_>>(), "after");
    all_sound(&daemons);
}

fn all_sound(daemons: &[Daemon]) {
    for daemon in daemons {
        assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
    }
}

/// Whatever a message is made of, each call on the node port ends in time; what does not read is refused.
#[test]
fn case_52_messages_on_the_node_port_that_are_no_nodes_are_refused_in_little_memory() {
    let test = "case_52_messages_on_the_node_port_that_are_no_nodes_are_refused_in_little_memory";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons = form(&nodes);
    settled(&nodes);
    let impostor = Impostor::of(&nodes[2]);
    let before = kib(&daemons[0], "VmHWM");
    let start = varint(1000 << 3 | 3);
    let end = varint(1000 << 3 | 4);
    let deep = |depth| [start.repeat(depth), end.repeat(depth)].concat();
    let no_utf8: &[u8] = &[b'a', 0xff, 0xfe, 0xc0, 0x80];
    let text = [1, 2, 3].map(|place| field(place, no_utf8)).concat();
    let messages = [
        ("deep", true, deep(10_000)),
        ("deeper", true, deep(PEER_MESSAGE_BYTES_MAX / start.len() / 2 - 1)),
        ("no UTF-8", false, text),
        ("many fields", false, field(3, b"").repeat(30_000)),
        ("a million fields", false, field(3, b"").repeat(1 << 20)),
        ("a million numbers", false, number(99, 1).repeat(1 << 20)),
        ("noise", true, vec![0xff; 4096]),
        ("too long", true, vec![0x78; PEER_MESSAGE_BYTES_MAX + 1]),
    ];
    let by_nodes = |who: &Who| matches!(who, Who::Managers | Who::Nodes | Who::Anybody);
    for (_, _, path, _) in CALLS.iter().filter(|(.., who)| by_nodes(who)) {
        let is_large = WITH_LARGE.contains(path);
        let fits = |message: &[u8]| is_large || message.len() <= SMALL_BYTES;
        for (what, is_broken, message) in messages.iter().filter(|(.., message)| fits(message)) {
            let answer = impostor.send(&nodes[0], path, vec![message.clone()]);
            // What nobody knows is passed over, and so is what stands in a field that a call does not have.
            let code = answer.map_or_else(|status| status.code(), |_| Code::Ok);
            assert_ne!(code, Code::DeadlineExceeded, "{path}, {what}");
            assert!(!is_broken || code != Code::Ok, "{path}, {what}");
        }
    }
    let taken = kib(&daemons[0], "VmHWM").saturating_sub(before);
    println!("{taken} KiB at the most");
    assert!(taken < MEMORY_KIB, "{taken} KiB");
    go_on(&nodes.each_ref(), &mut daemons.iter_mut().collect::<Vec<_>>(), "after");
    all_sound(&daemons);
}
