//! One connection of HTTP/2, driven with as little as it takes: on one machine, what the clients use is not
//! there for the servers.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body::{Body as _, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;

/// Room that a server has for answers, of a call and of all.
const WINDOW: u32 = 1 << 20;

/// A connection; a copy of it is the same connection. Once it ended, every call fails.
#[derive(Clone)]
pub struct Wire {
    sender: SendRequest<Bytes>,
    scheme: Scheme,
    authority: Authority,
}

impl Wire {
    /// Speaks HTTP/2 over a stream to `origin`.
    pub async fn over<S>(stream: S, origin: &Uri) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(16 * WINDOW);
        let (sender, connection) = builder.handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let parts = origin.clone().into_parts();
        let (scheme, authority) =
            parts.scheme.zip(parts.authority).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { sender, scheme, authority })
    }
}

impl tower::Service<Request<Body>> for Wire {
    type Response = Response<Answer>;
    type Error = h2::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let mut uri = parts.uri.into_parts();
        (uri.scheme, uri.authority) = (Some(self.scheme.clone()), Some(self.authority.clone()));
        parts.uri = Uri::from_parts(uri).expect("a path with an origin");
        let sent = self.sender.send_request(Request::from_parts(parts, ()), false);
        Box::pin(async move {
            let (answer, stream) = sent?;
            send(body, stream).await?;
            Ok(answer.await?.map(|body| Answer { body, data_ended: false }))
        })
    }
}

/// Sends what a request has, all of it at once: the window that a server gives is not waited for here.
async fn send(mut body: Body, mut stream: SendStream<Bytes>) -> Result<(), h2::Error> {
    let mut last = Bytes::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let data = frame.map_err(|_| h2::Reason::INTERNAL_ERROR)?.into_data();
        let held = std::mem::replace(&mut last, data.unwrap_or_default());
        if !held.is_empty() {
            stream.send_data(held, false)?;
        }
    }
    stream.send_data(last, true)
}

/// The body of an answer, with its trailers.
pub struct Answer {
    body: RecvStream,
    data_ended: bool,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.data_ended {
            if let Some(data) = ready!(self.body.poll_data(cx)) {
                let data = data?;
                self.body.flow_control().release_capacity(data.len())?;
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            self.data_ended = true;
        }
        let trailers = ready!(self.body.poll_trailers(cx))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }
}
