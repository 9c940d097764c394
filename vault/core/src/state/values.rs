//! Secrets and configs: made, rotated, activated, rolled back, destroyed, removed. Each command acts on
//! all that it names, or on nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use pki::rotation::Generation;

use super::{Stamp, State, no_version, not_found};
use crate::cluster::Cluster;
use crate::command::{
    DestroyVersion, NewObject, NewVersion, ObjectKind, Outcome, Refusal, Resealed, SealedAt,
    UpdateObject,
};
use crate::event::EventAction;
use crate::id::ObjectId;
use crate::limits::VERSION_LABELS_MAX;
#[cfg(planted)]
use crate::planted::{self, Bug};
use crate::seal::{Epoch, Kind, Sealed};
use crate::table::Table;
use crate::versioned::{Class, Version, VersionLabel, VersionRef, Versioned};

/// All objects of one class, with what they take.
#[derive(Clone, Debug)]
pub struct Values {
    class: Class,
    table: Table<Versioned>,
    memory_bytes: u64,
    /// How many sealed values stand under each epoch.
    by_epoch: imbl::OrdMap<u32, u64>,
}

impl Values {
    pub(super) fn of(class: Class) -> Self {
        let by_epoch = imbl::OrdMap::new();
        Self { class, table: Table::default(), memory_bytes: 0, by_epoch }
    }

    pub(super) fn table(&self) -> &Table<Versioned> {
        &self.table
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    pub(super) fn sealed_before(&self, epoch: Epoch) -> u64 {
        self.by_epoch.range(..epoch.0).map(|(_, count)| *count).fold(0, u64::saturating_add)
    }

    pub(super) fn insert(&mut self, object: Versioned) {
        self.memory_bytes = self.memory_bytes.saturating_add(object.memory_bytes());
        for version in &object.versions {
            let count = self.by_epoch.entry(version.sealed.epoch.0).or_default();
            *count = count.saturating_add(1);
        }
        if let Some(before) = self.table.insert(object.id, Arc::new(object)) {
            self.forget(&before);
        }
    }

    fn remove(&mut self, id: ObjectId) {
        if let Some(before) = self.table.remove(id) {
            self.forget(&before);
        }
    }

    /// Takes the share of an object that went out of the sums.
    fn forget(&mut self, before: &Versioned) {
        self.memory_bytes = self.memory_bytes.saturating_sub(before.memory_bytes());
        for version in &before.versions {
            let epoch = version.sealed.epoch.0;
            let left = self.by_epoch.get(&epoch).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                self.by_epoch.remove(&epoch)
            } else {
                self.by_epoch.insert(epoch, left)
            };
        }
    }

    fn get(&self, id: ObjectId) -> Result<&Arc<Versioned>, Refusal> {
        self.table.get(id).ok_or_else(|| not_found(self.class, id))
    }

    fn kind(&self) -> ObjectKind {
        self.class.into()
    }
}

/// Refuses a request that names one object twice: which of the two was meant to win is not known.
fn named_once(values: &Values, ids: impl Iterator<Item = ObjectId>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            let name = values.get(id)?.name.clone();
            return Err(Refusal::NamedTwice { kind: values.kind(), name });
        }
    }
    Ok(())
}

impl State {
    pub(super) fn values_mut(&mut self, class: Class) -> &mut Values {
        match class {
            Class::Secret => &mut self.secrets,
            Class::Config => &mut self.configs,
        }
    }

