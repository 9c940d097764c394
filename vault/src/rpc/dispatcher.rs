//! `Dispatcher`, as every Docker Engine speaks it: a node's session with the leader, its heartbeats, and what it is to
//! run, which is nothing yet.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use proto::swarmkit::dispatcher_server::Dispatcher;
use proto::swarmkit::{self, node_spec};
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};
use vault_core::feature::Level;
use vault_core::id::{NodeId, ObjectId};
use vault_core::labels::Labels;
use vault_core::limits::{
    HOST_BYTES_MAX, MACHINE_LABEL_BYTES_MAX, WORKER_BEAT, WORKER_BEAT_SPREAD,
};
use vault_core::node::{Availability, Described, Machine, Role};

use super::peers::{caller, is_one_word};
use super::status;
use crate::daemon::Daemon;
use crate::entropy;
use crate::sessions::{Begun, SessionError, Told};

/// What a manager weighs, where all are alike. Swarm's number.
const WEIGHT: i64 = 10;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn of_session(error: &SessionError) -> Status {
    match error {
        SessionError::NotLeader | SessionError::TooMany(_) => {
            Status::unavailable(error.to_string())
        }
        SessionError::NotRegistered => Status::invalid_argument(error.to_string()),
        SessionError::Call(error) => status::of_manager_call(error),
    }
}

fn session_id(text: &str) -> Result<ObjectId, Status> {
    ObjectId::parse(text).map_err(|_| of_session(&SessionError::NotRegistered))
}

/// What a node says of itself, once it is bounded and makes no lines of its own.
fn described(said: Option<swarmkit::NodeDescription>) -> Result<Described, Status> {
    let said = said.unwrap_or_default();
    let (platform, engine) = (said.platform.unwrap_or_default(), said.engine.unwrap_or_default());
    let texts = [&said.hostname, &engine.engine_version, &platform.os, &platform.architecture];
    if texts.into_iter().any(|text| !text.is_empty() && !is_one_word(text)) {
        return Err(Status::invalid_argument(format!(
            "host name, platform and version are printable ASCII of {HOST_BYTES_MAX} bytes at most"
        )));
    }
    let resources = said.resources.unwrap_or_default();
    let machine = Machine {
        os: platform.os,
        architecture: platform.architecture,
        nano_cpus: u64::try_from(resources.nano_cpus).unwrap_or(0),
        memory_bytes: u64::try_from(resources.memory_bytes).unwrap_or(0),
        labels: machine_labels(engine.labels)?,
    };
    let level = Level(said.coffer_level.max(Level::FIRST.0));
    let (hostname, engine_version) = (said.hostname, engine.engine_version);
    Ok(Described { hostname, engine_version, level, machine })
}

