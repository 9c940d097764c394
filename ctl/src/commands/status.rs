//! `coffer status`: one screen that says how the cluster stands and what to do about it.

use serde_json::json;

use crate::client::Client;
use crate::clock;
use crate::exit::Failure;
use crate::host::Host;
use crate::objects::Backups;
use crate::objects::ManagerState;
use crate::objects::Status;
use crate::out;
use crate::table;

const DAY_SECS: u64 = 86_400;

/// Why the screen is not shown, or ends in a no.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StatusError {
    #[error("unknown format {0}: 'json' is known, and no --format at all")]
    Format(String),
    #[error("the cluster is not healthy")]
    Unhealthy,
}

/// Shows the screen.
pub(crate) async fn show(host: &Host, format: Option<&str>) -> Result<(), Failure> {
    let is_json = match format {
        None | Some("" | "table") => false,
        Some("json") => true,
        Some(other) => return Err(StatusError::Format(other.to_owned()).into()),
    };
    let status = Client::connect(host).await?.status().await?;
    let now = u64::try_from(clock::now_ns() / 1_000_000_000).unwrap_or(0);
    out::text(if is_json { document(&status) } else { screen(&status, now) })?;
    if is_healthy(&status) { Ok(()) } else { Err(StatusError::Unhealthy.into()) }
}

fn is_healthy(status: &Status) -> bool {
    let is_out_of_touch = status.works_through.as_ref().is_some_and(String::is_empty);
    let is_urgent = status.warnings.iter().any(|warning| warning.is_urgent);
    !status.is_locked && !is_out_of_touch && !is_urgent
}

/// A worker knows little more than itself.
fn worker_screen(status: &Status, through: &str, now: u64) -> String {
    let touch = if through.is_empty() {
        "\n!! no manager is in reach; it goes on trying\n   look at the network, and at the log of cofferd\n"
            .to_owned()
    } else {
        format!("Session   through {through}\n\nHealthy.\n")
    };
    format!(
        "Worker    {} of cluster {}; certificate ends in {}\n{touch}",
        status.node_id,
        status.cluster_id,
        days(status.certificate_end, now),
    )
}

fn document(status: &Status) -> String {
    let managers: Vec<_> = status
        .managers
        .iter()
        .map(|one| {
            json!({
                "NodeID": one.node_id, "Hostname": one.hostname, "Addr": one.addr,
                "Leader": one.is_leader, "Voter": one.is_voter, "Matched": one.matched,
                "SilentMs": one.silent_ms, "CertificateEnd": one.certificate_end,
                "Behind": behind(one, status), "ClockAheadMs": one.clock_ahead_ms,
                "ClockWithinMs": one.clock_within_ms,
            })
        })
        .collect();
    let warnings: Vec<_> = status
        .warnings
        .iter()
        .map(|one| json!({ "Text": one.text, "Cure": one.cure, "Urgent": one.is_urgent }))
        .collect();
    let healthy = is_healthy(status);
    let one = &status.backups;
    let backups = json!({
        "EverySecs": one.every_secs, "Keep": one.keep, "Dir": one.dir, "Recipients": one.recipients,
        "LastVerifiedAt": one.verified_at, "LastVerifiedNodeID": one.verified_node_id,
        "LastVerifiedIndex": one.verified_index, "LastVerifiedBytes": one.verified_bytes,
        "FailedAt": one.failed_at, "FailedNodeID": one.failed_node_id, "Failure": one.failure,
        "FailedInARow": one.failed_in_a_row,
    });
    let whole = json!({
        "Healthy": healthy, "ClusterID": status.cluster_id, "NodeID": status.node_id,
        "Version": status.version, "Term": status.term, "LeaderID": status.leader_id,
        "AppliedIndex": status.applied, "LastIndex": status.last,
        "SnapshotIndex": status.snapshot, "Managers": managers, "Warnings": warnings,
        "DiskFree": status.disk_free, "DiskReserve": status.disk_reserve,
        "DiskHangsMs": status.disk_hangs_ms, "Backups": backups, "FeatureLevel": status.level, "MemoryUsed": status.memory_used,
        "MemoryBudget": status.memory_budget, "CertificateEnd": status.certificate_end,
        "RootEnd": status.root_end, "KeyEpoch": status.key_epoch, "Secrets": status.secrets,
        "Locked": status.is_locked, "Autolock": status.has_autolock, "Configs": status.configs, "Services": status.services, "Nodes": status.nodes,
        "SessionThrough": status.works_through,
    });
    format!("{whole}\n")
}

