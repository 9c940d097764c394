//! `Swarm`: founding a cluster, and what it is.

use std::collections::BTreeSet;

use proto::v1::swarm_server::Swarm;
use proto::v1::{
    AwaitLockRequest, AwaitLockResponse, InitRequest, InitResponse, InspectSwarmRequest,
    InspectSwarmResponse, JoinRequest, JoinResponse, JoinTokensRequest, JoinTokensResponse,
    KeyStatus, KeyStatusRequest, KeyStatusResponse, LeaveRequest, LeaveResponse, NodeRole,
    RemainsFound, RotateKeysRequest, RotateKeysResponse, RotateTokenRequest, StatusRequest,
    StatusResponse, UnlockKeyRequest, UnlockKeyResponse, UnlockRequest, UnlockResponse,
    UpdateSwarmRequest, UpdateSwarmResponse,
};
use tonic::{Request, Response, Status};
use vault_core::node::Role;
use vault_core::seal::Epoch;
use zeroize::Zeroizing;

use super::{nodes, screen, status};
use crate::daemon::{CallError, Daemon};
use crate::manager::Manager;
use crate::raft::View;

#[tonic::async_trait]
impl Swarm for Daemon {
    async fn init(&self, request: Request<InitRequest>) -> Result<Response<InitResponse>, Status> {
        let InitRequest { advertise_addr, force_new_cluster, autolock } = request.into_inner();
        if force_new_cluster {
            let found = self.force_new_cluster().await;
            let found = found.map_err(|error| status::of_force(&error))?;
            let manager = self.manager().map_err(|error| status::of_call(&error))?;
            let tokens = self.join_tokens().await.map_err(|error| status::of_call(&error))?;
            let found = Some(RemainsFound {
                term: found.term,
                last_index: found.last_index,
                at: i64::try_from(found.at.nanos()).unwrap_or(i64::MAX),
                members: found.members,
            });
            return Ok(Response::new(InitResponse {
                node_id: manager.node_id().to_string(),
                worker_token: tokens.worker.to_string(),
                advertise_addr: tokens.addr,
                index: tokens.index,
                found,
                unlock_key: String::new(),
            }));
        }
        let founded =
            self.init(&advertise_addr, autolock).await.map_err(|error| status::of_init(&error))?;
        Ok(Response::new(InitResponse {
            node_id: founded.node_id.to_string(),
            worker_token: founded.tokens.worker.to_string(),
            advertise_addr: founded.tokens.addr,
            index: founded.tokens.index,
            found: None,
            unlock_key: founded
                .unlock_key
                .map_or_else(String::new, |key| key.to_text().to_string()),
        }))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let asked = request.into_inner();
        let availability = nodes::availability(asked.availability());
        let JoinRequest { remote, token, advertise_addr, .. } = asked;
        let token = Zeroizing::new(token);
        let joined = self.join(remote, token, availability, &advertise_addr).await;
        let (role, done) = joined.map_err(|error| status::of_init(&error))?;
        let node_id = match (self.manager(), self.worker()) {
            (Ok(manager), _) => manager.node_id().to_string(),
            (Err(_), Some(worker)) => worker.node_id().to_string(),
            (Err(error), None) => return Err(status::of_call(&error)),
        };
        let role = match role {
            Role::Worker => NodeRole::Worker,
            Role::Manager => NodeRole::Manager,
        };
        Ok(Response::new(JoinResponse { node_id, role: role.into(), done }))
    }

    async fn leave(
        &self,
        request: Request<LeaveRequest>,
    ) -> Result<Response<LeaveResponse>, Status> {
        let is_forced = request.into_inner().force;
        self.leave(is_forced).await.map_err(|error| status::of_leave(&error))?;
        Ok(Response::new(LeaveResponse {}))
    }

    async fn rotate_token(
        &self,
        request: Request<RotateTokenRequest>,
    ) -> Result<Response<JoinTokensResponse>, Status> {
        let role = match request.into_inner().role() {
            NodeRole::Worker => Role::Worker,
            NodeRole::Manager => Role::Manager,
        };
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let rotated = manager.rotate_token(role).await;
        rotated.map_err(|error| super::ca::of_admit(&error))?;
        Swarm::join_tokens(self, Request::new(JoinTokensRequest {})).await
    }

    async fn status(
        &self,
        _request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        match self.manager() {
            Ok(manager) => Ok(Response::new(screen::screen(&manager))),
            Err(CallError::Locked) => Ok(Response::new(screen::locked())),
            Err(CallError::Worker) => {
                let screen = self.worker().map(|worker| screen::working(&worker));
                Ok(Response::new(screen.unwrap_or_default()))
            }
            Err(error) => Err(status::of_call(&error)),
        }
    }

