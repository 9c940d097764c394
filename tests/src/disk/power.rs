//! What a disk may hold after the power went: everything up to the last barriers, and of what came later
//! any part.

use super::chance::Chance;
use super::{FaultyDisk, Image, Operation};

/// The unit that a disk writes at once.
const SECTOR: usize = 512;
/// The unit that a page cache writes at once.
const PAGE: usize = 4096;
/// With so few operations that may be lost, every subset of them is tried.
const ALL_SUBSETS: usize = 4;

/// What became of one operation that nothing had made safe.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    Kept,
    Lost,
    /// A write's bytes are lost, and the file got its new size: zeros stand there.
    SizeOnly,
    /// Only the first bytes of a write were kept.
    Prefix(usize),
    /// Of a write, the units were kept whose bit is set; the bits are used again and again.
    Units {
        bytes: usize,
        bits: u64,
    },
}

/// A recording, walked through operation by operation.
pub struct Outage {
    operations: Vec<Operation>,
    at: usize,
    /// What is safe.
    safe: Image,
    /// What a reader sees.
    live: Image,
    /// Operations that may be lost, oldest first.
    pending: Vec<usize>,
}

impl Outage {
    /// Starts before the first operation of a disk's recording.
    pub fn of(disk: &FaultyDisk) -> Self {
        let (safe, operations) = disk.recording();
        Self { operations, at: 0, live: safe.clone(), safe, pending: Vec::new() }
    }

    /// How many operations were walked through.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The operations that are not safe.
    pub fn pending(&self) -> Vec<&Operation> {
        self.pending.iter().map(|at| &self.operations[*at]).collect()
    }

    /// Walks through one more operation.
    pub fn step(&mut self) -> Option<Operation> {
        let operation = self.operations.get(self.at)?.clone();
        match &operation {
            Operation::Flush { file } => self.settle(*file, true),
            Operation::Lost { file } => self.settle(*file, false),
            Operation::FlushNames { folder } => {
                let (names, rest) = self.split(|operation| is_name_in(operation, folder));
                names.iter().for_each(|at| self.safe.apply(&self.operations[*at]));
                self.pending = rest;
            }
            Operation::Mark(_) => {}
            Operation::Create { .. }
            | Operation::Write { .. }
            | Operation::Rename { .. }
            | Operation::Remove { .. } => self.pending.push(self.at),
        }
        self.live.apply(&operation);
        self.at += 1;
        Some(operation)
    }

    fn settle(&mut self, file: usize, is_safe: bool) {
        let (writes, rest) = self.split(|operation| is_write(operation, Some(file)));
        for at in writes.into_iter().filter(|_| is_safe) {
            self.safe.apply(&self.operations[at]);
        }
        self.pending = rest;
    }

    fn split(&self, belongs: impl Fn(&Operation) -> bool) -> (Vec<usize>, Vec<usize>) {
        self.pending.iter().partition(|at| belongs(&self.operations[**at]))
    }

    /// The disk as it is when only the process dies here: all is readable, and may still be lost.
    pub fn killed(&self) -> FaultyDisk {
        let pending = self.pending().into_iter().cloned().collect();
        FaultyDisk::resumed(self.safe.clone(), pending, self.live.clone())
    }

    /// The disk after an outage, with a fate for each pending operation.
    pub fn image(&self, fates: &[Fate]) -> Image {
        let mut image = self.safe.clone();
        for (at, fate) in self.pending.iter().zip(fates) {
            apply(&mut image, &self.operations[*at], *fate);
        }
        image
    }

    /// One thing that an outage here may leave.
    pub fn any_image(&self, chance: &mut Chance) -> Image {
        let fates: Vec<_> = self.pending.iter().map(|_| any_fate(chance)).collect();
        self.image(&fates)
    }

