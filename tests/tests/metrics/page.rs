//! What stands on the page of metrics, and what never does.

use std::collections::BTreeMap;

use tests::cluster::{id, join, nodes, token};
use tests::http::ask;
use tests::{Node, wait_until};

use crate::start;

/// Samples by name and labels, as they are written.
#[track_caller]
pub(crate) fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        })
        .collect()
}

#[test]
fn the_leader_tells_how_far_each_manager_is() {
    let Some([first, second]) = nodes::<2>("the_leader_tells_how_far_each_manager_is") else {
        return;
    };
    let (one, addr) = start(&first);
    first.coffer(&["swarm", "init"]).said();
    let other = second.start();
    join(&second, &first, &token(&first, "manager")).said();
    let (own, second_id) = (id(&first), id(&second));
    for n in 0..3 {
        first.secret(&format!("s{n}"), b"value");
    }
    first.coffer_reading(&["secret", "create", "s1", "-"], b"value");
    let of = |name: &str, node: &str| format!("{name}{{node_id=\"{node}\"}}");
    let clock = of("coffer_clock_difference_seconds", &second_id);
    wait_until("the other one's clock is known", || {
        samples(&ask(&addr, "/metrics").body).contains_key(&clock)
    });
    let page = ask(&addr, "/metrics").body;
    let all = samples(&page);
    let value = |name: &str| *all.get(name).unwrap_or_else(|| panic!("{name}: {page}"));
    assert!(value(&clock).abs() < 1.0, "the same clock");
    for (name, expected) in [
        ("coffer_raft_leader", 1.0),
        ("coffer_raft_leader_known", 1.0),
        ("coffer_secrets", 3.0),
        ("coffer_configs", 0.0),
        ("coffer_manager", 1.0),
        ("coffer_nodes{state=\"ready\"}", 2.0),
        ("coffer_refusals_total{reason=\"name_taken\"}", 1.0),
        ("coffer_calls_total{code=\"AlreadyExists\"}", 1.0),
        ("coffer_audit_missed_total", 0.0),
        ("coffer_disk_hanging", 0.0),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    for name in [
        "coffer_raft_term",
        "coffer_raft_last_index",
        "coffer_raft_applied_index",
        "coffer_proposals_total",
        "coffer_reads_total",
        "coffer_flush_seconds_count{files=\"log\"}",
        "coffer_disk_free_bytes",
        "coffer_values_memory_bytes",
        "process_resident_memory_bytes",
        "coffer_root_certificate_end_timestamp_seconds",
        &of("coffer_certificate_end_timestamp_seconds", &own),
        &of("coffer_raft_member_matched_index", &second_id),
    ] {
        assert!(value(name) > 0.0, "{name}");
    }
    assert_eq!(value(&of("coffer_raft_member_voter", &second_id)), 1.0);
    assert!(value(&of("coffer_raft_member_silent_seconds", &second_id)) < 5.0);
    // Every bucket holds those below it.
    let buckets = page.lines().filter(|line| line.contains("_bucket{files=\"log\""));
    let counts: Vec<f64> =
        buckets.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
    assert!(counts.len() > 10 && counts.is_sorted(), "{counts:?}");
    other.end();
    drop(one);
}

/// Names of objects, their labels and their values come nowhere near a metric.
#[test]
fn no_name_and_no_value_is_on_the_page() {
    let Some(node) = Node::for_test("no_name_and_no_value_is_on_the_page") else { return };
    let (daemon, addr) = start(&node);
    node.coffer(&["swarm", "init"]).said();
    let canary = "zk8q7canary";
    let secret =
        ["secret", "create", "-l", "zk8q7canary-label=zk8q7canary", "zk8q7canary-secret", "-"];
    node.coffer_reading(&secret, b"zk8q7canary-value").said();
    node.coffer_reading(&["config", "create", "zk8q7canary-config", "-"], b"zk8q7canary").said();
    node.coffer_reading(&["secret", "create", "zk8q7canary-secret", "-"], b"zk8q7canary");
    node.coffer(&["secret", "inspect", "zk8q7canary-missing"]);
    node.coffer(&["secret", "rm", "zk8q7canary-missing"]);
    let script = format!("exec sleep 1000; : {}", node.scratch().name());
    let service = ["service", "create", "-d", "--name", "zk8q7canary-service", "--secret"];
    let rest = ["zk8q7canary-secret", "--", "sh", "-c", &script];
    node.coffer(&[&service[..], &rest[..]].concat()).said();
    let tokens = node.coffer(&["swarm", "join-token", "-q", "manager"]).word();
    for path in ["/metrics", "/readyz", "/healthz", "/zk8q7canary"] {
        let body = ask(&addr, path).body;
        assert!(!body.contains(canary), "{path}: {body}");
        assert!(!body.contains(tokens.rsplit('-').next().unwrap()), "{path}: a token");
    }
    daemon.end();
}
