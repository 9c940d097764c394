//! Remembered answers: outcomes and refusals.

use proto::stored::{self, outcome::Outcome as Stored, refusal::Refusal as StoredRefusal};
use vault_core::command::{HolderName, ObjectKind, Outcome, Refusal};
use vault_core::id::{NodeId, ObjectId, TokenId};
use vault_core::name::SecretName;
use vault_core::versioned::VersionRef;

use super::{CodecError, needed, root, token};

pub(in crate::raft) fn outcome_to(outcome: &Outcome) -> stored::Outcome {
    let outcome = match outcome {
        Outcome::Done => Stored::Done(stored::Blank {}),
        Outcome::Created(ids) => {
            Stored::Created(stored::Names { names: ids.iter().map(ObjectId::to_string).collect() })
        }
        Outcome::Rotated(versions) => {
            let one = |(id, number): &(ObjectId, u32)| stored::RotatedOne {
                id: id.to_string(),
                number: *number,
            };
            Stored::Rotated(stored::Rotated { versions: versions.iter().map(one).collect() })
        }
        Outcome::Refused(refusal) => Stored::Refused(refusal_to(refusal)),
    };
    stored::Outcome { outcome: Some(outcome) }
}

pub(in crate::raft) fn outcome_from(
    outcome: Option<stored::Outcome>,
) -> Result<Outcome, CodecError> {
    let outcome = needed("outcome", outcome)?.outcome.ok_or(CodecError::UnknownAction)?;
    Ok(match outcome {
        Stored::Done(_) => Outcome::Done,
        Stored::Created(ids) => {
            let ids = ids.names.iter().map(|id| ObjectId::parse(id));
            Outcome::Created(ids.collect::<Result<_, _>>()?)
        }
        Stored::Rotated(rotated) => {
            let one = |one: stored::RotatedOne| Ok((ObjectId::parse(&one.id)?, one.number));
            let versions: Result<_, CodecError> = rotated.versions.into_iter().map(one).collect();
            Outcome::Rotated(versions?)
        }
        Stored::Refused(refusal) => Outcome::Refused(refusal_from(refusal)?),
    })
}

/// Kinds of objects, with their numbers on disk.
const KINDS: [(ObjectKind, u32); 6] = [
    (ObjectKind::Secret, 0),
    (ObjectKind::Service, 1),
    (ObjectKind::Config, 2),
    (ObjectKind::Node, 3),
    (ObjectKind::Cluster, 4),
    (ObjectKind::Token, 5),
];

fn kind_to(kind: ObjectKind) -> u32 {
    let found = KINDS.into_iter().find(|(known, _)| *known == kind);
    found.expect("every kind has a number").1
}

fn kind_from(number: u32) -> Result<ObjectKind, CodecError> {
    let found = KINDS.into_iter().find(|(_, known)| *known == number);
    found.map(|(kind, _)| kind).ok_or(CodecError::Range { field: "object kind" })
}

fn object_to(kind: ObjectKind, text: &str, matches: usize) -> stored::ObjectRefusal {
    let matches = u64::try_from(matches).expect("sizes fit in 64 bits");
    stored::ObjectRefusal { kind: kind_to(kind), text: text.to_owned(), matches }
}

fn version_to(
    kind: ObjectKind,
    name: &SecretName,
    version: impl ToString,
    why: &str,
) -> stored::VersionRefusal {
    let (name, version) = (name.to_string(), version.to_string());
    stored::VersionRefusal { kind: kind_to(kind), name, version, why: why.to_owned() }
}

