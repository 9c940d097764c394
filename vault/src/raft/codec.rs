//! Entries and snapshot records as bytes: ours to protobuf and back. What is read is checked, down to
//! names and IDs; an unknown action stops the node rather than being skipped.

mod backup;
mod command;
mod node;
mod object;
mod outcome;
mod root;
mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prost::Message;
use prost::bytes::Buf;
use proto::bound::{self, BoundError};
use proto::stored;
use vault_core::feature::Level;
use vault_core::id::IdError;
use vault_core::labels::LabelsError;
use vault_core::name::{NameError, TargetError};
use vault_core::seal::KeyDigest;
use vault_core::versioned::{VersionLabelError, VersionLimitError};

use super::types::{Member, Membership, Payload, Proposal};

pub(super) use command::{from_stored as command_from, to_stored as command_to};
pub(super) use object::{record_of, records_of, restore, start_of};
pub(super) use outcome::{outcome_from, outcome_to};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Stored bytes that do not read as what they should be.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("not what is stored")]
    Bound(#[from] BoundError),
    #[error("{field} is missing")]
    Missing { field: &'static str },
    #[error("{field} is out of its range")]
    Range { field: &'static str },
    #[error(
        "cofferd {VERSION} does not know what stands there: a newer version wrote it. Run the version that the other managers run, or a newer one, on this node"
    )]
    UnknownAction,
    #[error(
        "it needs feature level {needed}{}; this is cofferd {VERSION}, which knows {known}. Run the newer version on this node",
        known_to(.version)
    )]
    NewerLevel { needed: Level, known: Level, version: String },
    #[error("id")]
    Id(#[from] IdError),
    #[error("name")]
    Name(#[from] NameError),
    #[error("target")]
    Target(#[from] TargetError),
    #[error("labels")]
    Labels(#[from] LabelsError),
    #[error("label of a version")]
    VersionLabel(#[from] VersionLabelError),
    #[error("version limit")]
    VersionLimit(#[from] VersionLimitError),
}

/// Who knows the level, if it was told.
fn known_to(version: &str) -> String {
    if version.is_empty() { String::new() } else { format!(" of cofferd {version}") }
}

/// A level as it is stored: the first one is not written, so that older bytes mean the same.
fn level_to(level: Level) -> u32 {
    if level == Level::FIRST { 0 } else { level.0 }
}

/// Takes a level that this program knows; `version` knows it in any case.
fn level_from(stored: u32, version: &str, known: Level) -> Result<Level, CodecError> {
    let needed = Level(stored).max(Level::FIRST);
    if needed > known {
        return Err(CodecError::NewerLevel { needed, known, version: version.to_owned() });
    }
    Ok(needed)
}

/// Absent, or the digest of a data key.
pub(super) fn digest_to(digest: Option<KeyDigest>) -> Vec<u8> {
    digest.map_or_else(Vec::new, |KeyDigest(digest)| digest.to_vec())
}

fn digest_from(bytes: &[u8]) -> Result<Option<KeyDigest>, CodecError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let digest = bytes.try_into().map_err(|_| CodecError::Range { field: "digest" })?;
    Ok(Some(KeyDigest(digest)))
}

/// The value of a field that must be there.
fn needed<T>(field: &'static str, value: Option<T>) -> Result<T, CodecError> {
    value.ok_or(CodecError::Missing { field })
}

/// An entry's payload as bytes.
pub(super) fn encode_payload(payload: &Payload) -> Vec<u8> {
    let payload = match payload {
        Payload::Blank => stored::entry::Payload::Blank(stored::Blank {}),
        Payload::Normal(Proposal(command)) => {
            stored::entry::Payload::Command(command::to_stored(command))
        }
        Payload::Membership(membership) => {
            stored::entry::Payload::Membership(membership_to(membership))
        }
    };
    stored::Entry { payload: Some(payload) }.encode_to_vec()
}

/// Reads an entry's payload.
pub(super) fn decode_payload(bytes: impl Buf) -> Result<Payload, CodecError> {
    decode_payload_up_to(Level::known(), bytes)
}

/// The same, of a program that knows this level.
fn decode_payload_up_to(known: Level, bytes: impl Buf) -> Result<Payload, CodecError> {
    let entry: stored::Entry = bound::decode_stored(bytes)?;
    Ok(match entry.payload.ok_or(CodecError::UnknownAction)? {
        stored::entry::Payload::Blank(_) => Payload::Blank,
        stored::entry::Payload::Command(command) => {
            Payload::Normal(Proposal(Arc::new(command::from_stored(command, known)?)))
        }
        stored::entry::Payload::Membership(membership) => {
            Payload::Membership(membership_from(Some(membership))?)
        }
    })
}

pub(super) fn membership_to(membership: &Membership) -> stored::Membership {
    let configs = membership.get_joint_config().iter();
    let members = membership.nodes().map(|(id, member)| {
        let Member { node_id, addr } = member.clone();
        (*id, stored::Member { node_id, addr })
    });
    stored::Membership {
        configs: configs
            .map(|ids| stored::VoterSet { ids: ids.iter().copied().collect() })
            .collect(),
        members: members.collect(),
    }
}

pub(super) fn membership_from(
    membership: Option<stored::Membership>,
) -> Result<Membership, CodecError> {
    let membership = needed("membership", membership)?;
    let configs = membership.configs.into_iter();
    let configs = configs.map(|set| set.ids.into_iter().collect::<BTreeSet<_>>()).collect();
    let members = membership.members.into_iter().map(|(id, member)| {
        let stored::Member { node_id, addr } = member;
        (id, Member { node_id, addr })
    });
    let members: BTreeMap<u64, Member> = members.collect();
    Membership::new(configs, members).map_err(|_| CodecError::Range { field: "membership" })
}

#[cfg(test)]
pub(super) mod tests;
