//! What is refused, what is read, and that a call's message can be stored.

use prost::Message;

use super::*;
use crate::stored;
use crate::v1;

fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut field);
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

fn many(one: &[u8]) -> Vec<u8> {
    one.repeat((4 << 20) / one.len() - 10)
}

fn taken(shape: &Shape, bytes: &[u8]) -> usize {
    let mut room = Room(1 << 30);
    assert!(room.message(shape, bytes).is_ok());
    (1 << 30) - room.0
}

#[test]
fn messages_of_a_million_parts_are_refused() {
    let in_command = |number, inside: &[u8]| field(2, &field(number, inside));
    for (what, message) in [
        ("values", in_command(11, &many(&field(2, b"")))),
        ("labels", in_command(11, &field(2, &many(&field(3, b"\x0a\x03abc"))))),
        ("values with a label", in_command(11, &many(&field(2, &field(3, b""))))),
        ("texts", in_command(19, &many(&field(2, b"a")))),
        ("texts without a letter", in_command(19, &many(&field(2, b"")))),
        ("reports", in_command(16, &many(&field(2, &field(3, &field(1, b"")))))),
        ("packed numbers", field(3, &field(1, &field(1, &vec![1; 4 << 20])))),
        ("numbers", field(3, &field(1, &many(b"\x08\x01")))),
        ("reports in parts", field(2, &many(&field(16, &field(2, b""))))),
    ] {
        let refused = decode_stored::<stored::Entry>(&message[..]).unwrap_err();
        let is_bound = matches!(refused, BoundError::TooMuch(STORED_MEMORY_BYTES_MAX));
        assert!(is_bound, "{what}: {refused:?}");
    }
}

#[test]
fn large_messages_of_few_parts_are_read() {
    // A config with as many versions as are kept, of the largest size.
    let text = vec![7; 1_024_000];
    let sealed = stored::Sealed { epoch: 1, nonce: vec![1; 24], text: text.into() };
    let version = stored::Version { number: 1, created_at: 1, sealed: Some(sealed) };
    let value = stored::Value { versions: vec![version; 100], ..stored::Value::default() };
    let record = stored::snapshot_record::Record::Value(value);
    let record = stored::SnapshotRecord { record: Some(record) }.encode_to_vec();
    let read = decode_stored::<stored::SnapshotRecord>(&record[..]).unwrap();
    assert_eq!(read.encoded_len(), record.len());
}

#[test]
fn what_a_call_may_bring_can_be_stored() {
    // As many objects as one request takes, as many labels as fit the memory of the call beside them.
    const OBJECTS: usize = 10_000;
    let label = |n: usize| (format!("{n:04}"), String::new());
    let mut called = v1::CreateValuesRequest::default();
    for _ in 0..OBJECTS {
        let labels = (0..13).map(label).collect();
        let spec = v1::ValueSpec { name: "n".repeat(64), labels };
        called.values.push(v1::NewValue { spec: Some(spec), value: vec![1], ..Default::default() });
    }
    let stored = called.values.iter().map(|value| stored::NewValue {
        id: "i".repeat(25),
        name: value.spec.as_ref().unwrap().name.clone(),
        labels: value.spec.as_ref().unwrap().labels.clone(),
        limit: 5,
        sealed: Some(stored::Sealed { epoch: 1, nonce: vec![1; 24], text: vec![1; 17].into() }),
    });
    let stored = stored::CreateValues { class: 1, values: stored.collect() };
    let (called, stored) = (called.encode_to_vec(), stored.encode_to_vec());
    let called = taken(v1::CreateValuesRequest::SHAPE, &called);
    let stored = taken(stored::CreateValues::SHAPE, &stored);
    assert!(called < MESSAGE_MEMORY_BYTES_MAX, "{called}");
    let more = stored.saturating_sub(called);
    assert!(more < STORED_MEMORY_BYTES_MAX - MESSAGE_MEMORY_BYTES_MAX, "{more} bytes more");
    // And can be sent on to the leader.
    assert_eq!(v1::ProposeRequest::MEMORY_BYTES_MAX, STORED_MEMORY_BYTES_MAX);
}

#[test]
fn small_messages_need_no_look() {
    fn worst(shape: &Shape) -> usize {
        // An element takes two bytes at least.
        let of = |(_, kind): &(u32, Kind)| match kind {
            Kind::One(shape) => worst(shape),
            Kind::List(shape) => (LIST_ROOM * shape.bytes / 2).max(worst(shape)),
            // The first of a map that is itself in an element: four bytes.
            Kind::Map(shape) => MAP_ROOM_FIRST * shape.bytes / 4,
            Kind::Text | Kind::Texts | Kind::Numbers => 64,
        };
        shape.fields.iter().map(of).max().unwrap_or_default() + BLOCK_BYTES
    }
    for shape in [
        v1::CreateValuesRequest::SHAPE,
        v1::CreateServiceRequest::SHAPE,
        v1::ListTasksResponse::SHAPE,
        stored::Entry::SHAPE,
        stored::SnapshotRecord::SHAPE,
    ] {
        assert!(worst(shape) * SMALL_BYTES < MESSAGE_MEMORY_BYTES_MAX, "{}", worst(shape));
    }
}

#[test]
fn what_is_cut_or_no_message_is_refused_without_a_panic() {
    let message = many(&field(11, &field(2, b"abc")));
    for length in (message.len() - 50)..message.len() {
        // Any outcome, but no panic.
        drop(bound::<stored::Command>(&message[..length], 1 << 30));
    }
    for bytes in [
        vec![0xff; 1 << 20],
        vec![0x0a; 1 << 20],
        vec![0x0e; 1 << 20],
        b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".repeat(1 << 17),
    ] {
        let refused = bound::<stored::Entry>(&bytes, 1 << 30);
        assert!(matches!(refused, Err(BoundError::Malformed)));
    }
}

