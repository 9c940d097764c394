//! openraft's state machine, over ours: applies entries, publishes views, writes and reads snapshots.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, TryStreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use prost::Message;
use proto::stored::{self, snapshot_record::Record};
use tokio::sync::watch;
use vault_core::command::{Actor, Applied, Command, Outcome};
use vault_core::duty::Duties;
use vault_core::event::Event;
use vault_core::id::ClusterId;
use vault_core::seal::{DataKey, Epoch};
use vault_core::state::{Restoring, State};

use super::codec::{self, CodecError};
use super::types::{
    Answer, Entry, LogId, Snapshot, SnapshotMeta, StoredMembership, Types, log_id, position,
};
use crate::audit::{Audit, Written};
use crate::disk::folder::{self, FileReader, Folder};
use crate::disk::keyring::Keyring;
use crate::disk::log::Position;
use crate::disk::snapshot::{SnapshotError, SnapshotWriter, read_records};
use crate::entropy;
use crate::events::Events;
use crate::keys::Keys;
use crate::world;

/// How snapshots' names end; they start with the last index, so that the newest comes last.
const SNAPSHOT_SUFFIX: &str = ".snap";
/// How the name of a file ends that is not whole yet.
pub(super) const DRAFT_SUFFIX: &str = ".new";

/// The state after some entry. Copies share their structure.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub state: State,
    pub(super) applied: Option<LogId>,
    pub(super) membership: StoredMembership,
}

/// A snapshot in a folder: our own, or where one that came from another manager was put down.
#[derive(Clone)]
pub(in crate::raft) struct SnapshotFile {
    pub folder: Arc<dyn Folder>,
    pub name: String,
    /// Where it came from another manager: removed once nobody may want to read it any more.
    pub draft: Option<Arc<Draft>>,
    /// What was read of it when it came in.
    pub read: Option<View>,
}

/// A file that is removed with its last owner. Raft may still want to read what came in when the call that
/// brought it is over.
pub(in crate::raft) struct Draft {
    folder: Arc<dyn Folder>,
    name: String,
}

impl Draft {
    pub(in crate::raft) fn new(folder: &Arc<dyn Folder>, name: String) -> Arc<Self> {
        Arc::new(Self { folder: Arc::clone(folder), name })
    }

    pub(in crate::raft) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.folder.remove(&self.name).ok();
    }
}

impl fmt::Debug for SnapshotFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)
    }
}

/// What snapshots are written with.
pub(super) struct Shelf {
    pub folder: Arc<dyn Folder>,
    pub keys: Arc<Keys>,
    pub audit: Audit,
    pub cluster: ClusterId,
}

/// A snapshot on disk that cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("snapshots: {name} cannot be read")]
    Io {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("snapshots/{0}")]
    Snapshot(#[from] SnapshotError),
    #[error("snapshots/{name}: a record does not read")]
    Record {
        name: String,
        #[source]
        source: CodecError,
    },
    #[error("snapshots/{name}: {found} records, {said} were written")]
    Incomplete { name: String, found: u64, said: u64 },
}

/// The state machine. What is published is the state itself, not a copy of it: entries change it in place,
/// and its parts are copied only while somebody holds a view.
pub(super) struct Machine {
    published: watch::Sender<View>,
    events: Events,
    shelf: Arc<Shelf>,
    newest: Newest,
}

/// The newest snapshot; the builder tells of it when it is done.
type Newest = Arc<Mutex<Option<(SnapshotMeta, SnapshotFile)>>>;

