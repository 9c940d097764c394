//! As much of HTTP/1 as a scrape needs: one request a connection, bounded in size, time and number. Bodies of
//! requests are never read.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections at one time; more wait with the kernel. A scraper or two, a probe, somebody with curl.
const CONNECTIONS_MAX: usize = 16;
/// Bytes of a request's head: what Prometheus sends is a few hundred.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// From the first byte to the last, for question and answer together.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a failed accept (no descriptors left, say): time for some to be given back.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What is answered.
pub(super) struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
}

impl Answer {
    /// A short text.
    pub(super) fn text(status: u16, body: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.to_owned() }
    }

    /// Metrics in their text format.
    pub(super) fn metrics(body: String) -> Self {
        Self { status: 200, content_type: "text/plain; version=0.0.4; charset=utf-8", body }
    }

    fn to_bytes(&self, with_body: bool) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            431 => "Request Header Fields Too Large",
            _ => "Service Unavailable",
        };
        let allow = if self.status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{allow}Connection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len()
        );
        let body = if with_body { self.body.as_bytes() } else { &[] };
        [head.as_bytes(), body].concat()
    }
}

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    path: String,
    with_body: bool,
}

/// The first line of a request's head. An error is the answer's status.
fn parse(head: &[u8]) -> Result<Question, u16> {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| 400_u16)?.trim_end_matches('\r');
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(400);
    };
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") || !target.starts_with('/') {
        return Err(400);
    }
    let with_body = match method {
        "GET" => true,
        "HEAD" => false,
        _ => return Err(405),
    };
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Ok(Question { path, with_body })
}

/// Serves until `stop` is done; then nobody is served any more. A failed accept never ends it.
pub(super) async fn serve<F, A>(
    listener: TcpListener,
    answer: Arc<F>,
    stop: impl Future<Output = ()>,
) where
    F: Fn(String) -> A + Send + Sync + 'static,
    A: Future<Output = Answer> + Send,
{
    let mut serving = JoinSet::new();
    tokio::select! {
        () = accept(&listener, answer, &mut serving) => {}
        () = stop => {}
    }
    serving.shutdown().await;
}

async fn accept<F, A>(listener: &TcpListener, answer: Arc<F>, serving: &mut JoinSet<()>)
where
    F: Fn(String) -> A + Send + Sync + 'static,
    A: Future<Output = Answer> + Send,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = Arc::clone(&answer);
                while serving.try_join_next().is_some() {}
                serving.spawn(async move {
                    let _place = place;
                    // Whoever does not ask or take the answer in time gets none.
                    timeout(PATIENCE, converse(stream, answer.as_ref())).await.ok();
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics was not accepted");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn converse<F, A>(mut stream: TcpStream, answer: &F) -> std::io::Result<()>
where
    F: Fn(String) -> A,
    A: Future<Output = Answer>,
{
    let question = match head(&mut stream).await? {
        Some(head) => parse(&head),
        None => Err(431),
    };
    let bytes = match question {
        Ok(Question { path, with_body }) => answer(path).await.to_bytes(with_body),
        Err(status) => Answer::text(status, "").to_bytes(true),
    };
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

/// A request's head; none if it is longer than any.
async fn head(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut head = Vec::with_capacity(1 << 10);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Ok(None);
        }
        let left = u64::try_from(HEAD_BYTES_MAX - head.len()).unwrap_or_default();
        if (&mut *stream).take(left).read_buf(&mut head).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_path_and_whether_its_body_is_wanted() {
        let asked = |path: &str, with_body| Ok(Question { path: path.to_owned(), with_body });
        for (head, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", asked("/metrics", true)),
            ("HEAD /healthz HTTP/1.0\r\n\r\n", asked("/healthz", false)),
            ("GET /metrics?name=x HTTP/1.1\r\n\r\n", asked("/metrics", true)),
            ("POST /metrics HTTP/1.1\r\n\r\n", Err(405)),
            ("GET http://x/metrics HTTP/1.1\r\n\r\n", Err(400)),
            ("GET /metrics HTTP/2.0\r\n\r\n", Err(400)),
            ("GET /metrics\r\n\r\n", Err(400)),
            ("GET  /metrics HTTP/1.1\r\n\r\n", Err(400)),
            ("\r\n\r\n", Err(400)),
            ("PRI * HTTP/2.0\r\n\r\n", Err(400)),
        ] {
            assert_eq!(parse(head.as_bytes()), expected, "{head:?}");
        }
        assert_eq!(parse(b"GET /\xff HTTP/1.1\r\n\r\n"), Err(400));
    }

    #[test]
    fn an_answer_says_how_long_it_is_and_that_it_is_the_last() {
        let text = String::from_utf8(Answer::text(200, "alive\n").to_bytes(true)).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("Content-Length: 6\r\n") && text.contains("Connection: close\r\n"));
        assert!(text.ends_with("\r\n\r\nalive\n"));
        let head = String::from_utf8(Answer::text(405, "").to_bytes(false)).unwrap();
        assert!(head.contains("Allow: GET, HEAD\r\n"), "{head}");
    }
}
