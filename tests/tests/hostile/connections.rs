//! Connections: silent ones, ones that speak something else, ones that never finish.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tests::disk::chance::Chance;
use tests::{Node, wait_until};

use super::{goes_on, kib};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// More than the daemon takes at one time (`CONNECTIONS_MAX`).
const TOO_MANY: usize = 1_100;

/// The frames that a flood goes on with, by how many came before.
type Frames = Box<dyn Fn(u32) -> Vec<u8>>;

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

/// What a connection hears, until the daemon hangs up.
fn hears(mut connection: UnixStream) -> Vec<u8> {
    connection.set_read_timeout(Some(tests::wait::PATIENCE)).unwrap();
    let mut heard = Vec::new();
    let mut part = [0; 4096];
    loop {
        match connection.read(&mut part) {
            Ok(0) => return heard,
            Ok(count) => heard.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the daemon does not hang up")
            }
            Err(_) => return heard,
        }
    }
}

#[test]
fn case_52_what_is_no_http_2_is_hung_up_on() {
    let Some(node) = Node::for_test("case_52_what_is_no_http_2_is_hung_up_on") else { return };
    let daemon = node.start_cluster();
    let mut chance = Chance::new(Chance::seed());
    let settings = frame(4, 0, 0, &[]);
    let noise: Vec<u8> = (0..1000).map(|_| u8::try_from(chance.below(256)).unwrap()).collect();
    let huge = [PREFACE, &settings, &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat();
    for (what, bytes) in [
        ("HTTP/1", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("noise", noise.clone()),
        ("noise behind the preface", [PREFACE, &noise].concat()),
        ("a frame of 16 MiB", huge),
        ("data without a call", [PREFACE, &settings, &frame(0, 0, 1, b"data")].concat()),
        ("settings of odd length", [PREFACE, &frame(4, 0, 0, b"odd")].concat()),
        ("a window that overflows", {
            let window = frame(8, 0, 0, &0x7fff_ffff_u32.to_be_bytes());
            [PREFACE, &settings, &window, &window].concat()
        }),
        ("headers that do not unpack", [PREFACE, &settings, &frame(1, 5, 1, &[0xff; 64])].concat()),
    ] {
        let mut connection = UnixStream::connect(node.socket()).unwrap();
        // It may have hung up before all was said.
        connection.write_all(&bytes).ok();
        connection.shutdown(std::net::Shutdown::Write).ok();
        let heard = hears(connection);
        assert!(heard.len() < 10_000, "{what}: {} bytes", heard.len());
    }
    goes_on(&node, &daemon, "after");
    daemon.end();
}

/// Headers that never end, and calls that are given up as soon as they are made.
#[test]
fn case_51_52_floods_of_frames_end_the_connection_and_take_little_memory() {
    let test = "case_51_52_floods_of_frames_end_the_connection_and_take_little_memory";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    let before = kib(&daemon, "VmHWM");
    let settings = frame(4, 0, 0, &[]);
    // ":method: POST" by its number, and a header of 100 letters that is not to be remembered.
    let header = [&[0x10, 1, b'x', 100][..], &[b'y'; 100]].concat();
    let start = frame(1, 0, 1, &[0x83]);
    let more = frame(9, 0, 1, &header.repeat(100));
    let floods: [(&str, Vec<u8>, Frames); 3] = [
        ("continuations", start, Box::new(move |_| more.clone())),
        (
            "resets",
            vec![],
            Box::new(|count| {
                let stream = count * 2 + 1;
                let open = frame(1, 4, stream, &[0x83, 0x86, 0x84]);
                [open, frame(3, 0, stream, &8_u32.to_be_bytes())].concat()
            }),
        ),
        ("pings", vec![], Box::new(|_| frame(6, 0, 0, &[7; 8]))),
    ];
    for (what, first, next) in floods {
        let mut connection = UnixStream::connect(node.socket()).unwrap();
        connection.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
        connection.write_all(&[PREFACE, &settings, &first].concat()).unwrap();
        let said = (0..100_000).take_while(|count| connection.write_all(&next(*count)).is_ok());
        println!("{what}: {} were taken", said.count());
    }
    let taken = kib(&daemon, "VmHWM") - before;
    assert!(taken < 64 << 10, "{taken} KiB");
    goes_on(&node, &daemon, "after");
    daemon.end();
}

#[test]
fn case_22_50_52_silent_connections_lose_their_places_to_those_who_speak() {
    let test = "case_22_50_52_silent_connections_lose_their_places_to_those_who_speak";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    let before = kib(&daemon, "VmRSS");
    let mut silent = Vec::new();
    let mut slow = None;
    for count in 0..TOO_MANY {
        // Where the queue of the socket is full, or our own descriptors are, there are enough of them.
        let Ok(connection) = connect_at_once(&node) else { break };
        if count % 2 == 1 {
            (&connection).write_all(&PREFACE[..10]).unwrap();
        }
        if count == 0 {
            slow = connection.try_clone().ok();
        }
        silent.push(connection);
    }
    println!("{} silent connections", silent.len());
    let mut slow = slow.expect("there is one at least");
    let mut letters = PREFACE.iter();
    // One that says a letter now and then gets no more time than the others.
    wait_until("the first of them is closed", || {
        let gone = letters.next().is_some_and(|letter| slow.write_all(&[*letter]).is_err());
        std::thread::sleep(Duration::from_millis(400));
        gone
    });
    goes_on(&node, &daemon, "after");
    let taken = kib(&daemon, "VmRSS").saturating_sub(before);
    assert!(taken < 64 << 10, "{taken} KiB");
    drop(silent);
    daemon.end();
}

/// Without waiting for a place in the socket's queue.
fn connect_at_once(node: &Node) -> std::io::Result<UnixStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(node.socket())?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}
