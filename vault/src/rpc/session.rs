//! A node's session with the leader, from the node's side.

use std::time::Duration;

use proto::swarmkit;
use proto::swarmkit::dispatcher_client::DispatcherClient;
use proto::swarmkit::node_spec;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use vault_core::limits::{MANAGERS_TOLD_MAX, NODE_MESSAGE_BYTES_MAX};
use vault_core::node::{Availability, Described, Role};

use crate::sessions::Peer;

/// A session that was begun.
pub(crate) struct Session {
    client: DispatcherClient<Channel>,
    id: String,
}

/// What the leader tells, one after the other.
pub(crate) struct Tidings(Streaming<swarmkit::SessionMessage>);

/// What a node is told.
pub(crate) struct News {
    pub role: Role,
    pub availability: Availability,
    pub managers: Vec<Peer>,
    /// The root bundle in PEM; empty if nothing is said of it.
    pub roots: String,
    /// Whether it is to have a newer certificate.
    pub is_renewal_wanted: bool,
}

/// Begins a session by saying what this node is and which bundle it believes, and gives what the node is told first.
pub(crate) async fn begin(
    channel: Channel,
    said: &Described,
    trusted: &str,
) -> Result<(Session, Tidings, News), Status> {
    let mut client =
        DispatcherClient::new(channel).max_decoding_message_size(NODE_MESSAGE_BYTES_MAX);
    let machine = &said.machine;
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let description = swarmkit::NodeDescription {
        hostname: said.hostname.clone(),
        platform: Some(swarmkit::Platform {
            architecture: machine.architecture.clone(),
            os: machine.os.clone(),
        }),
        resources: Some(swarmkit::Resources {
            nano_cpus: signed(machine.nano_cpus),
            memory_bytes: signed(machine.memory_bytes),
        }),
        engine: Some(swarmkit::EngineDescription {
            engine_version: said.engine_version.clone(),
            labels: machine.labels.as_map().clone(),
        }),
        tls_info: Some(swarmkit::NodeTlsInfo { trust_root: trusted.as_bytes().to_vec() }),
        coffer_level: said.level.0,
    };
    let request =
        swarmkit::SessionRequest { description: Some(description), session_id: String::new() };
    let mut stream = client.session(request).await?.into_inner();
    let first = stream.message().await?.ok_or_else(ended)?;
    let session = Session { client, id: first.session_id.clone() };
    Ok((session, Tidings(stream), news(first)?))
}

fn ended() -> Status {
    Status::unavailable("the manager ended the session")
}

impl Tidings {
    /// Waits for what is told next.
    pub(crate) async fn next(&mut self) -> Result<News, Status> {
        news(self.0.message().await?.ok_or_else(ended)?)
    }
}

impl Session {
    /// Says that this node is there, or that it leaves. Gives when to say so again.
    pub(crate) async fn beat(&mut self, coffer_leaves: bool) -> Result<Duration, Status> {
        let session_id = self.id.clone();
        let request = swarmkit::HeartbeatRequest { session_id, coffer_leaves };
        let period = self.client.heartbeat(request).await?.into_inner().period.unwrap_or_default();
        let secs = u64::try_from(period.seconds).unwrap_or(0);
        Ok(Duration::new(secs, u32::try_from(period.nanos).unwrap_or(0).min(999_999_999)))
    }
}

fn news(message: swarmkit::SessionMessage) -> Result<News, Status> {
    let garbled = || Status::internal("the manager's word does not read");
    let node = message.node.ok_or_else(garbled)?;
    let role = match swarmkit::NodeRole::try_from(node.role).map_err(|_| garbled())? {
        swarmkit::NodeRole::Worker => Role::Worker,
        swarmkit::NodeRole::Manager => Role::Manager,
    };
    let spec = node.spec.unwrap_or_default();
    let availability = match node_spec::Availability::try_from(spec.availability) {
        Ok(node_spec::Availability::Active) => Availability::Active,
        Ok(node_spec::Availability::Pause) => Availability::Pause,
        Ok(node_spec::Availability::Drain) => Availability::Drain,
        Err(_) => return Err(garbled()),
    };
    let issuance = node.certificate.unwrap_or_default().status.unwrap_or_default().state;
    let rotate = i32::from(swarmkit::issuance_status::State::Rotate);
    let peers = message.managers.into_iter().filter_map(|one| one.peer);
    let peers = peers.map(|peer| Peer { node_id: peer.node_id, addr: peer.addr });
    let roots = String::from_utf8(message.root_ca).map_err(|_| garbled())?;
    Ok(News {
        role,
        availability,
        managers: peers.take(MANAGERS_TOLD_MAX).collect(),
        roots,
        is_renewal_wanted: issuance == rotate,
    })
}