impl Machine {
    /// Takes up the newest snapshot, if there is one.
    pub(super) fn restore(shelf: Shelf) -> Result<Self, RestoreError> {
        let io = |name: &str| {
            let name = name.to_owned();
            move |source| RestoreError::Io { name, source }
        };
        let names = shelf.folder.names().map_err(io("the folder"))?;
        for draft in names.iter().filter(|name| name.ends_with(DRAFT_SUFFIX)) {
            shelf.folder.remove(draft).map_err(io(draft))?;
        }
        // A snapshot that is relied on must keep its name: who wrote it may have died before that was sure.
        shelf.folder.flush().map_err(io("the folder"))?;
        let newest = names.into_iter().rfind(|name| name.ends_with(SNAPSHOT_SUFFIX));
        let mut view = View::default();
        let mut snapshot = None;
        if let Some(name) = newest {
            view = read_view(&name, shelf.folder.as_ref(), &shelf.keys.ring(), shelf.cluster)?;
            let folder = Arc::clone(&shelf.folder);
            snapshot = Some((view.meta(), SnapshotFile { folder, name, draft: None, read: None }));
        }
        let events = Events::after(view.state.index());
        Ok(Self {
            published: watch::Sender::new(view),
            events,
            shelf: Arc::new(shelf),
            newest: Arc::new(Mutex::new(snapshot)),
        })
    }

    /// Applies one entry. Readers wait for no more than that. Those who watch are woken if there is
    /// something for them to do.
    pub(super) fn apply_one(&self, entry: Entry, done: &mut Done) -> Option<Outcome> {
        let mut outcome = None;
        self.published.send_if_modified(|view| {
            let before = view.watched();
            outcome = view.apply(entry, done);
            view.watched() != before
        });
        outcome
    }

    /// Index of the last entry that was applied.
    pub(super) fn applied_index(&self) -> Option<u64> {
        self.published.borrow().applied.map(|id| id.index())
    }

    /// What happens, for those who watch.
    pub(super) fn events(&self) -> Events {
        self.events.clone()
    }

    /// Where the views are published.
    pub(super) fn views(&self) -> watch::Receiver<View> {
        self.published.subscribe()
    }
}

/// What entries of one round did, for those who are told.
#[derive(Default)]
pub(super) struct Done {
    events: Vec<Event>,
    audited: Vec<(Written, u32)>,
}

impl Done {
    /// What is to be recorded of them.
    pub(super) fn audited(self) -> Vec<(Written, u32)> {
        self.audited
    }
}

impl View {
    /// The last entry that it reflects, Raft's own among them.
    pub fn applied_index(&self) -> u64 {
        self.applied.as_ref().map_or(0, |id| id.index())
    }

    /// What the watchers of views wait for: a change of what runs, of what it reads, of the data
    /// keys, of the unlock key, or of what is to be done.
    fn watched(&self) -> ([u64; 2], [Epoch; 3], u32, Duties) {
        let state = &self.state;
        let epochs = [state.wanted_epoch(), state.epoch(), state.oldest_epoch()];
        let indexes = [state.workload_index(), state.delivery_index()];
        (indexes, epochs, state.lock_version(), state.duties())
    }

