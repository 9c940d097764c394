//! Debian's etcd as people run it: one node, TLS towards clients, certificates on P-256.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use tonic::Status;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic_prost::ProstCodec;

use crate::daemon::Scratch;

const PATIENCE: Duration = Duration::from_secs(30);
const CLIENT_URL: &str = "https://127.0.0.1:23791";
const PEER_URL: &str = "http://127.0.0.1:23801";

/// etcdserverpb.PutRequest, as far as it is needed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// What comes back is not looked at.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PutResponse {}

/// The program: what was named, what is in PATH, or Debian's package unpacked into a folder.
pub fn program(named: Option<&Path>, unpack: &Path) -> io::Result<PathBuf> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|path| path.join("etcd")).find(|p| p.is_file());
    if let Some(found) = found {
        return Ok(found);
    }
    // Unpacked only: nothing is installed, nothing is started.
    run(Command::new("apt-get").args(["download", "etcd-server"]).current_dir(unpack))?;
    let names = std::fs::read_dir(unpack)?.filter_map(|entry| Some(entry.ok()?.path()));
    let package = names.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb"));
    let package = package.ok_or_else(|| io::Error::other("apt-get downloaded no package"))?;
    run(Command::new("dpkg").arg("-x").arg(package).arg(unpack))?;
    Ok(unpack.join("usr/bin/etcd"))
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}

/// A running etcd.
pub struct Etcd {
    _scratch: Scratch,
    child: Child,
    ca: String,
}

impl Etcd {
    /// Starts a node of its own in a new folder.
    pub async fn start(program: &Path, parent: &Path) -> io::Result<Self> {
        let scratch = Scratch::new(parent, "etcd")?;
        let home = scratch.path();
        let ca = certificates(home).map_err(io::Error::other)?;
        let option = |name: &str, value: &Path| {
            let mut option = OsString::from(format!("--{name}="));
            option.push(value);
            option
        };
        let child = Command::new(program)
            .arg(option("data-dir", &home.join("data")))
            .arg(option("cert-file", &home.join("server.pem")))
            .arg(option("key-file", &home.join("server.key")))
            .args(["--name=n1", "--initial-cluster-state=new", "--initial-cluster-token=bench"])
            .arg(format!("--listen-client-urls={CLIENT_URL}"))
            .arg(format!("--advertise-client-urls={CLIENT_URL}"))
            .arg(format!("--listen-peer-urls={PEER_URL}"))
            .arg(format!("--initial-advertise-peer-urls={PEER_URL}"))
            .arg(format!("--initial-cluster=n1={PEER_URL}"))
            .args(["--quota-backend-bytes=8589934592", "--snapshot-count=100000"])
            .args(["--logger=zap", "--log-level=error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let etcd = Self { _scratch: scratch, child, ca };
        let asked = Instant::now();
        loop {
            let ready = match etcd.connect().await {
                Ok(channel) => Putter::new(channel, "ready".to_owned(), 1).put().await,
                Err(error) => Err(Status::unavailable(error.to_string())),
            };
            match ready {
                Ok(()) => return Ok(etcd),
                Err(status) if asked.elapsed() > PATIENCE => return Err(io::Error::other(status)),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection.
    pub async fn connect(&self) -> io::Result<Channel> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca));
        let endpoint = Endpoint::from_static(CLIENT_URL).tls_config(tls);
        let endpoint = endpoint.map_err(io::Error::other)?.tcp_nodelay(true);
        endpoint.connect().await.map_err(io::Error::other)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// Writes a server's certificate and key; returns the CA's certificate.
fn certificates(home: &Path) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &ca)?;
    std::fs::write(home.join("server.pem"), certificate.pem())?;
    std::fs::write(home.join("server.key"), key.serialize_pem())?;
    Ok(ca.pem())
}

/// Puts values under keys that no other client uses.
pub struct Putter {
    grpc: tonic::client::Grpc<Channel>,
    prefix: String,
    next: usize,
    size: usize,
}

impl Putter {
    pub fn new(channel: Channel, prefix: String, size: usize) -> Self {
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
