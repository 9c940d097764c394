//! Bytes that are nowhere by chance, and the search for any piece of them in the memory of a process.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use crate::scratch::random_number;

/// Bytes of the pattern that a trace repeats.
const PERIOD: usize = 16;
/// Bytes that are compared at once, at places that are a multiple of it.
const WORD: usize = 8;
/// Bytes that are told at once from zeros.
const PAGE: usize = 4096;
/// Bytes of memory that are looked at in one go.
const READ_BYTES: usize = 4 << 20;

/// Bytes that can be known again by any piece of `WORD * 2 - 1` of them or more: as they are, in
/// hexadecimal, in base64. A value that is made from a trace repeats a pattern of 16 random bytes.
pub struct Trace {
    bytes: Vec<u8>,
    words: BTreeSet<u64>,
    first_bytes: [bool; 256],
}

/// Where a piece was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line of `/proc/PID/maps`.
    pub region: String,
    pub address: u64,
    /// Locked, left out of dumps, wiped in forks: as guarded pages are.
    pub is_guarded: bool,
}

/// A part of a process's memory that can be read.
pub struct Region {
    pub start: u64,
    pub end: u64,
    pub line: String,
    pub flags: Vec<String>,
}

impl Region {
    /// Whether it has all that guarded pages have.
    pub fn is_guarded(&self) -> bool {
        ["lo", "dd", "wf"].iter().all(|wanted| self.flags.iter().any(|flag| flag == wanted))
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Trace {
    /// A new one, unlike any other.
    pub fn new() -> Self {
        let [one, two] = [random_number(), random_number()].map(u64::to_le_bytes);
        let pattern = [one, two].concat();
        // Whole periods of every form: 48 bytes are 64 letters of base64.
        Self::of(&pattern.repeat(9))
    }

    /// A trace of known bytes, of 16 at least.
    pub fn of(bytes: &[u8]) -> Self {
        assert!(bytes.len() >= PERIOD, "shorter ones are found everywhere");
        let lower: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![bytes.to_vec(), lower.to_uppercase().into_bytes(), lower.into_bytes()];
        for letters in [b"+/", b"-_"] {
            forms.extend((0..3).map(|shift| base64(&bytes[shift..], letters)));
        }
        let windows = forms.iter().flat_map(|form| form.windows(WORD));
        let words: BTreeSet<_> = windows.map(word).collect();
        let mut first_bytes = [false; 256];
        for one in &words {
            first_bytes[usize::from(one.to_le_bytes()[0])] = true;
        }
        Self { bytes: bytes.to_vec(), words, first_bytes }
    }

    /// A value of this length.
    pub fn value(&self, length: usize) -> Vec<u8> {
        self.bytes.iter().copied().cycle().take(length).collect()
    }

    /// Where in these bytes a piece stands; they have to start at a multiple of `WORD`.
    pub fn first_in(&self, bytes: &[u8]) -> Option<usize> {
        let hit = |chunk: &[u8]| {
            self.first_bytes[usize::from(chunk[0])] && self.words.contains(&word(chunk))
        };
        for (page, start) in bytes.chunks(PAGE).zip((0..).step_by(PAGE)) {
            // Most of memory is zeros, which are told at once.
            let found = || page.chunks_exact(WORD).position(hit);
            if page != &[0; PAGE][..page.len()]
                && let Some(at) = found()
            {
                return Some(start + at * WORD);
            }
        }
        None
    }

    /// Searches all that a process may read of its own memory. One place for each region is named.
    pub fn places_in(&self, pid: u32) -> io::Result<Vec<Place>> {
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        let found = |region: Region| {
            let address = self.first_in_region(&memory, &region)?;
            Some(Place { address, is_guarded: region.is_guarded(), region: region.line })
        };
        Ok(regions(pid)?.into_iter().filter_map(found).collect())
    }

    fn first_in_region(&self, memory: &File, region: &Region) -> Option<u64> {
        let mut buffer = vec![0; READ_BYTES];
        let mut address = region.start;
        while address < region.end {
            let length = usize::try_from(region.end - address).ok()?.min(READ_BYTES);
            // A region may be gone by now, or be one that the kernel does not show.
            let read =
                memory.read_at(&mut buffer[..length], address).ok().filter(|read| *read > 0)?;
            if let Some(at) = self.first_in(&buffer[..read]) {
                return Some(address + u64::try_from(at).ok()?);
            }
            // A word is not torn apart: but for the end, whole pages are read.
            address += u64::try_from(read).ok()?;
        }
        None
    }
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("a word has eight bytes"))
}

fn base64(bytes: &[u8], last_two: &[u8; 2]) -> Vec<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let letters = [letters.as_slice(), last_two].concat();
    let groups = bytes.chunks_exact(3).map(|group| {
        let bits = group.iter().fold(0, |bits, byte| (bits << 8) | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| letters[(bits >> shift) & 63])
    });
    groups.flatten().collect()
}

/// The parts of a process's memory that it may read, with their flags.
pub fn regions(pid: u32) -> io::Result<Vec<Region>> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps"))?;
    let mut regions: Vec<Region> = Vec::new();
    for line in text.lines() {
        if let Some((start, end)) = bounds(line) {
            regions.push(Region { start, end, line: line.to_owned(), flags: Vec::new() });
        } else if let (Some(flags), Some(last)) =
            (line.strip_prefix("VmFlags:"), regions.last_mut())
        {
            last.flags = flags.split_whitespace().map(str::to_owned).collect();
        }
    }
    let is_readable = |region: &Region| region.line.contains(" r");
    // The kernel's own pages, the same in every process.
    let is_kernels =
        |region: &Region| ["[vvar", "[vsyscall"].iter().any(|name| region.line.contains(name));
    Ok(regions.into_iter().filter(|region| is_readable(region) && !is_kernels(region)).collect())
}

fn bounds(line: &str) -> Option<(u64, u64)> {
    let (range, _) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

/// Whether this process may read the memory of any other.
pub fn may_read_memory_of(pid: u32) -> bool {
    regions(pid).is_ok() && File::open(format!("/proc/{pid}/mem")).is_ok()
}
