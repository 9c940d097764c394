//! What stands below the seal of a backup: a head, then parts of which the last one counts the others.
//!
//! ```text
//! head:  magic "COFFBAK1" | version u16 | reserved u16 = 0
//! part:  kind u8 | length u32 | bytes
//! parts: header, keyring, record ..., end
//! end:   number of records u64 | bytes before this part u64 | SHA-256 of all of them 32
//! ```
//! The seal finds what was changed, cut or moved; the end finds what was sealed so by mistake.

use std::io::{self, Read, Write};

use ring::digest::{Context, SHA256};
use vault_core::id::{ClusterId, NodeId};
use vault_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::disk::seal::array;

const MAGIC: &[u8; 8] = b"COFFBAK1";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 12;
const PART_HEAD: usize = 5;
const HEADER_BYTES: usize = 25 + 25 + 4 + 6 * 8;
const END_BYTES: usize = 8 + 8 + 32;

const HEADER: u8 = 1;
const KEYRING: u8 = 2;
const RECORD: u8 = 3;
const END: u8 = 4;

/// What a backup says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub cluster: ClusterId,
    /// The manager that it was taken from.
    pub node: NodeId,
    pub recovery_epoch: u32,
    /// The log index that it reflects.
    pub index: u64,
    pub taken_at: Timestamp,
    pub secrets: u64,
    pub configs: u64,
    pub services: u64,
    pub nodes: u64,
}

/// Opened bytes that are no backup, or not a whole one. Offsets are of what stands below the seal.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("it opens, but it is no backup of Coffer")]
    NotABackup,
    #[error(
        "written in version {found}, this program reads version {VERSION}: use a newer cofferd"
    )]
    Version { found: u16 },
    #[error("offset {offset}: the parts are not those of a backup, or not in their order")]
    Order { offset: u64 },
    #[error("offset {offset}: {reason}")]
    Content { offset: u64, reason: &'static str },
    #[error("offset {offset}: it ends in the middle: it was cut short")]
    Cut { offset: u64 },
    #[error("offset {offset}: damaged, or cut short")]
    Damaged {
        offset: u64,
        #[source]
        source: io::Error,
    },
    #[error("the backup cannot be read further")]
    Io(#[source] io::Error),
}

impl Header {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(self.cluster.object().as_bytes());
        bytes.extend_from_slice(self.node.object().as_bytes());
        bytes.extend_from_slice(&self.recovery_epoch.to_le_bytes());
        for number in [
            self.index,
            self.taken_at.nanos(),
            self.secrets,
            self.configs,
            self.services,
            self.nodes,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != HEADER_BYTES {
            return None;
        }
        let text = |at: usize| std::str::from_utf8(&bytes[at..at + 25]).ok();
        let number = |place: usize| u64::from_le_bytes(array(bytes, 54 + 8 * place));
        Some(Self {
            cluster: ClusterId::parse(text(0)?).ok()?,
            node: NodeId::parse(text(25)?).ok()?,
            recovery_epoch: u32::from_le_bytes(array(bytes, 50)),
            index: number(0),
            taken_at: Timestamp::from_nanos(number(1)),
            secrets: number(2),
            configs: number(3),
            services: number(4),
            nodes: number(5),
        })
    }
}

/// Writes the parts in their order.
pub(super) struct Writer<W> {
    out: W,
    digest: Context,
    bytes: u64,
    records: u64,
}

impl<W: Write> Writer<W> {
    /// Writes head, header and keyring.
    pub(super) fn start(out: W, header: Header, keyring: &[u8]) -> io::Result<Self> {
        let mut writer = Self { out, digest: Context::new(&SHA256), bytes: 0, records: 0 };
        writer.put(MAGIC)?;
        writer.put(&VERSION.to_le_bytes())?;
        writer.put(&[0; 2])?;
        writer.part(HEADER, &header.to_bytes())?;
        writer.part(KEYRING, keyring)?;
        Ok(writer)
    }

    /// Writes the next record.
    pub(super) fn record(&mut self, record: &[u8]) -> io::Result<()> {
        self.records += 1;
        self.part(RECORD, record)
    }

    /// Writes the end, and gives back what was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let mut end = Vec::with_capacity(END_BYTES);
        end.extend_from_slice(&self.records.to_le_bytes());
        end.extend_from_slice(&self.bytes.to_le_bytes());
        end.extend_from_slice(self.digest.clone().finish().as_ref());
        self.part(END, &end)?;
        Ok(self.out)
    }

    fn part(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.put(&[kind])?;
        self.put(&length.to_le_bytes())?;
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.bytes += as_u64(bytes.len());
        self.out.write_all(bytes)
    }
}

