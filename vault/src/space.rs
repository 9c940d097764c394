//! Room on the disk: while it is short, writes are refused and reads go on.
//!
//! What is refused here never reaches the log, so that the log itself is never stopped half-way: the
//! reserve is what snapshots and the entries that are under way still need.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// Kept free: two segments of the log, one of the audit, and as much again for a snapshot of a small state.
pub const RESERVE_BYTES: u64 = 160 << 20;
/// How often the disk is asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Free bytes of the disk that holds the state. Copies look at the same disk.
#[derive(Clone)]
pub struct Space {
    path: Arc<PathBuf>,
    /// As of the last look.
    free: Arc<AtomicU64>,
}

impl Space {
    /// Looks at once, and from then on regularly while the runtime lives.
    pub fn watch(path: PathBuf) -> io::Result<Self> {
        let space = Self { path: Arc::new(path), free: Arc::default() };
        space.look()?;
        let again = space.clone();
        tokio::spawn(async move { again.keep_looking().await });
        Ok(space)
    }

    async fn keep_looking(&self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.look() {
                tracing::warn!(%error, "free space of the disk is not known");
            }
        }
    }

    fn look(&self) -> io::Result<()> {
        let disk = rustix::fs::statvfs(self.path.as_path())?;
        self.free.store(disk.f_bavail.saturating_mul(disk.f_frsize), Ordering::Relaxed);
        Ok(())
    }

    /// Free bytes, as of the last look.
    pub fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// Free bytes, if they are fewer than the reserve.
    pub fn short(&self) -> Option<u64> {
        Some(self.free.load(Ordering::Relaxed)).filter(|free| *free < RESERVE_BYTES)
    }
}
