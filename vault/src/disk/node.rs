//! A manager's own record: which node of which cluster this disk belongs to, under the disk key.
//!
//! Body of the file: cluster ID 25 | node ID 25 | raft ID u64 | recovery epoch u32.

use vault_core::id::{ClusterId, NodeId};

use super::seal::{FileError, Form, array, open_file, seal_file};

/// The file's name in the cluster's folder.
pub const NAME: &str = "node";
const FORM: Form = Form { magic: b"COFFNOD1", version: 1 };
const BODY_BYTES: usize = 25 + 25 + 8 + 4;

/// Who this manager is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    pub cluster: ClusterId,
    pub node: NodeId,
    /// Never used twice in a cluster.
    pub raft_id: u64,
    /// Raised whenever a cluster is brought back from a backup or by force.
    pub recovery_epoch: u32,
}

impl Membership {
    /// What this manager's other files are sealed for.
    pub fn context(self) -> Vec<u8> {
        let mut context = Vec::with_capacity(50);
        context.extend_from_slice(self.cluster.object().as_bytes());
        context.extend_from_slice(self.node.object().as_bytes());
        context
    }

    /// The bytes of the record's file. The nonce must be random.
    pub fn to_file(self, disk_key: &[u8; 32], nonce: [u8; 24]) -> Vec<u8> {
        let mut body = self.context();
        body.extend_from_slice(&self.raft_id.to_le_bytes());
        body.extend_from_slice(&self.recovery_epoch.to_le_bytes());
        seal_file(FORM, disk_key, nonce, &[], &body)
    }

    /// Reads the record's file.
    pub fn parse(disk_key: &[u8; 32], file: &[u8]) -> Result<Self, FileError> {
        let body = open_file(NAME, FORM, disk_key, &[], file)?;
        let content = || FileError::Content { file: NAME, offset: 40 };
        if body.len() != BODY_BYTES {
            return Err(content());
        }
        let text = |at: usize| std::str::from_utf8(&body[at..at + 25]).map_err(|_| content());
        Ok(Self {
            cluster: ClusterId::parse(text(0)?).map_err(|_| content())?,
            node: NodeId::parse(text(25)?).map_err(|_| content())?,
            raft_id: u64::from_le_bytes(array(&body, 50)),
            recovery_epoch: u32::from_le_bytes(array(&body, 58)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_reads_as_it_was_written_and_no_other_way() {
        let membership = Membership {
            cluster: ClusterId::from_entropy([1; 17]),
            node: NodeId::from_entropy([2; 17]),
            raft_id: 1,
            recovery_epoch: 3,
        };
        let file = membership.to_file(&[1; 32], [2; 24]);
        crate::testing::assert_golden("node", &file);
        assert_eq!(Membership::parse(&[1; 32], &file), Ok(membership));
        for at in 0..file.len() {
            let mut altered = file.clone();
            altered[at] ^= 1;
            assert!(Membership::parse(&[1; 32], &altered).is_err(), "byte {at}");
        }
    }
}
