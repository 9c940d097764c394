//! The swarm's root, and its rotation.

use proto::v1;
use proto::v1::roots_client::RootsClient;
use tonic::Request;
use tonic::Status;
use tonic::codegen::http::uri::PathAndQuery;
use zeroize::Zeroize;

use super::CallError;
use super::Channel;
use super::Client;
use super::filled;
use crate::codec::Wipe;
use crate::codec::Wiped;
use crate::codec::WipingCodec;
use crate::objects::RootPhase;
use crate::objects::RootRotation;
use crate::objects::RootStatus;
use crate::objects::RootWanted;

impl Wipe for v1::RotateRootRequest {
    fn wipe(&mut self) {
        self.key.zeroize();
    }
}

impl Client {
    fn roots(&self) -> RootsClient<Channel> {
        RootsClient::new(self.channel.clone())
    }

    /// Begins a rotation; gives its number.
    pub(crate) async fn rotate_root(&self, wanted: RootWanted) -> Result<u64, CallError> {
        let request = Wiped(v1::RotateRootRequest {
            certificate: wanted.certificate,
            key: wanted.key.map(|key| key.danger_into_bytes()).unwrap_or_default(),
            lifetime_secs: wanted.lifetime_secs,
            for_all: wanted.is_for_all,
            compromised: wanted.is_compromised,
        });
        let path = PathAndQuery::from_static("/coffer.v1.Roots/Rotate");
        let mut caller = tonic::client::Grpc::new(self.channel.clone());
        let call = async {
            caller.ready().await.map_err(|error| Status::from_error(error.into()))?;
            let codec = WipingCodec::<_, v1::RotateRootResponse>::new();
            caller.unary(Request::new(request), path, codec).await
        };
        Ok(self.ask(call).await?.rotation)
    }

    /// Takes the rotation back that goes on.
    pub(crate) async fn abort_root(&self) -> Result<(), CallError> {
        self.ask(self.roots().abort(v1::AbortRootRequest {})).await.map(drop)
    }

    pub(crate) async fn root_status(&self) -> Result<RootStatus, CallError> {
        let answer = self.ask(self.roots().status(v1::RootStatusRequest {})).await?;
        Ok(RootStatus {
            certificate: filled(answer.certificate, "the root's certificate")?,
            rotation: answer.rotation.map(rotation),
            away: answer.away.into_iter().map(named).collect(),
            backup_at: Some(answer.backup_at).filter(|at| *at > 0),
        })
    }
}

fn named(node: v1::RootNode) -> String {
    let v1::RootNode { id, hostname } = node;
    if hostname.is_empty() { id } else { format!("{id} ({hostname})") }
}

fn rotation(wire: v1::RootRotation) -> RootRotation {
    let phase = match wire.phase() {
        v1::RootPhase::Prepared => RootPhase::Prepared,
        v1::RootPhase::Trusting => RootPhase::Trusting,
        v1::RootPhase::Reissuing => RootPhase::Reissuing,
        v1::RootPhase::Retiring => RootPhase::Retiring,
        v1::RootPhase::Withdrawing => RootPhase::Withdrawing,
    };
    let digest = wire.digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    RootRotation {
        phase,
        digest,
        nodes: wire.nodes,
        certified: wire.certified,
        trusting: wire.trusting,
        stale: wire.stale.into_iter().map(named).collect(),
        is_taken_back: wire.is_taken_back,
        is_compromised: wire.is_compromised,
    }
}
