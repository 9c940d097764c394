//! The unlock key: what the managers' disks are locked under while autolock is on. Its text is Swarm's:
//! `SWMKEY-1-` and 32 bytes in base64 without padding.

use std::hint::black_box;

use zeroize::{Zeroize, Zeroizing};

/// Bytes of an unlock key.
pub const KEY_BYTES: usize = 32;
const PREFIX: &[u8] = b"SWMKEY-1-";
/// Characters behind the prefix: 32 bytes in base64 without padding.
const DIGITS: usize = 43;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// An unlock key. Has no Debug, Clone or comparison, on purpose.
pub struct UnlockKey(Box<Zeroizing<[u8; KEY_BYTES]>>);

/// A text that is no unlock key. Which part of it is wrong is not said; the words are Swarm's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid key string")]
pub struct KeyTextError;

impl UnlockKey {
    /// Takes a copy of the bytes.
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let mut key = Box::new(Zeroizing::new([0; KEY_BYTES]));
        key.copy_from_slice(bytes);
        Self(key)
    }

    /// Reads a key's text. White space around it is passed over, as it comes with copying.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        let digits = text.trim().as_bytes().strip_prefix(PREFIX).ok_or(KeyTextError)?;
        if digits.len() != DIGITS {
            return Err(KeyTextError);
        }
        let mut key = Box::new(Zeroizing::new([0; KEY_BYTES]));
        let (mut pending, mut bits, mut out) = (0_u32, 0_u32, key.iter_mut());
        for digit in digits {
            pending = (pending << 6) | value_of(*digit).ok_or(KeyTextError)?;
            bits = bits.saturating_add(6);
            if bits >= 8 {
                bits = bits.saturating_sub(8);
                let place = out.next().ok_or(KeyTextError)?;
                *place = u8::try_from((pending >> bits) & 0xff).map_err(|_| KeyTextError)?;
                pending &= (1_u32 << bits).wrapping_sub(1);
            }
        }
        // Of the last digit two bits are left over: one key has one text.
        let is_exact = pending == 0;
        pending.zeroize();
        if is_exact { Ok(Self(key)) } else { Err(KeyTextError) }
    }

    /// The key's text.
    pub fn to_text(&self) -> Zeroizing<String> {
        // Room for all of it: growing would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(64));
        text.push_str("SWMKEY-1-");
        let (mut pending, mut bits) = (0_u32, 0_u32);
        for byte in self.0.iter() {
            pending = (pending << 8) | u32::from(*byte);
            bits = bits.saturating_add(8);
            while bits >= 6 {
                bits = bits.saturating_sub(6);
                text.push(digit_of(pending >> bits));
            }
        }
        text.push(digit_of(pending << 6_u32.saturating_sub(bits)));
        pending.zeroize();
        text
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Whether these are the same bytes. How long it takes tells nothing but their number.
    pub fn equals(&self, other: &[u8]) -> bool {
        if other.len() != KEY_BYTES {
            return false;
        }
        let pairs = self.0.iter().zip(other);
        // Looked at through `black_box`, or the compiler might stop at the first difference.
        black_box(pairs.fold(0, |all, (left, right)| black_box(all | (left ^ right)))) == 0
    }
}

/// Goes through the whole alphabet whatever it finds: the time does not tell which digit it was.
fn value_of(digit: u8) -> Option<u32> {
    let (mut value, mut is_known) = (0, 0);
    for (known, number) in ALPHABET.iter().zip(0_u32..) {
        let same = u32::from(black_box(*known == digit));
        value |= number & 0_u32.wrapping_sub(same);
        is_known |= same;
    }
    (is_known == 1).then_some(value)
}

/// The digit for the last six bits.
fn digit_of(value: u32) -> char {
    let mut digit = 0;
    for (known, number) in ALPHABET.iter().zip(0_u32..) {
        let same = u8::from(black_box(number == value & 0x3f));
        digit |= known & 0_u8.wrapping_sub(same);
    }
    char::from(digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use static_assertions::assert_not_impl_any;

    assert_not_impl_any!(UnlockKey: Clone, std::fmt::Debug, std::fmt::Display, PartialEq);

    #[test]
    fn a_key_reads_as_it_was_shown() {
        let counted: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        for (bytes, text) in [
            ([0; 32], "SWMKEY-1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            ([0xff; 32], "SWMKEY-1-//////////////////////////////////////////8"),
            (counted, "SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
        ] {
            assert_eq!(UnlockKey::new(&bytes).to_text().as_str(), text);
            let read = UnlockKey::parse(&format!(" {text}\n")).ok().unwrap();
            assert_eq!(read.expose(), &bytes);
        }
    }

    #[test]
    fn case_34_what_is_not_a_key_is_refused_with_one_text() {
        let key = UnlockKey::new(&[7; 32]).to_text();
        let huge = "A".repeat(10 << 20);
        let (short, long) = (key.trim_end_matches('c'), format!("{}A", key.as_str()));
        let (padded, lower) = (format!("{}=", key.as_str()), key.to_lowercase());
        // The same bytes in another text: the last two bits must be zeros.
        let loose = key.replace("Bwc", "Bwd");
        for text in
            ["", " ", "SWMKEY-1-", "SWMKEY-2-", "SWMTKN-1-a-b", short, &long, &padded, &lower]
                .into_iter()
                .chain([loose.as_str(), &huge])
        {
            assert_eq!(UnlockKey::parse(text).err(), Some(KeyTextError));
        }
        assert_eq!(KeyTextError.to_string(), "invalid key string");
    }

    #[test]
    fn case_34_only_the_same_bytes_are_equal() {
        let key = UnlockKey::new(&[7; 32]);
        assert!(key.equals(&[7; 32]));
        for at in 0..KEY_BYTES {
            let mut other = [7; 32];
            other[at] ^= 1;
            assert!(!key.equals(&other), "byte {at}");
        }
        // Differences that are alike do not cancel each other out.
        let mut other = [7; 32];
        (other[0], other[31]) = (6, 6);
        assert!(!key.equals(&other));
        assert!(!key.equals(&[7; 31]) && !key.equals(&[]));
    }
}
