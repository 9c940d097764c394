//! `Managers`: what a manager gives to another manager besides Raft, and asking for it.

use proto::v1;
use proto::v1::managers_client::ManagersClient;
use proto::v1::managers_server::Managers;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use vault_core::command::{Action, ManagerPlace};
use vault_core::feature::Level;
use vault_core::id::{ClusterId, NodeId};
use vault_core::limits::HOST_BYTES_MAX;
use vault_core::node::Role;
use vault_core::seal::{Epoch, KEY_BYTES};
use zeroize::Zeroizing;

use super::status;
use crate::clock;
use crate::daemon::Daemon;
use crate::moved;
use crate::peer::Proven;
use crate::rotation::Carried;
use crate::tls::{Dialer, Lane};
use crate::world;

/// What a new manager is told.
pub(crate) struct Admitted {
    pub cluster: ClusterId,
    pub raft_id: u64,
    pub recovery_epoch: u32,
}

fn client(dialer: &Dialer, addr: &str, node_id: &str) -> ManagersClient<Channel> {
    ManagersClient::new(dialer.channel(addr, node_id, Lane::Calls))
}

/// Asks another manager for the data keys.
pub(crate) async fn keyring(dialer: &Dialer, addr: &str, node_id: &str) -> Result<Carried, Status> {
    let answer = client(dialer, addr, node_id).keyring(v1::KeyringRequest {}).await?;
    carried_from(answer.into_inner().keys)
}

/// Has another manager keep data keys on its disk.
pub(crate) async fn keep_keys(
    dialer: &Dialer,
    addr: &str,
    node_id: &str,
    keys: &Carried,
) -> Result<(), Status> {
    let request = v1::KeepKeysRequest { keys: carried_to(keys) };
    client(dialer, addr, node_id).keep_keys(request).await?;
    Ok(())
}

/// Asks to take part, at this address.
pub(crate) async fn admit(channel: Channel, place: &ManagerPlace) -> Result<Admitted, Status> {
    let ManagerPlace { addr, hostname, engine_version, level } = place.clone();
    let request = v1::AdmitRequest { addr, hostname, engine_version, level: level.0 };
    let answer = ManagersClient::new(channel).admit(request).await?.into_inner();
    let cluster = ClusterId::parse(&answer.cluster_id);
    let cluster = cluster.map_err(|_| Status::internal("the answer names no cluster"))?;
    let v1::AdmitResponse { raft_id, recovery_epoch, .. } = answer;
    Ok(Admitted { cluster, raft_id, recovery_epoch })
}

/// Asks another manager for the data keys, over a connection that is there.
pub(crate) async fn keyring_over(channel: Channel) -> Result<Carried, Status> {
    let answer = ManagersClient::new(channel).keyring(v1::KeyringRequest {}).await?;
    carried_from(answer.into_inner().keys)
}

/// Who answers at an address. An answer of another node is no answer.
pub(crate) async fn hello(
    dialer: &Dialer,
    addr: &str,
    node_id: &str,
) -> Result<v1::HelloResponse, Status> {
    let answer = client(dialer, addr, node_id).hello(v1::HelloRequest {}).await?.into_inner();
    if answer.node_id == node_id { Ok(answer) } else { Err(Status::aborted("another node")) }
}

fn carried_to(keys: &Carried) -> Vec<v1::DataKey> {
    keys.iter().map(|(epoch, key)| v1::DataKey { epoch: epoch.0, key: key.to_vec() }).collect()
}

fn carried_from(keys: Vec<v1::DataKey>) -> Result<Carried, Status> {
    let read = keys.into_iter().map(|one| {
        let bytes = Zeroizing::new(one.key);
        let key: [u8; KEY_BYTES] = bytes.as_slice().try_into().ok()?;
        Some((Epoch(one.epoch), Zeroizing::new(key))).filter(|(epoch, _)| epoch.0 > 0)
    });
    read.collect::<Option<Carried>>().ok_or_else(|| Status::invalid_argument("not data keys"))
}

