//! From a call's path to the service that answers it. tonic's own router is made for any path; it boxes and
//! matches more than seven names need.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use proto::v1::{
    audit_server, backup_server, certificates_server, configs_server, events_server, nodes_server,
    roots_server, secrets_server, services_server, swarm_server, tokens_server,
};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::codegen::http::{Request, Response};
use tower::Service;
use vault_core::limits::REQUEST_BYTES_MAX;

use crate::daemon::Daemon;

/// All services.
#[derive(Clone)]
pub(super) struct Dispatch(pub Arc<Daemon>);

impl Service<Request<Body>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        macro_rules! answer {
            ($server:path) => {{
                use $server as Server;
                let server = Server::from_arc(Arc::clone(&self.0));
                server.max_decoding_message_size(REQUEST_BYTES_MAX).call(request)
            }};
        }
        match request.uri().path().split('/').nth(1).unwrap_or_default() {
            secrets_server::SERVICE_NAME => answer!(secrets_server::SecretsServer),
            configs_server::SERVICE_NAME => answer!(configs_server::ConfigsServer),
            services_server::SERVICE_NAME => answer!(services_server::ServicesServer),
            nodes_server::SERVICE_NAME => answer!(nodes_server::NodesServer),
            swarm_server::SERVICE_NAME => answer!(swarm_server::SwarmServer),
            tokens_server::SERVICE_NAME => answer!(tokens_server::TokensServer),
            certificates_server::SERVICE_NAME => {
                answer!(certificates_server::CertificatesServer)
            }
            roots_server::SERVICE_NAME => answer!(roots_server::RootsServer),
            events_server::SERVICE_NAME => answer!(events_server::EventsServer),
            backup_server::SERVICE_NAME => answer!(backup_server::BackupServer),
            audit_server::SERVICE_NAME => answer!(audit_server::AuditServer),
            _ => {
                let unknown = Status::unimplemented("this version has no such call");
                Box::pin(async move { Ok(unknown.into_http()) })
            }
        }
    }
}
