//! What stands around this program: the network, threads for what blocks, the disk's speed, the end of the
//! process. All of it is the machine's, unless a simulation of several nodes in one process stands in.
//!
//! A simulation is put in place by a test that links this library; `cofferd` has no way to do it. Without
//! one, what is asked here is one comparison, and nothing of it is on the way of a write or a read.

mod wire;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use wire::{Port, Wire};

/// Something that is there after a while.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Bytes both ways, as TCP carries them.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Takes connections.
pub trait Listener: Send + Sync {
    /// The next connection, and from where it is.
    fn accept(&self) -> Later<io::Result<(Box<dyn Stream>, SocketAddr)>>;
    /// Where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A world of several nodes in one process and one thread. Each call comes from the node that runs just now.
pub trait Simulation: Send + Sync {
    /// Dials.
    fn connect(&self, addr: SocketAddr) -> Later<io::Result<Box<dyn Stream>>>;
    /// Takes a port.
    fn listen(&self, addr: SocketAddr) -> Later<io::Result<Arc<dyn Listener>>>;
    /// Time that passed since some moment, also while the machine slept.
    fn steady(&self) -> Duration;
    /// How long the disk takes now to flush what was written.
    fn flush_takes(&self) -> Duration;
    /// The process ends here: this node does nothing any more.
    fn end(&self, code: i32);
}

static SIMULATION: OnceLock<Box<dyn Simulation>> = OnceLock::new();

/// Has a simulation stand in, from here to the end of the process. The first one stays.
pub fn simulate(simulation: Box<dyn Simulation>) {
    SIMULATION.get_or_init(|| simulation);
}

/// The simulation, if there is one.
pub(crate) fn simulation() -> Option<&'static dyn Simulation> {
    SIMULATION.get().map(Box::as_ref)
}

/// Does something that may block, beside everything else. A simulation has one thread: there it is done at
/// once.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    if simulation().is_some() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// Ends this process.
#[expect(clippy::exit, reason = "whoever calls says why it must not go on")]
pub(crate) fn end(code: i32) {
    match simulation() {
        None => std::process::exit(code),
        Some(simulation) => simulation.end(code),
    }
}
