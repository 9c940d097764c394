//! Connections to other nodes: one for each node and purpose, made when it is first needed, and made again
//! by itself when it broke.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use vault_core::limits::{DIAL_MS_MAX, DIAL_PAUSE_MS, HANDSHAKE_MS_MAX};

use super::Tls;
use crate::cork::Corked;
use crate::world::Wire;

/// What a connection is for. Each purpose has its own, so that none waits behind another's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Votes and heartbeats: small, and never late.
    Pulse,
    /// Entries of the log.
    Log,
    /// Snapshots.
    Snapshot,
    /// Calls handed on, and everything else.
    Calls,
}

/// Makes and keeps connections to other nodes, proving this node's identity.
pub struct Dialer {
    /// Nobody is dialled without.
    tls: Option<Arc<Tls>>,
    known: Mutex<Known>,
}

/// What a dialer remembers.
#[derive(Default)]
struct Known {
    /// Where nodes are, by their IDs: what was heard last, from a record or from the node itself. Whoever asks for a
    /// connection may have learned the address long ago: Raft keeps the one that a member had at first.
    places: BTreeMap<String, String>,
    channels: BTreeMap<(String, String, Lane), Channel>,
}

impl Dialer {
    /// Connections under these credentials.
    pub fn new(tls: Arc<Tls>) -> Self {
        Self { tls: Some(tls), known: Mutex::default() }
    }

    /// No connections at all: for tests of a manager that is alone.
    pub fn nowhere() -> Self {
        Self { tls: None, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node is reached at this address from now on. Connections to another one are forgotten.
    pub fn place(&self, node_id: &str, addr: &str) {
        let mut known = self.known();
        if known.places.get(node_id).is_some_and(|place| place == addr) {
            return;
        }
        known.places.insert(node_id.to_owned(), addr.to_owned());
        known.channels.retain(|(at, node, _), _| node != node_id || at == addr);
    }

    /// Where a node was heard to be last.
    pub fn place_of(&self, node_id: &str) -> Option<String> {
        self.known().places.get(node_id).cloned()
    }

    /// The connection to a node at the address ("IP:PORT") where it was heard to be last, or else at this one. It
    /// connects when it is used; another node that answers there is refused.
    pub fn channel(&self, addr: &str, node_id: &str, lane: Lane) -> Channel {
        let mut known = self.known();
        let addr = known.places.get(node_id).map_or(addr, String::as_str).to_owned();
        let key = (addr.clone(), node_id.to_owned(), lane);
        let channel = known.channels.entry(key).or_insert_with(|| {
            let (tls, addr, name) = (self.tls.clone(), addr, node_id.to_owned());
            let pace = Arc::new(Pace::default());
            endpoint().connect_with_connector_lazy(tower::service_fn(move |_| {
                let (tls, addr, name) = (tls.clone(), addr.clone(), name.clone());
                let pace = Arc::clone(&pace);
                connect_paced(pace, tls, addr, name)
            }))
        });
        channel.clone()
    }

    /// Whether this very node answers at this address: a handshake, and nothing more.
    pub async fn find(&self, addr: &str, node_id: &str) -> io::Result<()> {
        connect_apart(self.tls.clone(), addr.to_owned(), node_id.to_owned()).await.map(drop)
    }

    /// This node has another certificate: nothing new goes over connections that were made with the one before, which
    /// are refused once that has ended.
    pub fn renewed(&self) {
        self.known().channels.clear();
    }

    /// Forgets nodes that are not among these.
    pub fn keep(&self, is_kept: impl Fn(&str) -> bool) {
        let mut known = self.known();
        known.places.retain(|node_id, _| is_kept(node_id));
        known.channels.retain(|(_, node_id, _), _| is_kept(node_id));
    }
}

/// When somebody was dialled in vain last. Every call on a broken connection would dial at once, and a leader has a
/// call for everybody with each read: a manager that is down must not be asked a thousand times a second.
#[derive(Default)]
struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Dials, a moment after the last time that it was in vain.
    async fn dial<T>(&self, dialing: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let failed = self.failed().take();
        if let Some(failed) = failed {
            sleep_until(failed + Duration::from_millis(DIAL_PAUSE_MS)).await;
        }
        let dialled = dialing.await;
        if dialled.is_err() {
            *self.failed() = Some(Instant::now());
        }
        dialled
    }

    fn failed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, for one purpose, to a server of this name.
pub async fn dial_once(
    config: Arc<ClientConfig>,
    addr: &str,
    name: &'static str,
) -> Result<Channel, tonic::transport::Error> {
    let addr = addr.to_owned();
    let connector = tower::service_fn(move |_| {
        let (config, addr) = (Arc::clone(&config), addr.clone());
        async move { connect(config, addr, name.to_owned()).await.map(TokioIo::new) }
    });
    endpoint().connect_with_connector(connector).await
}

fn endpoint() -> Endpoint {
    // The name is never looked up: connections are made by our own connector.
    Endpoint::from_static("http://node.invalid")
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(8 << 20)
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(5))
}

/// Not at once after it was in vain.
async fn connect_paced(
    pace: Arc<Pace>,
    tls: Option<Arc<Tls>>,
    addr: String,
    name: String,
) -> io::Result<TokioIo<Corked<TlsStream<Wire>>>> {
    pace.dial(connect_apart(tls, addr, name)).await
}

/// On its own: a call that is given up must not leave a handshake half done.
async fn connect_apart(
    tls: Option<Arc<Tls>>,
    addr: String,
    name: String,
) -> io::Result<TokioIo<Corked<TlsStream<Wire>>>> {
    let tls = tls.ok_or(io::ErrorKind::NotConnected)?;
    let connecting = tokio::spawn(connect(tls.client(), addr, name));
    connecting.await.map_err(io::Error::other).flatten().map(TokioIo::new)
}

async fn connect(
    config: Arc<ClientConfig>,
    addr: String,
    name: String,
) -> io::Result<Corked<TlsStream<Wire>>> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    let addr: SocketAddr = addr.parse().map_err(io::Error::other)?;
    let dialing = timeout(Duration::from_millis(DIAL_MS_MAX), Wire::connect(addr));
    let stream = dialing.await.map_err(late)??;
    stream.set_nodelay()?;
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let shaking = TlsConnector::from(config).connect(name, stream);
    let shaken = timeout(Duration::from_millis(HANDSHAKE_MS_MAX), shaking).await.map_err(late)?;
    shaken.map(Corked::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dials in vain so often, and says how long it took.
    async fn in_vain(pace: &Pace, times: usize) -> Duration {
        let start = Instant::now();
        for _ in 0..times {
            let refused = async { Err::<(), _>(io::ErrorKind::ConnectionRefused.into()) };
            let error = pace.dial(refused).await.expect_err("it is in vain");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
        start.elapsed()
    }

    #[tokio::test]
    async fn who_was_dialled_in_vain_is_dialled_again_after_a_moment() {
        let (pace, pause) = (Pace::default(), Duration::from_millis(DIAL_PAUSE_MS));
        let took = in_vain(&pace, 6).await;
        assert!(took >= 5 * pause, "{took:?}");
    }

    #[tokio::test]
    async fn who_answered_is_dialled_at_once() {
        let pace = Pace::default();
        in_vain(&pace, 1).await;
        pace.dial(async { Ok(()) }).await.expect("it answers");
        assert!(pace.failed().is_none(), "nothing is to be waited for");
    }
}
