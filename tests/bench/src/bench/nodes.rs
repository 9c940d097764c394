//! Nodes that join a cluster and renew their certificates, over connections that stand.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pki::csr;
use pki::key::{KeyDocument, SigningKey};
use pki::pem::pem_to_der;
use proto::swarmkit;
use proto::swarmkit::node_ca_client::NodeCaClient;
use proto::v1::swarm_client::SwarmClient;
use proto::v1::{InspectSwarmRequest, JoinTokensRequest};
use ring::rand::SystemRandom;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Failure;
use crate::daemon::Daemon;
use crate::figures::Latencies;
use crate::wire::Wire;

/// The name that every manager's certificate has.
pub const MANAGER: &str = "swarm-manager";
/// Requests that each node has ready; it goes round.
const REQUESTS: usize = 64;

/// Who shakes hands: a node with its certificate, or somebody who has none yet.
#[derive(Clone)]
pub struct Client(Arc<ClientConfig>);

impl Client {
    /// Believes one root, and has a certificate and its key, or none.
    pub fn new(
        root: CertificateDer<'static>,
        own: Option<(CertificateDer<'static>, KeyDocument)>,
    ) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(root)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots);
        let mut config = match own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivatePkcs8KeyDer::from(key.expose().to_vec());
                config.with_client_auth_cert(vec![certificate], key.into())?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Each handshake is a whole one.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands with whoever listens there.
    pub async fn dial(&self, addr: &str) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(MANAGER).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await
    }

    async fn calls(&self, addr: &str) -> Result<NodeCaClient<Wire>, Failure> {
        let stream = self.dial(addr).await?;
        let origin = format!("https://{MANAGER}").parse()?;
        Ok(NodeCaClient::new(Wire::over(stream, &origin).await?))
    }
}

/// A node that stands connected.
pub struct Node {
    pub client: Client,
    calls: NodeCaClient<Wire>,
    requests: Vec<Vec<u8>>,
}

/// Nodes, and how long each took to join.
pub struct Joined {
    pub nodes: Vec<Node>,
    pub joins: Latencies,
}

/// Has so many workers join, one after the other, spread over all managers.
pub async fn join(managers: &[Daemon], count: usize) -> Result<Joined, Failure> {
    let mut swarm = SwarmClient::new(managers[0].connect().await?);
    let token = swarm.join_tokens(JoinTokensRequest {}).await?.into_inner().worker;
    let shown = swarm.inspect(InspectSwarmRequest {}).await?.into_inner();
    let root = first_of(&shown.root_certificate)?;
    let stranger = Client::new(root.clone(), None)?;
    let (mut nodes, mut joins) = (Vec::new(), Latencies::default());
    for (number, manager) in (0..count).zip(managers.iter().cycle()) {
        let start = Instant::now();
        let random = SystemRandom::new();
        let key = KeyDocument::generate(&random)?;
        let csr = csr::make(&SigningKey::parse(key.expose(), &random)?)?.into_bytes();
        let mut calls = stranger.calls(&manager.addr()).await?;
        let asked = swarmkit::IssueNodeCertificateRequest {
            csr,
            token: token.clone(),
            ..swarmkit::IssueNodeCertificateRequest::default()
        };
        let node_id = calls.issue_node_certificate(asked).await?.into_inner().node_id;
        let asked = swarmkit::NodeCertificateStatusRequest { node_id };
        let given = calls.node_certificate_status(asked).await?.into_inner().certificate;
        let pem = String::from_utf8(given.unwrap_or_default().certificate)?;
        let client = Client::new(root.clone(), Some((first_of(&pem)?, key)))?;
        let calls = client.calls(&manager.addr()).await?;
        if number >= managers.len() {
            joins.push(start.elapsed());
        }
        nodes.push(Node { client, calls, requests: requests()? });
    }
    Ok(Joined { nodes, joins })
}

fn first_of(pem: &str) -> Result<CertificateDer<'static>, Failure> {
    let der = pem_to_der(pem)?.into_iter().next();
    Ok(CertificateDer::from(der.ok_or("no certificate")?))
}

fn requests() -> Result<Vec<Vec<u8>>, Failure> {
    let random = SystemRandom::new();
    let one = |_| {
        let key = KeyDocument::generate(&random)?;
        Ok(csr::make(&SigningKey::parse(key.expose(), &random)?)?.into_bytes())
    };
    (0..REQUESTS).map(one).collect()
}

/// Every node has one certificate after the other, each over another key. Returns how many there were.
pub async fn renew(joined: &Joined, time: Duration) -> Result<usize, Failure> {
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for node in &joined.nodes {
        let (mut calls, requests) = (node.calls.clone(), node.requests.clone());
        tasks.spawn(async move {
            let mut done = 0;
            for csr in requests.iter().cycle() {
                if Instant::now() >= end {
                    break;
                }
                let asked = swarmkit::IssueNodeCertificateRequest {
                    csr: csr.clone(),
                    ..swarmkit::IssueNodeCertificateRequest::default()
                };
                calls.issue_node_certificate(asked).await?;
                done += 1;
            }
            Ok::<usize, tonic::Status>(done)
        });
    }
    let mut all = 0;
    while let Some(done) = tasks.join_next().await {
        all += done??;
    }
    Ok(all)
}
