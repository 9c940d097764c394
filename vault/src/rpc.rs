//! The calls of `coffer`: gRPC on the Unix socket. Each method converts, calls, converts.

mod convert;
mod listener;
mod nodes;
mod secrets;
mod services;
mod status;
mod swarm;

use std::sync::Arc;

use proto::v1::nodes_server::NodesServer;
use proto::v1::secrets_server::SecretsServer;
use proto::v1::services_server::ServicesServer;
use proto::v1::swarm_server::SwarmServer;
use tokio::net::UnixListener;
use tonic::transport::Server;
use vault_core::limits::REQUEST_BYTES_MAX;

use crate::daemon::Daemon;

/// Serves the socket until `stop` is done.
pub(crate) async fn serve(
    socket: UnixListener,
    daemon: Arc<Daemon>,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let limit = REQUEST_BYTES_MAX;
    let swarm = SwarmServer::from_arc(Arc::clone(&daemon)).max_decoding_message_size(limit);
    let nodes = NodesServer::from_arc(Arc::clone(&daemon)).max_decoding_message_size(limit);
    let secrets = SecretsServer::from_arc(Arc::clone(&daemon)).max_decoding_message_size(limit);
    let services = ServicesServer::from_arc(daemon).max_decoding_message_size(limit);
    Server::builder()
        .concurrency_limit_per_connection(listener::CALLS_PER_CONNECTION_MAX)
        .max_concurrent_streams(listener::STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(listener::HEADER_BYTES_MAX)
        .add_service(swarm)
        .add_service(nodes)
        .add_service(secrets)
        .add_service(services)
        .serve_with_incoming_shutdown(listener::connections(socket), stop)
        .await
}
