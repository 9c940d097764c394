//! A daemon that keeps a few objects in memory and answers with Swarm's texts. It runs nothing.

mod services;
mod streams;
mod tokens;
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
use proto::v1::tokens_server::TokensServer;
use tokio::net::UnixListener;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;
use tower::Service;

use crate::support::Scratch;
use values::Stored;

pub(crate) const ROOT: &str = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
pub(crate) const UNLOCK_KEY: &str = "SWMKEY-1-k";
const NOT_A_MANAGER: &str = "This node is not a swarm manager.";
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
    pub(crate) node_updates: Vec<v1::UpdateNodeRequest>,
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
            Some("coffer.v1.Tokens") => TokensServer::new(answers).call(request),
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
            found: None,
            unlock_key: UNLOCK_KEY.to_owned(),
        })
    }

    async fn update(
        &self,
        request: Request<v1::UpdateSwarmRequest>,
    ) -> Answer<v1::UpdateSwarmResponse> {
        let is_on = request.into_inner().autolock == Some(true);
        let unlock_key = if is_on { UNLOCK_KEY.to_owned() } else { String::new() };
        answer(v1::UpdateSwarmResponse { unlock_key, index: 1 })
    }

    async fn unlock_key(
        &self,
        request: Request<v1::UnlockKeyRequest>,
    ) -> Answer<v1::UnlockKeyResponse> {
        if !self.kept().initialized {
            return answer(v1::UnlockKeyResponse::default());
        }
        let key = if request.into_inner().rotate { "SWMKEY-1-new" } else { UNLOCK_KEY };
        answer(v1::UnlockKeyResponse { unlock_key: key.to_owned() })
    }

    async fn unlock(&self, _: Request<v1::UnlockRequest>) -> Answer<v1::UnlockResponse> {
        Err(Status::failed_precondition("swarm is not locked"))
    }

    async fn await_lock(&self, _: Request<v1::AwaitLockRequest>) -> Answer<v1::AwaitLockResponse> {
        answer(v1::AwaitLockResponse { old_audit: true })
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
        let root_certificate = ROOT.to_owned();
        answer(v1::InspectSwarmResponse {
            index,
            root_certificate,
            ..v1::InspectSwarmResponse::default()
        })
    }

    async fn join(&self, request: Request<v1::JoinRequest>) -> Answer<v1::JoinResponse> {
        let asked = request.into_inner();
        if asked.token != "SWMTKN-1-m" {
            return Err(Status::invalid_argument("invalid join token"));
        }
        let role = v1::NodeRole::Manager.into();
        // A manager at the port 1 never reaches the new one.
        let done = !asked.remote.ends_with(":1");
        answer(v1::JoinResponse { node_id: NODE.to_owned(), role, done })
    }

    async fn leave(&self, request: Request<v1::LeaveRequest>) -> Answer<v1::LeaveResponse> {
        if request.into_inner().force {
            return answer(v1::LeaveResponse {});
        }
        Err(Status::failed_precondition("Use `--force` to ignore this message."))
    }

    async fn rotate_token(
        &self,
        request: Request<v1::RotateTokenRequest>,
    ) -> Answer<v1::JoinTokensResponse> {
        let is_worker = request.into_inner().role() == v1::NodeRole::Worker;
        answer(v1::JoinTokensResponse {
            worker: if is_worker { "SWMTKN-1-w2" } else { "SWMTKN-1-w" }.to_owned(),
            manager: if is_worker { "SWMTKN-1-m" } else { "SWMTKN-1-m2" }.to_owned(),
            advertise_addr: "127.0.0.1:2377".to_owned(),
            index: 1,
        })
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Answer<v1::StatusResponse> {
        let initialized = self.kept().initialized;
        let warning = v1::Warning {
            text: "there is no leader".to_owned(),
            cure: "start managers".to_owned(),
            urgent: true,
        };
        answer(v1::StatusResponse {
            cluster_id: "C".to_owned(),
            node_id: NODE.to_owned(),
            term: 3,
            warnings: if initialized { Vec::new() } else { vec![warning] },
            ..v1::StatusResponse::default()
        })
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

    async fn inspect(
        &self,
        request: Request<v1::InspectNodeRequest>,
    ) -> Answer<v1::InspectNodeResponse> {
        let reference = request.into_inner().reference;
        let role = match reference.as_str() {
            "host" | "self" => v1::NodeRole::Manager,
            "hand" => v1::NodeRole::Worker,
            _ => return Err(Status::not_found(format!("node {reference} not found"))),
        };
        let node = v1::Node {
            id: NODE.to_owned(),
            hostname: reference,
            role: role.into(),
            state: v1::NodeState::Ready.into(),
            ..v1::Node::default()
        };
        answer(v1::InspectNodeResponse { node: Some(node), index: 1 })
    }

    async fn update(&self, request: Request<v1::UpdateNodeRequest>) -> Answer<v1::ChangeResponse> {
        self.kept().node_updates.push(request.into_inner());
        answer(v1::ChangeResponse { index: 2 })
    }

    async fn remove(&self, request: Request<v1::RemoveNodeRequest>) -> Answer<v1::ChangeResponse> {
        let v1::RemoveNodeRequest { reference, force } = request.into_inner();
        if !force {
            let text = format!("node {reference} is not down and can't be removed");
            return Err(Status::failed_precondition(text));
        }
        answer(v1::ChangeResponse { index: 2 })
    }
}
