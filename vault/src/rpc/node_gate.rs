//! The gate of the node port: the certificate proves a key, the node's record decides what it may do, on
//! every call.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pki::identity::Claim;
use pki::leaf;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};
use vault_core::access::{Call, Caller, may};
use vault_core::id::NodeId;
use vault_core::node::{KeyPin, Role};
#[cfg(planted)]
use vault_core::planted::{self, Bug};
use vault_core::state::State;

use crate::clock;
use crate::daemon::Daemon;
use crate::peer::Proven;

/// Puts the gate before services.
#[derive(Clone)]
pub(super) struct NodeGateLayer(pub Arc<Daemon>);

impl<S> Layer<S> for NodeGateLayer {
    type Service = NodeGate<S>;

    fn layer(&self, inner: S) -> NodeGate<S> {
        NodeGate { inner, daemon: Arc::clone(&self.0) }
    }
}

/// The gate.
#[derive(Clone)]
pub(super) struct NodeGate<S> {
    inner: S,
    daemon: Arc<Daemon>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for NodeGate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let refused = match Call::from_path(request.uri().path()) {
            None => Some(Status::unimplemented("this version has no such call")),
            Some(call) => {
                let claim = request.extensions().get::<Proven>();
                let claim = claim.and_then(|proven| proven.0.as_ref());
                let caller = self.daemon.manager().map_or(Caller::Stranger, |manager| {
                    caller(claim, &manager.consensus().view().state, clock::now().secs())
                });
                (!may(caller, call)).then(|| refusal(claim))
            }
        };
        if let Some(refused) = refused {
            return Box::pin(async move { Ok(refused.into_http()) });
        }
        Box::pin(self.inner.call(request))
    }
}

fn refusal(claim: Option<&Claim>) -> Status {
    Status::permission_denied(match claim {
        None => "this call needs a certificate of this cluster".to_owned(),
        Some(claim) => format!("node {} may not make this call", claim.node),
    })
}

/// What a connection's other side is, by its record. A manager whose record is not here yet, because this
/// manager is behind, is believed by its certificate: Raft itself decides what its word is worth, and calls
/// that give anything away look at a newer view.
pub(super) fn caller(claim: Option<&Claim>, state: &State, now_secs: u64) -> Caller {
    let Some(claim) = claim.filter(|claim| claim.not_after_secs >= now_secs) else {
        return Caller::Stranger;
    };
    let Ok(id) = NodeId::parse(&claim.node) else { return Caller::Stranger };
    let was_removed = state.was_removed(id);
    #[cfg(planted)]
    let was_removed = was_removed && !planted::on(Bug::RemovedMemberBelieved);
    if was_removed {
        return Caller::Stranger;
    }
    let is_certified = claim.role == leaf::Role::Manager;
    match state.node(id) {
        Some(node) if !node.is_proven_by(KeyPin(*claim.key.bytes())) => Caller::Stranger,
        #[cfg(planted)]
        Some(_) if is_certified && planted::on(Bug::DemotedMemberBelieved) => Caller::Manager,
        Some(node) if node.role == Role::Manager && is_certified => Caller::Manager,
        Some(_) => Caller::Worker,
        None if is_certified => Caller::Manager,
        None => Caller::Stranger,
    }
}
