//! What somebody should look at: facts in, warnings out, each with its cure.

use std::collections::BTreeMap;

use crate::backups::Backups;
use crate::clocks::{Difference, against_most};
use crate::id::NodeId;
use crate::limits::{
    BACKUPS_WANTED_AFTER_SECS, CAUGHT_UP_ENTRIES, CERTIFICATE_WARN_SECS, CLOCK_BAD_NS,
    CLOCK_WARN_NS, MANAGER_SILENT_MS, ROOT_WARN_SECS,
};
use crate::time::Timestamp;

/// One manager, as far as the one that is asked knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagerFacts {
    pub hostname: String,
    pub is_voter: bool,
    /// On the leader: the last entry that it has on disk.
    pub matched: Option<u64>,
    /// On the leader: since when it has not answered.
    pub silent_ms: Option<u64>,
    pub certificate_end_secs: u64,
    /// Its clock against that of the one that is asked; none while it is not known.
    pub clock: Option<Difference>,
    pub node: Option<NodeId>,
}

/// How a cluster stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub now_secs: u64,
    pub has_leader: bool,
    pub last_index: u64,
    pub managers: Vec<ManagerFacts>,
    pub root_end_secs: u64,
    pub disk_free: u64,
    pub disk_reserve: u64,
    pub memory_used: u64,
    pub memory_budget: u64,
    /// Values that wait to be sealed under the newest data key.
    pub is_rotating: bool,
    /// When the cluster was founded.
    pub founded_secs: u64,
    /// Scheduled backups.
    pub backups: Backups,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub text: String,
    pub cure: String,
    /// The cluster is not healthy: something does not work, or is about to stop.
    pub is_urgent: bool,
}

/// All warnings, urgent ones first.
pub fn warnings(facts: &Facts) -> Vec<Warning> {
    let mut all = Vec::new();
    consensus(facts, &mut all);
    resources(facts, &mut all);
    certificates(facts, &mut all);
    clocks(facts, &mut all);
    backups(facts, &mut all);
    all.sort_by_key(|warning| !warning.is_urgent);
    all
}

fn warning(is_urgent: bool, text: impl Into<String>, cure: impl Into<String>) -> Warning {
    Warning { text: text.into(), cure: cure.into(), is_urgent }
}

fn consensus(facts: &Facts, all: &mut Vec<Warning>) {
    if !facts.has_leader {
        all.push(warning(
            true,
            "there is no leader: nothing can be changed, and reads fail but for those with --stale",
            "start managers until more than half of them run; if they have other addresses now, with --advertise-addr and --manager-addr; if they are lost for good: coffer swarm init --force-new-cluster",
        ));
    }
    let voters = facts.managers.iter().filter(|manager| manager.is_voter).count();
    for manager in &facts.managers {
        let name = &manager.hostname;
        if manager.silent_ms.is_some_and(|silent| silent >= MANAGER_SILENT_MS) {
            all.push(warning(
                true,
                format!("manager {name} does not answer"),
                format!("look at cofferd on {name}; if it is gone for good: coffer node demote, then coffer node rm"),
            ));
        } else if manager
            .matched
            .is_some_and(|at| facts.last_index.saturating_sub(at) > CAUGHT_UP_ENTRIES)
        {
            let behind = facts.last_index.saturating_sub(manager.matched.unwrap_or(0));
            all.push(warning(
                false,
                format!("manager {name} is {behind} entries behind"),
                format!("wait; if it stays so, look at disk and network of {name}"),
            ));
        }
    }
    if voters == 2 {
        all.push(warning(
            false,
            "two managers are no safer than one: if either is lost, nothing can be changed",
            "add a third: coffer swarm join-token manager",
        ));
    }
    if facts.is_rotating {
        all.push(warning(
            false,
            "values are being sealed anew under a new data key",
            "nothing; see coffer swarm rotate-keys",
        ));
    }
}

