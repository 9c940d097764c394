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
use vault_core::id::ClusterId;
use vault_core::state::{Restoring, State};

use super::codec::{self, CodecError};
use super::types::{
    Answer, LogId, Snapshot, SnapshotMeta, StoredMembership, Types, log_id, position,
};
use crate::disk::folder::{self, Folder};
use crate::disk::keyring::Keyring;
use crate::disk::log::Position;
use crate::disk::snapshot::{SnapshotError, SnapshotWriter, read_records};
use crate::entropy;

/// How snapshots' names end; they start with the last index, so that the newest comes last.
const SNAPSHOT_SUFFIX: &str = ".snap";

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
}

impl fmt::Debug for SnapshotFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)
    }
}

/// What snapshots are written with.
pub(super) struct Shelf {
    pub folder: Arc<dyn Folder>,
    pub keyring: Arc<Keyring>,
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

/// The state machine.
pub(super) struct Machine {
    view: View,
    published: watch::Sender<View>,
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
        let newest = names.into_iter().rfind(|name| name.ends_with(SNAPSHOT_SUFFIX));
        let mut view = View::default();
        let mut snapshot = None;
        if let Some(name) = newest {
            let bytes = shelf.folder.read(&name).map_err(io(&name))?;
            view = read_view(&name, &bytes, &shelf)?;
            let folder = Arc::clone(&shelf.folder);
            snapshot = Some((view.meta(), SnapshotFile { folder, name }));
        }
        let published = watch::Sender::new(view.clone());
        Ok(Self { view, published, shelf: Arc::new(shelf), newest: Arc::new(Mutex::new(snapshot)) })
    }

    /// Where the views are published.
    pub(super) fn views(&self) -> watch::Receiver<View> {
        self.published.subscribe()
    }
}

impl View {
    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() }
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.view.applied, self.view.membership.clone()))
    }

    /// Answers leave once the view that they speak of is published.
    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut answers = Vec::new();
        while let Some((entry, responder)) = entries.try_next().await? {
            let id = entry.log_id;
            self.view.applied = Some(id);
            let outcome = match entry.payload {
                EntryPayload::Blank => None,
                EntryPayload::Normal(proposal) => {
                    let command = Arc::unwrap_or_clone(proposal.0);
                    Some(self.view.state.apply(id.index(), command))
                }
                EntryPayload::Membership(membership) => {
                    self.view.membership = StoredMembership::new(Some(id), membership);
                    None
                }
            };
            answers.extend(responder.map(|responder| (responder, Answer(outcome))));
        }
        self.published.send_replace(self.view.clone());
        for (responder, answer) in answers {
            responder.send(answer);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            view: self.view.clone(),
            shelf: Arc::clone(&self.shelf),
            newest: Arc::clone(&self.newest),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        let SnapshotFile { folder, name } = snapshot;
        let bytes = folder.read(&name)?;
        let view = read_view(&name, &bytes, &self.shelf).map_err(io::Error::other)?;
        if view.meta() != *meta {
            return Err(io::Error::other("the snapshot is not the one that was announced"));
        }
        // In place, and on the disk, before anything relies on it.
        folder::replace(self.shelf.folder.as_ref(), &name, &bytes)?;
        let folder = Arc::clone(&self.shelf.folder);
        self.view = view;
        *lock(&self.newest) = Some((meta.clone(), SnapshotFile { folder, name }));
        self.published.send_replace(self.view.clone());
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
        let name = tokio::task::spawn_blocking(move || write_view(&view, &shelf))
            .await
            .map_err(io::Error::other)??;
        let folder = Arc::clone(&self.shelf.folder);
        let (meta, snapshot) = (self.view.meta(), SnapshotFile { folder, name });
        *lock(&self.newest) = Some((meta.clone(), snapshot.clone()));
        Ok(Snapshot { meta, snapshot })
    }
}

/// A plain assignment cannot be left half done, so a poisoned lock holds a whole value.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a view, and removes the snapshots before it. Returns the file's name.
fn write_view(view: &View, shelf: &Shelf) -> io::Result<String> {
    let index = view.applied.as_ref().map_or(0, |id| id.index());
    let name = format!("{index:016x}{SNAPSHOT_SUFFIX}");
    let salt = entropy::random();
    let folder = Arc::clone(&shelf.folder);
    let key = shelf.keyring.newest();
    let mut writer = SnapshotWriter::create(folder, &name, key, shelf.cluster, salt)?;
    let start = stored::SnapshotStart {
        last: view.applied.as_ref().map(stored_id),
        membership_at: view.membership.log_id().as_ref().map(stored_id),
        membership: Some(codec::membership_to(view.membership.membership())),
        clock: view.state.clock().nanos(),
        index: view.state.index(),
        workload_index: view.state.workload_index(),
    };
    let mut push =
        |record| writer.push(&stored::SnapshotRecord { record: Some(record) }.encode_to_vec());
    push(Record::Start(start))?;
    let mut records = 0;
    for record in codec::records_of(&view.state) {
        push(record)?;
        records += 1;
    }
    push(Record::End(stored::SnapshotEnd { records }))?;
    writer.finish()?;
    for old in shelf.folder.names()? {
        if old.ends_with(SNAPSHOT_SUFFIX) && old < name {
            shelf.folder.remove(&old)?;
        }
    }
    Ok(name)
}

/// Reads a snapshot back: all of it or nothing.
fn read_view(name: &str, bytes: &[u8], shelf: &Shelf) -> Result<View, RestoreError> {
    let mut reading = Reading::default();
    let mut broken = None;
    let read = read_records(name, bytes, &shelf.keyring, shelf.cluster, |record| {
        let taken = codec::record_of(record).and_then(|record| reading.record(record));
        taken.map_err(|source| broken = Some(source)).ok()
    });
    if let Some(source) = broken {
        return Err(RestoreError::Record { name: name.to_owned(), source });
    }
    read?;
    let (found, said) = (reading.records, reading.said.unwrap_or(u64::MAX));
    if found != said {
        return Err(RestoreError::Incomplete { name: name.to_owned(), found, said });
    }
    let Reading { state, applied, membership, .. } = reading;
    Ok(View { state: state.finish(), applied, membership })
}

#[derive(Default)]
struct Reading {
    state: Restoring,
    applied: Option<LogId>,
    membership: StoredMembership,
    records: u64,
    said: Option<u64>,
}

impl Reading {
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
