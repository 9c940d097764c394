//! Standard base64 with padding, as JSON has a config's value.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Four letters for every three bytes begun.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.chunks(3).flat_map(letters).collect()
}

fn letters(chunk: &[u8]) -> [char; 4] {
    let byte = |at: usize| chunk.get(at).copied().map_or(0, usize::from);
    let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    // One byte fills two letters, two bytes fill three.
    let letter = |at: usize, shift: u32| {
        if at <= chunk.len() { char::from(LETTERS[bits >> shift & 63]) } else { '=' }
    };
    [letter(0, 18), letter(1, 12), letter(2, 6), letter(3, 0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_hold() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
            (b"\xfb\xff\xbf\0", "+/+/AA=="),
        ] {
            assert_eq!(encode(bytes), expected, "{bytes:?}");
        }
    }
}
