//! Whole handshakes, both sides with a certificate: of a manager's node port, and of a server that is rustls alone.

use std::io::{self, BufRead};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pki::key::{KeyDocument, SigningKey};
use pki::leaf::{LeafPlan, Role, issue_leaf};
use pki::pem::pem_to_der;
use pki::root::{RootPlan, issue_root};
use ring::rand::SystemRandom;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::Failure;
use crate::nodes::Client;

const CLUSTER: &str = "0123456789abcdefghijklmno";
const NODES: [&str; 2] = ["n0de56789abcdefghijklmnop", "n1de56789abcdefghijklmnop"];
const DAY_SECS: u64 = 24 * 3_600;
/// What a client of HTTP/2 says first: a server that speaks it waits for that.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// What the bare server says to whoever shook hands: as long as the settings of HTTP/2.
const GREETING: [u8; 27] = [0; 27];

/// A server of its own process that shakes hands, greets, and hangs up with the other side.
pub struct Bare {
    child: Child,
    pub addr: String,
    pub client: Client,
}

impl Bare {
    /// Starts it with keys of a throw-away cluster, which stand in a file meanwhile.
    pub fn start(dir: &Path) -> Result<Self, Failure> {
        let random = SystemRandom::new();
        let root_key = KeyDocument::generate(&random)?;
        let root_key = SigningKey::parse(root_key.expose(), &random)?;
        let now_secs = std::time::UNIX_EPOCH.elapsed()?.as_secs();
        let plan = RootPlan { cluster: CLUSTER, generation: 1, now_secs, serial: [9; 20] };
        let root = issue_root(&plan, &root_key)?;
        let leaf = |node: &str, role| -> Result<(String, KeyDocument), Failure> {
            let key = KeyDocument::generate(&random)?;
            let public = SigningKey::parse(key.expose(), &random)?.public_key();
            let (lifetime_secs, serial) = (DAY_SECS, [5; 20]);
            let plan = LeafPlan { cluster: CLUSTER, node, role, now_secs, lifetime_secs, serial };
            Ok((issue_leaf(&plan, &public, &root, &root_key)?, key))
        };
        let (server, server_key) = leaf(NODES[0], Role::Manager)?;
        let (own, own_key) = leaf(NODES[1], Role::Worker)?;
        let file = dir.join(format!("coffer-bench-{}-bare", std::process::id()));
        let key = server_key.expose();
        std::fs::write(&file, [root.as_bytes(), server.as_bytes(), b"\0", key].concat())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--bare").arg(&file).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut addr = String::new();
        let out = child.stdout.take().ok_or("no output")?;
        io::BufReader::new(out).read_line(&mut addr)?;
        std::fs::remove_file(&file)?;
        let client = Client::new(der(&root)?, Some((der(&own)?, own_key)))?;
        Ok(Self { child, addr: addr.trim().to_owned(), client })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn der(pem: &str) -> Result<CertificateDer<'static>, Failure> {
    let der = pem_to_der(pem)?.into_iter().next();
    Ok(CertificateDer::from(der.ok_or("no certificate")?))
}

/// Serves bare TLS, and prints where.
pub async fn serve(file: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(file)?;
    let split = bytes.iter().position(|byte| *byte == 0).ok_or("no key")?;
    let mut chain = pem_to_der(std::str::from_utf8(&bytes[..split])?)?.into_iter();
    let [root, own] = [chain.next(), chain.next()].map(Option::unwrap_or_default);
    let mut roots = RootCertStore::empty();
    roots.add(root.into())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build()?;
    let key = PrivatePkcs8KeyDer::from(bytes[split + 1..].to_vec());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![own.into()], key.into())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let mut stream = acceptor.accept(stream).await?;
            stream.write_all(&GREETING).await?;
            while stream.read(&mut [0; 64]).await? > 0 {}
            io::Result::Ok(())
        });
    }
}

/// So many clients shake hands, one time after the other. Each waits until the server has said something, so that it
/// has looked at the client's certificate. Returns how many there were.
pub async fn count(
    client: &Client,
    addr: String,
    clients: usize,
    time: Duration,
) -> Result<f64, Failure> {
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (client, addr) = (client.clone(), addr.clone());
        tasks.spawn(async move {
            let mut done = 0_u32;
            while Instant::now() < end {
                let mut stream = client.dial(&addr).await?;
                stream.write_all(PREFACE).await?;
                let said = stream.read(&mut [0; 64]).await?;
                if said == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
                done += 1;
            }
            Ok(done)
        });
    }
    let mut all = 0.0;
    while let Some(done) = tasks.join_next().await {
        all += f64::from(done??);
    }
    Ok(all)
}
