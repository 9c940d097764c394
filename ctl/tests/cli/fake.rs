//! A daemon that keeps a few objects in memory and answers with Swarm's texts. It runs nothing.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::task::Context;
use std::task::Poll;

use futures_util::Stream;
use futures_util::stream;
use proto::v1;
use proto::v1::nodes_server::Nodes;
use proto::v1::nodes_server::NodesServer;
use proto::v1::secrets_server::Secrets;
use proto::v1::secrets_server::SecretsServer;
use proto::v1::services_server::Services;
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

pub(crate) const NOT_A_MANAGER: &str = "This node is not a swarm manager.";
pub(crate) const NODE: &str = "nnnnnnnnnnnnnnnnnnnnnnnnn";
pub(crate) const TASK: &str = "tttttttttttttttttttttttttt";

/// 2026-11-20T20:31:12.518797996Z
const CREATED_AT: i64 = 1_795_206_672_518_797_996;

/// What the fake keeps.
#[derive(Default)]
pub(crate) struct Kept {
    initialized: bool,
    pub(crate) secrets: BTreeMap<String, (v1::Secret, Vec<u8>)>,
    pub(crate) services: BTreeMap<String, v1::Service>,
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
        Err(Status::unavailable(NOT_A_MANAGER))
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

#[tonic::async_trait]
impl Secrets for Answers {
    async fn create(
        &self,
        request: Request<v1::CreateSecretRequest>,
    ) -> Answer<v1::CreateSecretResponse> {
        let request = request.into_inner();
        let spec = request.spec.ok_or_else(|| Status::invalid_argument("invalid argument"))?;
        let mut kept = self.kept();
        if kept.secrets.contains_key(&spec.name) {
            return Err(Status::already_exists(format!("secret {} already exists", spec.name)));
        }
        let id = format!("{:025}", kept.secrets.len());
        let secret = v1::Secret {
            id: id.clone(),
            version_index: 11,
            created_at: CREATED_AT,
            updated_at: CREATED_AT,
            spec: Some(spec.clone()),
        };
        kept.secrets.insert(spec.name, (secret, request.value));
        answer(v1::CreateSecretResponse { id, index: 11 })
    }

    /// One secret a page, so that every list has pages.
    async fn list(
        &self,
        request: Request<v1::ListSecretsRequest>,
    ) -> Answer<v1::ListSecretsResponse> {
        let after = request.into_inner().after;
        let kept = self.kept();
        let mut rest = kept.secrets.iter().filter(|(name, _)| **name > after);
        let first = rest.next();
        let next = match rest.next() {
            Some(_) => first.map(|(name, _)| name.clone()).unwrap_or_default(),
            None => String::new(),
        };
        let secrets = first.map(|(_, (secret, _))| secret.clone()).into_iter().collect();
        answer(v1::ListSecretsResponse { secrets, next, index: 11 })
    }

    async fn inspect(
        &self,
        request: Request<v1::InspectSecretRequest>,
    ) -> Answer<v1::InspectSecretResponse> {
        let reference = request.into_inner().reference;
        let kept = self.kept();
        let found = kept.secrets.values().map(|(secret, _)| secret).find(|secret| {
            let name = secret.spec.as_ref().map(|spec| spec.name.to_lowercase());
            name == Some(reference.to_lowercase()) || secret.id.starts_with(&reference)
        });
        let missing = || Status::not_found(format!("secret {reference} not found"));
        let secret = found.cloned().ok_or_else(missing)?;
        answer(v1::InspectSecretResponse { secret: Some(secret), index: 11 })
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveSecretRequest>,
    ) -> Answer<v1::RemoveSecretResponse> {
        let reference = request.into_inner().reference;
        match self.kept().secrets.remove(&reference) {
            Some(_) => answer(v1::RemoveSecretResponse { index: 12 }),
            None => Err(Status::not_found(format!("secret {reference} not found"))),
        }
    }
}

#[tonic::async_trait]
impl Services for Answers {
    async fn create(
        &self,
        request: Request<v1::CreateServiceRequest>,
    ) -> Answer<v1::CreateServiceResponse> {
        let spec = request.into_inner().spec.unwrap_or_default();
        let id = "sssssssssssssssssssssssss".to_owned();
        let service = v1::Service {
            id: id.clone(),
            version_index: 13,
            created_at: CREATED_AT,
            updated_at: CREATED_AT,
            running_tasks: spec.replicas,
            spec: Some(spec.clone()),
        };
        self.kept().services.insert(spec.name, service);
        answer(v1::CreateServiceResponse { id, index: 13 })
    }

