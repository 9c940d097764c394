//! Secrets and configs, as asked for: values are sealed here, and what was asked becomes one command.

use std::sync::Arc;

use vault_core::command::{Action, DestroyVersion, NewObject, NewVersion, Refusal, UpdateObject};
use vault_core::id::{ENTROPY_BYTES, ObjectId};
use vault_core::labels::Labels;
use vault_core::name::SecretName;
use vault_core::seal::{NONCE_BYTES, Plaintext, seal};
use vault_core::state::State;
use vault_core::versioned::{Class, VersionLabel, VersionLimit, VersionRef, Versioned};

use super::{Asked, CallError, Changed, Manager, SEAL_TRIES};
use crate::entropy;

/// A secret or config to be made.
pub struct Draft {
    pub name: SecretName,
    pub labels: Labels,
    pub limit: VersionLimit,
    pub value: Plaintext,
}

/// The next version of a secret or config.
pub struct NextVersion {
    pub reference: String,
    pub value: Plaintext,
    pub expected: Option<u64>,
}

impl Manager {
    /// Seals the values of new secrets or configs and has them made: all or none.
    pub async fn create(
        &self,
        asked: Asked,
        class: Class,
        drafts: Vec<Draft>,
    ) -> Result<Changed, CallError> {
        self.check_budget(drafts.iter().map(|draft| &draft.value))?;
        for tries_left in (0..SEAL_TRIES).rev() {
            let objects = self.seal_first(class, &drafts);
            match self.act_for(asked.clone(), Action::Create(class, objects)).await {
                Err(CallError::Refused(Refusal::OldKey)) if tries_left > 0 => {}
                other => return other,
            }
        }
        Err(Refusal::OldKey.into())
    }

    fn seal_first(&self, class: Class, drafts: &[Draft]) -> Vec<NewObject> {
        let ring = self.keys.ring();
        let key = ring.in_use(self.consensus.view().state.key_in_use());
        // Drawn with one call of the kernel.
        let mut drawn = vec![[0; ENTROPY_BYTES + NONCE_BYTES]; drafts.len()];
        entropy::fill(drawn.as_flattened_mut());
        let seal_one = |(draft, drawn): (&Draft, &[u8; ENTROPY_BYTES + NONCE_BYTES])| {
            let (entropy, nonce) = drawn.split_first_chunk().expect("both were drawn");
            let id = ObjectId::from_entropy(*entropy);
            let place = self.place(class, id, 1);
            let nonce = nonce.try_into().expect("the rest is a nonce");
            let sealed = seal(key, &place, nonce, &draft.value);
            let Draft { name, labels, limit, .. } = draft;
            NewObject { id, name: name.clone(), labels: labels.clone(), limit: *limit, sealed }
        };
        drafts.iter().zip(&drawn).map(seal_one).collect()
    }

    /// Refused before anything is sealed: past the budget, memory is needed for what is there already.
    fn check_budget<'a>(
        &self,
        values: impl Iterator<Item = &'a Plaintext>,
    ) -> Result<(), CallError> {
        let more = values.map(|value| u64::try_from(value.expose().len()).unwrap_or(u64::MAX));
        let used = more.fold(self.consensus.memory_bytes(), u64::saturating_add);
        let budget = self.memory_budget;
        if used > budget { Err(CallError::MemoryBudget { used, budget }) } else { Ok(()) }
    }

    /// Adds the next version of each: all or none.
    pub async fn rotate(
        &self,
        asked: Asked,
        class: Class,
        versions: Vec<NextVersion>,
        activate: bool,
        label: Option<VersionLabel>,
    ) -> Result<Changed, CallError> {
        self.check_budget(versions.iter().map(|version| &version.value))?;
        for tries_left in (0..SEAL_TRIES).rev() {
            let view = self.read().await?;
            if let Some(known) = asked.request.and_then(|id| view.state.requests().answer(id)) {
                // It was done before, whatever became of what it names.
                return Changed::of(view.state.index(), known.clone());
            }
            let sealed = self.seal_next(&view.state, class, &versions, activate, label.as_ref())?;
            match self.act_for(asked.clone(), Action::Rotate(class, sealed)).await {
                Err(CallError::Refused(late)) if late.is_sealed_too_late() && tries_left > 0 => {}
                other => return other,
            }
        }
        Err(Refusal::NumberTaken.into())
    }

    fn seal_next(
        &self,
        state: &State,
        class: Class,
        versions: &[NextVersion],
        activate: bool,
        label: Option<&VersionLabel>,
    ) -> Result<Vec<NewVersion>, Refusal> {
        let ring = self.keys.ring();
        let key = ring.in_use(state.key_in_use());
        let seal_one = |version: &NextVersion| {
            let object = lookup(state, class, &version.reference)?;
            let (id, number) = (object.id, object.next);
            let place = self.place(class, id, number);
            let sealed = seal(key, &place, entropy::random(), &version.value);
            let (label, expected) = (label.cloned(), version.expected);
            Ok(NewVersion { id, number, sealed, activate, label, expected })
        };
        versions.iter().map(seal_one).collect()
    }

    /// Makes other versions current: all or none.
    pub async fn activate(
        &self,
        asked: Asked,
        class: Class,
        targets: Vec<(String, VersionRef)>,
    ) -> Result<Changed, CallError> {
        let view = self.read().await?;
        let found = targets
            .into_iter()
            .map(|(reference, version)| Ok((lookup(&view.state, class, &reference)?.id, version)));
        let targets = found.collect::<Result<Vec<_>, Refusal>>()?;
        let objects = targets.iter().map(|(id, _)| *id).collect();
        self.change(asked, objects, Action::Activate(class, targets)).await
    }

    /// Makes the previous versions current again: all or none.
    pub async fn rollback(
        &self,
        asked: Asked,
        class: Class,
        references: &[String],
    ) -> Result<Changed, CallError> {
        let view = self.read().await?;
        let found = references.iter().map(|one| Ok(lookup(&view.state, class, one)?.id));
        let ids = found.collect::<Result<Vec<_>, Refusal>>()?;
        self.change(asked, ids.clone(), Action::Rollback(class, ids)).await
    }

    /// Destroys one version; also from under the tasks that hold it, if it is forced.
    pub async fn destroy(
        &self,
        asked: Asked,
        class: Class,
        reference: &str,
        (number, is_forced): (u32, bool),
    ) -> Result<Changed, CallError> {
        let id = lookup(&self.read().await?.state, class, reference)?.id;
        let one = DestroyVersion { id, number, is_forced };
        self.change(asked, vec![id], Action::DestroyVersion(class, one)).await
    }

    /// Changes labels or the version limit.
    pub async fn update(
        &self,
        asked: Asked,
        class: Class,
        reference: &str,
        change: impl FnOnce(ObjectId) -> UpdateObject,
    ) -> Result<Changed, CallError> {
        let id = lookup(&self.read().await?.state, class, reference)?.id;
        self.change(asked, vec![id], Action::Update(class, change(id))).await
    }

    /// Removes a secret or config.
    pub async fn remove(
        &self,
        asked: Asked,
        class: Class,
        reference: &str,
    ) -> Result<Changed, CallError> {
        let id = lookup(&self.read().await?.state, class, reference)?.id;
        self.change(asked, vec![id], Action::Remove(class, id)).await
    }
}

/// The object that a reference names.
pub fn lookup<'a>(
    state: &'a State,
    class: Class,
    reference: &str,
) -> Result<&'a Arc<Versioned>, Refusal> {
    let found = state.of_class(class).find(reference);
    found.map_err(|failed| Refusal::lookup(class, reference, failed))
}
