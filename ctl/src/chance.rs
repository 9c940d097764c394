//! Random bytes from the kernel, for request IDs and names that nobody can guess.

use rustix::rand::GetRandomFlags;
use rustix::rand::getrandom;

/// So many random bytes; at most 256, which the kernel gives whole.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    const { assert!(N <= 256, "longer requests may be answered in part") };
    let mut drawn = [0; N];
    getrandom(&mut drawn[..], GetRandomFlags::empty())
        .expect("the kernel's source of randomness answers");
    drawn
}

/// Random hexadecimal digits, two for each byte.
pub(crate) fn hex<const N: usize>() -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    bytes::<N>().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<16>(), bytes::<16>());
        assert_eq!(hex::<8>().len(), 16);
    }
}
