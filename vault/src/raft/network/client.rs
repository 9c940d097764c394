//! Calls to other managers. A manager that cannot be reached is asked again after a moment, never at once.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use openraft::base::{BoxFuture, BoxStream};
use openraft::error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::v2::RaftNetworkV2;
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory};
use proto::v1;
use proto::v1::raft_client::RaftClient;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};
use vault_core::command::{Command, Outcome};
use vault_core::limits::{FORWARD_MS_MAX, PEER_MESSAGE_BYTES_MAX, SNAPSHOT_PIECE_BYTES};

use super::envelope::Envelope;
use super::wire;
use crate::raft::codec::{self, CodecError};
use crate::raft::machine::SnapshotFile;
use crate::raft::types::{Member, Snapshot, Types, Vote};
use crate::tls::{Dialer, Lane};
use crate::world;

/// How long one waits who could not be reached, before the log is offered again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The way to other managers.
#[derive(Clone)]
pub(in crate::raft) struct Peers {
    pub own: Envelope,
    pub dialer: Arc<Dialer>,
}

type Appended = Result<StreamAppendResult<Types>, RPCError<Types>>;

/// Makes Raft's connections.
pub(in crate::raft) struct Network(pub Peers);

/// One manager, for one of Raft's purposes.
pub(in crate::raft) struct Peer {
    peers: Peers,
    target: u64,
    member: Member,
    lane: Lane,
}

/// Why a call that was handed on has no answer.
#[derive(Debug)]
pub(in crate::raft) enum ForwardError {
    /// Nothing was done there: it may be asked again, or somebody else.
    NotTaken,
    /// It may have been done.
    Unknown,
}

impl Peers {
    fn client(&self, member: &Member, lane: Lane) -> RaftClient<Channel> {
        let channel = self.dialer.channel(&member.addr, &member.node_id, lane);
        let client = RaftClient::new(channel).max_decoding_message_size(PEER_MESSAGE_BYTES_MAX);
        client.max_encoding_message_size(PEER_MESSAGE_BYTES_MAX)
    }

    /// Has the leader take a command.
    pub(in crate::raft) async fn propose(
        &self,
        target: u64,
        leader: &Member,
        command: &Command,
    ) -> Result<(u64, Outcome), ForwardError> {
        let mut client = self.client(leader, Lane::Calls);
        let message = v1::ProposeRequest { command: Some(codec::command_to(command)) };
        let call = client.propose(self.own.request(target, message));
        let patience = Duration::from_millis(FORWARD_MS_MAX);
        let answer = timeout(patience, call).await.map_err(|_| ForwardError::Unknown)?;
        let answer = answer.map_err(|status| forward_error(&status))?.into_inner();
        let outcome = codec::outcome_from(answer.outcome).map_err(|_| ForwardError::Unknown)?;
        Ok((answer.index, outcome))
    }

    /// Asks the leader how far a view must have come.
    pub(in crate::raft) async fn read_index(
        &self,
        target: u64,
        leader: &Member,
    ) -> Result<u64, ForwardError> {
        let mut client = self.client(leader, Lane::Calls);
        let call = client.read_index(self.own.request(target, v1::ReadIndexRequest {}));
        let patience = Duration::from_millis(FORWARD_MS_MAX);
        let answer = timeout(patience, call).await.map_err(|_| ForwardError::NotTaken)?;
        Ok(answer.map_err(|_| ForwardError::NotTaken)?.into_inner().index)
    }
}

/// A status that the other manager gave before it did anything is told apart from a broken connection.
fn forward_error(status: &Status) -> ForwardError {
    match status.code() {
        Code::FailedPrecondition | Code::PermissionDenied | Code::Unimplemented => {
            ForwardError::NotTaken
        }
        _ if is_not_connected(status) => ForwardError::NotTaken,
        _ => ForwardError::Unknown,
    }
}

/// Whether no connection was made at all, so that nothing can have been sent.
fn is_not_connected(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::TimedOut
            );
        }
        cause = error.source();
    }
    false
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, member: &Member) -> Peer {
        Peer { peers: self.0.clone(), target, member: member.clone(), lane: Lane::Log }
    }

    async fn new_heartbeat_client(&mut self, target: u64, member: &Member) -> Peer {
        Peer { peers: self.0.clone(), target, member: member.clone(), lane: Lane::Pulse }
    }
}

