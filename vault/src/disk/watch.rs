//! Watches the writers of logs: a write or flush that does not return is noticed, told, and in the end ends
//! the process. Measured with steady time, from a thread of its own: whatever else hangs, this does not.
//!
//! With several managers, who leads hands over when he is told that his disk hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;
use vault_core::limits::{DISK_HANGS_AFTER, DISK_LOST_AFTER};

use crate::meters::Histogram;
use crate::world;

/// How often the writers are looked at, for each time that one may hang.
const LOOKS: u32 = 4;

/// Whether a writer is at the disk, and since when. Copies are the same one.
#[derive(Clone)]
pub struct Pulse(Arc<Beat>);

struct Beat {
    origin: Instant,
    /// Nanoseconds from `origin` to the begin of what is under way, and one; 0 while nothing is.
    since: AtomicU64,
    flushes: Histogram,
}

impl Default for Pulse {
    fn default() -> Self {
        let (origin, since) = (Instant::now(), AtomicU64::new(0));
        Self(Arc::new(Beat { origin, since, flushes: Histogram::default() }))
    }
}

/// Something is under way at the disk until this is dropped.
pub struct Busy<'a>(&'a Pulse);

impl Pulse {
    /// The writer turns to the disk.
    pub fn begin(&self) -> Busy<'_> {
        let since = u64::try_from(self.0.origin.elapsed().as_nanos()).unwrap_or(u64::MAX - 1);
        self.0.since.store(since + 1, Ordering::Relaxed);
        Busy(self)
    }

    /// How long its flushes took.
    pub fn flushes(&self) -> &Histogram {
        &self.0.flushes
    }

    /// When the writer turned to the disk, if it has not come back.
    fn since(&self) -> Option<Instant> {
        let since = self.0.since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.0.origin + Duration::from_nanos(since))
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.0.since.store(0, Ordering::Relaxed);
    }
}

/// What is known of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskState {
    Answers,
    /// Something that was begun then has not returned. New writes are refused.
    Hangs {
        since: Instant,
    },
}

/// How long the disk may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Then it counts as hanging.
    pub hangs_after: Duration,
    /// Then it counts as lost.
    pub lost_after: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { hangs_after: DISK_HANGS_AFTER, lost_after: DISK_LOST_AFTER }
    }
}

/// The thread that watches. Dropping this ends it.
pub struct DiskWatch {
    state: watch::Receiver<DiskState>,
    writers: Vec<(&'static str, Pulse)>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl DiskWatch {
    /// Watches these writers, each under the name of its files. `lost` is called once at most.
    pub fn start(
        writers: Vec<(&'static str, Pulse)>,
        patience: Patience,
        lost: Box<dyn FnOnce(&'static str, Duration) + Send>,
    ) -> std::io::Result<Self> {
        let (told, state) = watch::channel(DiskState::Answers);
        let (stop, stopped) = mpsc::channel();
        let watching = Watching { writers: writers.clone(), patience, told, lost: Some(lost) };
        let every = patience.hangs_after / LOOKS;
        if world::simulation().is_some() {
            tokio::spawn(watch_in_turns(watching, every, stopped));
            return Ok(Self { state, stop: Some(stop), thread: None, writers });
        }
        let mut watching = watching;
        let run = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                watching.look();
            }
        };
        let thread = std::thread::Builder::new().name("disk-watch".into()).spawn(run)?;
        Ok(Self { state, writers, stop: Some(stop), thread: Some(thread) })
    }

    /// What is known now.
    pub fn state(&self) -> DiskState {
        *self.state.borrow()
    }

    /// The writers that are watched, each under the name of its files.
    pub fn writers(&self) -> &[(&'static str, Pulse)] {
        &self.writers
    }

    /// Told of every change: for who must hand something over.
    pub fn states(&self) -> watch::Receiver<DiskState> {
        self.state.clone()
    }
}

impl Drop for DiskWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported where it happened.
            thread.join().ok();
        }
    }
}

/// In a simulation, which has no other thread.
async fn watch_in_turns(mut watching: Watching, every: Duration, stopped: Receiver<()>) {
    while stopped.try_recv() == Err(TryRecvError::Empty) {
        sleep(every).await;
        watching.look();
    }
}

struct Watching {
    writers: Vec<(&'static str, Pulse)>,
    patience: Patience,
    told: watch::Sender<DiskState>,
    lost: Option<Box<dyn FnOnce(&'static str, Duration) + Send>>,
}

impl Watching {
    fn look(&mut self) {
        let busy = self.writers.iter().filter_map(|(name, pulse)| Some((pulse.since()?, *name)));
        let Some((since, name)) = busy.min() else { return self.answers() };
        let took = since.elapsed();
        if took < self.patience.hangs_after {
            return self.answers();
        }
        let state = DiskState::Hangs { since };
        if self.told.send_replace(state) != state {
            tracing::warn!(
                files = name,
                "the disk has not answered for {} ms: new writes are refused until it does",
                took.as_millis()
            );
        }
        if took >= self.patience.lost_after
            && let Some(lost) = self.lost.take()
        {
            lost(name, took);
        }
    }

    fn answers(&self) {
        if let DiskState::Hangs { since } = self.told.send_replace(DiskState::Answers) {
            let took = since.elapsed();
            tracing::warn!("the disk answers again, after {} ms or less", took.as_millis());
        }
    }
}
