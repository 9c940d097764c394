//! The log on disk: segments of sealed, chained batches, one writer, one flush for all that waited.
//!
//! `docs/formats.md` has the bytes and the rule that tells a torn tail from damage. What an entry means
//! is not known here.

mod format;
mod record;
mod recover;
mod writer;

pub use format::{BATCH_ALIGN, LogKey};
pub use record::{Opening, Position, Record, Vote};
pub use recover::{LogError, Recovered, TornTail};
pub use writer::{Fault, LogWriter, Submission};

use std::sync::Arc;

use super::folder::Folder;

/// How the log uses its disk.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of one segment. A batch never spans two.
    pub segment_bytes: u64,
    /// Bytes of records that are written with one flush at most, but for a single larger record.
    pub batch_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        // At the highest write rate measured, a segment lasts a fifth of a second, and the next one is
        // zeroed in a tenth of that. A batch of one megabyte keeps the flush near its least time.
        Self { segment_bytes: 32 << 20, batch_bytes: 1 << 20 }
    }
}

/// Opens the log in a folder: reads what is there, then starts a segment of its own.
///
/// `entropy` gives 32 random bytes for each segment. `fault` is called once, from the writer's thread,
/// when the disk failed: nothing is acknowledged after that.
pub fn open(
    folder: Arc<dyn Folder>,
    key: LogKey,
    options: Options,
    entropy: Box<dyn FnMut() -> [u8; 32] + Send>,
    fault: Box<dyn FnOnce(Fault) + Send>,
) -> Result<(Recovered, LogWriter), LogError> {
    let (recovered, tail) = recover::recover(folder.as_ref(), &key)?;
    let writer = LogWriter::start(writer::Start { folder, key, options, entropy, fault, tail })?;
    Ok((recovered, writer))
}

/// Reads a log and checks all of it, without starting a segment: for one that may be written meanwhile.
pub fn verify(folder: &dyn Folder, key: &LogKey) -> Result<Recovered, LogError> {
    recover::read(folder, key).map(|read| read.recovered)
}

#[cfg(test)]
mod tests;
