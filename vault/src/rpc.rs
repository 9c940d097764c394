//! The calls of `coffer`: gRPC on the Unix socket. Each method converts, calls, converts.

mod audit;
mod convert;
mod events;
mod gate;
mod listener;
mod nodes;
mod services;
mod status;
mod swarm;
mod values;

use std::sync::Arc;

use proto::v1::audit_server::AuditServer;
use proto::v1::configs_server::ConfigsServer;
use proto::v1::events_server::EventsServer;
use proto::v1::nodes_server::NodesServer;
use proto::v1::secrets_server::SecretsServer;
use proto::v1::services_server::ServicesServer;
use proto::v1::swarm_server::SwarmServer;
use tokio::net::UnixListener;
use tonic::transport::Server;
use vault_core::command::Refusal;
use vault_core::limits::REQUEST_BYTES_MAX;

use crate::daemon::Daemon;

/// gRPC's code for a refusal, as the caller is told it.
pub(crate) fn refusal_code(refusal: &Refusal) -> u32 {
    let code = i32::from(status::of_refusal(refusal).code());
    u32::try_from(code).unwrap_or(u32::MAX)
}

/// Serves the socket until `stop` is done.
pub(crate) async fn serve(
    socket: UnixListener,
    daemon: Arc<Daemon>,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    macro_rules! service {
        ($server:ident) => {
            $server::from_arc(Arc::clone(&daemon)).max_decoding_message_size(REQUEST_BYTES_MAX)
        };
    }
    Server::builder()
        .concurrency_limit_per_connection(listener::CALLS_PER_CONNECTION_MAX)
        .max_concurrent_streams(listener::STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(listener::HEADER_BYTES_MAX)
        .layer(gate::GateLayer(Arc::clone(&daemon)))
        .add_service(service!(SwarmServer))
        .add_service(service!(NodesServer))
        .add_service(service!(SecretsServer))
        .add_service(service!(ConfigsServer))
        .add_service(service!(ServicesServer))
        .add_service(service!(EventsServer))
        .add_service(service!(AuditServer))
        .serve_with_incoming_shutdown(listener::connections(socket), stop)
        .await
}