fn resources(facts: &Facts, all: &mut Vec<Warning>) {
    if facts.disk_free < facts.disk_reserve {
        all.push(warning(
            true,
            format!(
                "the disk is nearly full: {} bytes are free, writes are refused",
                facts.disk_free
            ),
            "make room in the state directory's file system; writes go on by themselves",
        ));
    }
    let used = facts.memory_used;
    if used >= facts.memory_budget {
        all.push(warning(
            true,
            format!("secrets and configs fill the memory budget of {} bytes", facts.memory_budget),
            "remove some, or raise --memory-budget of every manager",
        ));
    } else if used > facts.memory_budget.saturating_sub(facts.memory_budget >> 3) {
        all.push(warning(
            false,
            format!("secrets and configs take {used} of {} bytes", facts.memory_budget),
            "raise --memory-budget of every manager",
        ));
    }
}

fn certificates(facts: &Facts, all: &mut Vec<Warning>) {
    for manager in &facts.managers {
        let left = manager.certificate_end_secs.saturating_sub(facts.now_secs);
        if left < CERTIFICATE_WARN_SECS {
            let name = &manager.hostname;
            all.push(warning(
                left == 0,
                if left == 0 {
                    format!("the certificate of manager {name} has ended")
                } else {
                    format!("the certificate of manager {name} ends in {} days", left / 86_400)
                },
                format!("look at the log of cofferd on {name}"),
            ));
        }
    }
    let left = facts.root_end_secs.saturating_sub(facts.now_secs);
    if left < ROOT_WARN_SECS {
        all.push(warning(
            left == 0,
            if left == 0 {
                "the root certificate has ended".to_owned()
            } else {
                format!("the root certificate ends in {} days", left / 86_400)
            },
            "rotate it: coffer swarm ca --rotate",
        ));
    }
}

fn backups(facts: &Facts, all: &mut Vec<Warning>) {
    let now = Timestamp::from_nanos(facts.now_secs.saturating_mul(1_000_000_000));
    let host = |id: NodeId| {
        let known = facts.managers.iter().find(|one| one.node == Some(id));
        known.map_or_else(|| id.to_string(), |one| one.hostname.clone())
    };
    let age_secs = facts.now_secs.saturating_sub(facts.founded_secs);
    if facts.backups.schedule.is_none() && age_secs >= BACKUPS_WANTED_AFTER_SECS {
        all.push(warning(
            false,
            "no backups are scheduled: what most managers lose for good is lost",
            "coffer swarm update --backup-every 6h --backup-recipient age1... --backup-dir /path",
        ));
    }
    if let Some(late) = facts.backups.late_secs(now) {
        all.push(warning(
            true,
            format!("the next backup is {} minutes late", late.div_euclid(60)),
            "see what coffer status says of the last failure; meanwhile: coffer backup save",
        ));
    }
    if let Some(failed) = &facts.backups.failed {
        let (host, reason) = (host(failed.node), &failed.reason);
        all.push(warning(
            false,
            format!("the last backup failed on {host} ({} in a row): {reason}", failed.in_a_row),
            format!("look at the backups' directory on {host}; it is tried again by itself"),
        ));
    }
}

fn clocks(facts: &Facts, all: &mut Vec<Warning>) {
    let known = facts.managers.iter().enumerate();
    let known = known.filter_map(|(place, one)| Some((place, one.clock?)));
    let known: BTreeMap<usize, Difference> = known.collect();
    for (place, off) in against_most(&known) {
        let Some(manager) = facts.managers.get(place) else { continue };
        if off.at_least_ns() < CLOCK_WARN_NS {
            continue;
        }
        let name = &manager.hostname;
        let way = if off.ahead_ns > 0 { "ahead of" } else { "behind" };
        let others = if known.len() < 3 { "this manager's" } else { "the others'" };
        all.push(warning(
            off.at_least_ns() >= CLOCK_BAD_NS,
            format!("the clock of manager {name} is {} s {way} {others}", seconds(off)),
            format!("have it set and kept by NTP; coffer doctor on {name} says whether it is"),
        ));
    }
}

/// With one digit behind the point.
fn seconds(off: Difference) -> String {
    let tenths = off.ahead_ns.unsigned_abs().div_euclid(100_000_000);
    format!("{}.{}", tenths.div_euclid(10), tenths.rem_euclid(10))
}

#[cfg(test)]
mod tests;
