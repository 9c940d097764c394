//! Calls to other managers. This version has a single one, so there is nobody to call: every call is
//! answered as a peer that is not there.

use std::future::Future;
use std::io;

use openraft::error::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::network::v2::RaftNetworkV2;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory};

use super::machine::SnapshotFile;
use super::types::{Member, Snapshot, Types, Vote};

/// Makes connections to other managers.
pub(super) struct Network;

/// A manager that is not there.
pub(super) struct Nobody;

fn nobody() -> Unreachable<Types> {
    let error = io::Error::new(io::ErrorKind::NotConnected, "this cluster has a single manager");
    Unreachable::new(&error)
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Nobody;

    async fn new_client(&mut self, _target: u64, _member: &Member) -> Nobody {
        Nobody
    }
}

impl RaftNetworkV2<Types> for Nobody {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Err(RPCError::Unreachable(nobody()))
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Err(RPCError::Unreachable(nobody()))
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: Snapshot,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(StreamingError::Unreachable(nobody()))
    }
}
