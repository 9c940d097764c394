//! Debian's etcd as people run it: one node or several, TLS towards clients and between nodes, certificates on
//! P-256.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::wire::Wire;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Status;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

use crate::daemon::Scratch;
use crate::packages::unpack;

const PATIENCE: Duration = Duration::from_secs(30);
const CLIENT_PORT: u16 = 23_791;
const PEER_PORT: u16 = 23_801;

fn url(port: u16, number: u16) -> String {
    format!("https://127.0.0.1:{}", port + number)
}

/// etcdserverpb.PutRequest, as far as it is needed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// etcdserverpb.RangeRequest: a linearizable read of one key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
}

/// What comes back is not looked at.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PutResponse {}

/// The program: what was named, what is in PATH, or Debian's package unpacked into a folder.
pub fn program(named: Option<&Path>, into: &Path) -> io::Result<PathBuf> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|path| path.join("etcd")).find(|p| p.is_file());
    if let Some(found) = found {
        return Ok(found);
    }
    unpack(&["etcd-server"], into)?;
    Ok(into.join("usr/bin/etcd"))
}

/// A running cluster of etcd.
pub struct Etcd {
    program: PathBuf,
    scratch: Scratch,
    children: Vec<Child>,
    /// How clients believe the servers.
    tls: Arc<ClientConfig>,
    /// The node that leads.
    leader: usize,
}

impl Etcd {
    /// Starts so many nodes of one cluster in a new folder.
    pub async fn start(program: &Path, parent: &Path, count: u16) -> io::Result<Self> {
        let scratch = Scratch::new(parent, "etcd")?;
        let tls = certificates(scratch.path()).map_err(io::Error::other)?;
        let program = program.to_owned();
        let mut etcd = Self { program, scratch, children: Vec::new(), tls, leader: 0 };
        for number in 0..count {
            let child = etcd.command(number, count).spawn()?;
            etcd.children.push(child);
        }
        let asked = Instant::now();
        loop {
            let ready = match etcd.connect().await {
                Ok(channel) => Putter::new(channel, "ready".to_owned(), 1).put().await,
                Err(error) => Err(Status::unavailable(error.to_string())),
            };
            match ready {
                Ok(()) => break,
                Err(status) if asked.elapsed() > PATIENCE => return Err(io::Error::other(status)),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        etcd.leader = etcd.find_leader().await?;
        Ok(etcd)
    }

    fn command(&self, number: u16, count: u16) -> Command {
        let home = self.scratch.path();
        let option = |name: &str, value: &Path| {
            let mut option = OsString::from(format!("--{name}="));
            option.push(value);
            option
        };
        let (own, peer) = (url(CLIENT_PORT, number), url(PEER_PORT, number));
        let all: Vec<_> = (0..count).map(|n| format!("n{n}={}", url(PEER_PORT, n))).collect();
        let mut command = Command::new(&self.program);
        command
            .arg(option("data-dir", &home.join(format!("data-{number}"))))
            .arg(option("cert-file", &home.join("server.pem")))
            .arg(option("key-file", &home.join("server.key")))
            .arg(option("peer-cert-file", &home.join("server.pem")))
            .arg(option("peer-key-file", &home.join("server.key")))
            .arg(option("peer-trusted-ca-file", &home.join("ca.pem")))
            .args(["--peer-client-cert-auth", "--initial-cluster-state=new"])
            .arg(format!("--name=n{number}"))
            .arg("--initial-cluster-token=bench")
            .arg(format!("--listen-client-urls={own}"))
            .arg(format!("--advertise-client-urls={own}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster={}", all.join(",")))
            .args(["--quota-backend-bytes=8589934592", "--snapshot-count=100000"])
            .args(["--logger=zap", "--log-level=error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// The node whose own ID is the leader's, by what each says of itself.
    pub async fn find_leader(&self) -> io::Result<usize> {
        for number in 0..self.children.len() {
            let mut grpc = tonic::client::Grpc::new(self.connect_to(number).await?);
            grpc.ready().await.map_err(io::Error::other)?;
            let path = PathAndQuery::from_static("/etcdserverpb.Maintenance/Status");
            let codec = ProstCodec::<PutResponse, StatusResponse>::default();
            let request = tonic::Request::new(PutResponse {});
            let said =
                grpc.unary(request, path, codec).await.map_err(io::Error::other)?.into_inner();
            if said.header.is_some_and(|header| header.member_id == said.leader) {
                return Ok(number);
            }
        }
        Err(io::Error::other("etcd has no leader"))
    }

    pub fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }

    /// A new connection to one node.
    pub async fn connect_to(&self, number: usize) -> io::Result<Wire> {
        let port = CLIENT_PORT + u16::try_from(number).expect("there are a few nodes");
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
        let origin = url(CLIENT_PORT, 0).parse().map_err(io::Error::other)?;
        Wire::over(stream, &origin).await
    }

    /// Sends a signal to one node, and waits for nothing.
    pub fn signal(&self, node: usize, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.children[node]), signal)?)
    }

    /// Waits for a node's end and starts it again with what it has.
    pub fn restart(&mut self, node: usize) -> io::Result<()> {
        self.children[node].wait()?;
        let count = u16::try_from(self.children.len()).expect("there are a few nodes");
        let number = u16::try_from(node).expect("there are a few nodes");
        self.children[node] = self.command(number, count).spawn()?;
        Ok(())
    }

    /// A new connection to a node that does not lead.
    pub async fn connect_to_follower(&self) -> io::Result<Wire> {
        self.connect_to(if self.leader == 0 { 1 } else { 0 }).await
    }

    /// A new connection to the leader.
    pub async fn connect(&self) -> io::Result<Wire> {
        self.connect_to(self.leader).await
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for child in &mut self.children {
            kill_process(Pid::from_child(child), Signal::KILL).ok();
            child.wait().ok();
        }
    }
}

/// Writes a server's certificate and key; returns what clients need to believe it.
fn certificates(
    home: &Path,
) -> Result<Arc<ClientConfig>, Box<dyn std::error::Error + Send + Sync>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &ca)?;
    std::fs::write(home.join("ca.pem"), ca.pem())?;
    std::fs::write(home.join("server.pem"), certificate.pem())?;
    std::fs::write(home.join("server.key"), key.serialize_pem())?;
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// etcdserverpb.StatusResponse, as far as it is needed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(uint64, tag = "4")]
    pub leader: u64,
}

