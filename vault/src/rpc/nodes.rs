//! `Nodes`: the nodes of the cluster.

use proto::v1::nodes_server::Nodes;
use proto::v1::{ListNodesRequest, ListNodesResponse};
use tonic::{Request, Response, Status};

use super::{convert, status};
use crate::daemon::Daemon;

#[tonic::async_trait]
impl Nodes for Daemon {
    async fn list(
        &self,
        _request: Request<ListNodesRequest>,
    ) -> Result<Response<ListNodesResponse>, Status> {
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        Ok(Response::new(ListNodesResponse {
            nodes: view.state.nodes().map(|node| convert::node(node)).collect(),
            self_id: manager.node_id().to_string(),
            index: view.state.index(),
        }))
    }
}
