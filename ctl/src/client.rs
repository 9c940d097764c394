//! The calls to `cofferd`. The only module that knows the wire: an answer becomes a checked type here.
//!
//! One connection over the daemon's Unix socket; every call has a deadline.

mod backup;
mod certificates;
mod convert;
mod nodes;
mod roots;
mod services;
mod streams;
mod tokens;
mod values;

use std::error::Error as _;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use proto::v1;
use proto::v1::audit_client::AuditClient;
use proto::v1::swarm_client::SwarmClient;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::Code;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport;
use tonic::transport::Endpoint;
use tonic::transport::Uri;
use zeroize::Zeroizing;

use crate::host::Host;
use crate::host::Reading;
use crate::human::os_error;
use crate::limits::CALL_DEADLINE;
use crate::limits::JOIN_DEADLINE;
use crate::limits::REQUEST_BYTES_MAX;
use crate::limits::VERIFY_DEADLINE;
use crate::objects::AuditReport;
use crate::objects::Initialized;
use crate::objects::JoinTokens;
use crate::objects::KeyStatus;
pub(crate) use backup::BackupKey;
pub(crate) use backup::SendError;
pub(crate) use streams::Answers;

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
        .patience.as_secs()
    )]
    Silent { host: Host, patience: Duration },
    #[error("Error response from daemon: {message}")]
    Refused { message: String, refusal: Refusal },
    #[error(
        "the values make a request of {bytes} bytes, and one may have {REQUEST_BYTES_MAX} (4 MiB); \
         nothing was sent: use several commands"
    )]
    TooLarge { bytes: usize },
    #[error("the answer of cofferd is not understood: {0}; are coffer and cofferd of one version?")]
    Answer(String),
}

/// What kind of no the daemon said, as far as that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The object is not there, or what was typed names none.
    Absence,
    /// What was asked for is no longer, or not yet, remembered.
    OutOfRange,
    /// Things are not as the call needs them.
    Precondition,
    Other,
}

/// Says with every call how new its answer has to be.
#[derive(Clone, Copy)]
struct Asking(Reading);

impl Interceptor for Asking {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = match self.0 {
            Reading::Newest => return Ok(request),
            Reading::Stale => MetadataValue::from_static("stale"),
            Reading::AtLeast(index) => MetadataValue::from(index),
        };
        request.metadata_mut().insert("coffer-read", value);
        Ok(request)
    }
}

type Channel = InterceptedService<transport::Channel, Asking>;

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
            Ok(channel) => {
                let asking = Asking(host.freshness());
                Ok(Self { host: host.clone(), channel: InterceptedService::new(channel, asking) })
            }
            Err(error) => Err(broken(host, &error)),
        }
    }

    async fn ask<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, CallError> {
        self.ask_within(CALL_DEADLINE, call).await
    }

    async fn ask_within<T>(
        &self,
        patience: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, CallError> {
        match timeout(patience, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(translate(&self.host, &status)),
            Err(_) => Err(CallError::Silent { host: self.host.clone(), patience }),
        }
    }

    fn swarm(&self) -> SwarmClient<Channel> {
        SwarmClient::new(self.channel.clone())
    }

    /// Whether the daemon answers at all, be it with a refusal.
    pub(crate) async fn probe(&self) -> Result<(), CallError> {
        match self.ask(self.swarm().inspect(v1::InspectSwarmRequest {})).await {
            Ok(_) | Err(CallError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn init(
        &self,
        advertise_addr: String,
        autolock: bool,
    ) -> Result<Initialized, CallError> {
        let request = v1::InitRequest { advertise_addr, autolock, force_new_cluster: false };
        let answer = self.ask(self.swarm().init(request)).await?;
        Ok(Initialized {
            node_id: filled(answer.node_id, "the node's ID")?,
            worker_token: filled(answer.worker_token, "the worker token")?,
            address: filled(answer.advertise_addr, "the manager's address")?,
            unlock_key: autolock
                .then(|| filled(answer.unlock_key, "the unlock key").map(Zeroizing::new))
                .transpose()?,
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

    /// The root's certificate in PEM.
    pub(crate) async fn root(&self) -> Result<String, CallError> {
        let answer = self.ask(self.swarm().inspect(v1::InspectSwarmRequest {})).await?;
        filled(answer.root_certificate, "the root's certificate")
    }

    /// The log index that the cluster is at.
    pub(crate) async fn index(&self) -> Result<u64, CallError> {
        let answer = self.ask(self.swarm().inspect(v1::InspectSwarmRequest {})).await?;
        Ok(answer.index)
    }

    /// Makes a new data key, or joins the rotation that goes on.
    pub(crate) async fn rotate_keys(&self) -> Result<KeyStatus, CallError> {
        let answer = self.ask(self.swarm().rotate_keys(v1::RotateKeysRequest {})).await?;
        convert::key_status(answer.status)
    }

    pub(crate) async fn key_status(&self) -> Result<KeyStatus, CallError> {
        let answer = self.ask(self.swarm().key_status(v1::KeyStatusRequest {})).await?;
        convert::key_status(answer.status)
    }

    /// Sets autolock; gives the unlock key if it was not set before.
    pub(crate) async fn set_autolock(
        &self,
        autolock: bool,
    ) -> Result<Option<Zeroizing<String>>, CallError> {
        let request = v1::UpdateSwarmRequest { autolock: Some(autolock) };
        let key = self.ask(self.swarm().update(request)).await?.unlock_key;
        Ok((!key.is_empty()).then(|| Zeroizing::new(key)))
    }

    /// Has the daemon's disk follow at once. Gives whether the audit stays partly under an earlier key.
    pub(crate) async fn await_lock(&self) -> Result<bool, CallError> {
        let mut swarm = self.swarm();
        let call = swarm.await_lock(v1::AwaitLockRequest {});
        Ok(self.ask_within(JOIN_DEADLINE, call).await?.old_audit)
    }

    /// The unlock key, made anew first if asked to; nothing while autolock is off.
    pub(crate) async fn unlock_key(
        &self,
        rotate: bool,
    ) -> Result<Option<Zeroizing<String>>, CallError> {
        let request = v1::UnlockKeyRequest { rotate };
        let key = self.ask(self.swarm().unlock_key(request)).await?.unlock_key;
        Ok((!key.is_empty()).then(|| Zeroizing::new(key)))
    }

    /// Unlocks the daemon's disk.
    pub(crate) async fn unlock(&self, key: &str) -> Result<(), CallError> {
        let request = v1::UnlockRequest { unlock_key: key.to_owned() };
        let mut swarm = self.swarm();
        self.ask_within(JOIN_DEADLINE, swarm.unlock(request)).await?;
        Ok(())
    }

    /// Has the daemon read all its records.
    pub(crate) async fn verify_audit(&self) -> Result<AuditReport, CallError> {
        let mut audit = AuditClient::new(self.channel.clone());
        let call = audit.verify(v1::VerifyAuditRequest {});
        let v1::VerifyAuditResponse { records, first, last, broken } =
            self.ask_within(VERIFY_DEADLINE, call).await?;
        Ok(AuditReport { records, first, last, broken })
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
    let refusal = match status.code() {
        Code::NotFound | Code::InvalidArgument => Refusal::Absence,
        Code::OutOfRange => Refusal::OutOfRange,
        Code::FailedPrecondition => Refusal::Precondition,
        _ => Refusal::Other,
    };
    CallError::Refused { message, refusal }
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
