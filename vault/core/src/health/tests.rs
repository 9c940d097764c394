//! Each warning, and from which figure on it comes.

use super::*;
use crate::backups::{Failed, Schedule};

fn healthy() -> Facts {
    let manager = |name: &str| ManagerFacts {
        hostname: name.into(),
        is_voter: true,
        matched: Some(100),
        silent_ms: Some(0),
        certificate_end_secs: 100 * 86_400,
        clock: Some(Difference::default()),
        node: None,
    };
    Facts {
        now_secs: 3_600,
        has_leader: true,
        last_index: 100,
        managers: ["a", "b", "c"].map(manager).into(),
        root_end_secs: 4_000 * 86_400,
        disk_free: 10,
        disk_reserve: 5,
        memory_used: 1,
        memory_budget: 100,
        is_rotating: false,
        founded_secs: u64::MAX,
        backups: Backups::default(),
    }
}

fn away(ms: i64) -> Difference {
    Difference { ahead_ns: ms * 1_000_000, within_ns: 500 }
}

fn all_but_first_ahead(facts: &mut Facts) {
    facts.managers.iter_mut().skip(1).for_each(|one| one.clock = Some(away(20_000)));
}

fn never_made() -> Backups {
    let schedule = Schedule { every_secs: 600, keep: 1, recipients: vec![], dir: String::new() };
    Backups { schedule: Some(schedule), ..Backups::default() }
}

fn just_failed() -> Backups {
    let (node, at) = (NodeId::from_entropy([1; 17]), Timestamp::default());
    let failed = Failed { node, at, reason: "no room".into(), in_a_row: 1 };
    Backups { failed: Some(failed), ..Backups::default() }
}

fn one_other_ahead(facts: &mut Facts) {
    (facts.managers[1].clock, facts.managers[2].clock) = (Some(away(20_000)), None);
}

#[test]
fn a_clock_that_is_not_known_or_may_be_right_is_not_warned_of() {
    let mut facts = healthy();
    facts.managers[1].clock = None;
    facts.managers[2].clock =
        Some(Difference { ahead_ns: 3_000_000_000, within_ns: 2_500_000_000 });
    assert_eq!(warnings(&facts), []);
}

#[test]
fn a_healthy_cluster_has_nothing_to_look_at() {
    assert_eq!(warnings(&healthy()), []);
}

#[test]
fn each_trouble_has_its_warning_and_its_cure() {
    type Change = fn(&mut Facts);
    let rows: [(Change, bool, &str); 18] = [
        (|facts| facts.has_leader = false, true, "no leader"),
        (|facts| facts.managers[1].silent_ms = Some(9_000), true, "b does not answer"),
        (|facts| facts.last_index = 5_000, false, "entries behind"),
        (|facts| facts.managers.truncate(2), false, "two managers"),
        (|facts| facts.disk_free = 1, true, "nearly full"),
        (|facts| facts.memory_used = 100, true, "fill the memory budget"),
        (|facts| facts.memory_used = 95, false, "95 of 100"),
        (|facts| facts.managers[0].certificate_end_secs = 90_000, false, "a ends in 1 days"),
        (|facts| facts.managers[0].certificate_end_secs = 0, true, "a has ended"),
        (|facts| facts.root_end_secs = 90_000, false, "root certificate ends in 1 days"),
        (|facts| facts.root_end_secs = 3_600, true, "root certificate has ended"),
        (|facts| facts.is_rotating = true, false, "sealed anew"),
        (
            |facts| facts.managers[1].clock = Some(away(1_500)),
            false,
            "b is 1.5 s ahead of the others'",
        ),
        (
            |facts| facts.managers[2].clock = Some(away(-11_000)),
            true,
            "c is 11.0 s behind the others'",
        ),
        // Two agree on another time: the one that asks is wrong.
        (all_but_first_ahead, true, "a is 20.0 s behind the others'"),
        (|facts| facts.backups = never_made(), true, "is 50 minutes late"),
        (|facts| facts.backups = just_failed(), false, "(1 in a row): no room"),
        (one_other_ahead, true, "b is 20.0 s ahead of this manager's"),
    ];
    for (change, is_urgent, text) in rows {
        let mut facts = healthy();
        change(&mut facts);
        let found = warnings(&facts);
        let first = found.first().unwrap_or_else(|| panic!("{text}: no warning"));
        assert!(first.text.contains(text), "{text}: {}", first.text);
        assert!(!first.cure.is_empty(), "{text}");
        assert_eq!(first.is_urgent, is_urgent, "{text}");
    }
}

