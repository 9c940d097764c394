//! The order of names in lists: digits compare as numbers, so that `key-9` precedes `key-10`.

use std::cmp::Ordering;

/// Compares two names piece by piece.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        let (left_digits, left_rest) = split_digits(left);
        let (right_digits, right_rest) = split_digits(right);
        if !left_digits.is_empty() && !right_digits.is_empty() {
            match compare_numbers(left_digits, right_digits) {
                Ordering::Equal => (left, right) = (left_rest, right_rest),
                unequal => return unequal,
            }
            continue;
        }
        match (left.split_first(), right.split_first()) {
            (Some((a, left_tail)), Some((b, right_tail))) if a == b => {
                (left, right) = (left_tail, right_tail);
            }
            (a, b) => return a.map(|(byte, _)| byte).cmp(&b.map(|(byte, _)| byte)),
        }
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at(count)
}

/// Of equal numbers, the one with fewer leading zeros comes first.
fn compare_numbers(left: &[u8], right: &[u8]) -> Ordering {
    let (a, b) = (without_zeros(left), without_zeros(right));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b)).then_with(|| left.len().cmp(&right.len()))
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.split_at(zeros).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_by_the_numbers_in_them() {
        for pair in [
            ("", "a"),
            ("a", "b"),
            ("a", "a1"),
            ("a1", "a2"),
            ("a2", "a10"),
            ("a10b1", "a10b2"),
            ("a9z", "a10"),
            ("a0", "a00"),
            ("a1", "a01"),
            ("a01", "a2"),
            ("1", "a"),
            ("a-1", "a1"),
            ("x99999999999999999999998", "x99999999999999999999999"),
        ] {
            assert_eq!(compare(pair.0, pair.1), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair.1, pair.0), Ordering::Greater, "{pair:?} turned");
        }
    }

    #[test]
    fn a_name_equals_itself() {
        for name in ["", "a", "a10b", "007"] {
            assert_eq!(compare(name, name), Ordering::Equal, "{name:?}");
        }
    }
}
