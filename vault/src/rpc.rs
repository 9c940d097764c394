//! The calls of `coffer`: gRPC on the Unix socket. Each method converts, calls, converts.

mod audit;
mod backup;
pub(crate) mod ca;
mod certificates;
mod convert;
mod dispatch;
mod dispatcher;
mod events;
mod fresh;
mod gate;
mod listener;
mod node_gate;
mod node_port;
mod nodes;
mod open;
pub(crate) mod peers;
mod roots;
mod screen;
mod services;
pub(crate) mod session;
mod splice;
mod status;
mod swarm;
mod tokens;
mod values;

use std::sync::Arc;

use tokio::net::UnixListener;
use tonic::transport::Server;
use vault_core::command::Refusal;

use crate::daemon::Daemon;

pub(crate) use node_port::NodePort;

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
    Server::builder()
        .concurrency_limit_per_connection(listener::CALLS_PER_CONNECTION_MAX)
        .max_concurrent_streams(listener::STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(listener::HEADER_BYTES_MAX)
        .layer(gate::GateLayer(Arc::clone(&daemon)))
        .serve_with_incoming_shutdown(
            dispatch::Dispatch(daemon),
            listener::connections(socket),
            stop,
        )
        .await
}