#[test]
fn what_is_at_its_bound_is_warned_of_and_what_is_short_of_it_is_not() {
    type Change = fn(&mut Facts, u64);
    let behind_at = |facts: &mut Facts, entries| facts.last_index = 100 + entries;
    let clock = |facts: &mut Facts, ns| {
        let ahead_ns = i64::try_from(ns).unwrap();
        facts.managers[1].clock = Some(Difference { ahead_ns, within_ns: 0 });
    };
    let ends = |facts: &mut Facts, secs| facts.managers[0].certificate_end_secs = secs;
    // The last that is fine, and the first that is not.
    let rows: [(Change, u64, u64, &str); 7] = [
        (
            |facts, ms| facts.managers[1].silent_ms = Some(ms),
            MANAGER_SILENT_MS - 1,
            MANAGER_SILENT_MS,
            "b does not answer",
        ),
        (behind_at, CAUGHT_UP_ENTRIES, CAUGHT_UP_ENTRIES + 1, "a is 1001 entries behind"),
        (|facts, free| facts.disk_free = free, 5, 4, "4 bytes are free"),
        (|facts, used| facts.memory_used = used, 88, 89, "take 89 of 100"),
        (ends, 3_600 + CERTIFICATE_WARN_SECS, 3_599 + CERTIFICATE_WARN_SECS, "a ends in 13 days"),
        (
            |facts, secs| facts.root_end_secs = secs,
            3_600 + ROOT_WARN_SECS,
            3_599 + ROOT_WARN_SECS,
            "ends in 364 days",
        ),
        (clock, CLOCK_WARN_NS - 1, CLOCK_WARN_NS, "b is 1.0 s ahead"),
    ];
    for (change, fine, not_fine, text) in rows {
        let at = |figure| {
            let mut facts = healthy();
            change(&mut facts, figure);
            warnings(&facts)
        };
        assert_eq!(at(fine), [], "{text}");
        let found = at(not_fine);
        assert!(found.first().is_some_and(|one| one.text.contains(text)), "{text}: {found:?}");
    }
    for (ns, is_urgent) in [(CLOCK_BAD_NS - 1, false), (CLOCK_BAD_NS, true)] {
        let mut facts = healthy();
        clock(&mut facts, ns);
        assert_eq!(warnings(&facts)[0].is_urgent, is_urgent, "{ns}");
    }
}

#[test]
fn urgent_warnings_come_first() {
    let mut facts = healthy();
    facts.managers.truncate(2);
    facts.disk_free = 1;
    facts.is_rotating = true;
    let urgent: Vec<_> = warnings(&facts).iter().map(|one| one.is_urgent).collect();
    assert_eq!(urgent, [true, false, false]);
}

#[test]
fn a_failed_backup_is_told_with_the_host_that_should_have_made_it() {
    let mut facts = healthy();
    facts.backups = just_failed();
    let failed = facts.backups.failed.as_ref().unwrap().node;
    assert!(warnings(&facts)[0].text.contains(failed.as_str()), "a host that went");
    facts.managers[0].node = Some(NodeId::from_entropy([2; 17]));
    facts.managers[1].node = Some(failed);
    assert!(warnings(&facts)[0].text.contains("failed on b (1 in a row)"));
}

#[test]
fn a_cluster_of_a_day_without_scheduled_backups_is_warned_of_and_stays_healthy() {
    for (age_secs, is_scheduled, expected) in [
        (0, false, false),
        (BACKUPS_WANTED_AFTER_SECS - 1, false, false),
        (BACKUPS_WANTED_AFTER_SECS, false, true),
        (BACKUPS_WANTED_AFTER_SECS * 9, false, true),
        (BACKUPS_WANTED_AFTER_SECS * 9, true, false),
    ] {
        let mut facts = Facts { now_secs: 10 * 86_400, ..healthy() };
        facts.founded_secs = facts.now_secs - age_secs;
        if is_scheduled {
            facts.backups = never_made();
        }
        let warnings = warnings(&facts);
        let about = warnings.iter().find(|one| one.text.contains("no backups are scheduled"));
        assert_eq!(about.is_some(), expected, "{age_secs}, {is_scheduled}");
        assert!(about.is_none_or(|one| !one.is_urgent && one.cure.contains("--backup-every")));
    }
}
