//! Small files under a key: the keyring and a node's own record. One form for both.
//!
//! ```text
//! magic 8 | version u16 | reserved u16 = 0 | body length u32 | nonce 24 | body | tag 16
//! ```
//! Everything before the nonce, and the context, is authenticated along. Numbers are little-endian.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use vault_core::seal::wipe_stack;
use zeroize::Zeroizing;

const HEAD_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// What a file is, and the newest version of it that this program writes and reads.
#[derive(Clone, Copy)]
pub struct Form {
    pub magic: &'static [u8; 8],
    pub version: u16,
}

/// A stored file that cannot be used. Every variant says where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("{file}: {length} bytes, too short to be what it should be")]
    TooShort { file: &'static str, length: usize },
    #[error("{file}: offset 0: not a file of this kind")]
    OtherMagic { file: &'static str },
    #[error("{file}: offset 8: written in version {found}, this program reads up to {known}")]
    OtherVersion { file: &'static str, found: u16, known: u16 },
    #[error("{file}: offset {offset}: length or reserved bytes do not fit the file")]
    Length { file: &'static str, offset: usize },
    #[error("{file}: offset {offset}: does not open: damaged, or of another node")]
    DoesNotOpen { file: &'static str, offset: usize },
    #[error("{file}: offset {offset}: opened, but does not read as what it should be")]
    Content { file: &'static str, offset: usize },
}

/// Seals a body into the bytes of a file. The nonce must be random.
pub fn seal_file(
    form: Form,
    key: &[u8; 32],
    nonce: [u8; NONCE_BYTES],
    context: &[u8],
    body: &[u8],
) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEAD_BYTES + NONCE_BYTES + body.len() + TAG_BYTES);
    file.extend_from_slice(form.magic);
    file.extend_from_slice(&form.version.to_le_bytes());
    file.extend_from_slice(&[0, 0]);
    let length = u32::try_from(body.len()).expect("these files are a few kilobytes long");
    file.extend_from_slice(&length.to_le_bytes());
    let data = [file.as_slice(), context].concat();
    file.extend_from_slice(&nonce);
    let start = file.len();
    file.extend_from_slice(body);
    let tag = encrypt(key, nonce, &data, &mut file[start..]);
    wipe_stack();
    file.extend_from_slice(&tag);
    file
}

/// Never a part of its caller, whose own frame `wipe_stack` does not reach.
#[inline(never)]
fn encrypt(key: &[u8; 32], nonce: [u8; NONCE_BYTES], data: &[u8], body: &mut [u8]) -> Tag {
    XChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(&XNonce::from(nonce), data, body.into())
        .expect("the body is far below the cipher's limit")
}

/// Opens the bytes of a file. `name` is for the error.
pub fn open_file(
    name: &'static str,
    form: Form,
    key: &[u8; 32],
    context: &[u8],
    file: &[u8],
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let body = checked_body(name, form, file)?;
    let (head, rest) = file.split_at(HEAD_BYTES);
    let nonce: [u8; NONCE_BYTES] = array(rest, 0);
    let tag: [u8; TAG_BYTES] = array(file, file.len() - TAG_BYTES);
    let mut opened = Zeroizing::new(body.to_vec());
    let data = [head, context].concat();
    let is_open = decrypt(key, nonce, &data, Tag::from(tag), &mut opened);
    wipe_stack();
    if is_open {
        Ok(opened)
    } else {
        Err(FileError::DoesNotOpen { file: name, offset: HEAD_BYTES })
    }
}

/// As `encrypt`, for the same reason.
#[inline(never)]
fn decrypt(
    key: &[u8; 32],
    nonce: [u8; NONCE_BYTES],
    data: &[u8],
    tag: Tag,
    body: &mut [u8],
) -> bool {
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt_inout_detached(&XNonce::from(nonce), data, body.into(), &tag).is_ok()
}

/// The part between nonce and tag, once the head fits the file.
fn checked_body<'a>(name: &'static str, form: Form, file: &'a [u8]) -> Result<&'a [u8], FileError> {
    let frame = HEAD_BYTES + NONCE_BYTES + TAG_BYTES;
    if file.len() < frame {
        return Err(FileError::TooShort { file: name, length: file.len() });
    }
    if file[..8] != *form.magic {
        return Err(FileError::OtherMagic { file: name });
    }
    let found = u16::from_le_bytes(array(file, 8));
    if found != form.version {
        return Err(FileError::OtherVersion { file: name, found, known: form.version });
    }
    if file[10..12] != [0, 0] {
        return Err(FileError::Length { file: name, offset: 10 });
    }
    let length = u32::from_le_bytes(array(file, 12));
    if usize::try_from(length).ok() != Some(file.len() - frame) {
        return Err(FileError::Length { file: name, offset: 12 });
    }
    Ok(&file[HEAD_BYTES + NONCE_BYTES..file.len() - TAG_BYTES])
}

/// `N` bytes from `at` on. The caller has checked that they are there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|part| part.try_into().ok()).expect("the length was checked")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form { magic: b"COFFTEST", version: 1 };

    fn open(file: &[u8]) -> Result<Vec<u8>, FileError> {
        open_file("test", FORM, &[1; 32], b"here", file).map(|body| body.to_vec())
    }

    #[test]
    fn any_flipped_or_missing_byte_is_refused_with_the_files_name() {
        let file = seal_file(FORM, &[1; 32], [2; 24], b"here", b"some body");
        crate::testing::assert_golden("sealed-file", &file);
        assert_eq!(open(&file).unwrap(), b"some body");
        for at in 0..file.len() {
            let mut altered = file.clone();
            altered[at] ^= 0x10;
            assert!(open(&altered).unwrap_err().to_string().starts_with("test: "), "byte {at}");
            assert!(open(&file[..at]).is_err(), "cut at {at}");
        }
        assert!(open(&[file.as_slice(), &[0]].concat()).is_err(), "one byte more");
    }

    #[test]
    fn another_key_or_context_opens_nothing() {
        let file = seal_file(FORM, &[1; 32], [2; 24], b"here", b"some body");
        let refused = Err(FileError::DoesNotOpen { file: "test", offset: HEAD_BYTES });
        assert_eq!(open_file("test", FORM, &[2; 32], b"here", &file), refused);
        assert_eq!(open_file("test", FORM, &[1; 32], b"there", &file), refused);
    }
}
