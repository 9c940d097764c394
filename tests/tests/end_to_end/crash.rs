//! What was acknowledged survives `kill -9` at any moment, with the ID that was answered.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use tests::scratch::random_number;
use tests::{Daemon, Node, wait_until};

const ROUNDS: usize = 20;
const CLIENTS: usize = 3;
/// The kill comes at a random moment within so many microseconds after the first acknowledgement.
const WITHIN_MICROS: u64 = 60_000;
/// Secrets that the last task reads back.
const READ_BACK: usize = 40;

/// Names and the IDs that were answered.
type Acknowledged = BTreeMap<String, String>;

#[test]
fn acknowledged_secrets_survive_a_kill_at_any_moment() {
    let test = "acknowledged_secrets_survive_a_kill_at_any_moment";
    let Some(node) = Node::for_test(test) else { return };
    let mut daemon = node.start_cluster();
    let mut all = Acknowledged::new();
    for round in 0..ROUNDS {
        all.extend(creating_until_killed(&node, daemon, round));
        daemon = node.start();
        let stored = stored_secrets(&node);
        for (name, id) in &all {
            assert_eq!(stored.get(name), Some(id), "round {round}: {name} was acknowledged");
        }
        // Beyond what was acknowledged there may be what was on its way when the kill came.
        let unheard = stored.len() - all.len();
        assert!(unheard <= CLIENTS, "round {round}: {unheard} secrets that nobody was told of");
        all.extend(stored);
    }
    reading_some_back(&node, &all);
    daemon.end();
}

/// Several clients create secrets, one after the other, until the daemon is dead.
fn creating_until_killed(node: &Node, daemon: Daemon<'_>, round: usize) -> Acknowledged {
    thread::scope(|scope| {
        let clients = (0..CLIENTS).map(|client| scope.spawn(move || creating(node, round, client)));
        let clients: Vec<_> = clients.collect();
        let before = format!("r{round}-");
        wait_until("the first acknowledgement", || {
            stored_secrets(node).keys().any(|name| name.starts_with(&before))
        });
        // Not a wait for something: the moment is the test.
        thread::sleep(Duration::from_micros(random_number() % WITHIN_MICROS));
        daemon.kill();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

fn creating(node: &Node, round: usize, client: usize) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    for count in 0.. {
        let name = format!("r{round}-c{client}-{count}");
        let run = node.coffer_reading(&["secret", "create", &name, "-"], value(&name).as_bytes());
        if run.code != Some(0) {
            assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.stderr);
            break;
        }
        acknowledged.insert(name, run.stdout.trim_end().to_owned());
    }
    acknowledged
}

fn value(name: &str) -> String {
    format!("the value of {name}\n")
}

fn stored_secrets(node: &Node) -> Acknowledged {
    let listed = node.coffer(&["secret", "ls", "--format", "{{.Name}} {{.ID}}"]).said();
    let pairs = listed.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(name, id)| (name.to_owned(), id.to_owned())).collect()
}

/// One task reads secrets of all rounds: their values are there too, and are their own.
fn reading_some_back(node: &Node, all: &Acknowledged) {
    let step = all.len() / READ_BACK + 1;
    let some: Vec<&String> = all.keys().step_by(step).collect();
    let mut args = vec!["service", "create", "-d", "--name", "reader"];
    args.extend(some.iter().flat_map(|name| ["--secret", name.as_str()]));
    let script = "for f in /run/secrets/r*; do echo \"${f##*/}: $(cat $f)\"; done; echo done";
    args.extend(["--", "sh", "-c", script]);
    node.coffer(&args).said();
    let (out, _) = node.logs_with("reader", "done");
    for name in some {
        let line = format!("| {name}: {}", value(name));
        assert!(out.contains(&line), "{name} is not in:\n{out}");
    }
}