/// etcdserverpb.ResponseHeader, as far as it is needed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Header {
    #[prost(uint64, tag = "2")]
    pub member_id: u64,
}

/// Reads one key, linearizably.
pub struct Getter {
    grpc: tonic::client::Grpc<Wire>,
    key: Vec<u8>,
}

impl Getter {
    pub fn new(channel: Wire, key: &str) -> Self {
        Self { grpc: tonic::client::Grpc::new(channel), key: key.as_bytes().to_vec() }
    }

    pub async fn get(&mut self) -> Result<(), Status> {
        let request = RangeRequest { key: self.key.clone() };
        let path = PathAndQuery::from_static("/etcdserverpb.KV/Range");
        let ready = self.grpc.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<RangeRequest, PutResponse>::default();
        self.grpc.unary(tonic::Request::new(request), path, codec).await.map(drop)
    }
}

/// Puts values under keys that no other client uses.
pub struct Putter {
    grpc: tonic::client::Grpc<Wire>,
    prefix: String,
    next: usize,
    size: usize,
}

impl Putter {
    pub fn new(channel: Wire, prefix: String, size: usize) -> Self {
        Self { grpc: tonic::client::Grpc::new(channel), prefix, next: 0, size }
    }

    /// Puts the next value.
    pub async fn put(&mut self) -> Result<(), Status> {
        let key = format!("{}-{}", self.prefix, self.next).into_bytes();
        self.next += 1;
        let request = PutRequest { key, value: vec![0xa5; self.size] };
        let path = PathAndQuery::from_static("/etcdserverpb.KV/Put");
        let ready = self.grpc.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<PutRequest, PutResponse>::default();
        self.grpc.unary(tonic::Request::new(request), path, codec).await.map(drop)
    }
}
