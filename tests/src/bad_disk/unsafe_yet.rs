//! What was written and not flushed: enough to put back what the disk would hold without it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::disk::chance::Chance;

/// The unit that a disk writes at once.
pub(super) const SECTOR: usize = 512;

/// One write or change of length, as it can be taken back.
struct Change {
    offset: u64,
    before: Vec<u8>,
    length_before: u64,
}

/// The changes of one file since it was flushed, oldest first.
#[derive(Default)]
pub(super) struct Changes {
    changes: Vec<Change>,
    /// Sectors whose flush failed, as the disk has them. Readers see something else until the power goes.
    lost: BTreeMap<u64, Vec<u8>>,
}

impl Changes {
    /// Notes what a write to this place is going to replace.
    pub(super) fn before_write(
        &mut self,
        file: &File,
        offset: u64,
        count: usize,
    ) -> io::Result<()> {
        let length_before = file.metadata()?.len();
        let mut before = read(file, offset, count)?;
        let end = offset + as_u64(count);
        // What was lost there is what the disk holds; the new bytes can be stored again.
        let covered: Vec<u64> = (offset.div_ceil(as_u64(SECTOR))..end / as_u64(SECTOR)).collect();
        for sector in covered {
            let Some(stored) = self.lost.remove(&sector) else { continue };
            let at = as_usize(sector * as_u64(SECTOR) - offset);
            let count = stored.len().min(before.len().saturating_sub(at));
            before[at..at + count].copy_from_slice(&stored[..count]);
        }
        self.changes.push(Change { offset, before, length_before });
        Ok(())
    }

    /// The same for a change of length.
    pub(super) fn before_resize(&mut self, file: &File, length: u64) -> io::Result<()> {
        let length_before = file.metadata()?.len();
        let before = read(file, length, as_usize(length_before.saturating_sub(length)))?;
        self.changes.push(Change { offset: length, before, length_before });
        Ok(())
    }

    /// All of it is stored, but for what was lost before.
    pub(super) fn are_safe(&mut self) {
        self.changes.clear();
    }

    /// A flush failed: none of it will be stored.
    pub(super) fn are_lost(&mut self, file: &File) -> io::Result<()> {
        let (live, stored) = self.images(file)?;
        self.changes.clear();
        for (sector, (live, stored)) in (0..).zip(live.chunks(SECTOR).zip(stored.chunks(SECTOR))) {
            if live != stored {
                self.lost.entry(sector).or_insert_with(|| stored.to_vec());
            }
        }
        Ok(())
    }

    /// What the file holds, and what it would without the changes: of one length, with zeros at the end.
    fn images(&self, file: &File) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let mut live = read(file, 0, as_usize(file.metadata()?.len()))?;
        let mut stored = live.clone();
        for Change { offset, before, length_before } in self.changes.iter().rev() {
            let (from, length) = (as_usize(*offset), as_usize(*length_before));
            stored.resize(length.max(from + before.len()), 0);
            stored[from..from + before.len()].copy_from_slice(before);
            stored.truncate(length);
        }
        let length = live.len().max(stored.len());
        live.resize(length, 0);
        stored.resize(length, 0);
        Ok((live, stored))
    }

    /// The power went: of each sector either the new bytes or those before, by chance. The length is one or
    /// the other.
    pub(super) fn after_outage(&self, file: &File, chance: &mut Chance) -> io::Result<()> {
        let (live, stored) = self.images(file)?;
        let sectors = live.chunks(SECTOR).zip(stored.chunks(SECTOR));
        // Often all or nothing, as with a single write that was under way.
        let all = (chance.below(3) == 0).then(|| chance.toss());
        for (sector, (live, stored)) in (0_u64..).zip(sectors) {
            if live != stored && !all.unwrap_or_else(|| chance.toss()) {
                file.write_all_at(stored, sector * as_u64(SECTOR))?;
            }
        }
        for (sector, stored) in &self.lost {
            file.write_all_at(stored, sector * as_u64(SECTOR))?;
        }
        if let Some(first) = self.changes.first().filter(|_| !all.unwrap_or_else(|| chance.toss()))
        {
            file.set_len(first.length_before)?;
        }
        Ok(())
    }
}

fn read(file: &File, offset: u64, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut done = 0;
    while done < count {
        match file.read_at(&mut bytes[done..], offset + as_u64(done))? {
            0 => break,
            more => done += more,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).expect("sizes fit in 64 bits")
}

fn as_usize(count: u64) -> usize {
    usize::try_from(count).expect("test files fit in memory")
}
