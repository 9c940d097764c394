//! Mutants of known inputs, by chance that can be had again.

use tests::disk::chance::Chance;

/// Values that lengths and counts break at.
const TURNING_POINTS: [u32; 8] = [0, 1, 15, 16, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, u32::MAX];
/// Mutants do not grow beyond this.
const BYTES_MAX: usize = 96 << 10;

/// A mutant of one input, with parts of others.
pub fn mutant(inputs: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = inputs[chance.below(inputs.len())].clone();
    for _ in 0..1 + chance.below(4) {
        change(&mut bytes, inputs, chance);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn change(bytes: &mut Vec<u8>, inputs: &[Vec<u8>], chance: &mut Chance) {
    let length = bytes.len();
    // Heads are where the decisions are.
    let near = if chance.toss() { length.min(128) } else { length };
    let at = chance.below(near + 1);
    match chance.below(9) {
        0 if at < length => bytes[at] ^= 1 << chance.below(8),
        1 if at < length => bytes[at] = chance.bytes::<1>()[0],
        2 if at + 4 <= length => {
            let value = TURNING_POINTS[chance.below(TURNING_POINTS.len())];
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        3 => bytes.truncate(at),
        4 => bytes.extend_from_slice(&vec![chance.bytes::<1>()[0]; chance.below(5000)]),
        5 => bytes.insert(at, chance.bytes::<1>()[0]),
        6 if length > 0 => {
            let from = chance.below(length);
            let part = bytes[from..(from + chance.below(5000)).min(length)].to_vec();
            let end = (at + part.len()).min(length);
            bytes[at..end].copy_from_slice(&part[..end - at]);
        }
        7 if at < length => {
            let end = (at + chance.below(5000)).min(length);
            bytes[at..end].fill(0);
        }
        _ => {
            let other = &inputs[chance.below(inputs.len())];
            let from = chance.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}
