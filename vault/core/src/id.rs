//! The IDs of objects: 25 characters of base 36, made from entropy that the caller brings.

use std::fmt;

/// Bytes of entropy that one ID takes.
pub const ENTROPY_BYTES: usize = 17;
const LEN: usize = 25;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Text that is no ID.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an ID has 25 characters of 0-9 and a-z")]
pub struct IdError;

/// The ID of any object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; LEN]);

impl ObjectId {
    /// Makes an ID of about 129 bits: the entropy with its top bit set, in base 36, without its first
    /// digit (which that bit made predictable).
    pub fn from_entropy(mut entropy: [u8; ENTROPY_BYTES]) -> Self {
        if let Some(first) = entropy.first_mut() {
            *first |= 0x80;
        }
        let mut limbs = [0_u32; 5];
        let (first, rest) = entropy.split_first().map_or((0, &[][..]), |(f, rest)| (*f, rest));
        let words = rest.as_chunks().0.iter().map(|word| u32::from_be_bytes(*word));
        for (limb, word) in limbs.iter_mut().zip([u32::from(first)].into_iter().chain(words)) {
            *limb = word;
        }
        // 136 bits with the top bit set have 27 digits; the last 25 of the first 26 are kept.
        let mut digits = [0_u8; 27];
        for five in digits.rchunks_mut(5) {
            let mut rest = divide(&mut limbs);
            for digit in five.iter_mut().rev() {
                *digit = u8::try_from(rest.wrapping_rem(36)).unwrap_or_default();
                rest = rest.wrapping_div(36);
            }
        }
        let mut text = [0_u8; LEN];
        for (place, digit) in text.iter_mut().zip(digits.iter().skip(1)) {
            *place = DIGITS.get(usize::from(*digit)).copied().unwrap_or(b'0');
        }
        Self(text)
    }

    /// Takes text that is exactly an ID.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let bytes: [u8; LEN] = text.as_bytes().try_into().map_err(|_| IdError)?;
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z');
        if bytes.iter().all(is_digit) { Ok(Self(bytes)) } else { Err(IdError) }
    }

    /// The ID as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The ID as the bytes that are sealed along with a value.
    pub fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }

    /// Not above any ID: where a search starts.
    pub(crate) const LEAST: Self = Self([b'0'; LEN]);

    /// The smallest ID with this prefix.
    pub(crate) fn first_with_prefix(prefix: &str) -> Option<Self> {
        let mut text = [b'0'; LEN];
        text.get_mut(..prefix.len())?.copy_from_slice(prefix.as_bytes());
        Some(Self(text))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Divides the number, its highest limb first, by the fifth power of 36, in place. Returns what is left
/// over: five digits.
fn divide(number: &mut [u32; 5]) -> u64 {
    const FIVE_DIGITS: u64 = 36_u64.pow(5);
    let mut rest = 0_u64;
    for limb in number {
        // Below 36^5 * 2^32, so no step can overflow, and the quotient fits a limb.
        let value = rest.wrapping_shl(32) | u64::from(*limb);
        *limb = u32::try_from(value.wrapping_div(FIVE_DIGITS)).unwrap_or(u32::MAX);
        rest = value.wrapping_rem(FIVE_DIGITS);
    }
    rest
}

/// An ID that says what it is the ID of.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ObjectId);

        impl $name {
            /// See `ObjectId::from_entropy`.
            pub fn from_entropy(entropy: [u8; ENTROPY_BYTES]) -> Self {
                Self(ObjectId::from_entropy(entropy))
            }
            /// Takes text that is exactly an ID.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                ObjectId::parse(text).map(Self)
            }
            /// The ID as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
            /// The ID without what it is of.
            pub fn object(self) -> ObjectId {
                self.0
            }
        }

        impl From<ObjectId> for $name {
            fn from(id: ObjectId) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.as_str())
            }
        }
    };
}

id_type!(
    /// The ID of a cluster.
    ClusterId
);
id_type!(
    /// The ID of a node.
    NodeId
);
id_type!(
    /// The ID of a service.
    ServiceId
);
id_type!(
    /// The ID of a task.
    TaskId
);
id_type!(
    /// The ID of a join token.
    TokenId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_becomes_25_characters_of_base_36() {
        let mut counting = [0_u8; ENTROPY_BYTES];
        for (place, value) in counting.iter_mut().zip(0_u8..) {
            *place = value;
        }
        for (entropy, expected) in [
            ([0_u8; ENTROPY_BYTES], "hvy0lj3x0b883f8e30fyp2172"),
            ([0xff; ENTROPY_BYTES], "zrw1727u0mgg6ugs60vxe42e4"),
            (counting, "hw05xdvcpbrfi4jekqvbjy4b2"),
        ] {
            let id = ObjectId::from_entropy(entropy);
            assert_eq!(id.as_str(), expected, "{entropy:?}");
            assert_eq!(ObjectId::parse(id.as_str()), Ok(id));
        }
    }

    #[test]
    fn text_of_another_form_is_no_id() {
        for text in ["", "abc", "ABCDEFGHIJKLMNOPQRSTUVWXY", "0123456789abcdefghijklmn\u{e4}"] {
            assert_eq!(ObjectId::parse(text), Err(IdError), "{text}");
        }
    }

    #[test]
    fn an_id_is_shown_as_its_text_and_no_id_is_below_the_least() {
        let id = ObjectId::from_entropy([0; ENTROPY_BYTES]);
        let text = "hvy0lj3x0b883f8e30fyp2172";
        let node = NodeId::parse(text).unwrap();
        assert_eq!(node, NodeId::from_entropy([0; ENTROPY_BYTES]));
        assert_eq!((node.object(), NodeId::from(id)), (id, node));
        assert_eq!([id.to_string(), format!("{id:?}"), node.to_string()], [text; 3]);
        assert_eq!((node.as_str(), id.as_bytes().as_slice()), (text, text.as_bytes()));
        assert_eq!(ObjectId::LEAST.as_str(), "0".repeat(25));
    }

    #[test]
    fn a_search_starts_at_the_smallest_id_with_a_prefix() {
        for (prefix, first) in [
            ("", Some("0000000000000000000000000")),
            ("ab", Some("ab00000000000000000000000")),
            ("abcdefghijklmnopqrstuvwxy", Some("abcdefghijklmnopqrstuvwxy")),
            ("abcdefghijklmnopqrstuvwxyz", None),
        ] {
            let found = ObjectId::first_with_prefix(prefix);
            assert_eq!(found.as_ref().map(ObjectId::as_str), first, "{prefix}");
        }
    }
}
