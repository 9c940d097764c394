//! How much memory a message may take once it is read, beside the bytes of its texts, which are no more than
//! the message. One of 4 MiB may hold two million empty elements, each of which becomes a struct of hundreds
//! of bytes: so the elements are counted before prost makes any.

use prost::bytes::Buf;
use prost::{DecodeError, Message};

/// What a call may take.
pub const MESSAGE_MEMORY_BYTES_MAX: usize = 40 << 20;
/// What a stored message may take, and what managers say to each other. More than the above: what a call
/// brought is stored and sent on in another form, with an ID and a seal for each of its objects, and must be
/// readable for ever.
pub const STORED_MEMORY_BYTES_MAX: usize = 56 << 20;
/// Messages up to this size cannot take more than any of the above, whatever stands in them.
const SMALL_BYTES: usize = 64 << 10;
/// What the allocator adds to a block at most.
const BLOCK_BYTES: usize = 32;
/// A list's room, in elements, for each one that is in it: a first element makes room for four, and a list
/// that grows has its old room beside a new one of twice the size.
const LIST_ROOM: usize = 4;
/// The same for a map: a first entry makes room for eleven; later ones find their leaves half full.
const MAP_ROOM: usize = 3;
const MAP_ROOM_FIRST: usize = 12;

/// A message as far as its memory goes: the size of its struct, and the fields that take more.
#[derive(Debug)]
pub struct Shape {
    pub(crate) bytes: usize,
    pub(crate) fields: &'static [(u32, Kind)],
}

/// What a field takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A message inside its parent's struct.
    One(&'static Shape),
    /// A list of messages.
    List(&'static Shape),
    /// A map: a list of messages with a key and a value.
    Map(&'static Shape),
    /// Text or bytes.
    Text,
    /// A list of these.
    Texts,
    /// A list of numbers, packed or not.
    Numbers,
}

/// A message whose shape is known: each of ours.
pub trait Bounded {
    const SHAPE: &'static Shape;
    /// What one from a connection may take.
    const MEMORY_BYTES_MAX: usize;
}

/// Why bytes were not read.
#[derive(Debug)]
pub enum BoundError {
    /// It would take more than so many bytes.
    TooMuch(usize),
    /// It is no message.
    Malformed,
    /// It is not this message.
    Protobuf(DecodeError),
}

impl std::fmt::Display for BoundError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooMuch(most) => {
                let most = most >> 20;
                write!(
                    out,
                    "the message has so many parts that it would take more than {most} MiB: split it into smaller ones"
                )
            }
            Self::Malformed => out.write_str("the message is not protobuf"),
            Self::Protobuf(_) => out.write_str("the message is not of its kind"),
        }
    }
}

impl std::error::Error for BoundError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::TooMuch(_) | Self::Malformed => None,
            Self::Protobuf(error) => Some(error),
        }
    }
}

/// Reads a stored message in one piece, if it takes no more than `STORED_MEMORY_BYTES_MAX`. Out of shared
/// bytes, texts are shared, too.
pub fn decode_stored<M: Message + Bounded + Default>(bytes: impl Buf) -> Result<M, BoundError> {
    if bytes.chunk().len() < bytes.remaining() {
        return Err(BoundError::Malformed);
    }
    bound::<M>(bytes.chunk(), STORED_MEMORY_BYTES_MAX)?;
    M::decode(bytes).map_err(BoundError::Protobuf)
}

/// Refuses a message that would take more than `most` bytes beside its texts. What is counted is never less
/// than what it takes.
pub fn bound<M: Bounded>(bytes: &[u8], most: usize) -> Result<(), BoundError> {
    if bytes.len() <= SMALL_BYTES {
        return Ok(());
    }
    let mut room = Room(most.saturating_sub(M::SHAPE.bytes));
    room.message(M::SHAPE, bytes).map_err(|refused| match refused {
        Refused::Full => BoundError::TooMuch(most),
        Refused::Malformed => BoundError::Malformed,
    })
}

/// What is left of the memory that a message may take.
struct Room(usize);

enum Refused {
    Full,
    Malformed,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), Refused> {
        self.0 = self.0.checked_sub(bytes).ok_or(Refused::Full)?;
        Ok(())
    }

    fn message(&mut self, shape: &Shape, mut rest: &[u8]) -> Result<(), Refused> {
        // Maps of this message that have an entry, by their place among its fields.
        let mut begun = 0_u64;
        while !rest.is_empty() {
            let key = varint(&mut rest)?;
            let number = u32::try_from(key >> 3).map_err(|_| Refused::Malformed)?;
            let place = shape.fields.iter().position(|(known, _)| *known == number);
            let kind = place.map(|place| (place, shape.fields[place].1));
            match key & 7 {
                0 => {
                    varint(&mut rest)?;
                }
                1 => drop(cut(&mut rest, 8)?),
                5 => drop(cut(&mut rest, 4)?),
                2 => {
                    let length = varint(&mut rest)?;
                    let length = usize::try_from(length).map_err(|_| Refused::Malformed)?;
                    let bytes = cut(&mut rest, length)?;
                    if let Some((place, kind)) = kind {
                        let is_first = begun >> place & 1 == 0;
                        begun |= 1 << place;
                        self.field(kind, is_first, bytes)?;
                    }
                    continue;
                }
                // A group's fields are passed over by prost; here they count as the message's own.
                3 | 4 => continue,
                _ => return Err(Refused::Malformed),
            }
            if let Some((_, Kind::Numbers)) = kind {
                self.take(LIST_ROOM * size_of::<u64>())?;
            }
        }
        Ok(())
    }

    fn field(&mut self, kind: Kind, is_first: bool, bytes: &[u8]) -> Result<(), Refused> {
        match kind {
            Kind::One(shape) => self.message(shape, bytes),
            Kind::List(shape) => {
                self.take(LIST_ROOM * shape.bytes + BLOCK_BYTES)?;
                self.message(shape, bytes)
            }
            Kind::Map(shape) => {
                let room = if is_first { MAP_ROOM_FIRST } else { MAP_ROOM };
                self.take(room * shape.bytes + BLOCK_BYTES)?;
                self.message(shape, bytes)
            }
            Kind::Text => self.text(bytes),
            Kind::Texts => {
                self.take(LIST_ROOM * size_of::<String>())?;
                self.text(bytes)
            }
            Kind::Numbers => {
                let varints = bytes.iter().filter(|byte| **byte < 0x80).count();
                self.take(LIST_ROOM * size_of::<u64>().saturating_mul(varints).max(bytes.len()))
            }
        }
    }

    fn text(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if bytes.is_empty() { Ok(()) } else { self.take(BLOCK_BYTES) }
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, Refused> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first().ok_or(Refused::Malformed)?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Refused::Malformed)
}

fn cut<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Refused> {
    let (bytes, behind) = rest.split_at_checked(length).ok_or(Refused::Malformed)?;
    *rest = behind;
    Ok(bytes)
}

#[rustfmt::skip]
mod shapes {
    use super::{Bounded, Kind, MESSAGE_MEMORY_BYTES_MAX, STORED_MEMORY_BYTES_MAX, Shape};

    include!(concat!(env!("OUT_DIR"), "/shapes.rs"));
}

#[cfg(test)]
mod tests;