    async fn inspect(
        &self,
        _request: Request<InspectSwarmRequest>,
    ) -> Result<Response<InspectSwarmResponse>, Status> {
        let (cluster, own) = self.cluster().await.map_err(|error| status::of_call(&error))?;
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        Ok(Response::new(InspectSwarmResponse {
            disk_hangs_ms: screen::disk_hangs_ms(&manager),
            cluster_id: cluster.id.to_string(),
            node_id: own.node_id.to_string(),
            created_at: i64::try_from(cluster.meta.created_at.nanos()).unwrap_or(i64::MAX),
            advertise_addr: own.addr,
            index: own.index,
            root_certificate: cluster.root_certificate.clone(),
        }))
    }

    async fn join_tokens(
        &self,
        _request: Request<JoinTokensRequest>,
    ) -> Result<Response<JoinTokensResponse>, Status> {
        let tokens = self.join_tokens().await.map_err(|error| status::of_call(&error))?;
        Ok(Response::new(JoinTokensResponse {
            worker: tokens.worker.to_string(),
            manager: tokens.manager.to_string(),
            advertise_addr: tokens.addr,
            index: tokens.index,
        }))
    }

    async fn update(
        &self,
        request: Request<UpdateSwarmRequest>,
    ) -> Result<Response<UpdateSwarmResponse>, Status> {
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let Some(autolock) = request.into_inner().autolock else {
            return Err(Status::invalid_argument("nothing is to be changed"));
        };
        let locked = manager.set_autolock(autolock).await;
        let locked = locked.map_err(|error| status::of_locking(&error))?;
        let index = manager.consensus().view().state.index();
        let unlock_key = locked.map_or_else(String::new, |locked| locked.key.to_text().to_string());
        Ok(Response::new(UpdateSwarmResponse { unlock_key, index }))
    }

    async fn unlock_key(
        &self,
        request: Request<UnlockKeyRequest>,
    ) -> Result<Response<UnlockKeyResponse>, Status> {
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        if request.into_inner().rotate {
            let rotated = manager.rotate_unlock_key().await;
            rotated.map_err(|error| status::of_locking(&error))?;
        }
        let locked = manager.locked_under().await;
        let locked = locked.map_err(|error| status::of_locking(&error))?;
        let unlock_key = locked.map_or_else(String::new, |locked| locked.key.to_text().to_string());
        Ok(Response::new(UnlockKeyResponse { unlock_key }))
    }

    async fn unlock(
        &self,
        request: Request<UnlockRequest>,
    ) -> Result<Response<UnlockResponse>, Status> {
        let text = Zeroizing::new(request.into_inner().unlock_key);
        self.unlock(text).await.map_err(|error| status::of_unlock(&error))?;
        Ok(Response::new(UnlockResponse {}))
    }

    async fn await_lock(
        &self,
        _request: Request<AwaitLockRequest>,
    ) -> Result<Response<AwaitLockResponse>, Status> {
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        if !manager.locking().follow_now(view.state.lock_version()).await {
            return Err(Status::unavailable(
                "this manager's disk is not locked yet; that goes on by itself, and the log says what it waits for",
            ));
        }
        Ok(Response::new(AwaitLockResponse { old_audit: manager.locking().has_older_keys() }))
    }

    async fn rotate_keys(
        &self,
        _request: Request<RotateKeysRequest>,
    ) -> Result<Response<RotateKeysResponse>, Status> {
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        manager.rotate_keys().await.map_err(|error| status::of_call(&error.into()))?;
        let view = manager.read().await.map_err(|error| status::of_call(&error.into()))?;
        let (status, index) = (Some(key_status(&manager, &view)), view.state.index());
        Ok(Response::new(RotateKeysResponse { status, index }))
    }

    async fn key_status(
        &self,
        _request: Request<KeyStatusRequest>,
    ) -> Result<Response<KeyStatusResponse>, Status> {
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        let (status, index) = (Some(key_status(&manager, &view)), view.state.index());
        Ok(Response::new(KeyStatusResponse { status, index }))
    }
}

fn key_status(manager: &Manager, view: &View) -> KeyStatus {
    let state = &view.state;
    let (used, wanted) = (state.epoch(), state.wanted_epoch());
    // A key that was made and never came into use is nothing to wait for; one that is to be made is.
    let mut kept: BTreeSet<Epoch> =
        manager.keys().ring().epochs().filter(|epoch| *epoch <= used).collect();
    if wanted != state.oldest_epoch() {
        kept.insert(wanted);
    }
    KeyStatus {
        epoch: wanted.max(used).0,
        values_left: state.sealed_before(wanted.max(used)),
        epochs_kept: kept.into_iter().map(|epoch| epoch.0).collect(),
    }
}
