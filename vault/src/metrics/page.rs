//! The page of metrics: what this node knows, in numbers. `docs/monitoring.md` lists every one of them.

use std::collections::BTreeMap;

use vault_core::feature::Level;
use vault_core::health::warnings;
use vault_core::node::NodeStatus;
use vault_core::versioned::Class;

use super::text::{Family, Labels, Text, number};
use crate::daemon::{CallError, Daemon};
use crate::disk::watch::DiskState;
use crate::manager::Manager;
use crate::picture::{Picture, Seen};

/// Short for a family.
const fn of(name: &'static str, help: &'static str) -> Family {
    Family { name, help }
}

fn truth(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

fn count(count: usize) -> f64 {
    number(u64::try_from(count).unwrap_or(u64::MAX))
}

/// The page.
pub(super) fn page(daemon: &Daemon) -> String {
    let mut text = Text::default();
    process(&mut text);
    counted(&mut text, daemon);
    let manager = daemon.manager();
    let is_locked = matches!(manager, Err(CallError::Locked));
    text.gauge(
        of("coffer_locked", "Whether this manager waits for its unlock key."),
        truth(is_locked),
    );
    text.gauge(
        of("coffer_manager", "Whether this node is a manager that serves."),
        truth(manager.is_ok()),
    );
    if let Ok(manager) = manager {
        let picture = Picture::of(&manager);
        consensus(&mut text, &picture);
        members(&mut text, &picture.managers);
        disk(&mut text, &manager, &picture);
        held(&mut text, &picture);
        judged(&mut text, &picture);
    }
    text.finish()
}

fn process(text: &mut Text) {
    let build = of("coffer_build_info", "The version of cofferd.");
    text.gauges(build, &[(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)]);
    let level =
        of("coffer_feature_level_known", "The highest feature level that this cofferd knows.");
    text.gauge(level, f64::from(Level::known().0));
    let memory = of("process_resident_memory_bytes", "Memory that the daemon has.");
    text.gauges(memory, &sample(resident_bytes()));
    let files = of("process_open_fds", "Descriptors that the daemon has open.");
    let open = std::fs::read_dir("/proc/self/fd").map(|all| all.count()).ok();
    text.gauges(files, &sample(open.map(count)));
}

/// One sample, if it is known.
fn sample(value: Option<f64>) -> Vec<(Labels<'static>, f64)> {
    let none: Labels<'static> = &[];
    value.map(|value| (none, value)).into_iter().collect()
}

fn resident_bytes() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    Some(number(pages.saturating_mul(page)))
}