/// Reads the parts in their order.
pub(super) struct Reader<R> {
    input: R,
    digest: Context,
    bytes: u64,
    records: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the head and the header.
    pub(super) fn start(input: R) -> Result<(Self, Header), FormatError> {
        let mut reader = Self { input, digest: Context::new(&SHA256), bytes: 0, records: 0 };
        let mut head = Zeroizing::new(Vec::new());
        if !reader.take(HEAD_BYTES, &mut head)? || head[..8] != *MAGIC {
            return Err(FormatError::NotABackup);
        }
        let found = u16::from_le_bytes(array(&head, 8));
        if found != VERSION {
            return Err(FormatError::Version { found });
        }
        if head[10..] != [0; 2] {
            return Err(FormatError::Order { offset: 10 });
        }
        let offset = reader.bytes;
        let (kind, bytes) = reader.part()?;
        let header = (kind == HEADER).then(|| Header::from_bytes(&bytes)).flatten();
        Ok((reader, header.ok_or(FormatError::Order { offset })?))
    }

    /// Reads the keyring's bytes, which stand behind the header.
    pub(super) fn keyring(&mut self) -> Result<Zeroizing<Vec<u8>>, FormatError> {
        let offset = self.bytes;
        let (kind, bytes) = self.part()?;
        if kind == KEYRING { Ok(bytes) } else { Err(FormatError::Order { offset }) }
    }

    /// Reads the next record; nothing once the end was read and checked, and nothing stands behind it.
    pub(super) fn record(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, FormatError> {
        let offset = self.bytes;
        let before = self.digest.clone();
        let (kind, bytes) = self.part()?;
        match kind {
            RECORD => {
                self.records += 1;
                Ok(Some(bytes))
            }
            END => {
                let fits = bytes.len() == END_BYTES
                    && u64::from_le_bytes(array(&bytes, 0)) == self.records
                    && u64::from_le_bytes(array(&bytes, 8)) == offset
                    && bytes[16..] == *before.finish().as_ref();
                if !fits {
                    let reason = "the end does not fit what stands before it";
                    return Err(FormatError::Content { offset, reason });
                }
                let offset = self.bytes;
                if self.take(1, &mut Zeroizing::new(Vec::new()))? {
                    return Err(FormatError::Content { offset, reason: "bytes behind the end" });
                }
                Ok(None)
            }
            _ => Err(FormatError::Order { offset }),
        }
    }

    /// How many bytes were read so far.
    pub(super) fn offset(&self) -> u64 {
        self.bytes
    }

    fn part(&mut self) -> Result<(u8, Zeroizing<Vec<u8>>), FormatError> {
        let offset = self.bytes;
        let mut head = Zeroizing::new(Vec::new());
        if !self.take(PART_HEAD, &mut head)? {
            return Err(FormatError::Cut { offset });
        }
        let length = usize::try_from(u32::from_le_bytes(array(&head, 1)));
        let length = length.map_err(|_| FormatError::Order { offset })?;
        let mut bytes = Zeroizing::new(Vec::new());
        if !self.take(length, &mut bytes)? {
            return Err(FormatError::Cut { offset });
        }
        Ok((head[0], bytes))
    }

    /// Reads so many bytes. False if there are fewer: no memory is taken for bytes that are not there.
    fn take(&mut self, count: usize, into: &mut Vec<u8>) -> Result<bool, FormatError> {
        let read = self.input.by_ref().take(as_u64(count)).read_to_end(into);
        let offset = self.bytes;
        let read = read.map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                FormatError::Damaged { offset, source }
            }
            _ => FormatError::Io(source),
        })?;
        self.digest.update(into);
        self.bytes += as_u64(read);
        Ok(read == count)
    }
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("sizes fit in 64 bits")
}
