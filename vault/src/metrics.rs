//! Health, readiness and metrics over plain HTTP, for those who watch this node from this node: the listener
//! takes loopback addresses alone. What it tells is in numbers and IDs; no name and no value.

mod http;
mod page;
mod text;

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use vault_core::probe::{self, Serving as ServingFacts, Standing};

use crate::daemon::{CallError, Daemon};
use crate::disk::watch::DiskState;
use crate::manager::Manager;

/// How long readiness waits for a read that all managers stand behind: some elections fit in.
const READ_PATIENCE: Duration = Duration::from_secs(2);

/// A metrics address that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddrError {
    #[error("expected IP:PORT, such as 127.0.0.1:9238")]
    Form,
    #[error(
        "{0} is no loopback address: the metrics are served to this node alone, without a password. Use 127.0.0.1, or [::1]"
    )]
    NotLoopback(SocketAddr),
}

/// The address that was typed: of this node alone.
pub fn parse_addr(text: &str) -> Result<SocketAddr, AddrError> {
    let addr: SocketAddr = text.parse().map_err(|_| AddrError::Form)?;
    if addr.ip().is_loopback() { Ok(addr) } else { Err(AddrError::NotLoopback(addr)) }
}

/// Being served.
pub struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Serves a daemon until it is stopped.
    pub fn start(listener: TcpListener, daemon: &Arc<Daemon>) -> Self {
        match listener.local_addr() {
            Ok(at) => tracing::info!(%at, "metrics are served"),
            Err(error) => tracing::warn!(%error, "metrics are served, and it is not known where"),
        }
        let (stop, stopped) = oneshot::channel::<()>();
        // A sender that is gone says the same.
        let stopped = async move { drop(stopped.await) };
        let task = tokio::spawn(serve(listener, Arc::downgrade(daemon), stopped));
        Self { stop, task }
    }

    /// Ends it. Afterwards nothing here has a hold on the daemon.
    pub async fn stop(self) {
        drop(self.stop);
        // A panic there was reported where it happened.
        self.task.await.ok();
    }
}

async fn serve(listener: TcpListener, daemon: Weak<Daemon>, stop: impl Future<Output = ()>) {
    let answer = move |path: String| {
        let daemon = daemon.upgrade();
        async move {
            match (daemon, path.as_str()) {
                (None, _) => http::Answer::text(503, "ending\n"),
                (Some(daemon), "/metrics") => http::Answer::metrics(page::page(&daemon)),
                (Some(daemon), "/healthz") => told("alive", &probe::unwell(look(&daemon))),
                (Some(daemon), "/readyz") => {
                    let (standing, manager) = (look(&daemon), daemon.manager().ok());
                    // Nobody waits here with a hold on the daemon.
                    drop(daemon);
                    told("ready", &probe::unready(look_closely(standing, manager).await))
                }
                (Some(_), _) => {
                    http::Answer::text(404, "there are /healthz, /readyz and /metrics\n")
                }
            }
        }
    };
    http::serve(listener, Arc::new(answer), stop).await;
}

fn told(word: &str, reasons: &[String]) -> http::Answer {
    if reasons.is_empty() {
        return http::Answer::text(200, &format!("{word}\n"));
    }
    http::Answer::text(503, &format!("not {word}: {}\n", reasons.join("; ")))
}

/// What is known at once.
fn look(daemon: &Daemon) -> Standing {
    let manager = match daemon.manager() {
        Ok(manager) => manager,
        Err(CallError::Locked) => return Standing::Locked,
        Err(_) => return Standing::Outside,
    };
    let standing = manager.consensus().standing();
    let disk_hangs_ms = match manager.consensus().disk().state() {
        DiskState::Answers => None,
        DiskState::Hangs { since } => u64::try_from(since.elapsed().as_millis()).ok(),
    };
    let has_leader = standing.leader.is_some() && !standing.has_lost_quorum();
    Standing::Manager(ServingFacts { disk_hangs_ms, has_leader, is_caught_up: false })
}

/// The same, and whether a read goes through.
async fn look_closely(standing: Standing, manager: Option<Arc<Manager>>) -> Standing {
    let (Standing::Manager(serving), Some(manager)) = (standing, manager) else { return standing };
    let read = timeout(READ_PATIENCE, manager.consensus().read());
    let is_caught_up = matches!(read.await, Ok(Ok(_)));
    // Whoever answered for the read leads, whatever was heard of him before.
    let has_leader = serving.has_leader || is_caught_up;
    Standing::Manager(ServingFacts { is_caught_up, has_leader, ..serving })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_address_is_taken() {
        for (text, expected) in [
            ("127.0.0.1:9238", true),
            ("127.1.2.3:0", true),
            ("[::1]:9238", true),
            ("0.0.0.0:9238", false),
            ("[::]:9238", false),
            ("10.0.0.1:9238", false),
            ("[::ffff:10.0.0.1]:1", false),
        ] {
            let parsed = parse_addr(text);
            assert_eq!(parsed.is_ok(), expected, "{text}: {parsed:?}");
        }
        assert_eq!(parse_addr("9238"), Err(AddrError::Form));
        let said = parse_addr("0.0.0.0:1").unwrap_err().to_string();
        assert!(said.contains("no loopback address") && said.contains("127.0.0.1"), "{said}");
    }
}
