//! Records: what the log says, below the seal. `kind u8 | length u32 | body`, little-endian.

/// An entry's place: the term and node of the leader that made it, and its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub term: u64,
    pub node: u64,
    pub index: u64,
}

/// A vote of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    pub term: u64,
    pub node: u64,
    pub committed: bool,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The next entry.
    Entry(Position, Vec<u8>),
    /// This node's vote, from now on.
    Vote(Vote),
    /// Entries behind this index are void; `None` voids all.
    Truncate(Option<u64>),
    /// Entries up to this one are no longer needed.
    Purge(Position),
    /// Entries up to this one were committed, as far as was known.
    Committed(Position),
    /// First in each segment: where the segment before ended, and what holds at this point.
    Open(Opening),
    /// Covers the batch before it. Written when nothing else is, not flushed, and overwritten by the next
    /// batch.
    Seal,
}

/// What a segment starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Number of the segment before; 0 for none.
    pub previous: u64,
    /// Counter of that segment's last batch, seals not counted.
    pub previous_counter: u64,
    /// That batch's tag.
    pub previous_tag: [u8; 16],
    pub vote: Option<Vote>,
    pub purged: Option<Position>,
    pub committed: Option<Position>,
    /// Index of the last entry before this segment.
    pub last: Option<u64>,
}

const ENTRY: u8 = 1;
const VOTE: u8 = 2;
const TRUNCATE: u8 = 3;
const PURGE: u8 = 4;
const COMMITTED: u8 = 5;
const OPEN: u8 = 6;
const SEAL: u8 = 7;

/// Bytes before a record's body.
pub(super) const HEAD_BYTES: usize = 5;

/// Appends a record's bytes.
pub(super) fn encode(record: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    let kind = match record {
        Record::Entry(position, payload) => {
            put_position(*position, out);
            out.extend_from_slice(payload);
            ENTRY
        }
        Record::Vote(vote) => {
            put_vote(*vote, out);
            VOTE
        }
        Record::Truncate(after) => {
            put_option(*after, put_number, out);
            TRUNCATE
        }
        Record::Purge(position) => {
            put_position(*position, out);
            PURGE
        }
        Record::Committed(position) => {
            put_position(*position, out);
            COMMITTED
        }
        Record::Open(opening) => {
            out.extend_from_slice(&opening.previous.to_le_bytes());
            out.extend_from_slice(&opening.previous_counter.to_le_bytes());
            out.extend_from_slice(&opening.previous_tag);
            put_option(opening.vote, put_vote, out);
            put_option(opening.purged, put_position, out);
            put_option(opening.committed, put_position, out);
            put_option(opening.last, put_number, out);
            OPEN
        }
        Record::Seal => SEAL,
    };
    let length = u32::try_from(out.len() - start - HEAD_BYTES).expect("a record is below 4 GiB");
    out[start] = kind;
    out[start + 1..start + HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
}

fn put_position(position: Position, out: &mut Vec<u8>) {
    for number in [position.term, position.node, position.index] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn put_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_vote(vote: Vote, out: &mut Vec<u8>) {
    out.extend_from_slice(&vote.term.to_le_bytes());
    out.extend_from_slice(&vote.node.to_le_bytes());
    out.push(u8::from(vote.committed));
}

fn put_option<T>(value: Option<T>, put: impl Fn(T, &mut Vec<u8>), out: &mut Vec<u8>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(value, out);
    }
}

/// Reads the records of one batch; `None` if the bytes are anything else.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        let (body, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        records.push(decode_one(head[0], body)?);
        bytes = rest;
    }
    Some(records)
}

fn decode_one(kind: u8, body: &[u8]) -> Option<Record> {
    let mut body = Reader(body);
    let record = match kind {
        ENTRY => Record::Entry(body.position()?, std::mem::take(&mut body.0).to_vec()),
        VOTE => Record::Vote(body.vote()?),
        TRUNCATE => Record::Truncate(body.option(Reader::number)?),
        PURGE => Record::Purge(body.position()?),
        COMMITTED => Record::Committed(body.position()?),
        OPEN => Record::Open(Opening {
            previous: body.number()?,
            previous_counter: body.number()?,
            previous_tag: body.bytes()?,
            vote: body.option(Reader::vote)?,
            purged: body.option(Reader::position)?,
            committed: body.option(Reader::position)?,
            last: body.option(Reader::number)?,
        }),
        SEAL => Record::Seal,
        _ => return None,
    };
    body.0.is_empty().then_some(record)
}

/// A value that may have been left out.
type Maybe<T> = Option<T>;

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.bytes::<1>()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn position(&mut self) -> Option<Position> {
        Some(Position { term: self.number()?, node: self.number()?, index: self.number()? })
    }

    fn vote(&mut self) -> Option<Vote> {
        Some(Vote { term: self.number()?, node: self.number()?, committed: self.flag()? })
    }

    /// What may be left out, if `value` is there at all.
    fn option<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Maybe<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Record> {
        let position = Position { term: 1, node: 2, index: 3 };
        let vote = Vote { term: 4, node: 5, committed: true };
        vec![
            Record::Entry(position, b"payload".to_vec()),
            Record::Vote(vote),
            Record::Truncate(None),
            Record::Truncate(Some(9)),
            Record::Purge(position),
            Record::Committed(position),
            Record::Open(Opening {
                previous: 6,
                previous_counter: 7,
                previous_tag: [8; 16],
                vote: Some(vote),
                purged: None,
                committed: Some(position),
                last: Some(11),
            }),
            Record::Seal,
        ]
    }

    #[test]
    fn records_read_as_they_were_written() {
        let mut bytes = Vec::new();
        for record in all() {
            encode(&record, &mut bytes);
        }
        assert_eq!(decode(&bytes), Some(all()));
    }

    #[test]
    fn case_31_bytes_that_are_no_records_are_refused() {
        for record in all() {
            let mut bytes = Vec::new();
            encode(&record, &mut bytes);
            for cut in 1..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), None, "{record:?} cut at {cut}");
            }
        }
        for bytes in [&[99, 0, 0, 0, 0][..], &[1, 255, 255, 255, 255], &[7, 1, 0, 0, 0, 0]] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }
}
