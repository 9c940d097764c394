//! What came to clusters after their first form.

use super::*;

#[test]
fn a_cluster_with_scheduled_backups_reads_as_it_was_written() {
    let Asked { node, at } = asked();
    let failed = Failed { node, at, reason: "no room".into(), in_a_row: 3 };
    let backups = Backups {
        schedule: Some(schedule()),
        set_at: at,
        asked: Some(asked()),
        made: Some(Made { node, at, index: 7, bytes: 900 }),
        failed: Some(failed),
    };
    let cluster = Cluster { backups, ..create_cluster().cluster };
    assert_eq!(object::cluster_from(object::cluster_to(&cluster)).unwrap(), cluster);
}

#[test]
fn a_locked_cluster_reads_as_it_was_written() {
    let cluster =
        Cluster { unlock_key: Some(sealed(14)), lock_version: 3, ..create_cluster().cluster };
    assert_eq!(object::cluster_from(object::cluster_to(&cluster)).unwrap(), cluster);
}
