//! Remembered answers: outcomes and refusals.

use proto::stored::{self, outcome::Outcome as Stored, refusal::Refusal as StoredRefusal};
use vault_core::command::{ObjectKind, Outcome, Refusal};
use vault_core::id::ObjectId;
use vault_core::name::SecretName;

use super::{CodecError, needed};

pub(super) fn outcome_to(outcome: &Outcome) -> stored::Outcome {
    let outcome = match outcome {
        Outcome::Done => Stored::Done(stored::Blank {}),
        Outcome::Created(id) => Stored::Created(id.to_string()),
        Outcome::Refused(refusal) => Stored::Refused(refusal_to(refusal)),
    };
    stored::Outcome { outcome: Some(outcome) }
}

pub(super) fn outcome_from(outcome: Option<stored::Outcome>) -> Result<Outcome, CodecError> {
    let outcome = needed("outcome", outcome)?.outcome.ok_or(CodecError::UnknownAction)?;
    Ok(match outcome {
        Stored::Done(_) => Outcome::Done,
        Stored::Created(id) => Outcome::Created(ObjectId::parse(&id)?),
        Stored::Refused(refusal) => Outcome::Refused(refusal_from(refusal)?),
    })
}

fn refusal_to(refusal: &Refusal) -> stored::Refusal {
    let object = |kind: ObjectKind, text: &str, matches: usize| stored::ObjectRefusal {
        kind: match kind {
            ObjectKind::Secret => 0,
            ObjectKind::Service => 1,
        },
        text: text.to_owned(),
        matches: u64::try_from(matches).expect("sizes fit in 64 bits"),
    };
    let refusal = match refusal {
        Refusal::ClusterExists => StoredRefusal::ClusterExists(stored::Blank {}),
        Refusal::NoCluster => StoredRefusal::NoCluster(stored::Blank {}),
        Refusal::NameTaken { kind, name } => StoredRefusal::NameTaken(object(*kind, name, 0)),
        Refusal::NotFound { kind, reference } => {
            StoredRefusal::NotFound(object(*kind, reference, 0))
        }
        Refusal::Ambiguous { kind, reference, matches } => {
            StoredRefusal::Ambiguous(object(*kind, reference, *matches))
        }
        Refusal::SecretInUse { name, services } => {
            StoredRefusal::SecretInUse(stored::SecretInUse {
                name: name.to_string(),
                services: services.clone(),
            })
        }
        Refusal::GrantedSecretsMissing { names } => {
            StoredRefusal::GrantedSecretsMissing(stored::Names { names: names.clone() })
        }
    };
    stored::Refusal { refusal: Some(refusal) }
}

fn refusal_from(refusal: stored::Refusal) -> Result<Refusal, CodecError> {
    let kind = |number: u32| match number {
        0 => Ok(ObjectKind::Secret),
        1 => Ok(ObjectKind::Service),
        _ => Err(CodecError::Range { field: "object kind" }),
    };
    Ok(match refusal.refusal.ok_or(CodecError::UnknownAction)? {
        StoredRefusal::ClusterExists(_) => Refusal::ClusterExists,
        StoredRefusal::NoCluster(_) => Refusal::NoCluster,
        StoredRefusal::NameTaken(object) => {
            Refusal::NameTaken { kind: kind(object.kind)?, name: object.text }
        }
        StoredRefusal::NotFound(object) => {
            Refusal::NotFound { kind: kind(object.kind)?, reference: object.text }
        }
        StoredRefusal::Ambiguous(object) => Refusal::Ambiguous {
            kind: kind(object.kind)?,
            reference: object.text,
            matches: usize::try_from(object.matches)
                .map_err(|_| CodecError::Range { field: "matches" })?,
        },
        StoredRefusal::SecretInUse(in_use) => Refusal::SecretInUse {
            name: SecretName::parse(&in_use.name)?,
            services: in_use.services,
        },
        StoredRefusal::GrantedSecretsMissing(missing) => {
            Refusal::GrantedSecretsMissing { names: missing.names }
        }
    })
}
