//! Clients that write all the time while the leader changes, and the times of what was acknowledged.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::office::{Office, Writer};

/// A write that takes longer is given up and made anew.
const ATTEMPT: Duration = Duration::from_millis(250);
/// Between a write that was refused and the next one.
const PAUSE: Duration = Duration::from_millis(5);
/// Acknowledgements that are awaited before the leader goes.
const SETTLED: usize = 100;
/// How long after a planned change gaps are looked for.
const AFTER: Duration = Duration::from_secs(2);
/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Running writers. They end when this is dropped.
pub struct Writers {
    _tasks: JoinSet<()>,
    acks: tokio::sync::Mutex<UnboundedReceiver<Instant>>,
}

/// Starts writers at all nodes but one.
pub async fn start<O: Office>(
    nodes: &O,
    but: usize,
    each: usize,
    round: usize,
) -> io::Result<Writers> {
    let (tell, acks) = unbounded_channel();
    let mut tasks = JoinSet::new();
    for node in (0..nodes.count()).filter(|node| *node != but) {
        for number in 0..each {
            let prefix = format!("r{round}-{node}-{number}");
            let writer = nodes.writer(nodes.connect(node).await?, prefix);
            tasks.spawn(write(writer, tell.clone()));
        }
    }
    Ok(Writers { _tasks: tasks, acks: acks.into() })
}

async fn write(mut writer: Writer, tell: UnboundedSender<Instant>) {
    loop {
        match timeout(ATTEMPT, writer.write()).await {
            Ok(Ok(())) => drop(tell.send(Instant::now())),
            Ok(Err(_)) => tokio::time::sleep(PAUSE).await,
            Err(_) => {}
        }
    }
}

impl Writers {
    async fn next(&self) -> io::Result<Instant> {
        let mut acks = self.acks.lock().await;
        let ack = timeout(PATIENCE, acks.recv())
            .await
            .map_err(|_| io::Error::other("no write was acknowledged in time"))?;
        ack.ok_or_else(|| io::Error::other("all writers ended"))
    }

    /// Waits until writes are acknowledged, and says when the leader may go.
    pub async fn settled(&self) -> io::Result<Instant> {
        for _ in 0..SETTLED {
            self.next().await?;
        }
        Ok(Instant::now())
    }

    /// From a moment to the first acknowledgement of what the dead leader did not answer.
    pub async fn first_after(&self, at: Instant) -> io::Result<Duration> {
        // What was on its way when the leader was killed may still arrive; a gap ends that.
        let mut last = at;
        loop {
            let ack = self.next().await?;
            if ack.duration_since(last) > Duration::from_millis(50) {
                return Ok(ack.duration_since(at));
            }
            last = last.max(ack);
            if last.duration_since(at) > AFTER {
                return Ok(Duration::ZERO);
            }
        }
    }

    /// The longest time without an acknowledgement within some time of a moment.
    pub async fn longest_gap(&self, at: Instant) -> io::Result<Duration> {
        let (mut last, mut longest) = (at, Duration::ZERO);
        loop {
            let ack = self.next().await?;
            longest = longest.max(ack.saturating_duration_since(last));
            last = last.max(ack);
            if last.duration_since(at) > AFTER {
                return Ok(longest);
            }
        }
    }
}

/// Waits until each node acknowledges a write and is up to date.
pub async fn all_serve<O: Office>(nodes: &O, round: usize) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    for node in 0..nodes.count() {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let asked = async {
                let channel = nodes.connect(node).await?;
                let prefix = format!("s{round}-{node}-{attempt}");
                let mut writer = nodes.writer(channel.clone(), prefix);
                writer.write().await.map_err(io::Error::other)?;
                nodes.read(channel).await.map_err(io::Error::other)
            };
            match timeout(Duration::from_secs(2), asked).await {
                Ok(Ok(())) => break,
                _ if Instant::now() > until => {
                    return Err(io::Error::other(format!("node {node} serves no more")));
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }
    Ok(())
}