fn refusal_to(refusal: &Refusal) -> stored::Refusal {
    let refusal = match refusal {
        Refusal::ClusterExists => StoredRefusal::ClusterExists(stored::Blank {}),
        Refusal::NoCluster => StoredRefusal::NoCluster(stored::Blank {}),
        Refusal::OutOfSequence => StoredRefusal::OutOfSequence(stored::Blank {}),
        Refusal::OldKey => StoredRefusal::OldKey(stored::Blank {}),
        Refusal::TokenChanges => StoredRefusal::TokenChanges(stored::Blank {}),
        Refusal::NumberTaken => StoredRefusal::NumberTaken(stored::Blank {}),
        Refusal::NameTaken { kind, name } => StoredRefusal::NameTaken(object_to(*kind, name, 0)),
        Refusal::NotFound { kind, reference } => {
            StoredRefusal::NotFound(object_to(*kind, reference, 0))
        }
        Refusal::Ambiguous { kind, reference, matches } => {
            StoredRefusal::Ambiguous(object_to(*kind, reference, *matches))
        }
        Refusal::InUse { kind, name, services } => StoredRefusal::InUse(stored::InUse {
            kind: kind_to(*kind),
            name: name.to_string(),
            services: services.clone(),
        }),
        Refusal::GrantedSecretsMissing { names } => {
            StoredRefusal::GrantedSecretsMissing(stored::Names { names: names.clone() })
        }
        Refusal::NoVersion { kind, name, version } => {
            StoredRefusal::NoVersion(version_to(*kind, name, version, ""))
        }
        Refusal::NoPrevious { kind, name } => {
            StoredRefusal::NoPrevious(version_to(*kind, name, "", ""))
        }
        Refusal::VersionNeeded { kind, name, number, why } => {
            StoredRefusal::VersionNeeded(version_to(*kind, name, number, why))
        }
        Refusal::VersionHeld { kind, name, number, holders, others } => {
            let holder = |one: &HolderName| stored::HolderName {
                service: one.service.clone(),
                tasks: one.tasks,
            };
            let (kind, name) = (kind_to(*kind), name.to_string());
            let (number, others) = (*number, *others);
            let holders = holders.iter().map(holder).collect();
            StoredRefusal::VersionHeld(stored::HeldRefusal { kind, name, number, holders, others })
        }
        Refusal::LabelsTooMany { kind, name } => {
            StoredRefusal::LabelsTooMany(version_to(*kind, name, "", ""))
        }
        Refusal::NamedTwice { kind, name } => {
            StoredRefusal::NamedTwice(version_to(*kind, name, "", ""))
        }
        Refusal::LastManager => StoredRefusal::LastManager(stored::Blank {}),
        Refusal::NodeIsManager { id } => StoredRefusal::NodeIsManager(id.to_string()),
        Refusal::NodeIsNotDown { id } => StoredRefusal::NodeIsNotDown(id.to_string()),
        Refusal::NodesTooMany { max } => {
            StoredRefusal::NodesTooMany(u64::try_from(*max).expect("sizes fit in 64 bits"))
        }
        Refusal::QuorumLoss => StoredRefusal::QuorumLoss(stored::Blank {}),
        Refusal::NoLabel { key } => StoredRefusal::NoLabel(key.clone()),
        Refusal::RoleChanged { id } => StoredRefusal::RoleChanged(id.to_string()),
        Refusal::KeyTaken => StoredRefusal::KeyTaken(stored::Blank {}),
        Refusal::TokenWorthless { id, standing } => {
            StoredRefusal::TokenWorthless(token::refusal_to(*id, *standing))
        }
        Refusal::TokensTooMany { max } => {
            StoredRefusal::TokensTooMany(u64::try_from(*max).expect("sizes fit in 64 bits"))
        }
        Refusal::NodeIsEngine { id } => StoredRefusal::NodeIsEngine(id.to_string()),
        Refusal::KeyEnded { id } => StoredRefusal::KeyEnded(id.to_string()),
        Refusal::Root(refusal) => StoredRefusal::Root(root::refusal_to(*refusal)),
    };
    stored::Refusal { refusal: Some(refusal) }
}

fn size_from(field: &'static str, stored: u64) -> Result<usize, CodecError> {
    usize::try_from(stored).map_err(|_| CodecError::Range { field })
}

fn held_from(held: stored::HeldRefusal) -> Result<Refusal, CodecError> {
    let holder = |one: stored::HolderName| {
        let stored::HolderName { service, tasks } = one;
        HolderName { service, tasks }
    };
    Ok(Refusal::VersionHeld {
        kind: kind_from(held.kind)?,
        name: SecretName::parse(&held.name)?,
        number: held.number,
        holders: held.holders.into_iter().map(holder).collect(),
        others: held.others,
    })
}

