//! The leader's office: who holds it, and giving it up. A leader whose disk hangs cannot acknowledge
//! anything, and others can.

use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::{Raft, ServerState};
use tokio::sync::watch;
use tokio::time::sleep;

use super::consensus::hand_over;
use super::machine::Machine;
use super::types::Types;
use crate::disk::watch::DiskState;

/// After a hand-over that nobody took.
const AGAIN: Duration = Duration::from_millis(500);

/// Tells whether this manager leads, from now on.
pub(super) fn follow_office(raft: &Raft<Types, Machine>) -> watch::Receiver<bool> {
    let (sender, leads) = watch::channel(false);
    let mut metrics = raft.server_metrics();
    tokio::spawn(async move {
        loop {
            let is_leader = metrics.borrow_watched().state == ServerState::Leader;
            sender.send_if_modified(|leads| std::mem::replace(leads, is_leader) != is_leader);
            if metrics.changed().await.is_err() {
                return;
            }
        }
    });
    leads
}

/// Runs until the disk is watched no more.
pub(super) async fn yield_office(raft: Raft<Types, Machine>, mut disk: watch::Receiver<DiskState>) {
    loop {
        if disk.wait_for(|state| matches!(state, DiskState::Hangs { .. })).await.is_err() {
            return;
        }
        while matches!(*disk.borrow(), DiskState::Hangs { .. }) && leads(&raft) {
            if !hand_over(&raft).await {
                // Nobody in reach takes it by being asked: without heartbeats they elect somebody.
                raft.runtime_config().heartbeat(false);
                sleep(AGAIN).await;
            }
        }
        if disk.wait_for(|state| !matches!(state, DiskState::Hangs { .. })).await.is_err() {
            return;
        }
        raft.runtime_config().heartbeat(true);
    }
}

fn leads(raft: &Raft<Types, Machine>) -> bool {
    raft.server_metrics().borrow_watched().state == ServerState::Leader
}
