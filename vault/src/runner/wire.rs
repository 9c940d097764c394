//! The bytes that the runner's processes exchange: numbers, byte strings and lists, little-endian,
//! lengths first. It knows no message; it refuses whatever does not fit.

use thiserror::Error;

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("message ends early")]
    Truncated,
    #[error("message has {0} bytes too many")]
    TooLong(usize),
    #[error("message has an unknown tag {0}")]
    UnknownTag(u8),
    #[error("message has a text that is not UTF-8")]
    NotUtf8,
}

#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn tagged(tag: u8) -> Self {
        Self(vec![tag])
    }

    pub(super) fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn i32(mut self, value: i32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn bytes(self, value: &[u8]) -> Self {
        let mut longer = self.length(value.len());
        longer.0.extend(value);
        longer
    }

    pub(super) fn list<'a>(self, items: impl ExactSizeIterator<Item = &'a [u8]>) -> Self {
        let counted = self.length(items.len());
        items.fold(counted, Self::bytes)
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn length(self, length: usize) -> Self {
        self.u32(u32::try_from(length).expect("the sender's bound is below 4 GiB"))
    }
}

pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.u32()?).map_err(|_| DecodeError::Truncated)?;
        let (value, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(value)
    }

    pub(super) fn text(&mut self) -> Result<String, DecodeError> {
        let bytes = self.bytes()?;
        str::from_utf8(bytes).map(String::from).map_err(|_| DecodeError::NotUtf8)
    }

    /// Reads a list. Nothing is reserved by the count that was sent: a lying one meets the end of
    /// the bytes.
    pub(super) fn list<T>(
        &mut self,
        item: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.u32()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub(super) fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::TooLong(self.0.len())) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (value, rest) = self.0.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let items: [&[u8]; 3] = [b"a", b"", b"\xff\0"];
        let bytes = Writer::tagged(7)
            .u32(1)
            .i32(-2)
            .u64(u64::MAX)
            .bytes(b"text")
            .list(items.into_iter())
            .finish();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.byte(), Ok(7));
        assert_eq!(reader.u32(), Ok(1));
        assert_eq!(reader.i32(), Ok(-2));
        assert_eq!(reader.u64(), Ok(u64::MAX));
        assert_eq!(reader.text(), Ok("text".to_owned()));
        let list = reader.list(|r| r.bytes().map(<[u8]>::to_vec));
        assert_eq!(list, Ok(items.map(<[u8]>::to_vec).to_vec()));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn case_31_a_length_beyond_the_end_is_refused() {
        let bytes = Writer::default().u32(u32::MAX).byte(1).finish();
        assert_eq!(Reader::new(&bytes).bytes(), Err(DecodeError::Truncated));
        let list = Reader::new(&bytes).list(Reader::byte);
        assert_eq!(list, Err(DecodeError::Truncated));
    }

    #[test]
    fn case_52_a_text_that_is_not_utf_8_is_refused() {
        let bytes = Writer::default().bytes(b"\xff").finish();
        assert_eq!(Reader::new(&bytes).text(), Err(DecodeError::NotUtf8));
    }
}
