//! What a worker remembers of the cluster: where it is reached itself, should it be made a manager, and where the
//! managers were last. A folder with this file is a worker's.
//!
//! Body of the file: own address, count u16, then for each manager its node ID and its address; each text is
//! length u16 | bytes.

use super::seal::{FileError, Form, open_file, seal_file};
use crate::sessions::Peer;

/// The file's name in the cluster's folder.
pub const NAME: &str = "worker";
const FORM: Form = Form { magic: b"COFFWRK1", version: 1 };

/// What stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// "IP:PORT".
    pub own: String,
    pub managers: Vec<Peer>,
}

impl Known {
    /// The bytes of the file. The nonce must be random.
    pub fn to_file(&self, disk_key: &[u8; 32], context: &[u8], nonce: [u8; 24]) -> Vec<u8> {
        let mut body = Vec::new();
        put(&mut body, &self.own);
        let count = u16::try_from(self.managers.len()).expect("there are 64 at most");
        body.extend_from_slice(&count.to_le_bytes());
        for manager in &self.managers {
            put(&mut body, &manager.node_id);
            put(&mut body, &manager.addr);
        }
        seal_file(FORM, disk_key, nonce, context, &body)
    }

    /// Reads the file.
    pub fn parse(disk_key: &[u8; 32], context: &[u8], file: &[u8]) -> Result<Self, FileError> {
        let body = open_file(NAME, FORM, disk_key, context, file)?;
        Self::read(&body).ok_or(FileError::Content { file: NAME, offset: 40 })
    }

    fn read(body: &[u8]) -> Option<Self> {
        let (own, rest) = text(body)?;
        let (count, mut rest) = rest.split_first_chunk::<2>()?;
        let mut managers = Vec::new();
        for _ in 0..u16::from_le_bytes(*count) {
            let (node_id, after) = text(rest)?;
            let (addr, after) = text(after)?;
            managers.push(Peer { node_id, addr });
            rest = after;
        }
        rest.is_empty().then_some(Self { own, managers })
    }
}

fn put(body: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("IDs and addresses are short");
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(text.as_bytes());
}

fn text(body: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_knows_reads_as_it_was_written_and_no_other_way() {
        let manager = Peer { node_id: "n".into(), addr: "192.0.2.1:2377".into() };
        let known = Known { own: "192.0.2.9:2377".into(), managers: vec![manager] };
        let file = known.to_file(&[1; 32], b"node", [2; 24]);
        crate::testing::assert_golden("worker", &file);
        assert_eq!(Known::parse(&[1; 32], b"node", &file).as_ref(), Ok(&known));
        Known::parse(&[1; 32], b"another", &file).unwrap_err();
        for at in 0..file.len() {
            let mut altered = file.clone();
            altered[at] ^= 1;
            assert!(Known::parse(&[1; 32], b"node", &altered).is_err(), "byte {at}");
        }
    }
}
