//! What `coffer status` shows: answered by this node alone, so that it answers without a majority, too.

use proto::v1;
use vault_core::backups::Backups;
use vault_core::clocks::Difference;
use vault_core::health::warnings;
use vault_core::time::Timestamp;
use vault_core::versioned::Class;

use crate::disk::watch::DiskState;
use crate::manager::Manager;
use crate::picture::{Picture, Seen};
use crate::worker::Worker;

/// The screen of a locked manager: who it is stands on the disk that is locked.
pub(super) fn locked() -> v1::StatusResponse {
    v1::StatusResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        locked: true,
        autolock: true,
        ..v1::StatusResponse::default()
    }
}

/// The screen of a worker: what it knows of itself, and through whom it is in touch.
pub(super) fn working(worker: &Worker) -> v1::StatusResponse {
    let through = worker.seen().through;
    v1::StatusResponse {
        cluster_id: worker.membership().cluster.to_string(),
        node_id: worker.node_id().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        certificate_end: worker.claim().map_or(0, |claim| claim.not_after_secs),
        worker: Some(v1::WorkerState {
            manager_addr: through.map_or_else(String::new, |peer| peer.addr),
        }),
        ..v1::StatusResponse::default()
    }
}

/// The screen.
pub(super) fn screen(manager: &Manager) -> v1::StatusResponse {
    let Picture { view, standing, managers, facts } = Picture::of(manager);
    let state = &view.state;
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let warnings = warnings(&facts).into_iter().map(|one| v1::Warning {
        text: one.text,
        cure: one.cure,
        urgent: one.is_urgent,
    });
    v1::StatusResponse {
        cluster_id: manager.membership().cluster.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        term: standing.term,
        leader_id: standing.leader_member().map_or_else(String::new, |one| one.node_id.clone()),
        applied: standing.applied_index,
        last: standing.last_index,
        snapshot: standing.snapshot_index,
        warnings: warnings.collect(),
        disk_free: facts.disk_free,
        disk_reserve: facts.disk_reserve,
        disk_hangs_ms: disk_hangs_ms(manager),
        memory_used: facts.memory_used,
        memory_budget: facts.memory_budget,
        certificate_end: state.node(manager.node_id()).map_or(0, |node| node.certificate_end_secs),
        root_end: facts.root_end_secs,
        key_epoch: state.epoch().0,
        level: state.level().0,
        secrets: count(state.of_class(Class::Secret).len()),
        configs: count(state.of_class(Class::Config).len()),
        services: count(state.services().len()),
        nodes: count(state.nodes().count()),
        node_id: manager.node_id().to_string(),
        managers: managers.into_iter().map(manager_state).collect(),
        locked: false,
        worker: None,
        backups: Some(backups(&facts.backups)),
        autolock: state.cluster().is_some_and(|cluster| cluster.unlock_key.is_some()),
    }
}

fn backups(backups: &Backups) -> v1::BackupState {
    let nanos = |at: Timestamp| i64::try_from(at.nanos()).unwrap_or(i64::MAX);
    let mut state = v1::BackupState::default();
    if let Some(schedule) = &backups.schedule {
        (state.every_secs, state.keep) = (schedule.every_secs, schedule.keep);
        state.dir.clone_from(&schedule.dir);
        state.recipients = u32::try_from(schedule.recipients.len()).unwrap_or(u32::MAX);
    }
    if let Some(made) = backups.made {
        (state.verified_at, state.verified_node_id) = (nanos(made.at), made.node.to_string());
        (state.verified_index, state.verified_bytes) = (made.index, made.bytes);
    }
    if let Some(failed) = &backups.failed {
        (state.failed_at, state.failed_node_id) = (nanos(failed.at), failed.node.to_string());
        (state.failure, state.failed_in_a_row) = (failed.reason.clone(), failed.in_a_row);
    }
    state
}

/// How long this manager's disk has not answered; 0 while it does.
pub(super) fn disk_hangs_ms(manager: &Manager) -> u64 {
    match manager.consensus().disk().state() {
        DiskState::Answers => 0,
        DiskState::Hangs { since } => u64::try_from(since.elapsed().as_millis()).unwrap_or(0),
    }
}

fn manager_state(seen: Seen) -> v1::ManagerState {
    let Seen { node_id, addr, is_leader, facts } = seen;
    let within_ms = |one: Difference| one.within_ns.div_ceil(1_000_000);
    v1::ManagerState {
        node_id,
        hostname: facts.hostname,
        addr,
        leader: is_leader,
        voter: facts.is_voter,
        matched: facts.matched,
        silent_ms: facts.silent_ms,
        certificate_end: facts.certificate_end_secs,
        clock_ahead_ms: facts.clock.map(Difference::ahead_ms),
        clock_within_ms: facts.clock.map_or(0, within_ms),
    }
}
