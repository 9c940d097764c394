//! Which versions tasks hold: what is shown of them, and what is not destroyed because of them.

use std::collections::BTreeSet;

use super::State;
use crate::command::{HolderName, Refusal};
use crate::id::{ObjectId, ServiceId};
use crate::limits::HOLDERS_NAMED_MAX;
use crate::service::ServiceSpec;
use crate::task::{Held, Task};
use crate::versioned::{Class, Versioned};

/// Tasks of one service that hold one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    pub version: u32,
    pub service: ServiceId,
    pub tasks: u64,
}

impl State {
    /// Who holds which version of an object, by version and then by service.
    pub fn holders(&self, object: ObjectId) -> impl Iterator<Item = Holder> {
        self.tasks.holders(object)
    }

    /// A service's name; its ID if it is gone and only its tasks are still there.
    pub fn holder_name(&self, service: ServiceId) -> String {
        let known = self.services.get(service.object());
        known.map_or_else(|| service.to_string(), |service| service.spec.name.to_string())
    }

    /// What a new task of the service is going to get, as far as is known.
    pub(super) fn to_be_held(&self, spec: &ServiceSpec) -> Vec<Held> {
        let held = spec.grants.iter().filter_map(|grant| {
            let secret = self.secrets.table().get(grant.secret)?;
            let version = secret.resolve(&grant.version)?.number;
            Some(Held { object: grant.secret, version })
        });
        ordered(held)
    }

    /// What a node said that a task holds, but for what its service was not granted: no node can keep
    /// others from destroying what is none of its business.
    pub(super) fn of_granted(&self, task: &Task, held: Vec<Held>) -> Vec<Held> {
        let Some(service) = self.services.get(task.service.object()) else {
            return task.held.clone();
        };
        let granted = |one: &Held| self.granted.contains(&(one.object, task.service));
        let mut held = ordered(held.into_iter().filter(granted));
        held.truncate(service.spec.grants.len());
        held
    }

    /// Numbers of versions that must stay: those that services were granted, and those that tasks hold.
    pub(super) fn needed(&self, object: &Versioned) -> BTreeSet<u32> {
        let mut needed = self.pins(object);
        needed.extend(self.holders(object.id).map(|holder| holder.version));
        needed
    }

    /// Refuses to take a version from under the tasks that hold it.
    pub(super) fn refuse_held(
        &self,
        class: Class,
        object: &Versioned,
        number: u32,
    ) -> Result<(), Refusal> {
        let of_version = self.holders(object.id).filter(|holder| holder.version == number);
        let mut holders: Vec<_> = of_version
            .map(|holder| HolderName {
                service: self.holder_name(holder.service),
                tasks: holder.tasks,
            })
            .collect();
        if holders.is_empty() {
            return Ok(());
        }
        holders.sort_by(|a, b| a.service.cmp(&b.service));
        let others = holders.len().saturating_sub(HOLDERS_NAMED_MAX);
        let others = u64::try_from(others).unwrap_or(u64::MAX);
        holders.truncate(HOLDERS_NAMED_MAX);
        let (kind, name) = (class.into(), object.name.clone());
        Err(Refusal::VersionHeld { kind, name, number, holders, others })
    }
}

/// In order, each once.
fn ordered(held: impl Iterator<Item = Held>) -> Vec<Held> {
    held.collect::<BTreeSet<_>>().into_iter().collect()
}