    fn apply(&mut self, entry: Entry, done: &mut Done) -> Option<Outcome> {
        let id = entry.log_id;
        self.applied = Some(id);
        match entry.payload {
            EntryPayload::Blank => None,
            EntryPayload::Normal(proposal) => {
                let command = Arc::unwrap_or_clone(proposal.0);
                Some(self.command(id.index(), command, done))
            }
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(id), membership);
                None
            }
        }
    }

    /// Applies a command, and keeps for the audit what somebody asked for.
    fn command(&mut self, index: u64, command: Command, done: &mut Done) -> Outcome {
        let (at, request, actor) = (command.at, command.request, command.actor);
        let touched = actor.map_or_else(Vec::new, |_| command.action.objects());
        let issued_before = self.state.issued().count();
        let Applied { outcome, events } = self.state.apply(index, command);
        let issued: Vec<_> = self.state.issued().since(issued_before).cloned().collect();
        // A certificate that nobody asked for by a call is told, too.
        if let Some(actor) = actor.or_else(|| (!issued.is_empty()).then_some(Actor::NOBODY)) {
            let written = Written { index, at, request, actor, touched, issued };
            done.audited.push((written, Audit::code_of(&outcome)));
        }
        done.events.extend(events);
        outcome
    }

    pub(in crate::raft) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() }
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let view = self.published.borrow();
        Ok((view.applied, view.membership.clone()))
    }

    /// Answers leave once the state that they speak of can be read.
    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let (mut answers, mut done) = (Vec::new(), Done::default());
        let mut last = None;
        while let Some((entry, responder)) = entries.try_next().await? {
            last = Some(entry.log_id.index());
            let outcome = self.apply_one(entry, &mut done);
            answers.extend(responder.map(|responder| (responder, Answer(outcome))));
        }
        self.shelf.audit.written(done.audited);
        if let Some(last) = last {
            self.events.push(last, done.events);
        }
        for (responder, answer) in answers {
            responder.send(answer);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            view: self.published.borrow().clone(),
            shelf: Arc::clone(&self.shelf),
            newest: Arc::clone(&self.newest),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        let SnapshotFile { folder, name: came_as, draft: _draft, read } = snapshot;
        let (ring, cluster) = (self.shelf.keys.ring(), self.shelf.cluster);
        let again = || read_view(&came_as, folder.as_ref(), &ring, cluster);
        let view = read.map_or_else(again, Ok).map_err(io::Error::other)?;
        if view.meta() != *meta {
            return Err(io::Error::other("the snapshot is not the one that was announced"));
        }
        let name = snapshot_name(&view);
        // In place, and on the disk, before anything relies on it.
        folder::replace(self.shelf.folder.as_ref(), &name, &folder.read(&came_as)?)?;
        let folder = Arc::clone(&self.shelf.folder);
        *lock(&self.newest) =
            Some((meta.clone(), SnapshotFile { folder, name, draft: None, read: None }));
        let index = view.state.index();
        self.published.send_replace(view);
        self.events.restart(index);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let newest = lock(&self.newest).clone();
        Ok(newest.map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// Writes one snapshot of one view, while entries go on being applied.
pub(super) struct Builder {
    view: View,
    shelf: Arc<Shelf>,
    newest: Newest,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let (view, shelf) = (self.view.clone(), Arc::clone(&self.shelf));
        let name = world::blocking(move || write_view(&view, &shelf)).await??;
        let folder = Arc::clone(&self.shelf.folder);
        let (meta, snapshot) =
            (self.view.meta(), SnapshotFile { folder, name, draft: None, read: None });
        *lock(&self.newest) = Some((meta.clone(), snapshot.clone()));
        Ok(Snapshot { meta, snapshot })
    }
}

/// A plain assignment cannot be left half done, so a poisoned lock holds a whole value.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a view's snapshot.
fn snapshot_name(view: &View) -> String {
    format!("{:016x}{SNAPSHOT_SUFFIX}", view.applied_index())
}

/// Writes a view, and removes the snapshots before it. Returns the file's name.
pub(super) fn write_view(view: &View, shelf: &Shelf) -> io::Result<String> {
    // The entries behind a snapshot may be dropped: what they say of callers must be kept first.
    shelf.audit.flush()?;
    let ring = shelf.keys.ring();
    let name = write_snapshot(
        view,
        Arc::clone(&shelf.folder),
        ring.in_use(view.state.key_in_use()),
        shelf.cluster,
    )?;
    for old in shelf.folder.names()? {
        if old.ends_with(SNAPSHOT_SUFFIX) && old < name {
            shelf.folder.remove(&old)?;
        }
    }
    Ok(name)
}

/// Writes a view as a snapshot. Returns the file's name.
pub(super) fn write_snapshot(
    view: &View,
    folder: Arc<dyn Folder>,
    key: DataKey<'_>,
    cluster: ClusterId,
) -> io::Result<String> {
    let name = snapshot_name(view);
    let mut writer = SnapshotWriter::create(folder, &name, key, cluster, entropy::random())?;
    push_records(view, |record| writer.push(record))?;
    writer.finish()?;
    Ok(name)
}

/// Gives out a view's records, in the order in which they are read back.
pub(super) fn push_records(
    view: &View,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let start = stored::SnapshotStart {
        last: view.applied.as_ref().map(stored_id),
        membership_at: view.membership.log_id().as_ref().map(stored_id),
        membership: Some(codec::membership_to(view.membership.membership())),
        ..codec::start_of(&view.state)
    };
    // One buffer for all: a new one for each large value costs more than the value's copy.
    let mut encoded = Vec::new();
    let mut push = |record| {
        encoded.clear();
        let record = stored::SnapshotRecord { record: Some(record) };
        record.encode(&mut encoded).expect("a vector grows");
        take(&encoded)
    };
    push(Record::Start(start))?;
    let mut records = 0;
    let all = codec::records_of(&view.state);
    #[cfg(planted)]
    let all = planted_records(all.collect()).into_iter();
    for record in all {
        push(record)?;
        records += 1;
    }
    push(Record::End(stored::SnapshotEnd { records }))
}

/// What goes into a snapshot by a program with bugs.
#[cfg(planted)]
fn planted_records(mut records: Vec<Record>) -> Vec<Record> {
    use vault_core::planted::{Bug, on};
    let changed = |record: &Record| match record {
        Record::Value(value) => value.meta.as_ref().map(|meta| meta.version_index),
        _ => None,
    };
    if on(Bug::SnapshotWithoutNewest) {
        let newest = records.iter().filter_map(changed).max();
        records.retain(|record| newest.is_none() || changed(record) != newest);
    }
    records
}

/// Reads a snapshot back: all of it or nothing.
pub(in crate::raft) fn read_view(
    name: &str,
    folder: &dyn Folder,
    ring: &Keyring,
    cluster: ClusterId,
) -> Result<View, RestoreError> {
    let bytes = FileReader::new(folder, name);
    let mut reading = Reading::default();
    let mut broken = None;
    let read = read_records(name, bytes, ring, cluster, |record| {
        reading.take(record).map_err(|source| broken = Some(source)).ok()
    });
    if let Some(source) = broken {
        return Err(RestoreError::Record { name: name.to_owned(), source });
    }
    read?;
    let incomplete =
        |(found, said)| RestoreError::Incomplete { name: name.to_owned(), found, said };
    reading.finish().map_err(incomplete)
}

/// A view on its way back from its records.
#[derive(Default)]
pub(super) struct Reading {
    state: Restoring,
    applied: Option<LogId>,
    membership: StoredMembership,
    records: u64,
    said: Option<u64>,
}

impl Reading {
    /// Takes the next record.
    pub(super) fn take(&mut self, record: &[u8]) -> Result<(), CodecError> {
        self.record(codec::record_of(record)?)
    }

    /// The view, if all its records came; else how many did, and how many there were.
    pub(super) fn finish(self) -> Result<View, (u64, u64)> {
        let (found, said) = (self.records, self.said.unwrap_or(u64::MAX));
        if found != said {
            return Err((found, said));
        }
        let Self { state, applied, membership, .. } = self;
        Ok(View { state: state.finish(), applied, membership })
    }

    fn record(&mut self, record: Record) -> Result<(), CodecError> {
        match record {
            Record::Start(start) => {
                self.applied = start.last.map(|id| log_id(position_of(id)));
                let at = start.membership_at.map(|id| log_id(position_of(id)));
                let membership = codec::membership_from(start.membership.clone())?;
                self.membership = StoredMembership::new(at, membership);
                codec::restore(Record::Start(start), &mut self.state)
            }
            Record::End(end) => {
                self.said = Some(end.records);
                Ok(())
            }
            other => {
                self.records += 1;
                codec::restore(other, &mut self.state)
            }
        }
    }
}

fn stored_id(id: &LogId) -> stored::LogId {
    let Position { term, node, index } = position(id);
    stored::LogId { term, node, index }
}

fn position_of(id: stored::LogId) -> Position {
    Position { term: id.term, node: id.node, index: id.index }
}