/// The node that calls, by what it proved.
pub(super) fn caller<T>(request: &Request<T>) -> Result<NodeId, Status> {
    let claim = request.extensions().get::<Proven>().and_then(|proven| proven.0.as_ref());
    let claim = claim.ok_or_else(|| Status::permission_denied("no certificate was shown"))?;
    NodeId::parse(&claim.node).map_err(|_| Status::permission_denied("not a node's certificate"))
}

/// Whether a text that others show and log is one word of plain letters: it makes no line of its own, and hides
/// none.
pub(super) fn is_one_word(text: &str) -> bool {
    (1..=HOST_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[tonic::async_trait]
impl Managers for Daemon {
    async fn admit(
        &self,
        request: Request<v1::AdmitRequest>,
    ) -> Result<Response<v1::AdmitResponse>, Status> {
        let id = caller(&request)?;
        let asked = request.into_inner();
        let addr = crate::address::parse(&asked.addr, 0)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        if [&asked.hostname, &asked.engine_version].into_iter().any(|text| !is_one_word(text)) {
            return Err(Status::invalid_argument(format!(
                "host name and version are printable ASCII of 1 to {HOST_BYTES_MAX} bytes"
            )));
        }
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        // Before it is in its record: until this manager calls it there, there may be no majority to write it.
        moved::believe(&manager, id, &addr.to_string()).await?;
        let view = manager.read().await.map_err(|error| status::of_call(&error.into()))?;
        let node = view.state.node(id).filter(|node| node.role == Role::Manager);
        let raft_id = node.and_then(|node| node.raft_id);
        let raft_id =
            raft_id.ok_or_else(|| Status::permission_denied("this node is no manager"))?;
        let place = ManagerPlace {
            addr: addr.to_string(),
            hostname: asked.hostname,
            engine_version: asked.engine_version,
            level: Level(asked.level.max(Level::FIRST.0)),
        };
        if place.level < view.state.level() {
            return Err(Status::failed_precondition(format!(
                "this cluster is at feature level {}, and cofferd {} knows {}: join with a newer cofferd",
                view.state.level(),
                place.engine_version,
                place.level
            )));
        }
        if node.is_none_or(|node| !place.is_known_of(node)) {
            let placed = manager.act(Action::PlaceManager(id, place)).await;
            placed.map_err(|error| status::of_call(&error.into()))?;
        }
        Ok(Response::new(v1::AdmitResponse {
            cluster_id: manager.membership().cluster.to_string(),
            raft_id,
            recovery_epoch: manager.membership().recovery_epoch,
        }))
    }

    async fn keyring(
        &self,
        request: Request<v1::KeyringRequest>,
    ) -> Result<Response<v1::KeyringResponse>, Status> {
        let id = caller(&request)?;
        // No older view may speak for a manager that was demoted or removed meanwhile.
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        if view.state.node(id).is_none_or(|node| node.role != Role::Manager) {
            return Err(Status::permission_denied("this node is no manager"));
        }
        tracing::info!(node = %id, "the data keys go to a manager");
        let keys = carried_to(&manager.keys().carried());
        Ok(Response::new(v1::KeyringResponse { keys }))
    }

    async fn keep_keys(
        &self,
        request: Request<v1::KeepKeysRequest>,
    ) -> Result<Response<v1::KeepKeysResponse>, Status> {
        let keys = carried_from(request.into_inner().keys)?;
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let kept = world::blocking(move || manager.keys().take(&keys)).await;
        kept.map_err(|error| Status::internal(error.to_string()))?
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(v1::KeepKeysResponse {}))
    }

    async fn hello(
        &self,
        _request: Request<v1::HelloRequest>,
    ) -> Result<Response<v1::HelloResponse>, Status> {
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        Ok(Response::new(v1::HelloResponse {
            node_id: manager.node_id().to_string(),
            clock: clock::now().nanos(),
            applied: manager.consensus().view().applied_index(),
        }))
    }
}
