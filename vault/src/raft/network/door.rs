//! Raft's calls as they come in. The gate has already seen that a manager of this cluster calls.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::{Stream, StreamExt};
use openraft::async_runtime::WatchReceiver;
use openraft::error::{ClientWriteError, RaftError};
use openraft::raft::AppendEntriesRequest;
use openraft::{Raft, ReadPolicy};
use proto::v1;
use proto::v1::raft_server::Raft as RaftCalls;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use vault_core::feature::Level;
use vault_core::id::NodeId;
use vault_core::limits::SNAPSHOT_FILE_BYTES_MAX;
#[cfg(planted)]
use vault_core::planted::{self, Bug};

use super::envelope::Envelope;
use super::wire;
use crate::clock::Stamps;
use crate::disk::folder::Folder;
use crate::disk::log::Position;
use crate::disk::snapshot;
use crate::entropy;
use crate::keys::Keys;
use crate::peer::Proven;
use crate::raft::codec::{self, CodecError};
use crate::raft::machine::{DRAFT_SUFFIX, Draft, Machine, SnapshotFile, View, read_view};
use crate::raft::types::{Proposal, Snapshot, Types, log_id};
use crate::world;

/// Appends of one stream that wait for Raft; the sender waits beyond.
const APPENDS_WAITING: usize = 16;

/// When a leader was heard last, in milliseconds since this was made.
#[derive(Clone)]
pub(in crate::raft) struct Heard(Arc<(Instant, AtomicU64)>);

