//! Rotating the data key: a new key, every value sealed anew under it, then the old keys destroyed.
//!
//! Each step can be done again, so that a crash or another leader at any of them is mended by starting over:
//! the state says which epoch is wanted, which is in use, and which is the oldest that is needed.

mod ring;

pub use ring::Carried;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use vault_core::command::{Action, Resealed, SealedAt, UseEpoch};
use vault_core::duty::Duties;
use vault_core::limits::{LOCK_GRACE, RESEAL_BATCH_BYTES};
use vault_core::seal::{DataKey, Epoch, OpenError, Place, Sealed, open, seal};
use vault_core::state::State;
use vault_core::versioned::Class;

use crate::disk::keyring::{Keyring, digest_of};
use crate::entropy;
use crate::keys::KeyChangeError;
use crate::manager::{CallError, Manager};
use crate::raft::{ProposeError, View};

/// After a failure, before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Why a rotation does not go on.
#[derive(Debug, thiserror::Error)]
enum RotationError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error(transparent)]
    Keys(#[from] KeyChangeError),
    #[error(transparent)]
    Ring(#[from] ring::RingError),
    #[error("a value under epoch {epoch} does not open")]
    Value {
        epoch: u32,
        #[source]
        source: OpenError,
    },
    #[error("the key of epoch {epoch} is gone, and values are still sealed under it")]
    KeyGone { epoch: u32 },
}

/// Keeps this manager's keys in step with the state; on the leader, also rotates. Until consensus ends.
pub async fn keep_keys(manager: Arc<Manager>) {
    let mut views = manager.consensus().views();
    let mut leads = manager.consensus().leads();
    let mut missed = manager.keys().missed();
    let mut leading = Leading::default();
    loop {
        missed.borrow_and_update();
        let view = views.borrow_and_update().clone();
        // Whoever leads from now on has the work, too.
        leads.mark_unchanged();
        match follow(&manager, &view, &mut leading).await {
            Ok(()) => {}
            Err(RotationError::Propose(ProposeError::Stopped)) => return,
            Err(error) => {
                tracing::warn!(%error, "rotation of the data key waits");
                sleep(RETRY).await;
                continue;
            }
        }
        let seen = told_by(&view.state);
        let changed = views.wait_for(|view| told_by(&view.state) != seen);
        tokio::select! {
            changed = changed => if changed.is_err() { return },
            changed = leads.changed() => if changed.is_err() { return },
            _ = missed.changed() => {}
            () = sleep(RETRY), if view.state.duties().key_after_lock.is_some() => {}
        }
    }
}

/// What a leader remembers of what it began. Another one begins anew.
#[derive(Default)]
struct Leading {
    /// The key that it made, and what for.
    made: Option<(Wish, Epoch)>,
    /// Since when its disk is locked, and which duty asked for a key since.
    locked: Option<(u64, Instant)>,
}

/// What a key is made for: the epoch that is wanted, and duties.
type Wish = (Epoch, Vec<u64>);

/// What a rotation is told by.
fn told_by(state: &State) -> ([Epoch; 3], Duties) {
    ([state.wanted_epoch(), state.epoch(), state.oldest_epoch()], state.duties())
}

async fn follow(
    manager: &Manager,
    view: &View,
    leading: &mut Leading,
) -> Result<(), RotationError> {
    let state = &view.state;
    if state.cluster().is_none() {
        return Ok(());
    }
    let meant = state.key_in_use();
    let missed = *manager.keys().missed().borrow();
    let is_missed = |epoch| manager.keys().ring().key(epoch).is_none();
    if !manager.keys().ring().has(meant) || missed.is_some_and(is_missed) {
        ring::fetch(manager, meant).await?;
        // Nobody has it if this did not bring it: whoever needs it says so again.
        manager.keys().missed_no_more();
    }
    if manager.keys().ring().epochs().any(|epoch| epoch < state.oldest_epoch()) {
        // The newest snapshot must not need an old key either.
        manager.consensus().snapshot_now().await?;
        manager.keys().drop_before(state.oldest_epoch())?;
        tracing::info!("every value is sealed under the newest data key; older ones are destroyed");
    }
    if !manager.consensus().standing().is_leader {
        *leading = Leading::default();
        return Ok(());
    }
    let due = state.duties().due_keys(leading.has_locked(manager, state));
    if !due.is_empty() || state.wanted_epoch() > state.epoch() {
        begin(manager, (state.wanted_epoch(), due), leading).await?;
    } else if state.epoch() != state.oldest_epoch() {
        reseal(manager, state.epoch()).await?;
    }
    Ok(())
}

impl Leading {
    /// Whether this disk is locked, and the others have had time to lock theirs.
    fn has_locked(&mut self, manager: &Manager, state: &State) -> bool {
        let asked = state.duties().key_after_lock;
        let asked = asked.filter(|_| manager.locking().disk_key.is_locked());
        let known = self.locked.filter(|(index, _)| Some(*index) == asked);
        self.locked = known.or_else(|| Some((asked?, Instant::now())));
        self.locked.is_some_and(|(_, since)| since.elapsed() >= 2 * LOCK_GRACE)
    }
}

/// Has a new key come into use.
async fn begin(manager: &Manager, wish: Wish, leading: &mut Leading) -> Result<(), RotationError> {
    let epoch = match &leading.made {
        Some((known, epoch)) if *known == wish => *epoch,
        _ => new_key(manager, &wish)?,
    };
    let fulfils = wish.1.clone();
    leading.made = Some((wish, epoch));
    let ring = manager.keys().ring();
    let Some(key) = ring.key(epoch) else {
        leading.made = None;
        return Err(RotationError::KeyGone { epoch: epoch.0 });
    };
    let digest = Some(digest_of(key));
    // On every manager's disk before anything is sealed under it.
    ring::spread(manager).await?;
    manager.act(Action::UseEpoch(UseEpoch { epoch, digest, fulfils })).await?;
    reseal(manager, epoch).await
}

/// A key that nobody had before. One that is there already may have been given to a manager that went since;
/// where there never was another one, that cannot be.
fn new_key(manager: &Manager, (wanted, duties): &Wish) -> Result<Epoch, RotationError> {
    let is_alone = manager.consensus().is_alone();
    let newest = manager.keys().ring().newest().epoch;
    if is_alone && duties.is_empty() && newest >= *wanted {
        return Ok(newest);
    }
    let epoch = manager.keys().add_epoch(!is_alone)?;
    tracing::info!(epoch = epoch.0, "a new data key was made");
    Ok(epoch)
}

/// Seals everything under this epoch.
async fn reseal(manager: &Manager, epoch: Epoch) -> Result<(), RotationError> {
    loop {
        let view = manager.read().await?;
        let batch = next_batch(&view.state, &manager.keys().ring(), epoch)?;
        if batch.is_empty() {
            break;
        }
        manager.act(Action::Reseal(batch)).await?;
    }
    manager.act(Action::DropEpochsBefore(epoch)).await?;
    Ok(())
}

/// The next values to be sealed anew, up to a bound.
fn next_batch(
    state: &State,
    ring: &Keyring,
    newest: Epoch,
) -> Result<Vec<Resealed>, RotationError> {
    let Some(cluster) = state.cluster() else { return Ok(Vec::new()) };
    let key = ring.key(newest).ok_or(RotationError::KeyGone { epoch: newest.0 })?;
    let mut batch = Batch { ring, newest: key, values: Vec::new(), bytes: 0 };
    for (what, place, sealed) in cluster.own().filter(|(.., sealed)| sealed.epoch < newest) {
        batch.add(what, &place, sealed)?;
    }
    for class in [Class::Secret, Class::Config] {
        let all = state.of_class(class).iter();
        let all = all.flat_map(|object| object.versions.iter().map(move |one| (object.id, one)));
        for (object, version) in all.filter(|(_, version)| version.sealed.epoch < newest) {
            if batch.bytes >= RESEAL_BATCH_BYTES {
                return Ok(batch.values);
            }
            let (kind, version_number) = (class.value_kind(), version.number);
            let place = Place { cluster: cluster.id, kind, object, version: version_number };
            let what = SealedAt::Version(class, object, version_number);
            batch.add(what, &place, &version.sealed)?;
        }
    }
    Ok(batch.values)
}

struct Batch<'a> {
    ring: &'a Keyring,
    newest: DataKey<'a>,
    values: Vec<Resealed>,
    bytes: usize,
}

impl Batch<'_> {
    fn add(&mut self, what: SealedAt, place: &Place, old: &Sealed) -> Result<(), RotationError> {
        let epoch = old.epoch.0;
        let key = self.ring.key(old.epoch).ok_or(RotationError::KeyGone { epoch })?;
        let value =
            open(key, place, old).map_err(|source| RotationError::Value { epoch, source })?;
        let sealed = seal(self.newest, place, entropy::random(), &value);
        self.bytes += sealed.text.len();
        self.values.push(Resealed { what, sealed });
        Ok(())
    }
}
