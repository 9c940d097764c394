//! The calls to `cofferd`. The only file that knows the wire: an answer becomes a checked type here.
//!
//! One connection over the daemon's Unix socket; every call has a deadline.

use std::error::Error as _;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use proto::v1;
use proto::v1::nodes_client::NodesClient;
use proto::v1::secrets_client::SecretsClient;
use proto::v1::services_client::ServicesClient;
use proto::v1::swarm_client::SwarmClient;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::Code;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tonic::transport::Uri;
use zeroize::Zeroize;

use crate::chance;
use crate::codec::Wipe;
use crate::codec::Wiped;
use crate::codec::WipingCodec;
use crate::host::Host;
use crate::human::os_error;
use crate::limits::CALL_DEADLINE;
use crate::limits::PAGES_MAX;
use crate::objects::Grant;
use crate::objects::Initialized;
use crate::objects::JoinTokens;
use crate::objects::Labels;
use crate::objects::LogLine;
use crate::objects::Meta;
use crate::objects::Node;
use crate::objects::Secret;
use crate::objects::Service;
use crate::objects::ServiceSpec;
use crate::objects::Task;
use crate::objects::TaskState;
use crate::objects::Tasks;
use crate::plaintext::Plaintext;

/// Why a call brought no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("cannot reach cofferd at {host}: {reason}; {advice}")]
    Unreachable { host: Host, reason: String, advice: &'static str },
    #[error(
        "no proper answer from {host}: {reason}; \
         is it the socket of cofferd, and is cofferd well? look at its log"
    )]
    Broken { host: Host, reason: String },
    #[error(
        "no answer from {host} within {} seconds; is it cofferd, and is it well? look at its log",
        CALL_DEADLINE.as_secs()
    )]
    Silent { host: Host },
    #[error("Error response from daemon: {message}")]
    Refused { message: String, is_absence: bool },
    #[error("the answer of cofferd is not understood: {0}; are coffer and cofferd of one version?")]
    Answer(String),
}

/// A connection to one daemon.
pub(crate) struct Client {
    host: Host,
    channel: Channel,
}

impl Client {
    /// Connects, and says why not in words.
    pub(crate) async fn connect(host: &Host) -> Result<Self, CallError> {
        let connected = UnixStream::connect(host.path()).await;
        let mut first = Some(connected.map_err(|error| unreachable_host(host, &error))?);
        // A second connection could only hide why the first one broke.
        let connector = tower::service_fn(move |_: Uri| {
            let ready = first.take().ok_or_else(|| io::Error::other("the connection ended"));
            async move { ready.map(TokioIo::new) }
        });
        // The name is never looked up: the connector knows the way.
        let endpoint = Endpoint::from_static("http://coffer.sock");
        let channel = endpoint.connect_with_connector(connector).await;
        match channel {
            Ok(channel) => Ok(Self { host: host.clone(), channel }),
            Err(error) => Err(broken(host, &error)),
        }
    }

    async fn ask<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, CallError> {
        match timeout(CALL_DEADLINE, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(translate(&self.host, &status)),
            Err(_) => Err(CallError::Silent { host: self.host.clone() }),
        }
    }

    fn swarm(&self) -> SwarmClient<Channel> {
        SwarmClient::new(self.channel.clone())
    }

    fn secrets(&self) -> SecretsClient<Channel> {
        SecretsClient::new(self.channel.clone())
    }

    fn services(&self) -> ServicesClient<Channel> {
        ServicesClient::new(self.channel.clone())
    }

