//! Chance that can be had again: a small generator, and where its seed comes from.

/// A seed that is used unless `COFFER_SEED` names another one.
const SEED: u64 = 0x5eed_c0ff_e72e_0001;

/// An xorshift generator.
pub struct Chance(u64);

impl Chance {
    /// A generator with a seed, which must not be zero.
    pub fn new(seed: u64) -> Self {
        assert_ne!(seed, 0, "zero is the one seed that gives nothing but itself");
        Self(seed)
    }

    /// The seed that tests start from: `COFFER_SEED`, or always the same.
    pub fn seed() -> u64 {
        let given = std::env::var("COFFER_SEED").ok();
        given.map_or(SEED, |text| text.parse().expect("COFFER_SEED is a number"))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below a bound, which must not be zero.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.number() % bound).unwrap()
    }

    /// Yes or no.
    pub fn toss(&mut self) -> bool {
        self.number() & 1 == 1
    }

    /// Bytes for a key, a salt or a nonce.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.number().to_le_bytes()[0])
    }
}
