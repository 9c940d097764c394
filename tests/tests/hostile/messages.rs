//! Messages: nested deeply, of very many fields, with text that is no UTF-8, too long, or not what they say.

use tests::wire::{field, number, varint};
use tests::{Node, Wire};
use tonic::Code;
use vault_core::access::{CALLS, Who};
use vault_core::limits::REQUEST_BYTES_MAX;

use super::{goes_on, kib};

const NO_UTF8: &[u8] = &[b'a', 0xff, 0xfe, 0xc0, 0x80];

fn new_value(spec: &[u8]) -> Vec<u8> {
    field(1, &[field(1, spec), field(2, b"value")].concat())
}

#[test]
fn case_52_text_that_is_no_utf_8_is_refused_wherever_it_stands() {
    let test = "case_52_text_that_is_no_utf_8_is_refused_wherever_it_stands";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    let wire = Wire::of(&node);
    let label = |key: &[u8], value: &[u8]| field(2, &[field(1, key), field(2, value)].concat());
    let named = field(1, b"name");
    let spec = |part: &[u8]| field(1, &[field(1, b"web"), part.to_vec()].concat());
    for (path, message) in [
        ("Secrets/Create", new_value(&field(1, NO_UTF8))),
        ("Secrets/Create", new_value(&[named.clone(), label(NO_UTF8, b"x")].concat())),
        ("Configs/Create", new_value(&[named, label(b"x", NO_UTF8)].concat())),
        ("Secrets/List", field(2, NO_UTF8)),
        ("Secrets/List", field(3, &field(1, NO_UTF8))),
        ("Secrets/Inspect", field(1, NO_UTF8)),
        ("Secrets/Remove", field(1, NO_UTF8)),
        ("Secrets/Rotate", field(1, &field(1, NO_UTF8))),
        ("Secrets/Rotate", field(3, NO_UTF8)),
        ("Configs/Activate", field(1, &field(2, NO_UTF8))),
        ("Configs/Rollback", field(1, NO_UTF8)),
        ("Secrets/Destroy", field(1, NO_UTF8)),
        ("Secrets/Update", field(1, NO_UTF8)),
        ("Services/Create", spec(&field(3, NO_UTF8))),
        ("Services/Create", spec(&field(4, NO_UTF8))),
        ("Services/Create", spec(&field(5, &field(3, NO_UTF8)))),
        ("Services/Inspect", field(1, NO_UTF8)),
        ("Swarm/Init", field(1, NO_UTF8)),
    ] {
        let status = wire.call(&format!("/coffer.v1.{path}"), message).unwrap_err();
        assert!(
            matches!(status.code(), Code::Internal | Code::InvalidArgument),
            "{path}: {status}"
        );
    }
    goes_on(&node, &daemon, "after");
    daemon.end();
}

/// Groups inside groups, as many as fit one request, in a field that nobody knows.
#[test]
fn case_52_messages_that_nest_deeply_are_refused_by_every_call() {
    let test = "case_52_messages_that_nest_deeply_are_refused_by_every_call";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    let wire = Wire::of(&node);
    let start = varint(1000 << 3 | 3);
    for depth in [101, 10_000, REQUEST_BYTES_MAX / start.len() / 2] {
        let end = varint(1000 << 3 | 4);
        let message = [start.repeat(depth), end.repeat(depth)].concat();
        for (_, _, path, who) in CALLS {
            let code = wire.code(path, message.clone());
            // The calls of nodes are not for whoever comes by the socket.
            let is_open = matches!(who, Who::Root | Who::Operators);
            let expected = match *path {
                // Refused before anything of it is read: this node is in a cluster.
                "/coffer.v1.Backup/Restore" => Code::FailedPrecondition,
                _ if is_open => Code::Internal,
                _ => Code::PermissionDenied,
            };
            assert_eq!(code, expected, "{path}, {depth} deep");
        }
    }
    goes_on(&node, &daemon, "after");
    daemon.end();
}

#[test]
fn case_52_a_million_tiny_fields_take_a_bounded_amount_of_memory() {
    let test = "case_52_a_million_tiny_fields_take_a_bounded_amount_of_memory";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    let wire = Wire::of(&node);
    let before = kib(&daemon, "VmHWM");
    // Lists of a call, and of the message inside it.
    for (path, number, is_inside) in [
        ("Secrets/Create", 1, false),
        ("Secrets/Rotate", 1, false),
        ("Configs/Activate", 1, false),
        ("Configs/Rollback", 1, false),
        ("Secrets/List", 3, false),
        ("Services/Create", 3, true),
        ("Services/Create", 5, true),
    ] {
        // Refused before they are read; and as many as are read, then refused for what they are.
        for (bytes, expected) in
            [(REQUEST_BYTES_MAX - 16, Code::OutOfRange), (40 << 10, Code::InvalidArgument)]
        {
            let elements = field(number, b"").repeat(bytes / 2);
            let message = if is_inside { field(1, &elements) } else { elements };
            let status = wire.call(&format!("/coffer.v1.{path}"), message).unwrap_err();
            assert_eq!(status.code(), expected, "{path}, {number}: {status}");
        }
    }
    let unknown = number(99, 1).repeat(REQUEST_BYTES_MAX / 3 - 1);
    // What nobody knows is passed over.
    assert_eq!(wire.code("/coffer.v1.Secrets/List", unknown), Code::Ok);
    let taken = kib(&daemon, "VmHWM") - before;
    assert!(taken < 64 << 10, "{taken} KiB for messages of {REQUEST_BYTES_MAX} bytes");
    println!("{taken} KiB at the most");
    goes_on(&node, &daemon, "after");
    daemon.end();
}

#[test]
fn case_52_a_message_past_the_limit_is_refused_before_it_is_taken() {
    let test = "case_52_a_message_past_the_limit_is_refused_before_it_is_taken";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    let wire = Wire::of(&node);
    let before = kib(&daemon, "VmHWM");
    for length in [REQUEST_BYTES_MAX + 1, 64 << 20] {
        for path in ["/coffer.v1.Secrets/Create", "/coffer.v1.Secrets/List"] {
            let code = wire.code(path, vec![0x78; length]);
            // The daemon may hang up before it has heard all.
            let is_refused = matches!(
                code,
                Code::OutOfRange
                    | Code::Unavailable
                    | Code::Internal
                    | Code::Unknown
                    | Code::Cancelled
            );
            assert!(is_refused, "{path}, {length} bytes: {code:?}");
        }
    }
    let taken = kib(&daemon, "VmHWM") - before;
    assert!(taken < 32 << 10, "{taken} KiB");
    goes_on(&node, &daemon, "after");
    daemon.end();
}