    async fn list(&self, _: Request<v1::ListServicesRequest>) -> Answer<v1::ListServicesResponse> {
        let services = self.kept().services.values().cloned().collect();
        answer(v1::ListServicesResponse { services, next: String::new(), index: 13 })
    }

    async fn inspect(
        &self,
        request: Request<v1::InspectServiceRequest>,
    ) -> Answer<v1::InspectServiceResponse> {
        let service = self.service(&request.into_inner().reference)?;
        answer(v1::InspectServiceResponse { service: Some(service), index: 13 })
    }

    async fn tasks(&self, request: Request<v1::ListTasksRequest>) -> Answer<v1::ListTasksResponse> {
        let service = self.service(&request.into_inner().reference)?;
        let spec = service.spec.unwrap_or_default();
        let task = |slot| v1::Task {
            id: TASK.to_owned(),
            service_id: service.id.clone(),
            slot,
            node_id: NODE.to_owned(),
            node_hostname: "host".to_owned(),
            state: v1::TaskState::Running.into(),
            desired_state: v1::TaskState::Running.into(),
            status_at: CREATED_AT,
            command: spec.command.join(" "),
            ..v1::Task::default()
        };
        let tasks = (1..=spec.replicas).map(task).collect();
        answer(v1::ListTasksResponse { tasks, service_name: spec.name, index: 13 })
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveServiceRequest>,
    ) -> Answer<v1::RemoveServiceResponse> {
        let reference = request.into_inner().reference;
        match self.kept().services.remove(&reference) {
            Some(_) => answer(v1::RemoveServiceResponse { index: 14 }),
            None => Err(Status::not_found(format!("service {reference} not found"))),
        }
    }

    type LogsStream = Pin<Box<dyn Stream<Item = Result<v1::LogsChunk, Status>> + Send>>;

    /// Every task prints the values of all secrets, a complaint, and the last line of `coffer dev`.
    async fn logs(&self, _: Request<v1::LogsRequest>) -> Answer<Self::LogsStream> {
        let chunk = |stream: v1::LogStream, line: &[u8]| v1::LogsChunk {
            task_id: TASK.to_owned(),
            slot: 1,
            node_hostname: "host".to_owned(),
            stream: stream.into(),
            at: CREATED_AT,
            line: line.trim_ascii_end().to_vec(),
        };
        let values = self.kept().secrets.values().map(|(_, value)| value.clone()).collect();
        let mut lines: Vec<Vec<u8>> = values;
        lines.push(b"(the task now sleeps)".to_vec());
        let chunks = lines.iter().map(|line| chunk(v1::LogStream::Stdout, line));
        let all: Vec<_> =
            std::iter::once(chunk(v1::LogStream::Stderr, b"a complaint")).chain(chunks).collect();
        answer(Box::pin(stream::iter(all.into_iter().map(Ok))))
    }
}

impl Answers {
    fn service(&self, reference: &str) -> Result<v1::Service, Status> {
        let kept = self.kept();
        let is_meant = |service: &&v1::Service| {
            let name = service.spec.as_ref().map(|spec| spec.name.as_str());
            service.id == reference || name == Some(reference)
        };
        let missing = || Status::not_found(format!("service {reference} not found"));
        kept.services.values().find(is_meant).cloned().ok_or_else(missing)
    }
}