fn unreachable(error: &(impl Error + 'static)) -> Unreachable<Types> {
    Unreachable::new(error)
}

fn failed(status: &Status) -> RPCError<Types> {
    RPCError::Unreachable(unreachable(status))
}

fn garbled(error: &CodecError) -> RPCError<Types> {
    RPCError::Network(NetworkError::new(error))
}

impl Peer {
    fn client(&self, lane: Lane) -> RaftClient<Channel> {
        self.peers.client(&self.member, lane)
    }

    async fn append_one(
        &self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Appended {
        let mut client = self.client(self.lane);
        let message = wire::append_to(&request);
        let call = client.heartbeat(self.peers.own.request(self.target, message));
        let answer = in_time(option, call).await?;
        wire::appended_from(answer).map_err(|error| garbled(&error))
    }

    async fn ask(
        &self,
        request: VoteRequest<Types>,
        is_rehearsal: bool,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let mut client = self.client(Lane::Pulse);
        let message = wire::ask_to(&request, is_rehearsal);
        let call = client.vote(self.peers.own.request(self.target, message));
        let answer = in_time(option, call).await?;
        wire::granted_from(answer).map_err(|error| garbled(&error))
    }
}

/// The answer to a call, unless it takes longer than Raft can wait.
async fn in_time<T>(
    option: RPCOption,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, RPCError<Types>> {
    match timeout(option.hard_ttl(), call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| failed(&status)),
        Err(late) => Err(RPCError::Unreachable(unreachable(&late))),
    }
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Ok(self.append_one(request, option).await?.into())
    }

    /// Not longer and longer: a manager that comes back is to be of use at once.
    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(AGAIN_AFTER)))
    }

    fn stream_append<S>(
        &mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'_, Result<BoxStream<'_, Appended>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let peer = &*self;
        Box::pin(async move {
            if matches!(peer.lane, Lane::Pulse) {
                // A heartbeat comes by this way, too, as a stream of one. It is a call of its own, so that
                // it neither waits behind entries nor opens a stream ten times a second.
                let beats = input.then(move |beat| peer.append_one(beat, option.clone()));
                return Ok(beats.boxed());
            }
            // Raft waits within its stream before it asks again whom it could not reach. A connection that is
            // refused would not look into the stream at all, so the first request is taken out before.
            let mut input = input;
            let Some(first) = input.next().await else {
                return Ok(futures_util::stream::empty().boxed());
            };
            let input = futures_util::stream::once(std::future::ready(first)).chain(input);
            let mut client = peer.client(Lane::Log);
            let messages = input.map(|request| wire::append_to(&request));
            let call = client.append(peer.peers.own.request(peer.target, messages));
            let answers = call.await.map_err(|status| failed(&status))?.into_inner();
            let answers = answers.map(|answer| {
                let answer = answer.map_err(|status| failed(&status))?;
                wire::appended_from(answer).map_err(|error| garbled(&error))
            });
            Ok(answers.boxed())
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask(request, false, option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask(request, true, option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let mut client = self.client(Lane::Snapshot);
        let head = wire::meta_to(&vote, &snapshot.meta);
        let pieces = pieces(head, snapshot.snapshot);
        let sending = client.snapshot(self.peers.own.request(self.target, pieces));
        tokio::select! {
            closed = cancel => Err(closed.into()),
            answer = timeout(option.hard_ttl(), sending) => {
                let answer = answer.map_err(|late| StreamingError::Unreachable(unreachable(&late)))?;
                let answer = answer.map_err(|status| StreamingError::Unreachable(unreachable(&status)))?;
                let vote = wire::vote_from(answer.into_inner().vote);
                let vote = vote.map_err(|error| StreamingError::Network(NetworkError::new(&error)))?;
                Ok(SnapshotResponse { vote })
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let mut client = self.client(Lane::Pulse);
        let message = wire::hand_over_to(&request);
        let call = client.hand_over(self.peers.own.request(self.target, message));
        if in_time(option, call).await?.taken {
            return Ok(Ok(()));
        }
        let from = *request.from_leader();
        Ok(Err(TransferLeaderError::VoteChanged { expected: from, actual: from }))
    }
}

/// A snapshot as a stream: its head, then the file as it is, read piece by piece.
fn pieces(
    head: v1::RaftSnapshotHead,
    file: SnapshotFile,
) -> impl Stream<Item = v1::RaftSnapshotPiece> + Send + 'static {
    use v1::raft_snapshot_piece::Piece;
    let head = v1::RaftSnapshotPiece { piece: Some(Piece::Head(head)) };
    let body = futures_util::stream::once(async move {
        // A file that went meanwhile gives a snapshot that the other side finds incomplete.
        let read = world::blocking(move || file.folder.read(&file.name));
        read.await.flatten().unwrap_or_default()
    });
    let body = body.flat_map(|bytes| {
        let pieces: Vec<_> = bytes
            .chunks(SNAPSHOT_PIECE_BYTES)
            .map(|piece| v1::RaftSnapshotPiece { piece: Some(Piece::Bytes(piece.to_vec())) })
            .collect();
        futures_util::stream::iter(pieces)
    });
    futures_util::stream::once(std::future::ready(head)).chain(body)
}
