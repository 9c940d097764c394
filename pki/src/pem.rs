//! PEM, read strictly: blocks of one kind, nothing around them but blank lines, no headers, canonical base64.

/// Text that is not the PEM that was expected. Tells the line, never what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    #[error("line {line}: expected the begin of a block of the right kind")]
    Outside { line: usize },
    #[error("line {line}: expected base64 without headers")]
    Base64 { line: usize },
    #[error("the last block has no end")]
    Unended,
    #[error("there is no block")]
    Empty,
}

const CERTIFICATE: &str = "CERTIFICATE";
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// What each byte stands for as a digit.
const VALUES: [Option<u8>; 256] = values();

/// The certificates of a bundle, in DER: one at least. Line ends may be of either kind.
pub fn pem_to_der(pem: &str) -> Result<Vec<Vec<u8>>, PemError> {
    blocks(pem, CERTIFICATE)
}

/// The bodies of all blocks, which are of one kind.
pub(crate) fn blocks(pem: &str, kind: &str) -> Result<Vec<Vec<u8>>, PemError> {
    let (begin, end) = (format!("-----BEGIN {kind}-----"), format!("-----END {kind}-----"));
    let (mut bodies, mut open) = (Vec::new(), None::<String>);
    for (line, text) in (1..).zip(pem.lines()) {
        open = match open {
            None if text.is_empty() => None,
            None if text == begin => Some(String::new()),
            None => return Err(PemError::Outside { line }),
            Some(digits) if text == end => {
                bodies.push(decode(&digits).ok_or(PemError::Base64 { line })?);
                None
            }
            Some(digits) if is_base64(text) => Some(digits + text),
            Some(_) => return Err(PemError::Base64 { line }),
        };
    }
    match (open, bodies.is_empty()) {
        (Some(_), _) => Err(PemError::Unended),
        (None, true) => Err(PemError::Empty),
        (None, false) => Ok(bodies),
    }
}

#[expect(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler alone: a mistake does not build"
)]
const fn values() -> [Option<u8>; 256] {
    let mut values = [None; 256];
    let mut value = 0_u8;
    while value < 64 {
        values[DIGITS[value as usize] as usize] = Some(value);
        value += 1;
    }
    values
}

fn value_of(digit: u8) -> Option<u8> {
    VALUES.get(usize::from(digit)).copied().flatten()
}

fn is_base64(line: &str) -> bool {
    line.bytes().all(|byte| byte == b'=' || value_of(byte).is_some())
}

/// Canonical base64 alone: padded, and what is padded with is zero.
fn decode(digits: &str) -> Option<Vec<u8>> {
    let (groups, rest) = digits.as_bytes().as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(groups.len().saturating_mul(3));
    let mut is_over = false;
    for group in groups {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        if is_over || padding > 2 {
            return None;
        }
        is_over = padding > 0;
        let mut number = 0_u32;
        for byte in group.iter().take(4_usize.checked_sub(padding)?) {
            number = number.wrapping_shl(6) | u32::from(value_of(*byte)?);
        }
        number = number.wrapping_shl(u32::try_from(padding).ok()?.wrapping_mul(6));
        let [_, three @ ..] = number.to_be_bytes();
        let (kept, dropped) = three.split_at_checked(3_usize.checked_sub(padding)?)?;
        if dropped.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(body: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn blocks_are_read_in_order() {
        let both = format!("\n{}\n{}", block("AAEC\n/w=="), block("//8="));
        assert_eq!(pem_to_der(&both).unwrap(), [vec![0, 1, 2, 255], vec![255, 255]]);
        assert_eq!(pem_to_der(&both.replace('\n', "\r\n")), pem_to_der(&both));
        assert_eq!(pem_to_der(both.trim_end()), pem_to_der(&both));
    }

    #[test]
    fn anything_but_blocks_of_the_kind_is_refused() {
        let base64 = |line| Err(PemError::Base64 { line });
        let outside = |line| Err(PemError::Outside { line });
        for (text, expected) in [
            (String::new(), Err(PemError::Empty)),
            ("\n\n".to_owned(), Err(PemError::Empty)),
            ("text".to_owned(), outside(1)),
            (format!("text\n{}", block("AAEC")), outside(1)),
            (format!("{}text", block("AAEC")), outside(4)),
            (format!(" {}", block("AAEC")), outside(1)),
            (block("AAEC").replace("CERTIFICATE", "PRIVATE KEY"), outside(1)),
            (block("AAEC").replace("END CERT", "END A CERT"), base64(3)),
            ("-----BEGIN CERTIFICATE-----\nAAEC\n".to_owned(), Err(PemError::Unended)),
            (block("Proc-Type: 4,ENCRYPTED\n\nAAEC"), base64(2)),
            (block("AAEC "), base64(2)),
            (block("AAE"), base64(3)),
            (block("AA=="), Ok(vec![vec![0]])),
            (block("AB=="), base64(3)),
            (block("AAF="), base64(3)),
            (block("A==="), base64(3)),
            (block("===="), base64(3)),
            (block("AA=A"), base64(3)),
            (block("AA==AAEC"), base64(3)),
        ] {
            assert_eq!(pem_to_der(&text), expected, "{text:?}");
        }
    }
}
