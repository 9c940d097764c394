//! Randomness, from the kernel. The one place that draws it.

use ring::rand::{SecureRandom, SystemRandom};

/// `N` random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Writes random bytes in place.
pub fn fill(bytes: &mut [u8]) {
    // Without randomness nothing may be sealed or named; there is no way to go on.
    SystemRandom::new().fill(bytes).expect("the kernel's random source works");
}

/// The source that signatures draw from.
pub fn source() -> SystemRandom {
    SystemRandom::new()
}
