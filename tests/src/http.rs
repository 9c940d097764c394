//! Asking a daemon by plain HTTP, as a scraper does.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::wait::PATIENCE;

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Sends these bytes and gives what comes back until the other side ends.
pub fn exchange(addr: &str, bytes: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Gets a page; `None` while nobody listens.
pub fn try_ask(addr: &str, path: &str) -> Option<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nAccept: */*\r\n\r\n");
    let answer = exchange(addr, request.as_bytes()).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?;
    assert_eq!(length.parse(), Ok(body.len()), "{head}");
    Some(Answer { status, body: body.to_owned() })
}

/// Gets a page.
#[track_caller]
pub fn ask(addr: &str, path: &str) -> Answer {
    try_ask(addr, path).expect("it answers")
}
