//! This node as a worker: from a join with a worker's token on, until it leaves or is made a manager.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{CallError, Daemon, InitError, JOIN_PATIENCE, own_place};
use crate::join;
use crate::worker::{Ended, Word, Worker, keep_certificate, keep_session};

/// After a promotion that did not come about.
const RETRY: Duration = Duration::from_secs(1);

/// What runs while this node is a worker.
pub(super) struct Working {
    words: watch::Sender<Word>,
    task: JoinHandle<()>,
}

impl Daemon {
    /// The worker that this node is.
    pub fn worker(&self) -> Option<Arc<Worker>> {
        self.worker.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From here on this node is a worker.
    pub(super) async fn take_up_worker(&self, worker: Worker) -> Arc<Worker> {
        let worker = Arc::new(worker);
        let (words, heard) = watch::channel(Word::GoOn);
        *self.worker.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&worker));
        let working = work(Weak::clone(&self.own), Arc::clone(&worker), heard);
        let task = tokio::spawn(working);
        *self.working.lock().await = Some(Working { words, task });
        worker
    }

    /// The same right after a join: whether it has a session before anybody loses patience.
    pub(super) async fn work_at_once(&self, worker: Worker) -> bool {
        let worker = self.take_up_worker(worker).await;
        timeout(JOIN_PATIENCE, worker.in_session()).await.is_ok()
    }

    /// This node is no worker any more. The managers hear of it if it leaves.
    pub(super) async fn stop_working(&self, word: Word) {
        let Some(working) = self.working.lock().await.take() else { return };
        working.words.send_replace(word);
        // A panic in it was reported where it happened.
        working.task.await.ok();
        *self.worker.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The record says manager: takes part as one. Nothing changes if that fails.
    async fn become_manager(&self, worker: &Worker) -> Result<(), InitError> {
        // Whoever founds, leaves or unlocks goes first, and may wait for this very task.
        let Ok(_alone) = self.founding.try_lock() else { return Err(InitError::Exists) };
        let (port, addr) = self.node_port(&worker.known().own).await?;
        let limits = self.config.limits.clone();
        let place = own_place(addr);
        let manager = join::promoted(&self.config.state_dir, worker, &place, limits).await?;
        tracing::info!(node = %manager.node_id(), "this worker is a manager from now on");
        *self.worker.write().unwrap_or_else(PoisonError::into_inner) = None;
        // It is this very task.
        drop(self.working.lock().await.take());
        self.take_up(Arc::new(manager), port).await;
        Ok(())
    }

    /// What a call that only a manager answers is told here.
    pub(super) fn no_manager(&self) -> CallError {
        if self.locked.is_locked() {
            CallError::Locked
        } else if self.worker().is_some() {
            CallError::Worker
        } else {
            CallError::NotInACluster
        }
    }
}

async fn work(daemon: Weak<Daemon>, worker: Arc<Worker>, mut words: watch::Receiver<Word>) {
    loop {
        let ended = tokio::select! {
            ended = keep_session(&worker, &mut words) => ended,
            () = keep_certificate(&worker) => return,
        };
        let Some(daemon) = daemon.upgrade().filter(|_| ended == Ended::Promoted) else { return };
        match daemon.become_manager(&worker).await {
            Ok(()) => return,
            Err(error) => {
                let error = crate::lock::chain(&error);
                tracing::warn!(error, "this worker is to be a manager, and cannot be one yet");
            }
        }
        drop(daemon);
        sleep(RETRY).await;
    }
}
