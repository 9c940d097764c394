//! `Roots`: the cluster's root, and its rotation.

use pki::rotation::{Manner, Outlook, Phase};
use pki::token::RootDigest;
use proto::v1;
use proto::v1::roots_server::Roots;
use tonic::{Request, Response, Status};
use vault_core::cluster::Cluster;
use vault_core::id::NodeId;
use vault_core::node::{Node, NodeStatus};
use vault_core::root::Change;
use vault_core::state::State;
use zeroize::Zeroizing;

use super::{convert, status};
use crate::daemon::Daemon;
use crate::manager::{RootError, RootWanted};

#[tonic::async_trait]
impl Roots for Daemon {
    async fn rotate(
        &self,
        request: Request<v1::RotateRootRequest>,
    ) -> Result<Response<v1::RotateRootResponse>, Status> {
        let asked = convert::asked(&request, &[]);
        // Taken over first: from here on the key is wiped whatever happens.
        let wire = request.into_inner();
        let key = String::from_utf8(wire.key).map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            Status::invalid_argument("file contents must be in PEM format")
        });
        let key = Zeroizing::new(key?);
        let asked = asked.map_err(|error| status::of_request(&error))?;
        let wanted = RootWanted {
            brought: brought(wire.certificate, key)?,
            lifetime_secs: wire.lifetime_secs,
            is_for_all: wire.for_all,
            is_compromised: wire.compromised,
        };
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let begun = manager.rotate_root(asked, &wanted).await;
        let rotation = begun.map_err(|error| of_root(&error))?;
        let index = manager.consensus().view().state.index();
        Ok(Response::new(v1::RotateRootResponse { rotation, index }))
    }

    async fn status(
        &self,
        _request: Request<v1::RootStatusRequest>,
    ) -> Result<Response<v1::RootStatusResponse>, Status> {
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        let state = &view.state;
        let cluster =
            state.cluster().ok_or_else(|| Status::failed_precondition("no cluster yet"))?;
        let standing = manager.consensus().standing();
        let leader = standing.leader_member().and_then(|one| NodeId::parse(&one.node_id).ok());
        let outlook = state.root_outlook(leader, manager.now().secs());
        let change = cluster.roots.change.as_deref().zip(outlook);
        let rotation = change.map(|(change, outlook)| rotation(state, cluster, change, &outlook));
        let away = state.managers().filter(|node| node.status != NodeStatus::Ready);
        let backup = cluster.backups.made.map_or(0, |made| made.at.nanos());
        Ok(Response::new(v1::RootStatusResponse {
            certificate: cluster.root_certificate.clone(),
            rotation,
            last_rotation: cluster.roots.last_rotation,
            away: away.map(|node| named(node)).collect(),
            backup_at: i64::try_from(backup).unwrap_or(i64::MAX),
            index: state.index(),
        }))
    }

    async fn abort(
        &self,
        request: Request<v1::AbortRootRequest>,
    ) -> Result<Response<v1::AbortRootResponse>, Status> {
        let asked = convert::asked(&request, &[]).map_err(|error| status::of_request(&error))?;
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let aborted = manager.abort_root(asked).await;
        let rotation = aborted.map_err(|error| status::of_manager_call(&error))?;
        let index = manager.consensus().view().state.index();
        Ok(Response::new(v1::AbortRootResponse { rotation, index }))
    }
}

/// A root with its key, or neither. Texts are Swarm's where Swarm has one.
fn brought(
    certificate: String,
    key: Zeroizing<String>,
) -> Result<Option<(String, Zeroizing<String>)>, Status> {
    match (certificate.is_empty(), key.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some((certificate, key))),
        (true, false) => Err(Status::invalid_argument(
            "if a signing CA key is provided, the signing CA cert must also be provided",
        )),
        (false, true) => Err(Status::invalid_argument(
            "a CA certificate without its key needs an external CA, which this version does not use: bring the key, too",
        )),
    }
}

fn rotation(
    state: &State,
    cluster: &Cluster,
    change: &Change,
    outlook: &Outlook<NodeId>,
) -> v1::RootRotation {
    let rotation = &change.rotation;
    let is_taken_back = rotation.manner == Manner::Reversed || rotation.phase == Phase::Withdrawing;
    let target = if is_taken_back { &cluster.root_certificate } else { &change.certificate };
    let phase = match rotation.phase {
        Phase::Prepared => v1::RootPhase::Prepared,
        Phase::Trusting => v1::RootPhase::Trusting,
        Phase::Reissuing => v1::RootPhase::Reissuing,
        Phase::Retiring => v1::RootPhase::Retiring,
        Phase::Withdrawing => v1::RootPhase::Withdrawing,
    };
    let count = |nodes: usize| u64::try_from(nodes).unwrap_or(u64::MAX);
    v1::RootRotation {
        id: rotation.id,
        phase: phase.into(),
        digest: RootDigest::of(target).bytes().to_vec(),
        nodes: count(outlook.counted),
        certified: count(outlook.certified),
        trusting: count(outlook.trusting),
        stale: outlook
            .stale
            .iter()
            .filter_map(|id| state.node(*id))
            .map(|node| named(node))
            .collect(),
        is_taken_back,
        is_compromised: rotation.manner == Manner::Compromised,
    }
}

fn named(node: &Node) -> v1::RootNode {
    v1::RootNode { id: node.id.to_string(), hostname: node.hostname.clone() }
}

fn of_root(error: &RootError) -> Status {
    match error {
        RootError::Lifetime { .. } | RootError::Import(_) => {
            let mut said = error.to_string();
            let mut cause = std::error::Error::source(error);
            while let Some(next) = cause {
                // A transparent error says the same as its source.
                let next_said = next.to_string();
                if !said.ends_with(&next_said) {
                    said = format!("{said}: {next_said}");
                }
                cause = next.source();
            }
            Status::invalid_argument(said)
        }
        RootError::Cross(_) => Status::failed_precondition(error.to_string()),
        RootError::Call(error) => status::of_manager_call(error),
        RootError::Key(_) | RootError::Root(_) | RootError::Value(_) => {
            Status::internal(error.to_string())
        }
    }
}
