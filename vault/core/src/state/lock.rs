//! Autolock: whether there is an unlock key, and which.

use std::sync::Arc;

use super::{Stamp, State};
use crate::command::{ObjectKind, Outcome, Refusal};
use crate::event::EventAction;
use crate::seal::Sealed;

impl State {
    /// On with this key, unless it is on: the key that is there stays. Off without one.
    pub(super) fn set_autolock(
        &mut self,
        stamp: &mut Stamp,
        key: Option<Sealed>,
    ) -> Result<Outcome, Refusal> {
        self.refuse_old_keys(key.iter())?;
        let is_on = self.cluster.as_ref().is_some_and(|cluster| cluster.unlock_key.is_some());
        if is_on == key.is_some() {
            return Ok(Outcome::Done);
        }
        self.duties.key_after_lock = key.as_ref().map(|_| stamp.index);
        self.change_unlock_key(stamp, key)
    }

    pub(super) fn rotate_unlock_key(
        &mut self,
        stamp: &mut Stamp,
        key: Sealed,
    ) -> Result<Outcome, Refusal> {
        self.refuse_old_keys([&key].into_iter())?;
        if self.cluster.as_ref().is_none_or(|cluster| cluster.unlock_key.is_none()) {
            return Err(Refusal::OutOfSequence);
        }
        self.change_unlock_key(stamp, Some(key))
    }

    fn change_unlock_key(
        &mut self,
        stamp: &mut Stamp,
        key: Option<Sealed>,
    ) -> Result<Outcome, Refusal> {
        let cluster = Arc::make_mut(self.cluster.as_mut().ok_or(Refusal::NoCluster)?);
        cluster.unlock_key = key;
        cluster.lock_version = cluster.lock_version.saturating_add(1);
        cluster.meta.version_index = stamp.index;
        cluster.meta.updated_at = stamp.at;
        let id = cluster.id.object();
        stamp.event(ObjectKind::Cluster, EventAction::Update, id, "default");
        Ok(Outcome::Done)
    }
}
