//! The node port: TLS connections, bounded in number and in the time that a handshake may take, each with
//! what its other side proved.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use pki::identity::judge;
use proto::swarmkit::ca_server::CaServer;
use proto::swarmkit::dispatcher_server::DispatcherServer;
use proto::swarmkit::node_ca_server::NodeCaServer;
use proto::v1::managers_server::ManagersServer;
use proto::v1::raft_server::RaftServer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use vault_core::limits::{
    HANDSHAKE_MS_MAX, NODE_CONNECTIONS_MAX, NODE_HANDSHAKES_MAX, PEER_MESSAGE_BYTES_MAX,
};

use super::listener::{CALLS_PER_CONNECTION_MAX, HEADER_BYTES_MAX, STREAMS_PER_CONNECTION_MAX};
use super::node_gate::NodeGateLayer;
use super::open::{End, Open};
use super::splice::{Asked, Kept, answer};
use crate::clock;
use crate::cork::Corked;
use crate::daemon::Daemon;
use crate::manager::Manager;
use crate::peer::Proven;
use crate::raft::Door;
use crate::tls::Tls;
use crate::world::{Port, Wire};

/// After a failed accept (no descriptors left, say): time for some to be given back.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The port, before anything is served on it.
pub(crate) struct NodePort {
    listener: Port,
}

impl NodePort {
    /// Takes the port.
    pub(crate) async fn bind(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: Port::bind(addr).await? })
    }

    /// Where it listens: the port that the kernel chose, if it was asked to.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves the managers' calls until `stop` is done.
    pub(crate) async fn serve(
        self,
        tls: Arc<Tls>,
        door: Door,
        daemon: Arc<Daemon>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        macro_rules! service {
            ($server:ident, $inner:expr) => {
                $server::from_arc($inner)
                    .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX)
            };
        }
        let (connections, waiting) = mpsc::channel(1);
        let greeter =
            Arc::new(Greeter { tls, daemon: Arc::downgrade(&daemon), open: Open::default() });
        let keeping = Arc::clone(&greeter);
        let manager = daemon.manager().ok();
        let serving = Server::builder()
            .concurrency_limit_per_connection(CALLS_PER_CONNECTION_MAX)
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(8 << 20)
            .http2_keepalive_interval(Some(Duration::from_secs(5)))
            .http2_keepalive_timeout(Some(Duration::from_secs(5)))
            .layer(NodeGateLayer(Arc::clone(&daemon)))
            .add_service(service!(RaftServer, Arc::new(door)))
            .add_service(service!(ManagersServer, Arc::clone(&daemon)))
            .add_service(service!(CaServer, Arc::clone(&daemon)))
            .add_service(service!(DispatcherServer, Arc::clone(&daemon)))
            .add_service(service!(NodeCaServer, daemon))
            .serve_with_incoming_shutdown(ReceiverStream::new(waiting), stop);
        // In one task: when it goes, the port is free at once, for whoever joins again.
        tokio::select! {
            served = serving => served,
            () = accept(self.listener, greeter, connections) => Ok(()),
            () = keep(&keeping.open, manager) => Ok(()),
        }
    }
}

/// One connection.
pub(super) struct Connection {
    stream: Corked<TlsStream<Kept>>,
    end: End,
    proven: Proven,
    _place: OwnedSemaphorePermit,
}

type Connections = mpsc::Sender<io::Result<Connection>>;

/// What it takes to let somebody in.
struct Greeter {
    tls: Arc<Tls>,
    daemon: Weak<Daemon>,
    open: Open,
}

async fn keep(open: &Open, manager: Option<Arc<Manager>>) {
    if let Some(manager) = manager {
        open.keep(manager).await;
    }
    // Without consensus there is nothing to look at; the port is closed by others.
    std::future::pending::<()>().await;
}

/// Accepts for ever. A failed accept never ends the server, and a handshake never holds up another.
async fn accept(listener: Port, greeter: Arc<Greeter>, connections: Connections) {
    let places = Arc::new(Semaphore::new(NODE_CONNECTIONS_MAX));
    let handshakes = Arc::new(Semaphore::new(NODE_HANDSHAKES_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok(shaking) = Arc::clone(&handshakes).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let greeting = greet(stream, from, Arc::clone(&greeter), [shaking, place]);
                let connections = connections.clone();
                tokio::spawn(async move {
                    // Closed only while the server ends.
                    connections.send(Ok(greeting.await?)).await.ok()
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Shakes hands, or says why not.
async fn greet(
    stream: Wire,
    from: SocketAddr,
    greeter: Arc<Greeter>,
    [shaking, place]: [OwnedSemaphorePermit; 2],
) -> Option<Connection> {
    let Greeter { tls, daemon, open } = &*greeter;
    let shaking_hands = async {
        stream.set_nodelay()?;
        match answer(stream, tls, daemon).await? {
            Asked::Here(stream) => Ok(Ok(prove(*stream, tls)?)),
            Asked::Leader(spliced) => Ok(Err(spliced)),
        }
    };
    let shaken: Result<io::Result<_>, _> =
        timeout(Duration::from_millis(HANDSHAKE_MS_MAX), shaking_hands).await;
    drop(shaking);
    match shaken {
        Ok(Ok(Ok((stream, proven)))) => {
            let stream = Corked::new(stream);
            let manager = daemon.upgrade().and_then(|daemon| daemon.manager().ok());
            let end = match (proven.0.clone(), manager) {
                (Some(claim), Some(manager)) => open.add(claim, &manager.consensus().view().state),
                _ => End::never(),
            };
            return Some(Connection { stream, end, proven, _place: place });
        }
        Ok(Ok(Err(spliced))) => {
            if let Err(error) = spliced.carry(daemon).await {
                tracing::debug!(%from, %error, "a connection to who leads broke");
            }
        }
        Ok(Err(error)) => tracing::info!(%from, %error, "a node was not let in"),
        Err(_) => tracing::info!(%from, "a handshake took too long"),
    }
    None
}

/// What the other side proved.
fn prove(stream: TlsStream<Kept>, tls: &Tls) -> io::Result<(TlsStream<Kept>, Proven)> {
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    if chain.is_empty() {
        return Ok((stream, Proven(None)));
    }
    // Again and in full: rustls does not look at the root's end, nor at what a certificate is for.
    let chain: Vec<&[u8]> = chain.iter().map(|certificate| certificate.as_ref()).collect();
    let claim = judge(&chain, &tls.roots(), clock::now().secs()).map_err(io::Error::other)?;
    Ok((stream, Proven(Some(claim))))
}

impl Connected for Connection {
    type ConnectInfo = Proven;

    fn connect_info(&self) -> Proven {
        self.proven.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.end.poll(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
