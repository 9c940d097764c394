//! Calls to a Docker Engine on its Unix socket: as much of HTTP/1.1 as it speaks.

use std::io;
use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::UnixStream;

/// One connection, one call at a time.
pub struct Engine {
    stream: BufStream<UnixStream>,
}

fn garbled(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the engine's answer has no {what}"))
}

impl Engine {
    pub async fn connect(socket: &Path) -> io::Result<Self> {
        Ok(Self { stream: BufStream::new(UnixStream::connect(socket).await?) })
    }

    /// Calls, and gives what was answered; a refusal is an error with its text.
    pub async fn call(&mut self, method: &str, path: &str, body: &str) -> io::Result<Value> {
        let length = body.len();
        let head = format!(
            "{method} /v1.41{path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body.as_bytes()).await?;
        self.stream.flush().await?;
        let (status, answer) = self.answer().await?;
        if !(200..300).contains(&status) {
            let text = String::from_utf8_lossy(&answer).into_owned();
            return Err(io::Error::other(format!("{method} {path}: {status} {text}")));
        }
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    async fn answer(&mut self) -> io::Result<(u16, Vec<u8>)> {
        let first = self.line().await?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| garbled("status"))?;
        let (mut length, mut is_chunked) = (0, false);
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            let Some((name, value)) = line.split_once(':') else { break };
            match name {
                "content-length" => {
                    length = value.trim().parse().map_err(|_| garbled("length"))?;
                }
                "transfer-encoding" => is_chunked = value.contains("chunked"),
                _ => {}
            }
        }
        if is_chunked {
            return Ok((status, self.chunks().await?));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok((status, body))
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line().await?, 16);
            let size = size.map_err(|_| garbled("size of a chunk"))?;
            let start = body.len();
            body.resize(start + size, 0);
            self.stream.read_exact(&mut body[start..]).await?;
            self.line().await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}