fn refusal_from(refusal: stored::Refusal) -> Result<Refusal, CodecError> {
    let name = |text: &str| SecretName::parse(text);
    Ok(match refusal.refusal.ok_or(CodecError::UnknownAction)? {
        StoredRefusal::ClusterExists(_) => Refusal::ClusterExists,
        StoredRefusal::NoCluster(_) => Refusal::NoCluster,
        StoredRefusal::OutOfSequence(_) => Refusal::OutOfSequence,
        StoredRefusal::OldKey(_) => Refusal::OldKey,
        StoredRefusal::TokenChanges(_) => Refusal::TokenChanges,
        StoredRefusal::NumberTaken(_) => Refusal::NumberTaken,
        StoredRefusal::NameTaken(object) => {
            Refusal::NameTaken { kind: kind_from(object.kind)?, name: object.text }
        }
        StoredRefusal::NotFound(object) => {
            Refusal::NotFound { kind: kind_from(object.kind)?, reference: object.text }
        }
        StoredRefusal::Ambiguous(object) => Refusal::Ambiguous {
            kind: kind_from(object.kind)?,
            reference: object.text,
            matches: size_from("matches", object.matches)?,
        },
        StoredRefusal::InUse(used) => Refusal::InUse {
            kind: kind_from(used.kind)?,
            name: name(&used.name)?,
            services: used.services,
        },
        StoredRefusal::GrantedSecretsMissing(missing) => {
            Refusal::GrantedSecretsMissing { names: missing.names }
        }
        StoredRefusal::NoVersion(one) => Refusal::NoVersion {
            kind: kind_from(one.kind)?,
            name: name(&one.name)?,
            version: VersionRef::parse(&one.version)?,
        },
        StoredRefusal::NoPrevious(one) => {
            Refusal::NoPrevious { kind: kind_from(one.kind)?, name: name(&one.name)? }
        }
        StoredRefusal::VersionNeeded(one) => Refusal::VersionNeeded {
            kind: kind_from(one.kind)?,
            name: name(&one.name)?,
            number: one.version.parse().map_err(|_| CodecError::Range { field: "version" })?,
            why: one.why,
        },
        StoredRefusal::VersionHeld(held) => held_from(held)?,
        StoredRefusal::LabelsTooMany(one) => {
            Refusal::LabelsTooMany { kind: kind_from(one.kind)?, name: name(&one.name)? }
        }
        StoredRefusal::NamedTwice(one) => {
            Refusal::NamedTwice { kind: kind_from(one.kind)?, name: name(&one.name)? }
        }
        StoredRefusal::LastManager(_) => Refusal::LastManager,
        StoredRefusal::NodeIsManager(id) => Refusal::NodeIsManager { id: NodeId::parse(&id)? },
        StoredRefusal::NodeIsNotDown(id) => Refusal::NodeIsNotDown { id: NodeId::parse(&id)? },
        StoredRefusal::NodesTooMany(max) => Refusal::NodesTooMany { max: size_from("nodes", max)? },
        StoredRefusal::QuorumLoss(_) => Refusal::QuorumLoss,
        StoredRefusal::NoLabel(key) => Refusal::NoLabel { key },
        StoredRefusal::RoleChanged(id) => Refusal::RoleChanged { id: NodeId::parse(&id)? },
        StoredRefusal::KeyTaken(_) => Refusal::KeyTaken,
        StoredRefusal::TokenWorthless(one) => Refusal::TokenWorthless {
            id: TokenId::parse(&one.id)?,
            standing: token::standing_from(one.standing)?,
        },
        StoredRefusal::TokensTooMany(max) => {
            Refusal::TokensTooMany { max: size_from("tokens", max)? }
        }
        StoredRefusal::NodeIsEngine(id) => Refusal::NodeIsEngine { id: NodeId::parse(&id)? },
        StoredRefusal::KeyEnded(id) => Refusal::KeyEnded { id: NodeId::parse(&id)? },
        StoredRefusal::Root(number) => root::refusal_from(number)?,
    })
}
