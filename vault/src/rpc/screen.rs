//! What `coffer status` shows: answered by this node alone, so that it answers without a majority, too.

use proto::v1;
use vault_core::health::{Facts, ManagerFacts, warnings};
use vault_core::id::NodeId;
use vault_core::versioned::Class;

use crate::clock;
use crate::manager::Manager;
use crate::raft::{Standing, View};

/// The screen of a locked manager: who it is stands on the disk that is locked.
pub(super) fn locked() -> v1::StatusResponse {
    v1::StatusResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        locked: true,
        autolock: true,
        ..v1::StatusResponse::default()
    }
}

/// The screen.
pub(super) fn screen(manager: &Manager) -> v1::StatusResponse {
    let view = manager.consensus().view();
    let standing = manager.consensus().standing();
    let state = &view.state;
    let own = manager.node_id().to_string();
    let managers = managers(&view, &standing, &own);
    let root_end_secs = manager.root_end_secs();
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let facts = Facts {
        now_secs: clock::now().secs(),
        has_leader: standing.leader.is_some() && !standing.has_lost_quorum(),
        last_index: standing.last_index,
        managers: managers
            .iter()
            .map(|one| ManagerFacts {
                hostname: one.hostname.clone(),
                is_voter: one.voter,
                matched: one.matched,
                silent_ms: one.silent_ms,
                certificate_end_secs: one.certificate_end,
            })
            .collect(),
        root_end_secs,
        disk_free: manager.space().free(),
        disk_reserve: crate::space::RESERVE_BYTES,
        memory_used: state.memory_bytes(),
        memory_budget: manager.memory_budget(),
        is_rotating: state.oldest_epoch() != state.wanted_epoch(),
    };
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
        memory_used: facts.memory_used,
        memory_budget: facts.memory_budget,
        certificate_end: state.node(manager.node_id()).map_or(0, |node| node.certificate_end_secs),
        root_end: root_end_secs,
        key_epoch: state.epoch().0,
        secrets: count(state.of_class(Class::Secret).len()),
        configs: count(state.of_class(Class::Config).len()),
        services: count(state.services().len()),
        nodes: count(state.nodes().count()),
        node_id: own,
        managers,
        locked: false,
        autolock: state.cluster().is_some_and(|cluster| cluster.unlock_key.is_some()),
    }
}

fn managers(view: &View, standing: &Standing, own: &str) -> Vec<v1::ManagerState> {
    let record = |node_id: &str| NodeId::parse(node_id).ok().and_then(|id| view.state.node(id));
    standing
        .members
        .iter()
        .map(|member| {
            let record = record(&member.node_id);
            let is_own = member.node_id == own;
            v1::ManagerState {
                node_id: member.node_id.clone(),
                hostname: record.map_or_else(String::new, |node| node.hostname.clone()),
                addr: member.addr.clone(),
                leader: Some(member.raft_id) == standing.leader,
                voter: member.is_voter,
                matched: if is_own { Some(standing.last_index) } else { member.matched },
                silent_ms: if is_own { Some(0) } else { member.silent_millis },
                certificate_end: record.map_or(0, |node| node.certificate_end_secs),
            }
        })
        .collect()
}
