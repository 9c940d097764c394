//! TCP as the machine has it, or as a simulation does.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::{Listener, Stream, simulation};

/// One connection.
pub(crate) enum Wire {
    Tcp(TcpStream),
    Simulated(Box<dyn Stream>),
}

/// A port that is listened at.
pub(crate) enum Port {
    Tcp(TcpListener),
    Simulated(Arc<dyn Listener>),
}

impl Wire {
    /// Dials.
    pub(crate) async fn connect(addr: SocketAddr) -> io::Result<Self> {
        match simulation() {
            None => Ok(Self::Tcp(TcpStream::connect(addr).await?)),
            Some(simulation) => Ok(Self::Simulated(simulation.connect(addr).await?)),
        }
    }

    /// Nothing waits to be sent together with what comes later.
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Simulated(_) => Ok(()),
        }
    }
}

impl Port {
    /// Takes the port.
    pub(crate) async fn bind(addr: SocketAddr) -> io::Result<Self> {
        match simulation() {
            None => Ok(Self::Tcp(TcpListener::bind(addr).await?)),
            Some(simulation) => Ok(Self::Simulated(simulation.listen(addr).await?)),
        }
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Simulated(listener) => listener.local_addr(),
        }
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<(Wire, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                Ok((Wire::Tcp(stream), from))
            }
            Self::Simulated(listener) => {
                let (stream, from) = listener.accept().await?;
                Ok((Wire::Simulated(stream), from))
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Simulated(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Simulated(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Simulated(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Simulated(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Simulated(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