fn screen(status: &Status, now: u64) -> String {
    if status.is_locked {
        return format!(
            "Locked    cofferd {} serves nothing but its unlocking; which node this is stands on the locked disk\n\n\
             !! this manager is locked\n   unlock it with the cluster's unlock key: coffer swarm unlock\n",
            status.version
        );
    }
    if let Some(through) = &status.works_through {
        return worker_screen(status, through, now);
    }
    let mut parts = vec![
        format!(
            "Cluster   {}   term {}, index {} applied of {}, snapshot at {}\n",
            status.cluster_id, status.term, status.applied, status.last, status.snapshot
        ),
        format!(
            "Holds     {} secrets, {} configs, {} services, {} nodes; data key of epoch {}, feature level {}\n",
            status.secrets,
            status.configs,
            status.services,
            status.nodes,
            status.key_epoch,
            status.level
        ),
        format!(
            "Here      {} of {} MiB for values, {} MiB free on disk; certificate ends in {}, root in {}\n\n",
            status.memory_used >> 20,
            status.memory_budget >> 20,
            status.disk_free >> 20,
            days(status.certificate_end, now),
            days(status.root_end, now),
        ),
    ];
    parts.insert(2, format!("Backups   {}\n", backups_text(&status.backups, now)));
    if status.has_autolock {
        parts.insert(2, "Autolock  on: a restarted manager needs the unlock key\n".to_owned());
    }
    let header =
        ["MANAGER", "ADDRESS", "ROLE", "INDEX", "BEHIND", "SILENT", "CLOCK", "CERTIFICATE"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(status.managers.iter().map(|one| row(one, status, now)));
    parts.push(table::layout(&rows));
    if status.warnings.is_empty() {
        parts.push("\nHealthy.\n".to_owned());
    }
    for warning in &status.warnings {
        let mark = if warning.is_urgent { "!!" } else { "! " };
        parts.push(format!("\n{mark} {}\n   {}\n", warning.text, warning.cure));
    }
    parts.concat()
}

/// How often, where, and how old the newest is.
fn backups_text(backups: &Backups, now: u64) -> String {
    let plan = match backups.every_secs {
        0 => "none by themselves: coffer swarm update --backup-every, or coffer backup save"
            .to_owned(),
        secs => format!("every {} to {}, {} kept", span(secs), backups.dir, backups.keep),
    };
    let at = u64::try_from(backups.verified_at / 1_000_000_000).unwrap_or_default();
    match at {
        0 if backups.every_secs == 0 => plan,
        0 => format!("{plan}; none verified yet"),
        at => format!(
            "{plan}; last verified {} ago, of index {}",
            span(now.saturating_sub(at)),
            backups.verified_index
        ),
    }
}

/// A time in the largest unit that it fills twice.
fn span(secs: u64) -> String {
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let unit = units.iter().find(|(size, _)| secs >= 2 * size);
    unit.map_or_else(|| format!("{secs} seconds"), |(size, name)| format!("{} {name}", secs / size))
}

fn row(one: &ManagerState, status: &Status, now: u64) -> Vec<String> {
    let mark = if one.node_id == status.node_id { " *" } else { "" };
    let name = if one.hostname.is_empty() { &one.node_id } else { &one.hostname };
    let role = match (one.is_leader, one.is_voter) {
        (true, _) => "leader",
        (false, true) => "voter",
        (false, false) => "learner",
    };
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    vec![
        format!("{name}{mark}"),
        one.addr.clone(),
        role.to_owned(),
        or_dash(one.matched.map(|at| at.to_string())),
        or_dash(behind(one, status).map(|behind| behind.to_string())),
        or_dash(one.silent_ms.map(|silent| format!("{silent} ms"))),
        clock_of(one, status),
        days(one.certificate_end, now),
    ]
}

fn behind(one: &ManagerState, status: &Status) -> Option<u64> {
    Some(status.last.saturating_sub(one.matched?))
}

/// Against the clock of the manager that answers.
fn clock_of(one: &ManagerState, status: &Status) -> String {
    match one.clock_ahead_ms {
        _ if one.node_id == status.node_id => "here".to_owned(),
        None => "-".to_owned(),
        Some(ahead) => format!("{ahead:+} ms"),
    }
}

fn days(end: u64, now: u64) -> String {
    match end.checked_sub(now) {
        None | Some(0) => "ended".to_owned(),
        Some(left) => format!("{} days", left / DAY_SECS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Warning;

    fn status(warnings: Vec<Warning>) -> Status {
        let manager = |name: &str, is_leader| ManagerState {
            node_id: format!("id-{name}"),
            hostname: name.to_owned(),
            addr: "10.0.0.1:2377".to_owned(),
            is_leader,
            is_voter: true,
            matched: Some(90),
            silent_ms: Some(7),
            certificate_end: 10 * DAY_SECS,
            clock_ahead_ms: Some(-12),
            clock_within_ms: 1,
        };
        Status {
            cluster_id: "C".to_owned(),
            node_id: "id-a".to_owned(),
            version: "0".to_owned(),
            term: 3,
            leader_id: "id-a".to_owned(),
            applied: 99,
            last: 100,
            snapshot: 50,
            managers: vec![manager("a", true), manager("b", false)],
            warnings,
            disk_free: 5 << 20,
            memory_used: 1 << 20,
            memory_budget: 8 << 20,
            certificate_end: 10 * DAY_SECS,
            root_end: 0,
            key_epoch: 2,
            secrets: 4,
            configs: 3,
            services: 2,
            nodes: 1,
            is_locked: false,
            works_through: None,
            has_autolock: false,
            disk_reserve: 1 << 20,
            disk_hangs_ms: 0,
            level: 1,
            backups: Backups::default(),
        }
    }

    #[test]
    fn the_screen_says_who_leads_and_who_is_behind() {
        let text = screen(&status(vec![]), DAY_SECS);
        for part in [
            "term 3",
            "a *",
            "leader",
            "voter",
            "90        10 ",
            "-12 ms",
            "here",
            "9 days",
            "Healthy.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_locked_manager_says_so_and_nothing_else() {
        let mut status = status(vec![]);
        (status.is_locked, status.has_autolock) = (true, true);
        let text = screen(&status, 0);
        assert!(text.contains("coffer swarm unlock") && !text.contains("Healthy"), "{text}");
        assert!(document(&status).contains("\"Healthy\":false"));
        status.is_locked = false;
        assert!(screen(&status, 0).contains("Autolock  on"));
    }

    #[test]
    fn the_age_of_the_last_verified_backup_is_shown() {
        let mut status = status(vec![]);
        assert!(screen(&status, 0).contains("Backups   none by themselves"));
        (status.backups.every_secs, status.backups.dir) = (21_600, "/b".to_owned());
        assert!(
            screen(&status, 0).contains("Backups   every 6 hours to /b, 0 kept; none verified")
        );
        status.backups.verified_at = 1_000_000_000_000;
        assert!(screen(&status, 1_180).contains("last verified 3 minutes ago"));
        assert!(document(&status).contains("\"LastVerifiedAt\":1000000000000"));
    }

    #[test]
    fn a_warning_comes_with_its_cure() {
        let (text, cure) = ("it burns".to_owned(), "put it out".to_owned());
        let text = screen(&status(vec![Warning { text, cure, is_urgent: true }]), 0);
        assert!(text.ends_with("\n!! it burns\n   put it out\n"), "{text}");
        assert!(!text.contains("Healthy"), "{text}");
    }
}
