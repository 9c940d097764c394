//! What this node proves itself with: its key, its certificate, the root bundle. One file under the disk
//! key, so that key and certificate change together or not at all.
//!
//! Body of the file: three parts (key, chain, roots), each length u32 | bytes.

use zeroize::Zeroizing;

use super::seal::{FileError, Form, open_file, seal_file};
use crate::tls::Credentials;

/// The file's name in the cluster's folder.
pub const NAME: &str = "identity";
const FORM: Form = Form { magic: b"COFFIDN1", version: 1 };

/// The bytes of the file. The nonce must be random.
pub fn to_file(credentials: &Credentials, disk_key: &[u8; 32], nonce: [u8; 24]) -> Vec<u8> {
    let parts =
        [credentials.key.as_slice(), credentials.chain.as_bytes(), credentials.roots.as_bytes()];
    let length = parts.iter().map(|part| 4 + part.len()).sum();
    let mut body = Zeroizing::new(Vec::with_capacity(length));
    for part in parts {
        let length = u32::try_from(part.len()).expect("keys and certificates are small");
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(part);
    }
    seal_file(FORM, disk_key, nonce, &[], &body)
}

/// Reads the file.
pub fn parse(disk_key: &[u8; 32], file: &[u8]) -> Result<Credentials, FileError> {
    let body = open_file(NAME, FORM, disk_key, &[], file)?;
    let content = || FileError::Content { file: NAME, offset: 40 };
    let mut rest = body.as_slice();
    let mut part = || -> Option<&[u8]> {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (part, after) = after.split_at_checked(length)?;
        rest = after;
        Some(part)
    };
    let (key, chain, roots) =
        (part().ok_or_else(content)?, part().ok_or_else(content)?, part().ok_or_else(content)?);
    if !rest.is_empty() {
        return Err(content());
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| content());
    Ok(Credentials { key: Zeroizing::new(key.to_vec()), chain: text(chain)?, roots: text(roots)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_reads_as_it_was_written_and_no_other_way() {
        let credentials = Credentials {
            key: Zeroizing::new(vec![1, 2, 3]),
            chain: "chain".into(),
            roots: "roots".into(),
        };
        let file = to_file(&credentials, &[1; 32], [2; 24]);
        crate::testing::assert_golden("identity", &file);
        let read = parse(&[1; 32], &file).ok().unwrap();
        assert_eq!(read.key.as_slice(), &[1, 2, 3]);
        assert_eq!((read.chain.as_str(), read.roots.as_str()), ("chain", "roots"));
        for at in 0..file.len() {
            let mut altered = file.clone();
            altered[at] ^= 1;
            assert!(parse(&[1; 32], &altered).is_err(), "byte {at}");
        }
    }
}