fn machine_labels(labels: BTreeMap<String, String>) -> Result<Labels, Status> {
    let bytes: usize = labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > MACHINE_LABEL_BYTES_MAX {
        return Err(Status::invalid_argument(format!(
            "the labels of the engine have {bytes} bytes, at most {MACHINE_LABEL_BYTES_MAX} are kept"
        )));
    }
    Labels::parse(labels).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn message(id: NodeId, session: ObjectId, told: &Told) -> swarmkit::SessionMessage {
    let role = match told.role {
        Role::Worker => swarmkit::NodeRole::Worker,
        Role::Manager => swarmkit::NodeRole::Manager,
    };
    let availability = match told.availability {
        Availability::Active => node_spec::Availability::Active,
        Availability::Pause => node_spec::Availability::Pause,
        Availability::Drain => node_spec::Availability::Drain,
    };
    let labels = told.labels.as_map().clone();
    let spec = swarmkit::NodeSpec {
        annotations: Some(swarmkit::Annotations { name: String::new(), labels }),
        desired_role: role.into(),
        membership: node_spec::Membership::Accepted.into(),
        availability: availability.into(),
    };
    // Swarm's word for "take a new certificate now".
    let state = if told.is_to_renew {
        swarmkit::issuance_status::State::Rotate
    } else {
        swarmkit::issuance_status::State::Issued
    };
    let status = swarmkit::IssuanceStatus { state: state.into(), err: String::new() };
    let certificate = swarmkit::Certificate {
        role: role.into(),
        status: Some(status),
        cn: id.to_string(),
        ..swarmkit::Certificate::default()
    };
    let ready = swarmkit::node_status::State::Ready.into();
    let managers = told.managers.iter().map(|peer| swarmkit::WeightedPeer {
        peer: Some(swarmkit::Peer { node_id: peer.node_id.clone(), addr: peer.addr.clone() }),
        weight: WEIGHT,
    });
    swarmkit::SessionMessage {
        session_id: session.to_string(),
        node: Some(swarmkit::NodeObject {
            id: id.to_string(),
            spec: Some(spec),
            description: None,
            status: Some(swarmkit::NodeStatus { state: ready }),
            certificate: Some(certificate),
            role: role.into(),
        }),
        managers: managers.collect(),
        root_ca: told.roots.as_bytes().to_vec(),
    }
}

/// When a node is to be heard again: not all at one time.
fn next_beat() -> swarmkit::Period {
    let spread = u64::try_from(WORKER_BEAT_SPREAD.as_millis()).unwrap_or(0);
    let draw = u64::from(u16::from_le_bytes(entropy::random())) % (2 * spread + 1);
    let millis = u64::try_from(WORKER_BEAT.as_millis()).unwrap_or(0) - spread + draw;
    let nanos = i32::try_from(millis % 1_000 * 1_000_000).unwrap_or(0);
    swarmkit::Period { seconds: i64::try_from(millis / 1_000).unwrap_or(0), nanos }
}

#[tonic::async_trait]
impl Dispatcher for Daemon {
    type SessionStream = Answers<swarmkit::SessionMessage>;
    type AssignmentsStream = Answers<swarmkit::AssignmentsMessage>;

    async fn session(
        &self,
        request: Request<swarmkit::SessionRequest>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let id = caller(&request)?;
        let mut description = request.into_inner().description;
        let tls = description.as_mut().and_then(|said| said.tls_info.take());
        let trusted = tls.unwrap_or_default().trust_root;
        let said = described(description)?;
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let begun = manager.begin_session(id, said, &trusted).await;
        let begun = begun.map_err(|error| of_session(&error))?;
        let Begun { session, told } = begun;
        let messages = WatchStream::new(told).map(move |told| Ok(message(id, session, &told)));
        Ok(Response::new(Box::pin(messages)))
    }

    async fn heartbeat(
        &self,
        request: Request<swarmkit::HeartbeatRequest>,
    ) -> Result<Response<swarmkit::HeartbeatResponse>, Status> {
        let id = caller(&request)?;
        let beat = request.into_inner();
        let session = session_id(&beat.session_id)?;
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let heard = if beat.coffer_leaves {
            manager.end_session(id, session).await
        } else {
            manager.sessions().beat(id, session)
        };
        heard.map_err(|error| of_session(&error))?;
        Ok(Response::new(swarmkit::HeartbeatResponse { period: Some(next_beat()) }))
    }

    /// Nothing was assigned, so that nothing is to be said of it.
    async fn update_task_status(
        &self,
        request: Request<swarmkit::UpdateTaskStatusRequest>,
    ) -> Result<Response<swarmkit::UpdateTaskStatusResponse>, Status> {
        let id = caller(&request)?;
        let session = session_id(&request.into_inner().session_id)?;
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        manager.sessions().of(id, session).map_err(|error| of_session(&error))?;
        Ok(Response::new(swarmkit::UpdateTaskStatusResponse {}))
    }

    /// All that the node is to run: nothing. It stands until the session ends.
    async fn assignments(
        &self,
        request: Request<swarmkit::AssignmentsRequest>,
    ) -> Result<Response<Self::AssignmentsStream>, Status> {
        let id = caller(&request)?;
        let session = session_id(&request.into_inner().session_id)?;
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let told = manager.sessions().of(id, session).map_err(|error| of_session(&error))?;
        let nothing = swarmkit::AssignmentsMessage {
            r#type: swarmkit::assignments_message::Type::Complete.into(),
            applies_to: String::new(),
            results_in: "1".to_owned(),
        };
        let until_ended = WatchStream::from_changes(told).filter_map(async |_| None);
        let messages = stream::once(async { Ok(nothing) }).chain(until_ended);
        Ok(Response::new(Box::pin(messages)))
    }
}