static ELEMENT: Shape = Shape { bytes: 100, fields: &[] };
static INSIDE: Shape = Shape { bytes: 7, fields: &[(9, Kind::Map(&ELEMENT))] };
static OUTSIDE: Shape = Shape {
    bytes: 50,
    fields: &[
        (1, Kind::Map(&ELEMENT)),
        (2, Kind::Map(&ELEMENT)),
        (3, Kind::List(&ELEMENT)),
        (4, Kind::One(&INSIDE)),
        (5, Kind::Text),
        (6, Kind::Texts),
        (7, Kind::Numbers),
    ],
};

/// A field of the wire types that say their own length.
fn number(field: u8, wire_type: u8, bytes: &[u8]) -> Vec<u8> {
    [&[field << 3 | wire_type], bytes].concat()
}

#[test]
fn each_part_takes_its_room() {
    let label = field(9, b"");
    for (what, message, room) in [
        ("nothing", vec![], 0),
        ("a message in its parent's struct", field(4, b""), 0),
        ("an element, and room for three more", field(3, b""), 4 * 100 + 32),
        ("two", [field(3, b""), field(3, b"")].concat(), 2 * (4 * 100 + 32)),
        ("a map's first entry", field(2, b""), 12 * 100 + 32),
        ("and its second", [field(2, b""), field(2, b"")].concat(), 15 * 100 + 2 * 32),
        ("the first of each map", [field(1, b""), field(2, b"")].concat(), 2 * (12 * 100 + 32)),
        ("of each message", [field(4, &label), field(4, &label)].concat(), 2 * (12 * 100 + 32)),
        ("a text", field(5, b"abc"), 32),
        ("a text without a letter", field(5, b""), 0),
        ("one of several texts", field(6, b"abc"), 4 * 24 + 32),
        ("the same without a letter", field(6, b""), 4 * 24),
        ("a number", number(7, 0, &[0x80, 0x01]), 4 * 8),
        ("a long number", number(7, 1, &[0xff; 8]), 4 * 8),
        ("a number of four bytes", number(7, 5, &[0xff; 4]), 4 * 8),
        ("three numbers in one field", field(7, &[1, 2, 3]), 3 * 4 * 8),
        ("two of two bytes each", field(7, &[0x80, 0x01, 0xff, 0x01]), 2 * 4 * 8),
        ("two of eight", field(7, &[0xff; 16]), 2 * 4 * 8),
        ("numbers where none are known", number(8, 0, &[1]), 0),
        ("what is not known", field(8, &[0xff; 300]), 0),
        ("a group, which is passed over", [number(8, 3, b""), number(8, 4, b"")].concat(), 0),
    ] {
        assert_eq!(taken(&OUTSIDE, &message), room, "{what}");
        // And the next part is found behind it.
        let followed = [message, field(5, b"abc")].concat();
        assert_eq!(taken(&OUTSIDE, &followed), room + 32, "{what}, and a text");
    }
}

#[test]
fn a_message_that_takes_all_of_its_room_is_read() {
    let one = field(3, b"");
    assert!(Room(432).message(&OUTSIDE, &one).is_ok());
    assert!(matches!(Room(431).message(&OUTSIDE, &one), Err(Refused::Full)));
}

#[test]
fn a_number_that_is_cut_is_no_message() {
    for (wire_type, bytes) in [(0, &[0x80][..]), (1, &[0; 7]), (5, &[0; 3]), (6, &[0; 8]), (7, &[])]
    {
        let refused = Room(1 << 30).message(&OUTSIDE, &number(7, wire_type, bytes));
        assert!(matches!(refused, Err(Refused::Malformed)), "wire type {wire_type}");
    }
}

#[test]
fn what_is_looked_at_begins_behind_the_small_messages() {
    let broken = vec![0xff; SMALL_BYTES + 1];
    assert!(bound::<stored::Entry>(&broken[1..], 0).is_ok(), "prost says that it is none");
    assert!(matches!(bound::<stored::Entry>(&broken, 1 << 30), Err(BoundError::Malformed)));
}

#[test]
fn stored_bytes_in_pieces_are_refused() {
    let entry = stored::Entry::default().encode_to_vec();
    let whole = [field(1, b""), entry].concat();
    let (first, second) = whole.split_at(1);
    let refused = decode_stored::<stored::SnapshotRecord>(Buf::chain(first, second));
    assert!(matches!(refused, Err(BoundError::Malformed)), "they would be read past the bound");
}

#[test]
fn a_refusal_says_what_to_do_and_has_its_cause() {
    use std::error::Error;
    let most = BoundError::TooMuch(MESSAGE_MEMORY_BYTES_MAX);
    assert!(most.to_string().ends_with("more than 40 MiB: split it into smaller ones"), "{most}");
    assert!(BoundError::TooMuch(STORED_MEMORY_BYTES_MAX).to_string().contains(" 56 MiB"));
    assert_eq!(BoundError::Malformed.to_string(), "the message is not protobuf");
    assert!(most.source().is_none() && BoundError::Malformed.source().is_none());
    let other = decode_stored::<stored::Entry>(&b"\x0a"[..]).unwrap_err();
    assert_eq!(other.to_string(), "the message is not of its kind");
    assert!(other.source().is_some());
}