    /// Whether the daemon answers at all, be it with a refusal.
    pub(crate) async fn probe(&self) -> Result<(), CallError> {
        match self.ask(self.swarm().inspect(v1::InspectSwarmRequest {})).await {
            Ok(_) | Err(CallError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn init(&self, advertise_addr: String) -> Result<Initialized, CallError> {
        let answer = self.ask(self.swarm().init(v1::InitRequest { advertise_addr })).await?;
        Ok(Initialized {
            node_id: filled(answer.node_id, "the node's ID")?,
            worker_token: filled(answer.worker_token, "the worker token")?,
            address: filled(answer.advertise_addr, "the manager's address")?,
        })
    }

    pub(crate) async fn join_tokens(&self) -> Result<JoinTokens, CallError> {
        let answer = self.ask(self.swarm().join_tokens(v1::JoinTokensRequest {})).await?;
        Ok(JoinTokens {
            worker: filled(answer.worker, "the worker token")?,
            manager: filled(answer.manager, "the manager token")?,
            address: filled(answer.advertise_addr, "the manager's address")?,
        })
    }

    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, CallError> {
        let mut nodes = NodesClient::new(self.channel.clone());
        let answer = self.ask(nodes.list(v1::ListNodesRequest {})).await?;
        answer.nodes.into_iter().map(|wire| node(wire, &answer.self_id)).collect()
    }

    /// Creates a secret; the request that carries the value is wiped once it is encoded.
    pub(crate) async fn create_secret(
        &self,
        name: &str,
        labels: Labels,
        value: Plaintext,
    ) -> Result<String, CallError> {
        let request = Wiped(v1::CreateSecretRequest {
            spec: Some(v1::SecretSpec { name: name.to_owned(), labels }),
            value: value.danger_into_bytes(),
            request_id: chance::bytes::<16>().to_vec(),
        });
        let mut caller = tonic::client::Grpc::new(self.channel.clone());
        let call = async {
            caller.ready().await.map_err(|error| Status::from_error(error.into()))?;
            let path = PathAndQuery::from_static("/coffer.v1.Secrets/Create");
            caller.unary(tonic::Request::new(request), path, WipingCodec::new()).await
        };
        let answer: v1::CreateSecretResponse = self.ask(call).await?;
        filled(answer.id, "the secret's ID")
    }

    pub(crate) async fn list_secrets(&self) -> Result<Vec<Secret>, CallError> {
        let (mut found, mut after) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let request = v1::ListSecretsRequest { limit: 0, after };
            let page = self.ask(self.secrets().list(request)).await?;
            for wire in page.secrets {
                found.push(secret(wire)?);
            }
            if page.next.is_empty() {
                return Ok(found);
            }
            after = page.next;
        }
        Err(not_understood("the list of secrets does not end"))
    }

    pub(crate) async fn inspect_secret(&self, reference: &str) -> Result<Secret, CallError> {
        let request = v1::InspectSecretRequest { reference: reference.to_owned() };
        let answer = self.ask(self.secrets().inspect(request)).await?;
        secret(answer.secret.ok_or_else(|| not_understood("the secret is missing"))?)
    }

    pub(crate) async fn remove_secret(&self, reference: &str) -> Result<(), CallError> {
        let request = v1::RemoveSecretRequest { reference: reference.to_owned() };
        self.ask(self.secrets().remove(request)).await.map(|_| ())
    }

    pub(crate) async fn create_service(&self, spec: ServiceSpec) -> Result<String, CallError> {
        let request = v1::CreateServiceRequest {
            spec: Some(wire_spec(spec)),
            request_id: chance::bytes::<16>().to_vec(),
        };
        let answer = self.ask(self.services().create(request)).await?;
        filled(answer.id, "the service's ID")
    }

    pub(crate) async fn list_services(&self) -> Result<Vec<Service>, CallError> {
        let (mut found, mut after) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let request = v1::ListServicesRequest { limit: 0, after };
            let page = self.ask(self.services().list(request)).await?;
            for wire in page.services {
                found.push(service(wire)?);
            }
            if page.next.is_empty() {
                return Ok(found);
            }
            after = page.next;
        }
        Err(not_understood("the list of services does not end"))
    }

    pub(crate) async fn inspect_service(&self, reference: &str) -> Result<Service, CallError> {
        let request = v1::InspectServiceRequest { reference: reference.to_owned() };
        let answer = self.ask(self.services().inspect(request)).await?;
        service(answer.service.ok_or_else(|| not_understood("the service is missing"))?)
    }

    pub(crate) async fn tasks(&self, reference: &str) -> Result<Tasks, CallError> {
        let request = v1::ListTasksRequest { reference: reference.to_owned() };
        let answer = self.ask(self.services().tasks(request)).await?;
        let tasks = answer.tasks.into_iter().map(task).collect::<Result<_, _>>()?;
        Ok(Tasks { service_name: filled(answer.service_name, "the service's name")?, tasks })
    }

    pub(crate) async fn remove_service(&self, reference: &str) -> Result<(), CallError> {
        let request = v1::RemoveServiceRequest { reference: reference.to_owned() };
        self.ask(self.services().remove(request)).await.map(|_| ())
    }

    pub(crate) async fn logs(
        &self,
        reference: &str,
        follow: bool,
        tail: Option<u32>,
    ) -> Result<Logs, CallError> {
        let request = v1::LogsRequest { reference: reference.to_owned(), follow, tail };
        let stream = self.ask(self.services().logs(request)).await?;
        // Whoever follows may wait for ever.
        let patience = if follow { Duration::MAX } else { CALL_DEADLINE };
        Ok(Logs { host: self.host.clone(), stream, patience })
    }
}

/// The lines of a service's tasks, as they come.
pub(crate) struct Logs {
    host: Host,
    stream: Streaming<v1::LogsChunk>,
    patience: Duration,
}

impl Logs {
    /// The next line; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<LogLine>, CallError> {
        match timeout(self.patience, self.stream.message()).await {
            Ok(Ok(chunk)) => chunk.map(log_line).transpose(),
            Ok(Err(status)) => Err(translate(&self.host, &status)),
            Err(_) => Err(CallError::Silent { host: self.host.clone() }),
        }
    }
}

