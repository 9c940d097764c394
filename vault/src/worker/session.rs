//! A worker's session with whoever leads: held while it lasts, and begun anew through any manager.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::Status;
use vault_core::feature::Level;
use vault_core::labels::Labels;
use vault_core::limits::{SESSION_RETRY_FIRST, SESSION_RETRY_MOST, WORKER_CALL_MAX};
use vault_core::node::{Described, Machine, Role};

use super::{Seen, Worker, WorkerError};
use crate::daemon::hostname;
use crate::entropy;
use crate::rpc::session::{self, News};
use crate::sessions::Peer;
use crate::tls::dial_once;

/// Whoever leads answers by this name, or is handed the connection.
const LEADER: &str = "swarm-manager";
/// No manager is asked more often, whatever it says.
const BEAT_LEAST: Duration = Duration::from_millis(100);
/// Nor more rarely.
const BEAT_MOST: Duration = Duration::from_mins(1);

/// What a worker is told by its own daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    GoOn,
    /// The daemon ends.
    End,
    /// The node leaves the cluster, and says so.
    Leave,
}

/// Why there is no session any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Stopped,
    /// The record says manager, and so does the certificate.
    Promoted,
}

/// One session's end.
enum Over {
    /// With another certificate it begins anew at once.
    Renewed,
    Ended(Ended),
}

#[derive(Debug, thiserror::Error)]
enum LostError {
    #[error("cannot reach {addr}: {text}")]
    Dial { addr: String, text: String },
    #[error("no answer in time")]
    Late,
    #[error("{}", .0.message())]
    Refused(#[from] Status),
    #[error(transparent)]
    Own(#[from] WorkerError),
    #[error("cannot write what was told of the managers")]
    Io(#[from] std::io::Error),
}

/// What this node says of itself.
fn described() -> Described {
    let uname = rustix::system::uname();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = rustix::system::sysinfo();
    let unit = u64::from(memory.mem_unit.max(1));
    #[expect(clippy::useless_conversion, reason = "the kernel's word is narrower elsewhere")]
    let total = u64::try_from(memory.totalram).unwrap_or(0);
    let machine = Machine {
        os: "linux".to_owned(),
        architecture: uname.machine().to_string_lossy().into_owned(),
        nano_cpus: u64::try_from(cpus).unwrap_or(1).saturating_mul(1_000_000_000),
        memory_bytes: total.saturating_mul(unit),
        labels: Labels::default(),
    };
    let engine_version = env!("CARGO_PKG_VERSION").to_owned();
    Described { hostname: hostname(), engine_version, level: Level::known(), machine }
}

/// Holds sessions until the daemon says otherwise, or the node is made a manager.
pub(crate) async fn keep_session(worker: &Arc<Worker>, words: &mut watch::Receiver<Word>) -> Ended {
    let mut tries = Tries { pause: SESSION_RETRY_FIRST, said: String::new() };
    loop {
        for peer in worker.managers() {
            let begun = Instant::now();
            let held = hold(worker, &peer, words).await;
            worker.seen.send_modify(|seen| seen.through = None);
            match held {
                Ok(Over::Ended(ended)) => return ended,
                Ok(Over::Renewed) => tries.pause = SESSION_RETRY_FIRST,
                Err(error) => tries.failed(&peer, &error, begun.elapsed()),
            }
            if *words.borrow() != Word::GoOn {
                return Ended::Stopped;
            }
        }
        // Nodes that lost one leader at one time do not come back at one time.
        let draw = f64::from(u32::from_le_bytes(entropy::random())) / f64::from(u32::MAX);
        tokio::select! {
            () = sleep(tries.pause.mul_f64(0.5 + draw / 2.0)) => {}
            _ = told(words) => return Ended::Stopped,
        }
        tries.pause = (tries.pause * 2).min(SESSION_RETRY_MOST);
    }
}

/// What came of the tries so far.
struct Tries {
    pause: Duration,
    /// The last failure, told once.
    said: String,
}

impl Tries {
    fn failed(&mut self, peer: &Peer, error: &LostError, lasted: Duration) {
        // One that lasted was a good one.
        if lasted > SESSION_RETRY_MOST {
            self.pause = SESSION_RETRY_FIRST;
        }
        let error = crate::lock::chain(error);
        if error != self.said {
            tracing::warn!(manager = peer.addr, error, "no session with the managers");
            self.said = error;
        }
    }
}

/// Waits for the daemon's word. Without a daemon it is the end.
async fn told(words: &mut watch::Receiver<Word>) -> Word {
    words.wait_for(|word| *word != Word::GoOn).await.map_or(Word::End, |word| *word)
}

async fn hold(
    worker: &Arc<Worker>,
    peer: &Peer,
    words: &mut watch::Receiver<Word>,
) -> Result<Over, LostError> {
    let mut renewed = worker.renewed.subscribe();
    let dialling = dial_once(worker.tls.client(), &peer.addr, LEADER);
    let channel = tokio::select! {
        dialled = dialling => dialled.map_err(|error| LostError::Dial {
            addr: peer.addr.clone(),
            text: crate::lock::chain(&error),
        })?,
        _ = told(words) => return Ok(Over::Ended(Ended::Stopped)),
    };
    let (said, roots) = (described(), worker.tls.roots());
    let begun = timeout(WORKER_CALL_MAX, session::begin(channel, &said, &roots)).await;
    let (mut session, mut tidings, first) = begun.map_err(|_| LostError::Late)??;
    tracing::info!(manager = peer.addr, "this worker has a session");
    worker.seen.send_modify(|seen| seen.through = Some(peer.clone()));
    if take(worker, first).await? {
        return Ok(Over::Ended(Ended::Promoted));
    }
    let mut beat_at = Instant::now();
    loop {
        tokio::select! {
            news = tidings.next() => {
                if take(worker, news?).await? {
                    return Ok(Over::Ended(Ended::Promoted));
                }
            }
            () = sleep_until(beat_at) => {
                let period = timeout(WORKER_CALL_MAX, session.beat(false)).await;
                let period = period.map_err(|_| LostError::Late)??;
                beat_at = Instant::now() + period.clamp(BEAT_LEAST, BEAT_MOST);
            }
            changed = renewed.changed() => {
                if changed.is_ok() {
                    return Ok(Over::Renewed);
                }
            }
            word = told(words) => {
                if word == Word::Leave {
                    // Who does not hear it waits for beats that do not come.
                    timeout(WORKER_CALL_MAX, session.beat(true)).await.ok();
                }
                return Ok(Over::Ended(Ended::Stopped));
            }
        }
    }
}

/// Takes up what was told. Gives whether this node is a manager from now on.
async fn take(worker: &Worker, news: News) -> Result<bool, LostError> {
    let News { role, availability, managers, roots, is_renewal_wanted } = news;
    worker.take_managers(managers)?;
    worker.seen.send_modify(|seen| {
        *seen = Seen { availability: Some(availability), ..std::mem::take(seen) };
    });
    worker.believe(&roots).await?;
    let is_certified = worker.is_certified(role);
    if role == Role::Manager {
        if !is_certified {
            worker.renew().await?;
        }
        return Ok(worker.is_certified(role));
    }
    if is_renewal_wanted || !is_certified {
        worker.wants_renewal.notify_one();
    }
    Ok(false)
}
