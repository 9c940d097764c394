//! Services and their tasks: replicas, output, stops, restarts, refusals, and who may read what.

use tests::processes::with_argument;
use tests::{Node, wait_until};

#[test]
fn two_replicas_run_and_each_reads_the_secret() {
    let Some(node) = Node::for_test("two_replicas_run_and_each_reads_the_secret") else { return };
    let daemon = node.start_cluster();
    node.secret("pw", b"forty-two\n");
    let script = format!("cat /run/secrets/pw; exec sleep 1000; : {}", node.scratch().name());
    let create = ["service", "create", "-d", "--name", "web", "--replicas", "2", "--secret", "pw"];
    node.coffer(&[&create[..], &["--", "sh", "-c", &script]].concat()).said();
    wait_until("both replicas run", || {
        node.coffer(&["service", "ls", "--format", "{{.Replicas}}"]).said() == "2/2\n"
    });
    let tasks = node.coffer(&["service", "ps", "--format", "{{.Name}} {{.DesiredState}}", "web"]);
    assert_eq!(tasks.said(), "web.1 Running\nweb.2 Running\n");
    wait_until("both have read it", || {
        let out = node.coffer(&["service", "logs", "web"]).said();
        out.contains("web.1.") && out.contains("web.2.") && out.matches("| forty-two").count() == 2
    });
    daemon.end();
}

#[test]
fn what_a_task_writes_to_standard_error_comes_out_at_standard_error() {
    let test = "what_a_task_writes_to_standard_error_comes_out_at_standard_error";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    let script = "echo to out; echo to err >&2; exec sleep 1000";
    node.coffer(&["service", "create", "-d", "--name", "web", "--", "sh", "-c", script]).said();
    node.logs_with("web", "to out");
    let (out, err) = node.logs_with("web", "to err");
    assert!(out.contains("| to out\n") && !out.contains("to err"), "{out}");
    assert!(err.contains("| to err\n") && !err.contains("to out"), "{err}");
    daemon.end();
}

/// The trap starts a process that can be seen from here, so that it is known that the task was told.
#[test]
fn a_task_that_is_stopped_is_told_first() {
    let Some(node) = Node::for_test("a_task_that_is_stopped_is_told_first") else { return };
    let daemon = node.start_cluster();
    let name = node.scratch().name();
    let script = format!(
        "told=told-; trap 'exec sh -c \"sleep 2; : ${{told}}{name}\"' TERM; echo ready; \
         while :; do sleep 0.05; done"
    );
    node.coffer(&["service", "create", "-d", "--name", "web", "--", "sh", "-c", &script]).said();
    node.logs_with("web", "ready");
    let told = format!("told-{name}");
    assert!(with_argument(&told).is_empty());
    node.coffer(&["service", "rm", "web"]).said();
    wait_until("the task was told to stop", || !with_argument(&told).is_empty());
    wait_until("the task is gone", || with_argument(name).iter().all(|pid| *pid == daemon.pid()));
    daemon.end();
}

#[test]
fn a_task_that_fails_is_kept_to_be_looked_at_and_has_a_successor() {
    let test = "a_task_that_fails_is_kept_to_be_looked_at_and_has_a_successor";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    let script = "echo once; exit 3";
    node.coffer(&["service", "create", "-d", "--name", "web", "--", "sh", "-c", script]).said();
    let format = "{{.Name}} {{.DesiredState}} {{.CurrentState}} {{.Error}}";
    let tasks = || node.coffer(&["service", "ps", "--no-trunc", "--format", format, "web"]).said();
    let is_failed = |line: &str| {
        line.starts_with("web.1 Shutdown Failed ") && line.ends_with("\"task: non-zero exit (3)\"")
    };
    wait_until("the task has failed", || tasks().lines().any(is_failed));
    // Its successor comes after the delay that Swarm has, too.
    wait_until("there is a successor", || tasks().lines().count() >= 2);
    assert!(tasks().lines().any(is_failed), "{}", tasks());
    node.logs_with("web", "once");
    daemon.end();
}

#[test]
fn a_command_that_is_not_there_is_told_in_the_list_of_tasks() {
    let test = "a_command_that_is_not_there_is_told_in_the_list_of_tasks";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    node.coffer(&["service", "create", "-d", "--name", "web", "--", "no-such-command"]).said();
    wait_until("the task is rejected", || {
        let tasks = node.coffer(&["service", "ps", "--no-trunc", "web"]).said();
        tasks.contains("Rejected") && tasks.contains("exec: \"no-such-command\": not found")
    });
    daemon.end();
}

#[test]
fn a_task_sees_the_secrets_that_it_was_granted_and_no_others() {
    let test = "a_task_sees_the_secrets_that_it_was_granted_and_no_others";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    node.secret("mine", b"1");
    node.secret("other", b"2");
    let script = "ls -A /run /run/secrets; (echo x > /run/secrets/mine) 2> /dev/null || echo kept";
    let create = ["service", "create", "-d", "--name", "web", "--secret", "mine"];
    node.coffer(&[&create[..], &["--", "sh", "-c", script]].concat()).said();
    let (out, _) = node.logs_with("web", "kept");
    let texts: Vec<&str> =
        out.lines().filter_map(|line| Some(line.split_once("    | ")?.1)).collect();
    assert_eq!(
        texts[..6.min(texts.len())],
        ["/run:", "secrets", "", "/run/secrets:", "mine", "kept"]
    );
    daemon.end();
}

#[test]
fn a_task_that_is_running_ends_with_a_killed_daemon_and_starts_again_with_the_next() {
    let test = "a_task_that_is_running_ends_with_a_killed_daemon_and_starts_again_with_the_next";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    node.secret("pw", b"forty-two\n");
    let script = format!("cat /run/secrets/pw; exec sleep 1000; : {}", node.scratch().name());
    let create = ["service", "create", "-d", "--name", "web", "--secret", "pw"];
    node.coffer(&[&create[..], &["--", "sh", "-c", &script]].concat()).said();
    node.logs_with("web", "forty-two");
    daemon.kill();
    let daemon = node.start();
    node.logs_with("web", "forty-two");
    daemon.end();
}
