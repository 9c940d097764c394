//! Join tokens beside the standing ones, and the root, against the fake daemon.

use crate::fake::Fake;
use crate::fake::ROOT;
use crate::verbs::failed;
use crate::verbs::printed;

#[test]
fn a_new_token_is_shown_in_the_command_that_uses_it_or_alone() {
    let fake = Fake::start();
    let create = |more: &[&str]| {
        let args = ["swarm", "join-token", "create", "--role"];
        fake.run(&[&args[..], more].concat(), b"")
    };
    let command = "To add a manager to this swarm, run the following command:\n\n    \
                   coffer swarm join --token SWMTKN-1-f 127.0.0.1:2377\n\n";
    let how = |lets_in| {
        let end = "To end it before, run 'coffer swarm join-token revoke tok3'.\n";
        printed(&format!("{command}It is shown this once, and lets in {lets_in}. {end}"))
    };
    assert_eq!(create(&["manager"]), how("any number of nodes for 24 hours"));
    let twice = create(&["manager", "--ttl", "30m", "--uses", "2"]);
    assert_eq!(twice, how("2 nodes for 30 minutes"));
    let endless = create(&["manager", "--ttl", "0", "--uses", "1"]);
    assert_eq!(endless, how("one node until it is revoked"));
    assert_eq!(create(&["worker", "-q"]), printed("SWMTKN-1-f\n"));
}

#[test]
fn tokens_are_listed_the_newest_first_and_never_shown() {
    let fake = Fake::start();
    let ls = |more: &[&str]| fake.run(&[&["swarm", "join-token", "ls"][..], more].concat(), b"");
    assert_eq!(ls(&["-q"]), printed("tok2\ntok1\n"));
    let format = "{{.ID}} {{.Role}} {{.Status}} {{.Uses}} {{.Expires}}";
    let listed = "tok2 worker used up 2/2 never\ntok1 manager good 0 never\n";
    assert_eq!(ls(&["--format", format]), printed(listed));
    let table = ls(&[]).stdout;
    assert!(
        table.starts_with("ID        ROLE      STATUS    USES      EXPIRES   CREATED"),
        "{table}"
    );
}

#[test]
fn the_root_is_shown_byte_for_byte() {
    let fake = Fake::start();
    assert_ne!(fake.run(&["swarm", "ca"], b"").code, Some(0), "there is no cluster yet");
    fake.run(&["swarm", "init"], b"");
    assert_eq!(fake.run(&["swarm", "ca"], b""), printed(ROOT));
}

#[test]
fn each_token_that_can_be_is_revoked() {
    let fake = Fake::start();
    let run = fake.run(&["swarm", "join-token", "revoke", "other", "tok1"], b"");
    assert_eq!(run, failed("tok1\n", "Error response from daemon: token other not found\n"));
}

#[test]
fn what_no_token_can_be_is_refused_before_anything_is_sent() {
    let fake = Fake::start();
    for (more, text) in [
        (&["--role", "leader"][..], "unknown role leader"),
        (&[], "--role <ROLE>"),
        (&["--role", "worker", "--ttl", "tomorrow"], "a number and its unit"),
        (&["--role", "worker", "--uses", "0"], "--uses <N>"),
    ] {
        let run = fake.run(&[&["swarm", "join-token", "create"][..], more].concat(), b"");
        assert!(run.code != Some(0) && run.stderr.contains(text), "{run:?}");
    }
    let both = fake.run(&["swarm", "join-token", "--rotate", "ls"], b"");
    assert_eq!(both, failed("", "unknown role ls\n"), "only standing tokens are made anew");
}