impl Wipe for v1::CreateSecretRequest {
    fn wipe(&mut self) {
        self.value.zeroize();
    }
}

const START_ADVICE: &str = "is it running? start it with 'cofferd', or try 'coffer dev'";

fn unreachable_host(host: &Host, error: &io::Error) -> CallError {
    let file_type = std::fs::metadata(host.path()).map(|found| found.file_type());
    let no_socket = file_type.is_ok_and(|found| !found.is_socket());
    let (reason, advice) = match error.kind() {
        _ if no_socket => {
            ("it is not a socket".to_owned(), "give the path of cofferd's socket with -H")
        }
        io::ErrorKind::NotFound => ("no such socket".to_owned(), START_ADVICE),
        io::ErrorKind::PermissionDenied => {
            ("permission denied".to_owned(), "run this as root, or be in the group coffer")
        }
        _ => (os_error(error), START_ADVICE),
    };
    CallError::Unreachable { host: host.clone(), reason, advice }
}

/// Only what the transport reports has a source; what the daemon says has none.
fn translate(host: &Host, status: &Status) -> CallError {
    if status.source().is_some() {
        return broken(host, status);
    }
    let message = match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    };
    let is_absence = matches!(status.code(), Code::NotFound | Code::InvalidArgument);
    CallError::Refused { message, is_absence }
}

/// The last cause says most: above it, every layer only says that the one below failed.
fn broken(host: &Host, error: &(dyn std::error::Error + 'static)) -> CallError {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let reason = match cause.downcast_ref::<io::Error>() {
        Some(error) => os_error(error),
        None => cause.to_string(),
    };
    CallError::Broken { host: host.clone(), reason }
}

fn not_understood(what: impl Into<String>) -> CallError {
    CallError::Answer(what.into())
}

fn filled(text: String, what: &str) -> Result<String, CallError> {
    if text.is_empty() { Err(not_understood(format!("{what} is missing"))) } else { Ok(text) }
}

fn node(wire: v1::Node, self_id: &str) -> Result<Node, CallError> {
    let state = match wire.state() {
        v1::NodeState::Unknown => "Unknown",
        v1::NodeState::Down => "Down",
        v1::NodeState::Ready => "Ready",
        v1::NodeState::Disconnected => "Disconnected",
    };
    let availability = match wire.availability() {
        v1::Availability::Active => "Active",
        v1::Availability::Pause => "Pause",
        v1::Availability::Drain => "Drain",
    };
    let manager_status = match &wire.manager {
        None => "",
        Some(manager) if manager.leader => "Leader",
        Some(manager) => match manager.reachability() {
            v1::Reachability::Unknown => "Unknown",
            v1::Reachability::Unreachable => "Unreachable",
            v1::Reachability::Reachable => "Reachable",
        },
    };
    Ok(Node {
        is_self: wire.id == self_id,
        id: filled(wire.id, "a node's ID")?,
        hostname: wire.hostname,
        state,
        availability,
        manager_status,
        engine_version: wire.engine_version,
    })
}

