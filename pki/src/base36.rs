//! Numbers of many bytes in base 36, of a fixed number of digits. The form of Swarm's tokens.

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Writes a big-endian number with exactly `width` digits. The number must fit.
pub(crate) fn format(number: &[u8], width: usize) -> String {
    let mut number = number.to_vec();
    let mut digits = vec![b'0'; width];
    for place in digits.iter_mut().rev() {
        let digit = divide(&mut number);
        *place = DIGITS.get(usize::from(digit)).copied().unwrap_or(b'0');
    }
    number.fill(0);
    digits.into_iter().map(char::from).collect()
}

/// Reads digits into a big-endian number of exactly `N` bytes; `None` for other characters or a number
/// that does not fit.
pub(crate) fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut number = [0_u8; N];
    for byte in text.bytes() {
        let digit = DIGITS.iter().position(|known| *known == byte)?;
        let mut carry = u16::try_from(digit).ok()?;
        for place in number.iter_mut().rev() {
            // At most 255 * 36 + 255.
            let value = u16::from(*place).wrapping_mul(36).wrapping_add(carry);
            *place = u8::try_from(value & 0xff).ok()?;
            carry = value.wrapping_shr(8);
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

/// Divides in place by 36 and returns what is left over.
fn divide(number: &mut [u8]) -> u8 {
    let mut rest = 0_u16;
    for byte in number {
        let value = rest.wrapping_shl(8) | u16::from(*byte);
        *byte = u8::try_from(value.wrapping_div(36)).unwrap_or(u8::MAX);
        rest = value.wrapping_rem(36);
    }
    u8::try_from(rest).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_what_does_not_fit_is_refused() {
        for (number, text) in [([0, 0], "0000"), ([0, 35], "000z"), ([255, 255], "1ekf")] {
            assert_eq!(format(&number, 4), text);
            assert_eq!(parse::<2>(text), Some(number));
        }
        for text in ["1ekg", "zzzz", "A000", "00 0", "-"] {
            assert_eq!(parse::<2>(text), None, "{text}");
        }
    }
}
