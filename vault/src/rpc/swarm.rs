//! `Swarm`: founding a cluster, and what it is.

use proto::v1::swarm_server::Swarm;
use proto::v1::{
    InitRequest, InitResponse, InspectSwarmRequest, InspectSwarmResponse, JoinTokensRequest,
    JoinTokensResponse,
};
use tonic::{Request, Response, Status};

use super::status;
use crate::daemon::Daemon;

#[tonic::async_trait]
impl Swarm for Daemon {
    async fn init(&self, request: Request<InitRequest>) -> Result<Response<InitResponse>, Status> {
        let advertise = request.into_inner().advertise_addr;
        let founded = self.init(&advertise).await.map_err(|error| status::of_init(&error))?;
        Ok(Response::new(InitResponse {
            node_id: founded.node_id.to_string(),
            worker_token: founded.tokens.worker.to_string(),
            advertise_addr: founded.tokens.addr,
            index: founded.tokens.index,
        }))
    }

    async fn inspect(
        &self,
        _request: Request<InspectSwarmRequest>,
    ) -> Result<Response<InspectSwarmResponse>, Status> {
        let (cluster, own) = self.cluster().await.map_err(|error| status::of_call(&error))?;
        Ok(Response::new(InspectSwarmResponse {
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
}
