//! A service: a command, how often it runs, and which secrets its tasks were granted.

use crate::id::{ObjectId, ServiceId};
use crate::labels::Labels;
use crate::limits::{COMMAND_BYTES_MAX, GRANTS_MAX, REPLICAS_MAX};
use crate::name::{Folded, Named, SecretName, ServiceName, Target};
use crate::versioned::{Meta, VersionRef};

/// This service may read this secret, as this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub secret: ObjectId,
    /// Which version: what a label points to (`current`, if nothing else was asked for), or one number.
    pub version: VersionRef,
    pub name: SecretName,
    pub target: Target,
    /// The file's owner; the task's own user, if nobody was named.
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// Permission bits only.
    pub mode: u32,
}

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    pub name: ServiceName,
    pub labels: Labels,
    /// Program and arguments, never empty.
    pub command: Vec<String>,
    /// `KEY=value`.
    pub env: Vec<String>,
    pub grants: Vec<Grant>,
    pub replicas: u64,
}

/// Why a specification is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("a service needs a command: coffer service create --name NAME -- COMMAND [ARG...]")]
    CommandMissing,
    #[error("command and environment have {bytes} bytes, at most {COMMAND_BYTES_MAX} are kept")]
    CommandTooLong { bytes: usize },
    #[error("command and environment must not contain NUL")]
    Nul,
    #[error("environment entry {position} is not of the form KEY=value")]
    Env { position: usize },
    #[error("{count} secrets granted, at most {GRANTS_MAX} are")]
    GrantsTooMany { count: usize },
    #[error("{asked} replicas asked for, at most {REPLICAS_MAX} are run")]
    ReplicasTooMany { asked: u64 },
    /// Swarm's text.
    #[error("secret references '{first}' and '{second}' have a conflicting target: '{target}'")]
    TargetTwice { first: SecretName, second: SecretName, target: Target },
}

impl ServiceSpec {
    /// Takes a specification whose parts fit each other and the bounds.
    pub fn checked(self) -> Result<Self, SpecError> {
        if self.command.first().is_none_or(String::is_empty) {
            return Err(SpecError::CommandMissing);
        }
        let words = || self.command.iter().chain(&self.env);
        let bytes = words().map(String::len).fold(0_usize, usize::saturating_add);
        if bytes > COMMAND_BYTES_MAX {
            return Err(SpecError::CommandTooLong { bytes });
        }
        if words().any(|word| word.contains('\0')) {
            return Err(SpecError::Nul);
        }
        let broken = |entry: &String| entry.find('=').is_none_or(|at| at == 0);
        if let Some(position) = self.env.iter().position(broken) {
            return Err(SpecError::Env { position: position.saturating_add(1) });
        }
        if self.grants.len() > GRANTS_MAX {
            return Err(SpecError::GrantsTooMany { count: self.grants.len() });
        }
        if self.replicas > REPLICAS_MAX {
            return Err(SpecError::ReplicasTooMany { asked: self.replicas });
        }
        self.refuse_equal_targets()?;
        Ok(self)
    }

    fn refuse_equal_targets(&self) -> Result<(), SpecError> {
        let mut by_target = std::collections::BTreeMap::new();
        for grant in &self.grants {
            if let Some(first) = by_target.insert(&grant.target, &grant.name) {
                let (first, second) = (first.clone(), grant.name.clone());
                return Err(SpecError::TargetTwice { first, second, target: grant.target.clone() });
            }
        }
        Ok(())
    }
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub id: ServiceId,
    pub meta: Meta,
    pub spec: ServiceSpec,
}

impl Named for Service {
    fn folded(&self) -> Folded {
        Folded::of(self.spec.name.as_str())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::versioned::VersionLabel;

    pub(crate) fn spec(name: &str) -> ServiceSpec {
        ServiceSpec {
            name: ServiceName::parse(name).unwrap(),
            labels: Labels::default(),
            command: vec!["true".into()],
            env: vec![],
            grants: vec![],
            replicas: 1,
        }
    }

    pub(crate) fn grant(secret: ObjectId, name: &str, target: &str) -> Grant {
        Grant {
            secret,
            version: VersionRef::Label(VersionLabel::current()),
            name: SecretName::parse(name).unwrap(),
            target: Target::parse(target).unwrap(),
            uid: None,
            gid: None,
            mode: 0o444,
        }
    }

    #[test]
    fn specifications_out_of_bounds_are_refused() {
        let id = ObjectId::from_entropy([1; 17]);
        let good = spec("web");
        let twice = vec![grant(id, "a", "x"), grant(id, "b", "x")];
        let words = |word: &str| vec![word.to_string()];
        for (changed, expected) in [
            (ServiceSpec { command: vec![], ..good.clone() }, SpecError::CommandMissing),
            (ServiceSpec { command: words(""), ..good.clone() }, SpecError::CommandMissing),
            (ServiceSpec { command: words("a\0"), ..good.clone() }, SpecError::Nul),
            (ServiceSpec { env: words("NOVALUE"), ..good.clone() }, SpecError::Env { position: 1 }),
            (ServiceSpec { env: words("=x"), ..good.clone() }, SpecError::Env { position: 1 }),
            (
                ServiceSpec { command: words(&"a".repeat(COMMAND_BYTES_MAX + 1)), ..good.clone() },
                SpecError::CommandTooLong { bytes: COMMAND_BYTES_MAX + 1 },
            ),
            (
                ServiceSpec { replicas: REPLICAS_MAX + 1, ..good.clone() },
                SpecError::ReplicasTooMany { asked: REPLICAS_MAX + 1 },
            ),
            (
                ServiceSpec { grants: twice, ..good.clone() },
                SpecError::TargetTwice {
                    first: SecretName::parse("a").unwrap(),
                    second: SecretName::parse("b").unwrap(),
                    target: Target::parse("x").unwrap(),
                },
            ),
        ] {
            assert_eq!(changed.checked(), Err(expected));
        }
        assert_eq!(good.clone().checked(), Ok(good));
    }

    #[test]
    fn specifications_may_be_as_large_as_their_bounds() {
        let id = ObjectId::from_entropy([1; 17]);
        let most = spec("web");
        let grants = (0..GRANTS_MAX).map(|n| grant(id, "a", &format!("x{n}"))).collect();
        let most = ServiceSpec {
            command: vec!["a".repeat(COMMAND_BYTES_MAX - 8), String::new()],
            env: vec!["A=b=c".into(), "AB=".into()],
            replicas: REPLICAS_MAX,
            grants,
            ..most
        };
        assert_eq!(most.clone().checked(), Ok(most.clone()));
        let more = |changed: ServiceSpec| changed.checked().unwrap_err();
        let env = vec!["A=b=c".into(), "AB=c".into()];
        let bytes = COMMAND_BYTES_MAX + 1;
        let longer = ServiceSpec { env, ..most.clone() };
        assert_eq!(more(longer), SpecError::CommandTooLong { bytes }, "they count together");
        let mut granted = most.clone();
        granted.grants.push(grant(id, "a", "x"));
        assert_eq!(more(granted), SpecError::GrantsTooMany { count: GRANTS_MAX + 1 });
        let env = vec!["A=b".into(), "=".into()];
        assert_eq!(more(ServiceSpec { env, ..most }), SpecError::Env { position: 2 });
    }
}