fn counted(text: &mut Text, daemon: &Daemon) {
    let meters = daemon.meters();
    let family = of("coffer_proposals_total", "Changes that were asked for here, by whomever.");
    text.counter(family, meters.proposals.value());
    let refusals = meters.refusals.values();
    let labels: Vec<_> =
        refusals.iter().map(|(reason, count)| ([("reason", *reason)], *count)).collect();
    let samples: Vec<(Labels<'_>, f64)> =
        labels.iter().map(|(labels, count)| (&labels[..], number(*count))).collect();
    text.counters(
        of("coffer_refusals_total", "Changes that were refused or had no answer, by reason."),
        &samples,
    );
    let family =
        of("coffer_reads_total", "Reads that reflect everything acknowledged before them.");
    text.counter(family, meters.reads.value());
    let family = of("coffer_reads_failed_total", "Reads that no leader answered for in time.");
    text.counter(family, meters.reads_failed.value());
    let calls = meters.calls.values();
    let named: BTreeMap<String, u64> = calls
        .into_iter()
        .map(|(code, count)| (format!("{:?}", tonic::Code::from(code)), count))
        .collect();
    let labels: Vec<_> =
        named.iter().map(|(code, count)| ([("code", code.as_str())], *count)).collect();
    let samples: Vec<(Labels<'_>, f64)> =
        labels.iter().map(|(labels, count)| (&labels[..], number(*count))).collect();
    text.counters(of("coffer_calls_total", "Calls on the socket, by gRPC's code."), &samples);
}

fn consensus(text: &mut Text, picture: &Picture) {
    let Picture { standing, facts, view, .. } = picture;
    let applied = view.applied_index();
    for (name, help, value) in [
        ("coffer_raft_term", "Raft's term.", number(standing.term)),
        ("coffer_raft_leader", "Whether this manager leads.", truth(standing.is_leader)),
        (
            "coffer_raft_leader_known",
            "Whether somebody leads and was heard of lately.",
            truth(facts.has_leader),
        ),
        (
            "coffer_raft_last_index",
            "The last entry of this manager's log.",
            number(standing.last_index),
        ),
        (
            "coffer_raft_applied_index",
            "The last entry that this manager has applied.",
            number(applied),
        ),
        (
            "coffer_raft_snapshot_index",
            "The last entry that the newest snapshot covers.",
            number(standing.snapshot_index),
        ),
        ("coffer_feature_level", "The cluster's feature level.", f64::from(view.state.level().0)),
    ] {
        text.gauge(of(name, help), value);
    }
}

/// A family with one sample for each manager of which there is something to say.
fn of_members(
    text: &mut Text,
    managers: &[Seen],
    family: Family,
    value: impl Fn(&Seen) -> Option<f64>,
) {
    let known = managers.iter().filter_map(|one| Some((one, value(one)?)));
    let labels: Vec<_> =
        known.map(|(one, value)| ([("node_id", one.node_id.as_str())], value)).collect();
    let samples: Vec<(Labels<'_>, f64)> =
        labels.iter().map(|(labels, value)| (&labels[..], *value)).collect();
    text.gauges(family, &samples);
}

fn members(text: &mut Text, managers: &[Seen]) {
    let last = managers.iter().filter_map(|one| one.facts.matched).max().unwrap_or_default();
    let mut family = |name, help, value: &dyn Fn(&Seen) -> Option<f64>| {
        of_members(text, managers, of(name, help), value);
    };
    family("coffer_raft_member_voter", "Whether this manager has a vote.", &|one| {
        Some(truth(one.facts.is_voter))
    });
    family(
        "coffer_raft_member_matched_index",
        "The last entry that it has on disk; of others only the leader knows.",
        &|one| one.facts.matched.map(number),
    );
    family(
        "coffer_raft_member_lag_entries",
        "How many entries it is behind; of others only the leader knows.",
        &|one| one.facts.matched.map(|at| number(last.saturating_sub(at))),
    );
    family(
        "coffer_raft_member_silent_seconds",
        "For how long it has not answered; only the leader knows.",
        &|one| one.facts.silent_ms.map(|ms| number(ms) / 1e3),
    );
    family("coffer_certificate_end_timestamp_seconds", "When its certificate ends.", &|one| {
        (one.facts.certificate_end_secs > 0).then(|| number(one.facts.certificate_end_secs))
    });
    family(
        "coffer_clock_difference_seconds",
        "How far its clock is ahead of this manager's.",
        &|one| {
            let ahead = one.facts.clock?.ahead_ns;
            let size = number(ahead.unsigned_abs()) / 1e9;
            Some(if ahead < 0 { -size } else { size })
        },
    );
    family("coffer_clock_doubt_seconds", "By how much that difference may be wrong.", &|one| {
        Some(number(one.facts.clock?.within_ns) / 1e9)
    });
}

fn disk(text: &mut Text, manager: &Manager, picture: &Picture) {
    let facts = &picture.facts;
    text.gauge(
        of("coffer_disk_free_bytes", "Free bytes of the disk with the state directory."),
        number(facts.disk_free),
    );
    text.gauge(
        of("coffer_disk_reserve_bytes", "Below so many free bytes writes are refused."),
        number(facts.disk_reserve),
    );
    let disk = manager.consensus().disk();
    let hangs = matches!(disk.state(), DiskState::Hangs { .. });
    text.gauge(of("coffer_disk_hanging", "Whether the disk does not answer."), truth(hangs));
    let labels: Vec<_> =
        disk.writers().iter().map(|(files, pulse)| ([("files", *files)], pulse)).collect();
    let samples: Vec<_> =
        labels.iter().map(|(labels, pulse)| (&labels[..], pulse.flushes())).collect();
    text.histogram(
        of("coffer_flush_seconds", "How long the disk took to make a batch safe."),
        &samples,
    );
    let missed = of("coffer_audit_missed_total", "Times that something could not be audited.");
    text.counter(missed, manager.audit().missed());
}

fn held(text: &mut Text, picture: &Picture) {
    let (state, facts) = (&picture.view.state, &picture.facts);
    text.gauge(
        of("coffer_values_memory_bytes", "Memory that secrets and configs take."),
        number(facts.memory_used),
    );
    text.gauge(
        of("coffer_values_memory_budget_bytes", "Memory that they may take."),
        number(facts.memory_budget),
    );
    for (name, help, value) in [
        ("coffer_secrets", "Secrets of the cluster.", count(state.of_class(Class::Secret).len())),
        ("coffer_configs", "Configs of the cluster.", count(state.of_class(Class::Config).len())),
        ("coffer_services", "Services of the cluster.", count(state.services().len())),
        (
            "coffer_key_epoch",
            "The epoch of the data key that new values are sealed under.",
            f64::from(state.epoch().0),
        ),
        ("coffer_key_rotating", "Whether values are being sealed anew.", truth(facts.is_rotating)),
        (
            "coffer_root_certificate_end_timestamp_seconds",
            "When the root certificate ends.",
            number(facts.root_end_secs),
        ),
    ] {
        text.gauge(of(name, help), value);
    }
    let autolock = state.cluster().is_some_and(|cluster| cluster.unlock_key.is_some());
    text.gauge(of("coffer_autolock", "Whether managers lock their disks."), truth(autolock));
    let backups = &facts.backups;
    let every = backups.schedule.as_ref().map_or(0, |schedule| schedule.every_secs);
    let made = backups.made.map_or(0, |made| made.at.secs());
    let failed = backups.failed.as_ref().map_or(0, |failed| failed.in_a_row);
    for (name, help, value) in [
        (
            "coffer_backup_every_seconds",
            "How often a backup is to be made; 0 for never.",
            number(every),
        ),
        (
            "coffer_backup_last_verified_timestamp_seconds",
            "When the last scheduled backup was made and verified; 0 for never.",
            number(made),
        ),
        (
            "coffer_backup_failures_in_a_row",
            "Scheduled backups that failed since the last that was made.",
            f64::from(failed),
        ),
    ] {
        text.gauge(of(name, help), value);
    }
    let of_status = |status| count(state.nodes().filter(|node| node.status == status).count());
    text.gauges(
        of("coffer_nodes", "Nodes of the cluster, by what is known of them."),
        &[
            (&[("state", "ready")], of_status(NodeStatus::Ready)),
            (&[("state", "down")], of_status(NodeStatus::Down)),
            (&[("state", "unknown")], of_status(NodeStatus::Unknown)),
        ],
    );
}

fn judged(text: &mut Text, picture: &Picture) {
    let warnings = warnings(&picture.facts);
    let urgent = warnings.iter().filter(|one| one.is_urgent).count();
    text.gauges(
        of("coffer_warnings", "Warnings that coffer status shows."),
        &[
            (&[("urgent", "true")], count(urgent)),
            (&[("urgent", "false")], count(warnings.len() - urgent)),
        ],
    );
}