    /// What an outage here may leave: every subset where there are few, `random` more beyond, and the last
    /// write torn in every way that a disk tears.
    pub fn images(&self, chance: &mut Chance, random: usize) -> Vec<Image> {
        let count = self.pending.len();
        let mut images = Vec::new();
        if count <= ALL_SUBSETS {
            for subset in 0_u32..1 << count {
                let fates: Vec<_> = (0..count).map(|at| member(subset, at)).collect();
                images.push(self.image(&fates));
            }
        } else {
            images.push(self.image(&vec![Fate::Kept; count]));
            images.push(self.image(&vec![Fate::Lost; count]));
        }
        for _ in 0..random.min(count * random) {
            let fates: Vec<_> = (0..count).map(|_| any_fate(chance)).collect();
            images.push(self.image(&fates));
        }
        let last = self.pending.iter().rposition(|at| is_write(&self.operations[*at], None));
        if let Some(last) = last {
            for torn in self.tears(self.pending[last], chance) {
                let mut fates: Vec<_> = (0..count).map(|_| any_fate(chance)).collect();
                fates[last] = torn;
                images.push(self.image(&fates));
            }
        }
        images
    }

    fn tears(&self, operation: usize, chance: &mut Chance) -> Vec<Fate> {
        let Operation::Write { bytes, .. } = &self.operations[operation] else {
            return Vec::new();
        };
        let step = if bytes.len() <= 3 * PAGE { SECTOR } else { PAGE };
        let mut fates: Vec<_> = (0..bytes.len()).step_by(step).map(Fate::Prefix).collect();
        for unit in [SECTOR, PAGE] {
            fates.push(Fate::Units { bytes: unit, bits: chance.number() });
            // Only the first unit is missing, or only the last one.
            fates.push(Fate::Units { bytes: unit, bits: !1 });
            let last = bytes.len().div_ceil(unit).saturating_sub(1);
            fates.push(Fate::Units { bytes: unit, bits: !(1 << (last % 64)) });
        }
        fates.push(Fate::SizeOnly);
        fates
    }
}

fn is_write(operation: &Operation, of: Option<usize>) -> bool {
    matches!(operation, Operation::Write { file, .. } if of.is_none_or(|of| of == *file))
}

/// Whether it changes a name of this very folder.
fn is_name_in(operation: &Operation, folder: &str) -> bool {
    let (Operation::Create { name, .. }
    | Operation::Remove { name, .. }
    | Operation::Rename { to: name, .. }) = operation
    else {
        return false;
    };
    name.strip_prefix(folder).is_some_and(|rest| !rest.contains('/'))
}

fn member(subset: u32, at: usize) -> Fate {
    if subset >> at & 1 == 1 { Fate::Kept } else { Fate::Lost }
}

fn any_fate(chance: &mut Chance) -> Fate {
    match chance.below(8) {
        0..3 => Fate::Kept,
        3..6 => Fate::Lost,
        6 => Fate::SizeOnly,
        _ => Fate::Units { bytes: SECTOR, bits: chance.number() },
    }
}

fn apply(image: &mut Image, operation: &Operation, fate: Fate) {
    let Operation::Write { file, offset, bytes } = operation else {
        // A name is there or not; there is nothing between.
        if !matches!(fate, Fate::Lost) {
            image.apply(operation);
        }
        return;
    };
    if matches!(fate, Fate::Kept) {
        return image.write(*file, *offset, bytes);
    }
    let keep = |at: usize| match fate {
        Fate::Kept => true,
        Fate::Lost | Fate::SizeOnly => false,
        Fate::Prefix(length) => at < length,
        Fate::Units { bytes, bits } => bits >> (at / bytes % 64) & 1 == 1,
    };
    for (at, sector) in bytes.chunks(SECTOR).enumerate() {
        if keep(at * SECTOR) {
            image.write(*file, offset + at * SECTOR, sector);
        }
    }
    if matches!(fate, Fate::SizeOnly) {
        image.extend(*file, offset + bytes.len());
    }
}
