//! `docs/monitoring.md`, the dashboard and the alerts name what is served, all of it, and nothing else.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use tests::http::ask;
use tests::{Node, binaries};

use crate::start;

fn read(name: &str) -> String {
    fs::read_to_string(binaries::source_tree().join("docs").join(name)).unwrap()
}

/// Words of a text that are names of metrics; of a histogram, the name of its family.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named = words.filter(|word| word.starts_with("coffer_") || word.starts_with("process_"));
    let family = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    named.map(family).collect()
}

/// Names of the families that a daemon serves.
fn served(page: &str) -> BTreeSet<String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// Every text in a document that is a query of Prometheus.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| queries(one, found)),
        Value::Object(fields) => {
            let query = |key: &&str| fields.get(*key).and_then(Value::as_str);
            found.extend(
                ["expr", "query", "definition"].iter().filter_map(query).map(str::to_owned),
            );
            fields.values().for_each(|one| queries(one, found));
        }
        _ => {}
    }
}

#[test]
fn what_is_written_down_is_served_and_what_is_served_is_written_down() {
    let test = "what_is_written_down_is_served_and_what_is_served_is_written_down";
    let Some(node) = Node::for_test(test) else { return };
    let (daemon, addr) = start(&node);
    node.coffer(&["swarm", "init"]).said();
    let page = ask(&addr, "/metrics").body;
    let served = served(&page);
    assert!(served.len() > 30, "{served:?}");
    for name in names_in(&page) {
        assert!(served.contains(&name), "{name} has no family");
    }
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).unwrap();
    let mut asked = Vec::new();
    queries(&dashboard, &mut asked);
    assert!(asked.len() > 10, "{asked:?}");
    for (document, text, all) in [
        ("monitoring.md", read("monitoring.md"), true),
        ("alerts.yml", read("alerts.yml"), false),
        ("grafana-dashboard.json", asked.join("\n"), false),
    ] {
        let named = names_in(&text);
        let unknown: Vec<_> = named.difference(&served).collect();
        assert!(unknown.is_empty(), "{document} names what is not served: {unknown:?}");
        let missing: Vec<_> = served.difference(&named).collect();
        assert!(!all || missing.is_empty(), "{document} does not name {missing:?}");
        assert!(named.len() > 10, "{document}: {named:?}");
    }
    // Each alert says what to do.
    let alerts = read("alerts.yml");
    let of = |key: &str| alerts.lines().filter(|line| line.contains(key)).count();
    assert!(of("- alert:") > 10);
    for key in ["expr:", "severity:", "summary:", "description:"] {
        assert_eq!(of(key), of("- alert:"), "{key}");
    }
    daemon.end();
}
