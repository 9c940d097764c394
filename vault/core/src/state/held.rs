//! Which versions tasks hold: what is shown of them, and what is not destroyed because of them.

use std::collections::BTreeSet;

use super::State;
use crate::command::{HolderName, Refusal};
use crate::id::{ObjectId, ServiceId};
use crate::limits::HOLDERS_NAMED_MAX;
use crate::service::ServiceSpec;
use crate::task::{Held, Task};
use crate::versioned::{Class, Move, VersionLimit, VersionRef, Versioned};

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
    /// others from destroying what is none of its business. Nothing once the service is gone: what it was
    /// granted is not known any more.
    pub(super) fn of_granted(&self, task: &Task, held: Vec<Held>) -> Option<Vec<Held>> {
        let service = self.services.get(task.service.object())?;
        let granted = |one: &Held| self.granted.contains(&(one.object, task.service));
        let mut held = ordered(held.into_iter().filter(granted));
        held.truncate(service.spec.grants.len());
        Some(held)
    }

    /// Drops versions past the limit, but none that services were granted or that tasks hold; and none that
    /// tasks may hold, up to the most that may be kept: a node that says nothing for long fills no memory.
    pub(super) fn drop_old(&self, object: &mut Versioned) {
        if !object.is_past_limit() {
            return;
        }
        let mut needed = self.pins(object);
        needed.extend(self.holders(object.id).map(|holder| holder.version));
        let on_their_way = self.on_their_way(object);
        let limit = object.limit;
        object.drop_old(limit, |number| needed.contains(&number) || on_their_way.contains(&number));
        object.drop_old(VersionLimit::MOST, |number| needed.contains(&number));
    }

    /// Numbers of versions that tasks may hold without a word of it.
    fn on_their_way(&self, object: &Versioned) -> BTreeSet<u32> {
        let mut numbers = BTreeSet::new();
        for service in self.services_holding(object.id) {
            let tasks = self.tasks.of_service(service);
            let running = tasks.filter(|task| !task.status.state.has_ended());
            let Some(seen) = running.map(|task| task.seen).min() else { continue };
            let moves = self.moves_followed(object, service).filter(|one| one.index > seen);
            numbers.extend(moves.map(|one| one.number));
        }
        numbers
    }

    /// Services whose tasks have something of the object, gone ones among them.
    fn services_holding(&self, object: ObjectId) -> BTreeSet<ServiceId> {
        let granted = self.services_granted(object).map(|service| service.id);
        granted.chain(self.holders(object).map(|holder| holder.service)).collect()
    }

    /// Moves of labels that a service follows. Of one that is gone nobody knows which.
    fn moves_followed<'a>(
        &self,
        object: &'a Versioned,
        service: ServiceId,
    ) -> impl Iterator<Item = &'a Move> {
        let grants = self.services.get(service.object()).map(|service| service.spec.grants.iter());
        let followed: Option<Vec<_>> = grants.map(|grants| {
            let grants = grants.filter(|grant| grant.secret == object.id);
            grants.map(|grant| grant.version.clone()).collect()
        });
        object.moves.iter().filter(move |one| {
            let is_it = |version: &VersionRef| *version == VersionRef::Label(one.label.clone());
            followed.as_ref().is_none_or(|followed| followed.iter().any(is_it))
        })
    }

    /// Tasks of a service that hold a version, or may: a label that they follow pointed to it after their node
    /// last said what they hold, so it may be with them, or on its way.
    fn may_hold(&self, object: &Versioned, number: u32, service: ServiceId) -> u64 {
        let moves = self.moves_followed(object, service).filter(|one| one.number == number);
        let until = moves.map(|one| one.index).max().unwrap_or(0);
        let held = Held { object: object.id, version: number };
        let tasks = self.tasks.of_service(service).filter(|task| {
            let is_over = task.status.state.has_ended();
            !is_over && (task.seen < until || task.held.contains(&held))
        });
        u64::try_from(tasks.count()).unwrap_or(u64::MAX)
    }

    /// Refuses to take a version from under the tasks that hold it or may hold it.
    pub(super) fn refuse_held(
        &self,
        class: Class,
        object: &Versioned,
        number: u32,
    ) -> Result<(), Refusal> {
        let services = self.services_holding(object.id).into_iter();
        let holders = services.map(|service| (service, self.may_hold(object, number, service)));
        let mut holders: Vec<_> = holders
            .filter(|(_, tasks)| *tasks > 0)
            .map(|(service, tasks)| HolderName { service: self.holder_name(service), tasks })
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
