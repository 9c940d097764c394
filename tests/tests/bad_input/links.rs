//! Links in the way of a task's files: the host's `/run` does not decide where secrets go.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::node::{clean, is_root};
use tests::{Daemon, Node, skipped};

/// The same command in a mount namespace of its own, where `/run` is laid out by a script first.
fn on_another_host(layout: &str, command: &Command) -> Command {
    let mut unshare = clean(Path::new("unshare"));
    let script = format!("set -e; mount -t tmpfs tmpfs /run; {layout}; exec \"$0\" \"$@\"");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    unshare.arg(command.get_program()).args(command.get_args());
    unshare
}

#[test]
fn case_4_a_link_in_the_way_of_the_secrets_leads_nowhere() {
    let test = "case_4_a_link_in_the_way_of_the_secrets_leads_nowhere";
    if !is_root() {
        return skipped(test, "needs root, to lay out another /run");
    }
    let Some(node) = Node::for_test(test) else { return };
    let victim = node.scratch().path("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("pw"), "as it was").unwrap();
    let shown = victim.display();
    for (count, layout) in [
        format!("ln -s {shown} /run/secrets"),
        format!("mkdir /run/secrets; ln -s {shown}/pw /run/secrets/pw"),
        "ln -s /run/secrets /run/secrets".to_owned(),
        "touch /run/secrets".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let daemon = Daemon::start(&node, on_another_host(&layout, &node.cofferd()));
        if count == 0 {
            node.coffer(&["swarm", "init"]).said();
            node.secret("pw", b"the value");
        }
        let name = format!("web-{count}");
        let script =
            "stat -c %F /run/secrets /run/secrets/pw; cat /run/secrets/pw; echo; sleep 100";
        let create = ["service", "create", "-q", "-d", "--name", &name, "--secret", "pw", "--"];
        node.coffer(&[&create[..], &["sh", "-c", script]].concat()).said();
        let (out, _) = node.logs_with(&name, "the value");
        assert!(out.contains("directory") && out.contains("regular file"), "{layout}: {out}");
        node.coffer(&["service", "rm", &name]).said();
        assert_eq!(fs::read_to_string(victim.join("pw")).unwrap(), "as it was", "{layout}");
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 1, "{layout}");
        daemon.end();
    }
}
