//! The real binaries, from founding a cluster to its clean end, with `kill -9` in between.

#[path = "end_to_end/crash.rs"]
mod crash;
#[path = "end_to_end/dev.rs"]
mod dev;
#[path = "end_to_end/tasks.rs"]
mod tasks;

use std::os::unix::net::UnixListener;

use rustix::process::Signal;
use serde_json::Value;
use tests::{Daemon, Node, wait_until};

const ID_CHARS: usize = 25;

/// Everything that people do with one secret, in the order in which they do it.
#[test]
fn a_secret_goes_its_whole_way_with_a_kill_between_creating_and_reading() {
    let Some(node) =
        Node::for_test("a_secret_goes_its_whole_way_with_a_kill_between_creating_and_reading")
    else {
        return;
    };
    let daemon = node.start();
    let said = node.coffer(&["swarm", "init"]).said();
    assert!(said.starts_with("Swarm initialized: current node ("), "{said}");
    let ids = creating_two_secrets(&node);
    listing_them(&node, &ids);
    daemon.kill();

    let daemon = node.start();
    listing_them(&node, &ids);
    reading_them_in_a_task(&node);
    removing_what_is_used_is_refused(&node);
    removing_the_service_and_the_secrets(&node);
    daemon.end();
}

fn creating_two_secrets(node: &Node) -> [String; 2] {
    let file = node.scratch().file("value", b"from a file\n").display().to_string();
    let by_file = node.coffer(&["secret", "create", "-l", "env=prod", "by-file", &file]).word();
    let by_stdin = node.secret("by-stdin", b"from standard input\n");
    let ids = [by_file, by_stdin];
    for id in &ids {
        let is_id = id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
        assert!(id.len() == ID_CHARS && is_id, "{id}");
    }
    ids
}

fn listing_them(node: &Node, ids: &[String; 2]) {
    let listed = node.coffer(&["secret", "ls", "--format", "{{.ID}} {{.Name}}"]).said();
    assert_eq!(listed, format!("{} by-file\n{} by-stdin\n", ids[0], ids[1]));
    let shown = node.coffer(&["secret", "inspect", "by-file"]).said();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let field = |pointer| shown.pointer(pointer).unwrap().as_str().unwrap();
    assert_eq!(field("/0/ID"), ids[0]);
    assert_eq!(field("/0/Spec/Name"), "by-file");
    assert_eq!(field("/0/Spec/Labels/env"), "prod");
    let nodes = node.coffer(&["node", "ls"]).said();
    assert!(nodes.contains("Ready") && nodes.contains("Leader"), "{nodes}");
}

fn reading_them_in_a_task(node: &Node) {
    let script = format!(
        "ls /run/secrets; cat /run/secrets/by-file /run/secrets/pw; stat -c %a /run/secrets/pw; \
         echo done; exec sleep 1000; : {}",
        node.scratch().name()
    );
    // Not detached: it waits, as it does for people, until the service has proved to be stable.
    let secret = "source=by-stdin,target=pw,mode=0404";
    let create = ["service", "create", "--name", "web", "--secret", "by-file", "--secret", secret];
    let said = node.coffer(&[&create[..], &["--", "sh", "-c", &script]].concat()).said();
    assert!(said.contains("overall progress: 1 out of 1 tasks"), "{said}");
    assert!(said.trim_end().ends_with("converged"), "{said}");
    let (out, err) = node.logs_with("web", "done");
    let texts: Vec<&str> =
        out.lines().filter_map(|line| Some(line.split_once("    | ")?.1)).collect();
    let expected = ["by-file", "pw", "from a file", "from standard input", "404", "done"];
    assert_eq!((texts.as_slice(), err.as_str()), (&expected[..], ""));
    let services = node.coffer(&["service", "ls", "--format", "{{.Name}} {{.Replicas}}"]).said();
    assert_eq!(services, "web 1/1\n");
    let tasks = node.coffer(&["service", "ps", "web"]).said();
    assert!(tasks.contains("web.1") && tasks.contains("Running"), "{tasks}");
}

fn removing_what_is_used_is_refused(node: &Node) {
    for name in ["by-file", "by-stdin"] {
        let text = format!("secret '{name}' is in use by the following service: web");
        node.coffer(&["secret", "rm", name]).refused_by_daemon(&text);
    }
    assert_eq!(node.coffer(&["secret", "ls", "-q"]).said().lines().count(), 2);
}

fn removing_the_service_and_the_secrets(node: &Node) {
    assert_eq!(node.coffer(&["service", "rm", "web"]).word(), "web");
    node.coffer(&["service", "ps", "web"]).refused_by_daemon("service web not found");
    let name = node.scratch().name();
    let sleeps = || tests::processes::with_argument(&format!("exec sleep 1000; : {name}"));
    wait_until("the task is gone", || sleeps().is_empty());
    assert_eq!(node.coffer(&["secret", "rm", "by-file", "by-stdin"]).said(), "by-file\nby-stdin\n");
    assert_eq!(node.coffer(&["secret", "ls", "-q"]).said(), "");
}

#[test]
fn an_interrupt_ends_the_daemon_as_cleanly_as_a_termination() {
    let test = "an_interrupt_ends_the_daemon_as_cleanly_as_a_termination";
    let Some(node) = Node::for_test(test) else { return };
    for signal in [Signal::INT, Signal::TERM] {
        let ended = node.start().end_by(signal);
        assert!(ended.status.success(), "{signal:?}: {}", ended.log);
        node.assert_nothing_runs();
    }
}

#[test]
fn every_flag_of_the_daemon_can_be_set_in_its_environment() {
    let test = "every_flag_of_the_daemon_can_be_set_in_its_environment";
    let Some(node) = Node::for_test(test) else { return };
    let mut command = tests::node::clean(&tests::binaries::cofferd());
    let port = free_port();
    command.env("COFFERD_STATE_DIR", node.state_dir()).env("COFFERD_RUN_DIR", node.run_dir());
    command.env("COFFERD_LISTEN_ADDR", format!("0.0.0.0:{port}"));
    command.env("COFFERD_ADVERTISE_ADDR", format!("192.0.2.1:{port}"));
    command.env("COFFERD_LOG_FORMAT", "json").env("COFFERD_LOG_LEVEL", "debug");
    command.env("COFFERD_ROOTLESS", if tests::node::is_root() { "false" } else { "true" });
    let daemon = Daemon::start(&node, command);
    let said = node.coffer(&["swarm", "init"]).said();
    assert!(said.contains(&format!(" 192.0.2.1:{port}\n")), "{said}");
    let log = daemon.log();
    // The last line may be on its way.
    let (lines, _) = log.rsplit_once('\n').unwrap();
    for line in lines.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "not JSON: {line}");
    }
    daemon.end();
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_socket_that_a_killed_daemon_left_behind_is_replaced() {
    let test = "a_socket_that_a_killed_daemon_left_behind_is_replaced";
    let Some(node) = Node::for_test(test) else { return };
    node.start_cluster().kill();
    assert!(node.socket().exists());
    let daemon = node.start();
    assert!(node.coffer(&["node", "ls"]).said().contains("Ready"));
    daemon.end();
    drop(UnixListener::bind(node.socket()).unwrap());
    node.start().end();
}
