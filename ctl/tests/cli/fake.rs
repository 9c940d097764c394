//! A daemon that keeps a few objects in memory and answers with Swarm's texts. It runs nothing.

mod services;
mod streams;
mod values;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::task::Context;
use std::task::Poll;

use futures_util::stream;
use proto::v1;
use proto::v1::audit_server::AuditServer;
use proto::v1::configs_server::ConfigsServer;
use proto::v1::events_server::EventsServer;
use proto::v1::nodes_server::Nodes;
use proto::v1::nodes_server::NodesServer;
use proto::v1::secrets_server::SecretsServer;
use proto::v1::services_server::ServicesServer;
use proto::v1::swarm_server::Swarm;
use proto::v1::swarm_server::SwarmServer;
use tokio::net::UnixListener;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;
use tower::Service;

use crate::support::Scratch;
use values::Stored;

pub(crate) const NOT_A_MANAGER: &str = "This node is not a swarm manager.";
pub(crate) const NODE: &str = "nnnnnnnnnnnnnnnnnnnnnnnnn";
pub(crate) const TASK: &str = "tttttttttttttttttttttttttt";

/// 2026-11-20T20:31:12.518797996Z
const CREATED_AT: i64 = 1_795_206_672_518_797_996;

/// What the fake keeps.
#[derive(Default)]
pub(crate) struct Kept {
    initialized: bool,
    /// By name.
    pub(crate) secrets: BTreeMap<String, Stored>,
    pub(crate) configs: BTreeMap<String, Stored>,
    pub(crate) services: BTreeMap<String, v1::Service>,
    /// Oldest first. What is behind an index before the first one is forgotten.
    pub(crate) events: Vec<v1::Event>,
    pub(crate) events_end: bool,
    pub(crate) records: Vec<v1::AuditRecord>,
    pub(crate) broken: String,
    /// Answered one by one, the last for ever.
    pub(crate) keys: VecDeque<v1::KeyStatus>,
    pub(crate) key_rotations: usize,
}

/// A running fake and its socket.
pub(crate) struct Fake {
    scratch: Scratch,
    kept: Arc<Mutex<Kept>>,
    _runtime: tokio::runtime::Runtime,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let scratch = Scratch::new();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime starts");
        let entered = runtime.enter();
        let listener = UnixListener::bind(scratch.path("fake.sock")).expect("the socket is new");
        drop(entered);
        runtime.spawn(serve(listener, Answers(Arc::clone(&kept))));
        Self { scratch, kept, _runtime: runtime }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.scratch.path("fake.sock")
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder panicked")
    }

    /// Runs `coffer` against this daemon.
    pub(crate) fn run(&self, args: &[&str], input: &[u8]) -> crate::support::Run {
        crate::support::run_at(&self.socket(), args, input)
    }
}

/// A `cofferd` that only leads to a socket that is served already, and notes how it was started.
pub(crate) fn daemon_script(socket: &Path, notes: &Path) -> String {
    format!(
        "#!/bin/sh\necho \"$@\" > {}\n\
         while [ \"$1\" != --run-dir ]; do shift; done\n\
         mkdir -p \"$2\" && ln -s {} \"$2/coffer.sock\" && exec sleep 1000\n",
        notes.display(),
        socket.display()
    )
}

async fn serve(listener: UnixListener, answers: Answers) {
    let incoming = stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let server = tonic::transport::Server::builder();
    server.serve_with_incoming(answers, Box::pin(incoming)).await.expect("the fake serves");
}

#[derive(Clone)]
struct Answers(Arc<Mutex<Kept>>);

impl Answers {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("no holder panicked")
    }
}

impl Service<http::Request<Body>> for Answers {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answers = self.clone();
        match request.uri().path().split('/').nth(1) {
            Some("coffer.v1.Swarm") => SwarmServer::new(answers).call(request),
            Some("coffer.v1.Nodes") => NodesServer::new(answers).call(request),
            Some("coffer.v1.Secrets") => SecretsServer::new(answers).call(request),
            Some("coffer.v1.Configs") => ConfigsServer::new(answers).call(request),
            Some("coffer.v1.Events") => EventsServer::new(answers).call(request),
            Some("coffer.v1.Audit") => AuditServer::new(answers).call(request),
            _ => ServicesServer::new(answers).call(request),
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[expect(clippy::unnecessary_wraps, reason = "every call answers with a result")]
fn answer<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

#[tonic::async_trait]
impl Swarm for Answers {
    async fn init(&self, _: Request<v1::InitRequest>) -> Answer<v1::InitResponse> {
        let was = std::mem::replace(&mut self.kept().initialized, true);
        if was {
            return Err(Status::unavailable("This node is already part of a swarm."));
        }
        answer(v1::InitResponse {
            node_id: NODE.to_owned(),
            worker_token: "SWMTKN-1-w".to_owned(),
            advertise_addr: "127.0.0.1:2377".to_owned(),
            index: 1,
        })
    }

    async fn inspect(
        &self,
        _: Request<v1::InspectSwarmRequest>,
    ) -> Answer<v1::InspectSwarmResponse> {
        let kept = self.kept();
        if !kept.initialized {
            return Err(Status::unavailable(NOT_A_MANAGER));
        }
        let index = kept.events.last().map_or(0, |event| event.index);
        answer(v1::InspectSwarmResponse { index, ..v1::InspectSwarmResponse::default() })
    }

    async fn rotate_keys(
        &self,
        _: Request<v1::RotateKeysRequest>,
    ) -> Answer<v1::RotateKeysResponse> {
        self.kept().key_rotations += 1;
        answer(v1::RotateKeysResponse { status: self.next_status(), index: 1 })
    }

    async fn key_status(&self, _: Request<v1::KeyStatusRequest>) -> Answer<v1::KeyStatusResponse> {
        answer(v1::KeyStatusResponse { status: self.next_status(), index: 1 })
    }

    async fn join_tokens(
        &self,
        _: Request<v1::JoinTokensRequest>,
    ) -> Answer<v1::JoinTokensResponse> {
        answer(v1::JoinTokensResponse {
            worker: "SWMTKN-1-w".to_owned(),
            manager: "SWMTKN-1-m".to_owned(),
            advertise_addr: "127.0.0.1:2377".to_owned(),
            index: 1,
        })
    }
}

impl Answers {
    fn next_status(&self) -> Option<v1::KeyStatus> {
        let keys = &mut self.kept().keys;
        if keys.len() > 1 { keys.pop_front() } else { keys.front().cloned() }
    }
}

#[tonic::async_trait]
impl Nodes for Answers {
    async fn list(&self, _: Request<v1::ListNodesRequest>) -> Answer<v1::ListNodesResponse> {
        let manager = v1::ManagerStatus {
            leader: true,
            reachability: v1::Reachability::Reachable.into(),
            addr: "127.0.0.1:2377".to_owned(),
        };
        let node = v1::Node {
            id: NODE.to_owned(),
            hostname: "host".to_owned(),
            role: v1::NodeRole::Manager.into(),
            state: v1::NodeState::Ready.into(),
            manager: Some(manager),
            engine_version: "0.1.0".to_owned(),
            ..v1::Node::default()
        };
        answer(v1::ListNodesResponse { nodes: vec![node], self_id: NODE.to_owned(), index: 1 })
    }
}