    /// Once an epoch is in use, nothing new comes under an older one: its key is going to be destroyed.
    pub(super) fn refuse_old_keys<'a>(
        &self,
        mut values: impl Iterator<Item = &'a Sealed>,
    ) -> Result<(), Refusal> {
        if values.any(|sealed| sealed.epoch < self.epoch) { Err(Refusal::OldKey) } else { Ok(()) }
    }

    pub(super) fn create(
        &mut self,
        stamp: &mut Stamp,
        class: Class,
        objects: Vec<NewObject>,
    ) -> Result<Outcome, Refusal> {
        self.refuse_old_keys(objects.iter().map(|object| &object.sealed))?;
        // Checked whole before anything is done: all or none.
        let values = self.values(class);
        let (mut names, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for object in &objects {
            // IDs are drawn at random. One that is there already would put another object in its place.
            if values.table.get(object.id).is_some() || !taken.insert(object.id) {
                return Err(Refusal::OutOfSequence);
            }
            let folded = object.name.folded();
            let is_taken = values.table.by_name(&folded).is_some();
            #[cfg(planted)]
            let is_taken = is_taken && !planted::on(Bug::NameNotLookedAt);
            if is_taken || !names.insert(folded) {
                let name = object.name.to_string();
                return Err(Refusal::NameTaken { kind: class.into(), name });
            }
        }
        let ids = objects.iter().map(|object| object.id).collect();
        for NewObject { id, name, labels, limit, sealed } in objects {
            stamp.event(class.into(), EventAction::Create, id, name.shared());
            let object = Versioned::first(id, stamp.meta(), name, sealed);
            self.values_mut(class).insert(Versioned { labels, limit, ..object });
        }
        Ok(Outcome::Created(ids))
    }

    pub(super) fn remove(
        &mut self,
        stamp: &mut Stamp,
        class: Class,
        id: ObjectId,
    ) -> Result<Outcome, Refusal> {
        let object = Arc::clone(self.values(class).get(id)?);
        let mut services: Vec<_> =
            self.services_granted(id).map(|service| service.spec.name.to_string()).collect();
        services.sort();
        if !services.is_empty() {
            let name = object.name.clone();
            return Err(Refusal::InUse { kind: class.into(), name, services });
        }
        stamp.event(class.into(), EventAction::Remove, id, object.name.shared());
        self.values_mut(class).remove(id);
        Ok(Outcome::Done)
    }

    pub(super) fn rotate(
        &mut self,
        stamp: &mut Stamp,
        class: Class,
        versions: Vec<NewVersion>,
    ) -> Result<Outcome, Refusal> {
        self.refuse_old_keys(versions.iter().map(|version| &version.sealed))?;
        let values = self.values(class);
        named_once(values, versions.iter().map(|version| version.id))?;
        let rotated = versions.iter().map(|version| (version.id, version.number)).collect();
        let mut changed = Vec::new();
        for version in versions {
            let object = values.get(version.id)?;
            match version.expected {
                Some(index) if index != object.meta.version_index => {
                    return Err(Refusal::OutOfSequence);
                }
                Some(_) | None if version.number != object.next => {
                    return Err(Refusal::NumberTaken);
                }
                Some(_) | None => {}
            }
            changed.push(self.with_version(stamp, class, object, version)?);
        }
        self.put(stamp, class, changed);
        Ok(Outcome::Rotated(rotated))
    }

    /// The object with one version more.
    fn with_version(
        &self,
        stamp: &Stamp,
        class: Class,
        before: &Versioned,
        version: NewVersion,
    ) -> Result<Versioned, Refusal> {
        let NewVersion { number, sealed, activate, label, .. } = version;
        let mut object = before.clone();
        object.versions.push(Version { number, created_at: stamp.at, sealed });
        object.next = number.saturating_add(1);
        if activate {
            object.activate(number);
        } else {
            object.tags.insert(VersionLabel::pending(), number);
        }
        if let Some(label) = label {
            object.tags.insert(label, number);
        }
        if object.tags.len() > VERSION_LABELS_MAX {
            let (kind, name) = (class.into(), object.name);
            return Err(Refusal::LabelsTooMany { kind, name });
        }
        object.note_moves(&before.tags, stamp.index);
        self.drop_old(&mut object);
        Ok(object)
    }

    /// Numbers of versions that services were granted, as such or by a label.
    pub(super) fn pins(&self, object: &Versioned) -> BTreeSet<u32> {
        let grants = self.services_granted(object.id).flat_map(|service| &service.spec.grants);
        let grants = grants.filter(|grant| grant.secret == object.id);
        grants.filter_map(|grant| Some(object.resolve(&grant.version)?.number)).collect()
    }

    pub(super) fn activate(
        &mut self,
        stamp: &mut Stamp,
        class: Class,
        targets: Vec<(ObjectId, VersionRef)>,
    ) -> Result<Outcome, Refusal> {
        let values = self.values(class);
        named_once(values, targets.iter().map(|(id, _)| *id))?;
        let mut changed = Vec::new();
        for (id, reference) in targets {
            let mut object = Versioned::clone(values.get(id)?);
            let number = object.resolve(&reference).map(|version| version.number);
            let number = number.ok_or_else(|| no_version(class, &object, &reference))?;
            object.activate(number);
            changed.push(object);
        }
        self.put(stamp, class, changed);
        Ok(Outcome::Done)
    }

    pub(super) fn rollback(
        &mut self,
        stamp: &mut Stamp,
        class: Class,
        ids: Vec<ObjectId>,
    ) -> Result<Outcome, Refusal> {
        let values = self.values(class);
        named_once(values, ids.iter().copied())?;
        let mut changed = Vec::new();
        for id in ids {
            let mut object = Versioned::clone(values.get(id)?);
            let Some(previous) = object.tags.get(&VersionLabel::previous()) else {
                return Err(Refusal::NoPrevious { kind: class.into(), name: object.name });
            };
            object.activate(previous);
            #[cfg(planted)]
            if planted::on(Bug::VersionNumberUsedAgain) {
                object.next = previous.saturating_add(1);
            }
            changed.push(object);
        }
        self.put(stamp, class, changed);
        Ok(Outcome::Done)
    }

    pub(super) fn destroy_version(
        &mut self,
        stamp: &mut Stamp,
        class: Class,
        one: DestroyVersion,
    ) -> Result<Outcome, Refusal> {
        let DestroyVersion { id, number, is_forced } = one;
        let mut object = Versioned::clone(self.values(class).get(id)?);
        if object.version(number).is_none() {
            return Err(no_version(class, &object, &VersionRef::Number(number)));
        }
        let needed = if object.current() == number {
            Some("what tasks read: activate another version first".to_owned())
        } else if self.pins(&object).contains(&number) {
            Some("what a service was granted by its number or label".to_owned())
        } else {
            None
        };
        if let Some(why) = needed {
            let (kind, name) = (class.into(), object.name);
            return Err(Refusal::VersionNeeded { kind, name, number, why });
        }
        if !is_forced {
            self.refuse_held(class, &object, number)?;
        }
        object.destroy(number);
        self.put(stamp, class, vec![object]);
        Ok(Outcome::Done)
    }

    pub(super) fn update(
        &mut self,
        stamp: &mut Stamp,
        class: Class,
        update: UpdateObject,
    ) -> Result<Outcome, Refusal> {
        let mut object = Versioned::clone(self.values(class).get(update.id)?);
        if update.expected.is_some_and(|index| index != object.meta.version_index) {
            return Err(Refusal::OutOfSequence);
        }
        if let Some(labels) = update.labels {
            object.labels = labels;
        }
        if let Some(limit) = update.limit {
            object.limit = limit;
            self.drop_old(&mut object);
        }
        self.put(stamp, class, vec![object]);
        Ok(Outcome::Done)
    }

    /// Puts changed objects in place of what they were.
    fn put(&mut self, stamp: &mut Stamp, class: Class, changed: Vec<Versioned>) {
        self.delivery_index = stamp.index;
        for mut object in changed {
            if let Some(before) = self.values(class).table.get(object.id) {
                object.note_moves(&before.tags, stamp.index);
            }
            object.meta.version_index = stamp.index;
            object.meta.updated_at = stamp.at;
            stamp.event(class.into(), EventAction::Update, object.id, object.name.shared());
            self.values_mut(class).insert(object);
        }
    }

    pub(super) fn reseal_all(&mut self, resealed: Vec<Resealed>) {
        for one in resealed {
            self.reseal(one);
        }
    }

    /// A value that changed or went meanwhile, or is under as new a key already, is passed over.
    fn reseal(&mut self, resealed: Resealed) {
        let Resealed { what, sealed } = resealed;
        match what {
            SealedAt::Own(_) | SealedAt::Root(_) => {
                let Some(cluster) = &self.cluster else { return };
                let mut cluster = Cluster::clone(cluster);
                let own = match what {
                    // Another root may be in use by now: its key stays.
                    SealedAt::Own(Kind::RootKey) => cluster.root_key_mut(Generation(1)),
                    SealedAt::Root(generation) => cluster.root_key_mut(generation),
                    SealedAt::Own(kind) => cluster.sealed_mut(kind),
                    SealedAt::Version(..) => None,
                };
                if let Some(own) = own.filter(|own| own.epoch < sealed.epoch) {
                    *own = sealed;
                    self.cluster = Some(Arc::new(cluster));
                }
            }
            SealedAt::Version(class, id, number) => {
                let Some(object) = self.values(class).table.get(id) else { return };
                let mut object = Versioned::clone(object);
                let version = object.versions.iter_mut().find(|version| version.number == number);
                if let Some(version) = version.filter(|v| v.sealed.epoch < sealed.epoch) {
                    version.sealed = sealed;
                    self.values_mut(class).insert(object);
                }
            }
        }
    }
}
