//! What reading a message takes, as the kernel sees it. One test, so that nothing else takes memory meanwhile.

use std::fs;

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use proto::bound::{BoundError, Bounded, STORED_MEMORY_BYTES_MAX, bound};
use proto::{stored, v1};

const MESSAGE_BYTES: usize = 4 << 20;
const TAKEN_MAX: usize = 64 << 20;

fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

fn kib(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the line is there");
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number of KiB")
}

/// Bytes that the process took at the most while it ran, beside what it had at `start`.
fn taken(start: usize, run: impl FnOnce()) -> usize {
    // Forgets the highest mark so far.
    fs::write("/proc/self/clear_refs", "5").expect("a process may forget its own marks");
    run();
    kib("VmHWM:").saturating_sub(start) << 10
}

/// One kind of message: many of one element, wrapped.
struct Row {
    what: &'static str,
    element: Vec<u8>,
    wrap: fn(Vec<u8>) -> Vec<u8>,
    bound: fn(&[u8]) -> Result<(), BoundError>,
    read: fn(&[u8]),
}

impl Row {
    fn of<M: Message + Bounded + Default>(
        what: &'static str,
        element: &[u8],
        wrap: fn(Vec<u8>) -> Vec<u8>,
    ) -> Self {
        let bound = |bytes: &[u8]| bound::<M>(bytes, STORED_MEMORY_BYTES_MAX);
        let read = |bytes: &[u8]| drop(M::decode(bytes).expect("it is protobuf"));
        Self { what, element: element.to_vec(), wrap, bound, read }
    }

    fn message(&self, elements: usize) -> Vec<u8> {
        (self.wrap)(self.element.repeat(elements))
    }

    fn elements_max(&self) -> usize {
        MESSAGE_BYTES / self.element.len()
    }

    /// The largest message of its kind that is read.
    fn largest(&self) -> Vec<u8> {
        let (mut fits, mut past) = (0, self.elements_max());
        assert!(matches!((self.bound)(&self.message(past)), Err(BoundError::TooMuch(_))));
        while past - fits > 1 {
            let half = fits.midpoint(past);
            if (self.bound)(&self.message(half)).is_ok() { fits = half } else { past = half }
        }
        self.message(fits)
    }
}

fn rows() -> Vec<Row> {
    use stored::{Entry, SnapshotRecord};
    let held = field(2, &field(3, &field(1, b"")));
    vec![
        Row::of::<Entry>("values", &field(2, b""), |all| field(2, &field(11, &all))),
        // A map makes room for eleven entries when it gets its first one.
        Row::of::<Entry>("values with a label", &field(2, &field(3, b"")), |all| {
            field(2, &field(11, &all))
        }),
        Row::of::<Entry>("texts", &field(2, b"a"), |all| field(2, &field(19, &all))),
        Row::of::<Entry>("versions held, one each", &held, |all| field(2, &field(16, &all))),
        Row::of::<Entry>("numbers", &[1], |all| field(3, &field(1, &field(1, &all)))),
        Row::of::<SnapshotRecord>("versions", &field(5, b""), |all| field(4, &all)),
        Row::of::<SnapshotRecord>("names of an answer", &field(1, b""), |all| {
            field(7, &field(2, &field(2, &all)))
        }),
        Row::of::<v1::CreateValuesRequest>("values of a call", &field(1, b""), |all| all),
        Row::of::<v1::RaftAppendRequest>("entries of a peer", &field(3, b""), |all| all),
    ]
}

#[test]
fn case_52_no_message_takes_more_than_its_bound() {
    let start = kib("VmRSS:");
    for row in rows() {
        let largest = row.largest();
        let taken = taken(start, || (row.read)(&largest));
        println!("{}: {} KiB of message, {} MiB", row.what, largest.len() >> 10, taken >> 20);
        assert!(taken < TAKEN_MAX, "{}: {taken} bytes", row.what);
    }
    // And without the bound, or the above would show nothing.
    for row in rows().iter().take(2) {
        let message = row.message(row.elements_max());
        let taken = taken(start, || (row.read)(&message));
        println!("{}: {} MiB without a bound", row.what, taken >> 20);
        assert!(taken > TAKEN_MAX, "{}: {taken} bytes", row.what);
    }
}
