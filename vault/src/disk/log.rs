//! The log on disk: segments of sealed, chained batches, one writer, one flush for all that waited.
//!
//! `docs/formats.md` has the bytes and the rule that tells a torn tail from damage. What an entry means
//! is not known here.

mod format;
mod index;
mod mark;
mod record;
mod recover;
mod window;
mod writer;

pub use format::{BATCH_ALIGN, LogKey};
pub use index::LogReader;
pub use mark::MarkFile;
pub use record::{Opening, Position, Record, Vote};
pub use recover::{LogError, Recovered, TornTail};
pub use writer::{Fault, LogWriter, Renewal, Submission};

use std::sync::Arc;

use super::folder::Folder;

/// How the log uses its disk.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "units stand last")]
pub struct Options {
    /// Bytes of one segment. A batch never spans two.
    pub segment_bytes: u64,
    /// Bytes of records that are written with one flush at most, but for a single larger record.
    pub batch_bytes: usize,
    /// Bytes of the newest entries that are handed out when the log is opened.
    pub keep_bytes: usize,
}

/// Where a log is kept.
#[derive(Clone)]
pub struct Place {
    /// The segments.
    pub folder: Arc<dyn Folder>,
    /// Outside that folder, so that an older copy of it is found out.
    pub mark: MarkFile,
}

impl<F: Folder + 'static> From<Arc<F>> for Place {
    /// A mark among the segments: where a single folder is all there is.
    fn from(folder: Arc<F>) -> Self {
        let folder: Arc<dyn Folder> = folder;
        Self { mark: MarkFile { folder: Arc::clone(&folder), name: "mark".to_owned() }, folder }
    }
}

/// Told of each entry while a log is read: those that are purged or void by now too.
pub type Visit<'a> = &'a mut dyn FnMut(Position, &[u8]);

impl Default for Options {
    fn default() -> Self {
        // At the highest write rate measured, a segment lasts a fifth of a second, and the next one is
        // zeroed in a tenth of that. A batch of one megabyte keeps the flush near its least time.
        Self { segment_bytes: 32 << 20, batch_bytes: 1 << 20, keep_bytes: 1 << 20 }
    }
}

/// Opens a log: reads what is there, then starts a segment of its own.
///
/// `entropy` gives 32 random bytes for each segment. `fault` is called once, from the writer's thread,
/// when the disk failed: nothing is acknowledged after that.
pub fn open(
    place: impl Into<Place>,
    key: LogKey,
    options: Options,
    entropy: Box<dyn FnMut() -> [u8; 32] + Send>,
    fault: Box<dyn FnOnce(Fault) + Send>,
) -> Result<(Recovered, LogWriter), LogError> {
    open_with(place.into(), key, options, Chance { entropy, fault }, &mut |_, _| {})
}

/// What the writer needs of the world besides its folder.
pub struct Chance {
    pub entropy: Box<dyn FnMut() -> [u8; 32] + Send>,
    pub fault: Box<dyn FnOnce(Fault) + Send>,
}

/// The same, and shows each entry while it is read: they need not all be in memory at once.
pub fn open_with(
    place: Place,
    key: LogKey,
    options: Options,
    chance: Chance,
    visit: Visit<'_>,
) -> Result<(Recovered, LogWriter), LogError> {
    let Chance { mut entropy, fault } = chance;
    let (recovered, tail) = recover::recover(&place, &key, options.keep_bytes, visit)?;
    let mark = place.mark.renew(&key, tail.last_number, entropy());
    let mark = mark.map_err(|source| recover::io_error("marking", &place.mark.name, source))?;
    let folder = place.folder;
    let start = writer::Start { folder, key, options, entropy, fault, tail, mark };
    Ok((recovered, LogWriter::start(start)?))
}

/// Reads a log and checks all of it, without starting a segment: for one that may be written meanwhile.
/// Hands out the last entry alone.
pub fn verify(folder: &dyn Folder, key: &LogKey) -> Result<Recovered, LogError> {
    read_all(folder, key, &mut |_, _| {})
}

/// The same, and shows every record.
pub fn read_all(
    folder: &dyn Folder,
    key: &LogKey,
    visit: Visit<'_>,
) -> Result<Recovered, LogError> {
    recover::read(folder, key, 0, visit).map(|read| read.recovered)
}

#[cfg(test)]
mod tests;
