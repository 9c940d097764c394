//! `Nodes`: the nodes of the cluster.

use proto::v1;
use proto::v1::nodes_server::Nodes;
use tonic::{Request, Response, Status};
use vault_core::command::{ObjectKind, Refusal};
use vault_core::node::{Availability, Role};

use super::{convert, fresh, status};
use crate::daemon::{Daemon, NodeChange};
use crate::manager::Manager;

/// The ID of the node that leads, where it is known.
fn leader(manager: &Manager) -> String {
    let standing = manager.consensus().standing();
    standing.leader_member().map_or_else(String::new, |member| member.node_id.clone())
}

#[tonic::async_trait]
impl Nodes for Daemon {
    async fn list(
        &self,
        request: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesResponse>, Status> {
        let view = self.view_as(fresh::of(&request)).await;
        let (manager, view) = view.map_err(|error| status::of_call(&error))?;
        let leader = leader(&manager);
        Ok(Response::new(v1::ListNodesResponse {
            nodes: view.state.nodes().map(|node| convert::node(node, &leader)).collect(),
            self_id: manager.node_id().to_string(),
            index: view.state.index(),
        }))
    }

    async fn inspect(
        &self,
        request: Request<v1::InspectNodeRequest>,
    ) -> Result<Response<v1::InspectNodeResponse>, Status> {
        let view = self.view_as(fresh::of(&request)).await;
        let (manager, view) = view.map_err(|error| status::of_call(&error))?;
        let mut reference = request.into_inner().reference;
        if reference == "self" {
            reference = manager.node_id().to_string();
        }
        let node = view.state.find_node(&reference).map_err(|failed| {
            status::of_refusal(&Refusal::lookup(ObjectKind::Node, &reference, failed))
        })?;
        let answer = v1::InspectNodeResponse {
            node: Some(convert::node(node, &leader(&manager))),
            index: view.state.index(),
        };
        Ok(convert::touching(answer, vec![node.id.object()]))
    }

    async fn update(
        &self,
        request: Request<v1::UpdateNodeRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let asked = convert::asked(&request, &[]).map_err(|error| status::of_request(&error))?;
        let wire = request.into_inner();
        let role = wire.role.map(v1::NodeRole::try_from).transpose();
        let role = role.map_err(|_| Status::invalid_argument("unknown role"))?;
        let availability = wire.availability.map(v1::Availability::try_from).transpose();
        let availability =
            availability.map_err(|_| Status::invalid_argument("unknown availability"))?;
        let change = NodeChange {
            role: role.map(|role| match role {
                v1::NodeRole::Worker => Role::Worker,
                v1::NodeRole::Manager => Role::Manager,
            }),
            availability: availability.map(self::availability),
            label_add: wire.label_add,
            label_rm: wire.label_rm,
            expected: wire.expected,
        };
        let changed = self.update_node(asked, &wire.reference, change).await;
        let index = changed.map_err(|error| status::of_call(&error))?.index;
        Ok(Response::new(v1::ChangeResponse { index }))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveNodeRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let asked = convert::asked(&request, &[]).map_err(|error| status::of_request(&error))?;
        let v1::RemoveNodeRequest { reference, force } = request.into_inner();
        let removed = self.remove_node(asked, &reference, force).await;
        let index = removed.map_err(|error| status::of_call(&error))?.index;
        Ok(Response::new(v1::ChangeResponse { index }))
    }
}

pub(super) fn availability(wire: v1::Availability) -> Availability {
    match wire {
        v1::Availability::Active => Availability::Active,
        v1::Availability::Pause => Availability::Pause,
        v1::Availability::Drain => Availability::Drain,
    }
}
