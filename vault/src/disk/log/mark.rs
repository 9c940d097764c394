//! The mark: which segment is the newest, kept apart from the segments. A log whose newest segment is gone
//! is then not taken for an older log.
//!
//! ```text
//! two slots of 4096 bytes, of segments with even and odd numbers
//! slot: a small sealed file (magic "COFFMRK1", version 1; body: number u64) | zeros
//! ```
//! A slot is written once its segment is on the disk, and before anything in that segment is
//! acknowledged. Slots take turns, so that one that was written in part leaves the other.

use std::io;
use std::sync::Arc;

use super::LogKey;
use super::recover::{LogError, io_error, segment_name};
use crate::disk::folder::{Folder, StoredFile, replace};
use crate::disk::seal::{FileError, Form, array, open_file, seal_file};

const FORM: Form = Form { magic: b"COFFMRK1", version: 1 };
const SLOT: usize = 4096;
/// Head, nonce, number, tag: as in every small sealed file.
const SEALED: usize = 16 + 24 + 8 + 16;
/// For errors: they name the file by the log's own name.
const NAME: &str = "mark";

/// Where the mark is kept.
#[derive(Clone)]
pub struct MarkFile {
    pub folder: Arc<dyn Folder>,
    pub name: String,
}

/// A mark that is there.
pub(super) struct Mark {
    file: Arc<dyn StoredFile>,
    name: String,
}

fn slot(key: &LogKey, number: u64, random: [u8; 32]) -> Vec<u8> {
    let nonce = array(&random, 0);
    let body = number.to_le_bytes();
    let mut slot = seal_file(FORM, key.disk_key.expose(), nonce, &key.context, &body);
    slot.resize(SLOT, 0);
    slot
}

/// The number in a slot; nothing if the slot does not open or was not written whole.
fn number_in(key: &LogKey, slot: &[u8]) -> Result<u64, FileError> {
    let torn = FileError::DoesNotOpen { file: NAME, offset: 0 };
    let (sealed, rest) = slot.split_at_checked(SEALED).ok_or_else(|| torn.clone())?;
    let open = |disk_key| open_file(NAME, FORM, disk_key, &key.context, sealed);
    let older = key.disk_key.all().into_iter().skip(1);
    // Before a start is complete, a slot may be under an older key.
    let body = older.fold(open(key.disk_key.expose()), |opened, (_, disk_key)| {
        opened.or_else(|refused| open(disk_key).map_err(|_| refused))
    })?;
    if body.len() != 8 || slot.len() != SLOT || rest.iter().any(|byte| *byte != 0) {
        return Err(torn);
    }
    Ok(u64::from_le_bytes(array(&body, 0)))
}

impl MarkFile {
    /// Compares the mark with the newest segment that is there. Gives a refusal for a segment that is
    /// missing and for a mark that is damaged.
    pub(super) fn check(&self, key: &LogKey, newest: u64) -> Result<(), LogError> {
        let file = match self.folder.read(&self.name) {
            Ok(file) => file,
            // The first segment is named before the mark is.
            Err(error) if error.kind() == io::ErrorKind::NotFound && newest <= 1 => return Ok(()),
            Err(source) => return Err(io_error("reading", &self.name, source)),
        };
        let damaged = |offset| LogError::Mark { file: self.name.clone(), offset };
        if file.len() != 2 * SLOT {
            return Err(damaged(file.len().min(2 * SLOT)));
        }
        let slots = [&file[..SLOT], &file[SLOT..]].map(|slot| number_in(key, slot));
        for opened in &slots {
            if let Err(FileError::OtherVersion { found, .. }) = opened {
                return Err(LogError::Version { file: self.name.clone(), found: *found });
            }
        }
        let marked = match slots {
            [Ok(even), Ok(odd)] => even.max(odd),
            // A slot that was being written: its segment was there before, and is newer than the other's.
            [Ok(whole), Err(_)] | [Err(_), Ok(whole)] if newest > whole => whole,
            [Err(_), _] => return Err(damaged(0)),
            [Ok(_), Err(_)] => return Err(damaged(SLOT)),
        };
        if marked > newest {
            return Err(LogError::NewestMissing { file: segment_name(marked) });
        }
        Ok(())
    }

    /// Puts a mark in place that says what was checked.
    pub(super) fn renew(&self, key: &LogKey, newest: u64, random: [u8; 32]) -> io::Result<Mark> {
        let slot = slot(key, newest, random);
        replace(self.folder.as_ref(), &self.name, &[slot.as_slice(), &slot].concat())?;
        Ok(Mark { file: self.folder.open(&self.name)?, name: self.name.clone() })
    }
}

impl Mark {
    /// Says that a segment is the newest. It must be on the disk, its name too.
    pub(super) fn set(&self, key: &LogKey, number: u64, random: [u8; 32]) -> io::Result<()> {
        let offset = (number % 2) * u64::try_from(SLOT).expect("sizes fit in 64 bits");
        self.file.write_at(offset, &slot(key, number, random))?;
        self.file.flush()
    }

    /// The file's name, for errors.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}
