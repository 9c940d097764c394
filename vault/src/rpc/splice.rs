//! Nodes' connections that are for whoever leads: a follower hands the bytes on, the TLS in them untouched. What a
//! node asks for at first tells them apart: the name of a manager's role, and no node's ID.

use std::io;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use vault_core::limits::{DIAL_MS_MAX, SPLICE_BYTES, TLS_HELLO_BYTES_MAX};

use crate::daemon::Daemon;
use crate::tls::Tls;
use crate::world::Wire;

/// Who asks for this wants the manager that leads.
const LEADER_NAME: &str = "swarm-manager";
/// The first byte of a connection that was handed on: it is served where it comes to, whoever leads by then. TLS
/// begins with another one.
const HANDED_ON: u8 = 0xc0;
/// How often is looked whether the same manager leads.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A connection whose first bytes are kept, until it is known who answers them.
pub(super) struct Kept {
    wire: Wire,
    /// What was read; none once nobody needs it.
    said: Option<Vec<u8>>,
    /// What was read ahead, and is to be read again.
    ahead: Option<u8>,
}

/// A connection by what it asks for.
pub(super) enum Asked {
    /// It is this manager's.
    Here(Box<TlsStream<Kept>>),
    /// It is for who leads.
    Leader(Spliced),
}

/// Two connections that are one.
pub(super) struct Spliced {
    node: Wire,
    leader: Wire,
    said: Vec<u8>,
    leader_id: String,
}

/// Reads what a connection asks for, and shakes hands if this manager answers it.
pub(super) async fn answer(mut wire: Wire, tls: &Tls, daemon: &Weak<Daemon>) -> io::Result<Asked> {
    let first = wire.read_u8().await?;
    let is_handed_on = first == HANDED_ON;
    let (said, ahead) = ((!is_handed_on).then(Vec::new), (!is_handed_on).then_some(first));
    let start =
        LazyConfigAcceptor::new(rustls::server::Acceptor::default(), Kept { wire, said, ahead });
    let mut start = start.await?;
    let said = start.io.said.take();
    let is_for_leader = start.client_hello().server_name() == Some(LEADER_NAME);
    if let Some(said) = said.filter(|_| is_for_leader)
        && let Some((leader_id, addr)) = elsewhere(daemon)
    {
        let dialing = timeout(Duration::from_millis(DIAL_MS_MAX), Wire::connect(addr)).await;
        // Who cannot be reached may lead no more. This manager says so.
        if let Ok(Ok(leader)) = dialing {
            leader.set_nodelay()?;
            let node = start.io.wire;
            return Ok(Asked::Leader(Spliced { node, leader, said, leader_id }));
        }
    }
    Ok(Asked::Here(Box::new(start.into_stream(tls.server()).await?)))
}

/// Who leads, and where, if that is another manager.
fn elsewhere(daemon: &Weak<Daemon>) -> Option<(String, std::net::SocketAddr)> {
    let manager = daemon.upgrade()?.manager().ok()?;
    let standing = manager.consensus().standing();
    let leader = standing.leader_member().filter(|_| !standing.is_leader)?;
    let addr = manager.dialer().place_of(&leader.node_id).unwrap_or_else(|| leader.addr.clone());
    Some((leader.node_id.clone(), addr.parse().ok()?))
}

impl Spliced {
    /// Carries bytes both ways, as long as both are there and the same manager leads.
    pub(super) async fn carry(mut self, daemon: &Weak<Daemon>) -> io::Result<()> {
        self.leader.write_u8(HANDED_ON).await?;
        self.leader.write_all(&self.said).await?;
        drop(std::mem::take(&mut self.said));
        let leads = async {
            while elsewhere(daemon).is_some_and(|(id, _)| id == self.leader_id) {
                sleep(LOOK_EVERY).await;
            }
        };
        let carrying = tokio::io::copy_bidirectional_with_sizes(
            &mut self.node,
            &mut self.leader,
            SPLICE_BYTES,
            SPLICE_BYTES,
        );
        tokio::select! {
            carried = carrying => carried.map(drop),
            () = leads => Ok(()),
        }
    }
}

impl AsyncRead for Kept {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Some(ahead) = self.ahead.take_if(|_| buffer.remaining() > 0) {
            buffer.put_slice(&[ahead]);
        } else {
            std::task::ready!(Pin::new(&mut self.wire).poll_read(context, buffer))?;
        }
        let read = buffer.filled().get(before..).unwrap_or_default();
        if let Some(said) = &mut self.said {
            if said.len() + read.len() > TLS_HELLO_BYTES_MAX {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            said.extend_from_slice(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Kept {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}
