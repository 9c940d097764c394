//! The socket's connections: bounded in number, each with the peer that the kernel names.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use crate::cork::Corked;

/// Connections at one time; more wait. Far above what people and scripts of one host open.
const CONNECTIONS_MAX: usize = 1_024;
/// Calls at work for one connection; more wait.
pub(super) const CALLS_PER_CONNECTION_MAX: usize = 256;
/// Calls open on one connection, logs that are followed among them.
pub(super) const STREAMS_PER_CONNECTION_MAX: u32 = 1_024;
/// gRPC's own headers are a few hundred bytes.
pub(super) const HEADER_BYTES_MAX: u32 = 16 << 10;
/// What a client of HTTP/2 says first: its preface of 24 bytes and the head of one frame.
const GREETING_BYTES: usize = 24 + 9;
/// A connection that has not said so much by then is closed: it would hold its place for nothing.
const GREETING_DEADLINE: Duration = Duration::from_secs(5);
/// After a failed accept (no descriptors left, say): time for some to be given back.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Who is at the other end, by the kernel's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub uid: u32,
    pub pid: Option<i32>,
}

/// One connection.
pub(super) struct Connection {
    stream: Corked<UnixStream>,
    peer: Peer,
    /// While the greeting is not complete: how much of it is missing, and until when.
    greeting: Option<(usize, Pin<Box<Sleep>>)>,
    _place: OwnedSemaphorePermit,
}

/// All connections, as they come. A failed accept never ends the server.
pub(super) fn connections(socket: UnixListener) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    futures_util::stream::unfold((socket, places), async |(socket, places)| {
        let connection = accept(&socket, &places).await;
        Some((Ok(connection), (socket, places)))
    })
}

async fn accept(socket: &UnixListener, places: &Arc<Semaphore>) -> Connection {
    loop {
        let place = Arc::clone(places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        let accepted = socket.accept().await.and_then(|(stream, _)| {
            let peer = stream.peer_cred()?;
            Ok((stream, Peer { uid: peer.uid(), pid: peer.pid() }))
        });
        match accepted {
            Ok((stream, peer)) => {
                let deadline = Box::pin(tokio::time::sleep(GREETING_DEADLINE));
                let greeting = Some((GREETING_BYTES, deadline));
                let stream = Corked::new(stream);
                return Connection { stream, peer, greeting, _place: place };
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some((missing, deadline)) = &mut self.greeting else { return read };
        *missing = missing.saturating_sub(buffer.filled().len() - before);
        if *missing == 0 {
            self.greeting = None;
        } else if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
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