fn secret(wire: v1::Secret) -> Result<Secret, CallError> {
    let spec = wire.spec.ok_or_else(|| not_understood("a secret's spec is missing"))?;
    let meta = Meta {
        id: filled(wire.id, "a secret's ID")?,
        version_index: wire.version_index,
        created_at: wire.created_at,
        updated_at: wire.updated_at,
    };
    Ok(Secret { meta, name: filled(spec.name, "a secret's name")?, labels: spec.labels })
}

fn service(wire: v1::Service) -> Result<Service, CallError> {
    let spec = wire.spec.ok_or_else(|| not_understood("a service's spec is missing"))?;
    let meta = Meta {
        id: filled(wire.id, "a service's ID")?,
        version_index: wire.version_index,
        created_at: wire.created_at,
        updated_at: wire.updated_at,
    };
    let spec = ServiceSpec {
        name: filled(spec.name, "a service's name")?,
        labels: spec.labels,
        command: spec.command,
        env: spec.env,
        grants: spec.secrets.into_iter().map(grant).collect(),
        replicas: spec.replicas,
    };
    Ok(Service { meta, spec, running_tasks: wire.running_tasks })
}

fn grant(wire: v1::SecretGrant) -> Grant {
    let v1::SecretGrant { secret_id, secret_name, target, uid, gid, mode } = wire;
    Grant { secret_id, secret_name, target, uid, gid, mode }
}

fn wire_grant(grant: Grant) -> v1::SecretGrant {
    let Grant { secret_id, secret_name, target, uid, gid, mode } = grant;
    v1::SecretGrant { secret_id, secret_name, target, uid, gid, mode }
}

fn wire_spec(spec: ServiceSpec) -> v1::ServiceSpec {
    let ServiceSpec { name, labels, command, env, grants, replicas } = spec;
    let secrets = grants.into_iter().map(wire_grant).collect();
    v1::ServiceSpec { name, labels, command, env, secrets, replicas }
}

fn task(wire: v1::Task) -> Result<Task, CallError> {
    Ok(Task {
        id: filled(wire.id, "a task's ID")?,
        slot: wire.slot,
        node_hostname: wire.node_hostname,
        state: task_state(wire.state)?,
        desired: task_state(wire.desired_state)?,
        status_at: wire.status_at,
        error: wire.error,
        exit_code: wire.exit_code,
        command: wire.command,
    })
}

fn task_state(number: i32) -> Result<TaskState, CallError> {
    let known = v1::TaskState::try_from(number)
        .map_err(|_| not_understood(format!("task state {number} is not known")))?;
    Ok(match known {
        v1::TaskState::New => TaskState::New,
        v1::TaskState::Pending => TaskState::Pending,
        v1::TaskState::Assigned => TaskState::Assigned,
        v1::TaskState::Accepted => TaskState::Accepted,
        v1::TaskState::Preparing => TaskState::Preparing,
        v1::TaskState::Ready => TaskState::Ready,
        v1::TaskState::Starting => TaskState::Starting,
        v1::TaskState::Running => TaskState::Running,
        v1::TaskState::Complete => TaskState::Complete,
        v1::TaskState::Shutdown => TaskState::Shutdown,
        v1::TaskState::Failed => TaskState::Failed,
        v1::TaskState::Rejected => TaskState::Rejected,
        v1::TaskState::Remove => TaskState::Remove,
        v1::TaskState::Orphaned => TaskState::Orphaned,
    })
}

fn log_line(wire: v1::LogsChunk) -> Result<LogLine, CallError> {
    let is_stderr = match wire.stream() {
        v1::LogStream::Unknown => return Err(not_understood("a log line names no stream")),
        v1::LogStream::Stdout => false,
        v1::LogStream::Stderr => true,
    };
    Ok(LogLine {
        task_id: wire.task_id,
        slot: wire.slot,
        hostname: wire.node_hostname,
        is_stderr,
        at: wire.at,
        line: wire.line,
    })
}
