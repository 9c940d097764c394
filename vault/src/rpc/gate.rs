//! The gate before every call: who may call what, and the record of who did.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};
use vault_core::access::{Call, Caller, may};
use vault_core::command::Actor;
use vault_core::id::ObjectId;

use super::fresh;
use super::listener::Peer;
use crate::audit::Called;
use crate::clock;
use crate::daemon::Daemon;
use crate::raft::one_call;

/// What a call acts for. The log's own record of it is known by `is_logged`.
#[derive(Clone)]
pub(super) struct Admitted {
    pub actor: Actor,
    /// Set once the call's record is the log's to keep.
    pub is_logged: Arc<AtomicBool>,
}

/// Objects that an answer is about.
#[derive(Clone)]
pub(super) struct Touched(pub Vec<ObjectId>);

/// Puts the gate before services.
#[derive(Clone)]
pub(super) struct GateLayer(pub Arc<Daemon>);

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, daemon: Arc::clone(&self.0) }
    }
}

/// The gate.
#[derive(Clone)]
pub(super) struct Gate<S> {
    inner: S,
    daemon: Arc<Daemon>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for Gate<S>
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

    fn call(&mut self, mut request: Request<Body>) -> Answer {
        let peer = request.extensions().get::<Peer>().copied();
        let call = Call::from_path(request.uri().path());
        // Without a peer nobody knows who it is.
        let caller = peer.map(caller);
        let actor = Actor {
            uid: peer.map_or(u32::MAX, |peer| peer.uid),
            pid: peer.and_then(|peer| u32::try_from(peer.pid?).ok()).unwrap_or(0),
            call: call.map_or(0, Call::number),
            node: None,
        };
        let refused = match call {
            None => Some(Status::unimplemented("this version has no such call")),
            Some(call)
                if caller == Some(Caller::Operator)
                    && !may(Caller::Operator, call)
                    && may(Caller::Root, call) =>
            {
                Some(Status::permission_denied(
                    "only root may do this: it gives away, or puts in place, every secret of the cluster",
                ))
            }
            // What strangers may call they call on the node port.
            Some(call) if caller.is_none_or(|caller| !may(caller, call)) => {
                Some(Status::permission_denied("this caller may not make this call"))
            }
            Some(call) => match fresh::read(call, request.headers()) {
                Ok(freshness) => {
                    request.extensions_mut().insert(freshness);
                    None
                }
                Err(refused) => Some(refused),
            },
        };
        let daemon = Arc::clone(&self.daemon);
        if let Some(refused) = refused {
            daemon.meters().calls.count(refused.code().into());
            record(&daemon, actor, Vec::new(), refused.code());
            return Box::pin(async move { Ok(refused.into_http()) });
        }
        let is_logged = Arc::new(AtomicBool::new(false));
        let admitted = Admitted { actor, is_logged: Arc::clone(&is_logged) };
        request.extensions_mut().insert(admitted);
        let is_one_change = is_one_change(request.uri().path());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = if is_one_change { one_call(answer).await? } else { answer.await? };
            daemon.meters().calls.count(code_of(&response).into());
            if !is_logged.load(Ordering::Relaxed) {
                let touched = response.extensions().get::<Touched>();
                let touched = touched.map_or_else(Vec::new, |touched| touched.0.clone());
                record(&daemon, actor, touched, code_of(&response));
            }
            Ok(response)
        })
    }
}

/// Whether a call only reads the state or proposes a change. Others found, join or restore a cluster, and take
/// their time.
fn is_one_change(path: &str) -> bool {
    let services = ["Secrets", "Configs", "Services", "Nodes"];
    services.iter().any(|service| path.split('/').nth(1) == Some(&format!("coffer.v1.{service}")))
}

/// The socket's mode let this peer in; the daemon's own user is root, or stands for root.
fn caller(peer: Peer) -> Caller {
    static OWN: LazyLock<u32> = LazyLock::new(|| rustix::process::geteuid().as_raw());
    if peer.uid == *OWN { Caller::Root } else { Caller::Operator }
}

/// The code of an answer: in its headers if it failed at once, else it is on its way and done.
fn code_of(response: &Response<Body>) -> Code {
    let header = response.headers().get("grpc-status");
    header.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}

fn record(daemon: &Daemon, actor: Actor, touched: Vec<ObjectId>, code: Code) {
    // Before there is a cluster there is nothing to be audited, and nowhere to keep it.
    // What comes to a locked manager is remembered until it can be kept.
    let outcome = u32::try_from(i32::from(code)).unwrap_or(u32::MAX);
    let called = Called { at: clock::now(), actor, touched, outcome };
    match daemon.manager() {
        Ok(manager) => manager.audit().called(called),
        Err(_) => daemon.remember_call(called),
    }
}

#[cfg(test)]
mod tests;