impl Heard {
    pub(in crate::raft) fn new() -> Self {
        Self(Arc::new((Instant::now(), AtomicU64::new(0))))
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.0.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn now(&self) {
        self.0.1.store(self.millis(), Ordering::Relaxed);
    }

    /// For how long nobody was heard.
    pub(in crate::raft) fn silence(&self) -> u64 {
        self.millis().saturating_sub(self.0.1.load(Ordering::Relaxed))
    }
}

/// Where Raft's calls come in.
#[derive(Clone)]
pub struct Door {
    pub(in crate::raft) raft: Raft<Types, Machine>,
    pub(in crate::raft) own: Envelope,
    /// Where a snapshot is put down while it comes in.
    pub(in crate::raft) snapshots: Arc<dyn Folder>,
    /// A snapshot under a key that is not here is not taken before the key is.
    pub(in crate::raft) keys: Arc<Keys>,
    /// The leader's time, for commands that were handed on.
    pub(in crate::raft) stamps: Arc<Stamps>,
    pub(in crate::raft) views: watch::Receiver<View>,
    /// When a leader was heard last.
    pub(in crate::raft) heard: Heard,
}

fn garbled(error: CodecError) -> Status {
    Status::invalid_argument(error.to_string())
}

/// Raft has ended here.
fn ended(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

impl Door {
    /// From whom a call is. Raft's own membership says which node has which Raft ID, where it knows it.
    fn enter<T>(&self, request: &Request<T>) -> Result<u64, Status> {
        let from = self.own.open(request.metadata())?;
        let claim = request.extensions().get::<Proven>().and_then(|proven| proven.0.as_ref());
        let claim = claim.ok_or_else(|| Status::permission_denied("no certificate was shown"))?;
        let metrics = self.raft.server_metrics();
        let known = {
            let metrics = metrics.borrow_watched();
            metrics.membership_config.membership().get_node(&from).cloned()
        };
        if known.is_some_and(|member| member.node_id != claim.node) {
            return Err(Status::permission_denied("the certificate is another manager's"));
        }
        Ok(from)
    }
}

impl Door {
    /// Reads a snapshot that came in.
    async fn read_whole(&self, name: &str) -> Result<View, Status> {
        let (folder, name) = (Arc::clone(&self.snapshots), name.to_owned());
        let (ring, cluster) = (self.keys.ring(), self.own.cluster);
        let read = move || read_view(&name, folder.as_ref(), &ring, cluster);
        let read = world::blocking(read).await;
        let read = read.map_err(|error| Status::internal(format!("snapshot: {error}")))?;
        read.map_err(|error| Status::invalid_argument(error.to_string()))
    }
}

type Appended = Pin<Box<dyn Stream<Item = Result<v1::RaftAppendResponse, Status>> + Send>>;

#[tonic::async_trait]
impl RaftCalls for Door {
    type AppendStream = Appended;

    async fn vote(
        &self,
        request: Request<v1::RaftVoteRequest>,
    ) -> Result<Response<v1::RaftVoteResponse>, Status> {
        self.enter(&request)?;
        let message = request.into_inner();
        let is_rehearsal = message.is_rehearsal;
        let asked = wire::ask_from(message).map_err(garbled)?;
        let answer = if is_rehearsal {
            self.raft.pre_vote(asked).await
        } else {
            self.raft.vote(asked).await
        };
        Ok(Response::new(wire::granted_to(&answer.map_err(ended)?)))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::RaftAppendRequest>,
    ) -> Result<Response<v1::RaftAppendResponse>, Status> {
        self.enter(&request)?;
        self.heard.now();
        let append = wire::append_from(request.into_inner()).map_err(garbled)?;
        let previous = append.prev_log_id;
        let last = append.entries.last().map(|entry| entry.log_id).or(previous);
        let answer = self.raft.append_entries(append).await.map_err(ended)?;
        // Without an entry before, there is nothing to conflict with.
        let before = previous.unwrap_or_else(|| log_id(Position { term: 0, node: 0, index: 0 }));
        let result = answer.into_stream_result(Some(before), last);
        Ok(Response::new(wire::appended_to(&result)))
    }

    async fn append(
        &self,
        request: Request<Streaming<v1::RaftAppendRequest>>,
    ) -> Result<Response<Appended>, Status> {
        self.enter(&request)?;
        let (sender, appends) = mpsc::channel::<AppendEntriesRequest<Types>>(APPENDS_WAITING);
        tokio::spawn(read_appends(request.into_inner(), sender, self.heard.clone()));
        let answers = self.raft.stream_append(ReceiverStream::new(appends));
        let answers = answers.map(|answer| match answer {
            Ok(result) => Ok(wire::appended_to(&result)),
            Err(fatal) => Err(ended(fatal)),
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<v1::RaftSnapshotPiece>>,
    ) -> Result<Response<v1::RaftSnapshotResponse>, Status> {
        self.enter(&request)?;
        let mut pieces = request.into_inner();
        let first = pieces.message().await?.and_then(|piece| piece.piece);
        let Some(v1::raft_snapshot_piece::Piece::Head(head)) = first else {
            return Err(Status::invalid_argument("a snapshot starts with its head"));
        };
        let (vote, meta) = wire::meta_from(head).map_err(garbled)?;
        let incoming = Incoming::new(&self.snapshots);
        incoming.fill(&mut pieces).await?;
        let epoch = snapshot::epoch_of(self.snapshots.as_ref(), incoming.0.name());
        let epoch = epoch.map_err(|error| Status::internal(format!("snapshot: {error}")))?;
        if !self.keys.has_or_misses(epoch) {
            return Err(Status::unavailable(format!("no data key of epoch {} here yet", epoch.0)));
        }
        // All of it is read before Raft sees it: one that Raft cannot take up would end this manager.
        let view = self.read_whole(incoming.0.name()).await?;
        if view.meta() != meta {
            return Err(Status::invalid_argument("snapshot: not the one that its head announces"));
        }
        let (folder, name) = (Arc::clone(&self.snapshots), incoming.0.name().to_owned());
        let file = SnapshotFile { folder, name, draft: Some(incoming.0), read: Some(view) };
        let snapshot = Snapshot { meta, snapshot: file };
        let answer = self.raft.install_full_snapshot(vote, snapshot).await.map_err(ended)?;
        Ok(Response::new(v1::RaftSnapshotResponse { vote: Some(wire::vote_to(&answer.vote)) }))
    }

    async fn hand_over(
        &self,
        request: Request<v1::RaftHandOverRequest>,
    ) -> Result<Response<v1::RaftHandOverResponse>, Status> {
        self.enter(&request)?;
        let asked = wire::hand_over_from(request.into_inner()).map_err(garbled)?;
        let answer = self.raft.handle_transfer_leader(asked).await.map_err(ended)?;
        Ok(Response::new(v1::RaftHandOverResponse { taken: answer.is_ok() }))
    }

    async fn read_index(
        &self,
        request: Request<v1::ReadIndexRequest>,
    ) -> Result<Response<v1::ReadIndexResponse>, Status> {
        self.enter(&request)?;
        match self.raft.get_read_log_id(ReadPolicy::ReadIndex).await {
            Ok((read, _)) => Ok(Response::new(v1::ReadIndexResponse { index: read.index() })),
            Err(RaftError::APIError(_)) => Err(not_the_leader()),
            Err(RaftError::Fatal(fatal)) => Err(ended(fatal)),
        }
    }

    async fn propose(
        &self,
        request: Request<v1::ProposeRequest>,
    ) -> Result<Response<v1::ProposeResponse>, Status> {
        self.enter(&request)?;
        let claim = request.extensions().get::<Proven>().and_then(|proven| proven.0.as_ref());
        let from = claim.and_then(|claim| NodeId::parse(&claim.node).ok());
        let command = request.into_inner().command;
        let command = command.ok_or_else(|| Status::invalid_argument("no command"))?;
        let mut command = codec::command_from(command, Level::known()).map_err(garbled)?;
        let applied = self.views.borrow().state.clock();
        command.at = self.stamps.next(applied);
        #[cfg(planted)]
        let from = match &command.actor {
            Some(actor) if planted::on(Bug::ForwardedCallerBelieved) => actor.node,
            _ => from,
        };
        if let Some(actor) = &mut command.actor {
            // Who handed it on answers for the rest of what it says.
            actor.node = from;
        }
        match self.raft.client_write(Proposal(Arc::new(command))).await {
            Ok(written) => {
                let outcome = written.data.0.expect("a command has an outcome");
                let outcome = Some(codec::outcome_to(&outcome));
                Ok(Response::new(v1::ProposeResponse { index: written.log_id.index(), outcome }))
            }
            // The office may have been lost with the command in the log: that is not for us to say.
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                Err(Status::aborted("this manager is not the leader"))
            }
            Err(RaftError::APIError(other)) => Err(Status::internal(other.to_string())),
            Err(RaftError::Fatal(fatal)) => Err(ended(fatal)),
        }
    }
}

fn not_the_leader() -> Status {
    Status::failed_precondition("this manager is not the leader")
}

/// Hands appends over until the stream ends or says something that does not read.
async fn read_appends(
    mut requests: Streaming<v1::RaftAppendRequest>,
    sender: mpsc::Sender<AppendEntriesRequest<Types>>,
    heard: Heard,
) {
    while let Ok(Some(request)) = requests.message().await {
        heard.now();
        match wire::append_from(request) {
            Ok(append) => {
                if sender.send(append).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "entries from another manager do not read");
                return;
            }
        }
    }
}

/// A snapshot that comes in: a draft, removed if it is not taken up.
struct Incoming(Arc<Draft>, Arc<dyn Folder>);

impl Incoming {
    fn new(folder: &Arc<dyn Folder>) -> Self {
        let number = u64::from_le_bytes(entropy::random());
        let name = format!("incoming-{number:016x}{DRAFT_SUFFIX}");
        Self(Draft::new(folder, name), Arc::clone(folder))
    }

    async fn fill(&self, pieces: &mut Streaming<v1::RaftSnapshotPiece>) -> Result<(), Status> {
        let failed = |error: std::io::Error| Status::internal(format!("snapshot: {error}"));
        let file = self.1.create(self.0.name()).map_err(failed)?;
        let mut length = 0_u64;
        while let Some(piece) = pieces.message().await? {
            let Some(v1::raft_snapshot_piece::Piece::Bytes(bytes)) = piece.piece else {
                return Err(Status::invalid_argument("a snapshot has one head"));
            };
            let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let next = length.saturating_add(more);
            if next > SNAPSHOT_FILE_BYTES_MAX {
                return Err(Status::resource_exhausted("the snapshot is larger than any may be"));
            }
            let (file, at) = (Arc::clone(&file), length);
            let written = world::blocking(move || file.write_at(at, &bytes)).await;
            written.flatten().map_err(failed)?;
            length = next;
        }
        Ok(())
    }
}
