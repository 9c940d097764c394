//! Checks of one manager.

use std::fs;

use prost::Message;
use tests::messages::{
    CreateValuesRequest, CreateValuesResponse, InspectValueRequest, InspectValueResponse, NewValue,
    Value, ValueSpec,
};
use tests::{Daemon, Node, Wire};

use super::proves;

fn lines(node: &Node, args: &[&str]) -> Result<String, String> {
    let run = node.coffer(args);
    if run.code == Some(0) { Ok(run.stdout) } else { Err(run.stderr) }
}

fn create(node: &Node, name: &str, value: &[u8]) -> bool {
    node.coffer_reading(&["config", "create", name, "-"], value).code == Some(0)
}

fn inspect(node: &Node, name: &str) -> Result<Value, String> {
    let request = InspectValueRequest { reference: name.to_owned() };
    let answer = Wire::of(node).call("/coffer.v1.Configs/Inspect", request.encode_to_vec());
    let answer = answer.map_err(|status| status.to_string())?;
    let answer = InspectValueResponse::decode(&answer[..]).map_err(|error| error.to_string())?;
    answer.value.ok_or_else(|| "no config".to_owned())
}

fn current(node: &Node, name: &str) -> Result<u32, String> {
    inspect(node, name).map(|config| config.current)
}

#[test]
fn a_request_that_is_sent_again_acts_once() {
    proves("a_request_that_is_sent_again_acts_once", &["retry-applied-twice"], |planted| {
        let node = planted.node();
        let _daemon = node.start_cluster();
        let spec = Some(ValueSpec { name: "c".to_owned() });
        let value = NewValue { spec, value: b"one".to_vec(), version_limit: 5 };
        let request = CreateValuesRequest { values: vec![value], request_id: vec![7; 16] };
        let wire = Wire::of(&node);
        let send = || wire.call("/coffer.v1.Configs/Create", request.encode_to_vec());
        let first = send().map_err(|status| status.to_string())?;
        // Done once more, it would find that its own name is taken.
        let again = send().map_err(|status| status.message().to_owned())?;
        let id = |answer: Vec<u8>| CreateValuesResponse::decode(&answer[..]).map(|made| made.ids);
        if id(first) == id(again) { Ok(()) } else { Err("two configs".to_owned()) }
    });
}

#[test]
fn no_version_number_is_used_twice() {
    proves("no_version_number_is_used_twice", &["version-number-used-again"], |planted| {
        let node = planted.node();
        let _daemon = node.start_cluster();
        create(&node, "c", b"one");
        node.coffer_reading(&["config", "rotate", "c", "-"], b"two").said();
        node.coffer(&["config", "rollback", "c"]).said();
        node.coffer_reading(&["config", "rotate", "c", "-"], b"three").said();
        match current(&node, "c")? {
            3 => Ok(()),
            other => Err(format!("the third version has the number {other}")),
        }
    });
}

#[test]
fn a_name_is_taken_once() {
    proves("a_name_is_taken_once", &["name-not-looked-at"], |planted| {
        let node = planted.node();
        let _daemon = node.start_cluster();
        create(&node, "c", b"one");
        match create(&node, "c", b"two") {
            false => Ok(()),
            true => Err("two configs have one name".to_owned()),
        }
    });
}

#[test]
fn everything_is_there_after_a_snapshot() {
    proves("everything_is_there_after_a_snapshot", &["snapshot-without-newest"], |planted| {
        let node = planted.node().with_log_segments_of(64 << 10);
        let daemon = node.start_cluster();
        create(&node, "before", b"one");
        create(&node, "newest", b"two");
        // Writes a snapshot of all that there is, and leaves nothing in the log that is older.
        node.coffer(&["swarm", "rotate-keys"]).said();
        daemon.kill();
        let _daemon = restarted(&node)?;
        let names = lines(&node, &["config", "ls", "--format", "{{.Name}}"])?;
        if names == "before\nnewest\n" { Ok(()) } else { Err(format!("left: {names:?}")) }
    });
}

#[test]
fn every_value_opens_after_a_rotation_and_a_restart() {
    let check = "every_value_opens_after_a_rotation_and_a_restart";
    proves(check, &["epoch-lost-at-restart"], |planted| {
        let node = planted.node();
        let daemon = node.start_cluster();
        create(&node, "c", b"one");
        node.coffer(&["swarm", "rotate-keys"]).said();
        daemon.kill();
        let _daemon = restarted(&node)?;
        inspect(&node, "c").map(|_| ())
    });
}

/// A byte in the middle of what was acknowledged is changed: the manager must not go on without it.
#[test]
fn damage_in_the_log_is_refused() {
    proves("damage_in_the_log_is_refused", &["damage-taken-for-torn-tail"], |planted| {
        let node = planted.node();
        let daemon = node.start_cluster();
        for name in ["a", "b", "c", "d"] {
            create(&node, name, b"value");
        }
        daemon.kill();
        let log = node.state_dir().join("cluster/log");
        let names = fs::read_dir(&log).expect("it is there").flatten().map(|entry| entry.path());
        let newest = names.filter(|path| path.extension().is_some_and(|end| end == "seg")).max();
        let newest = newest.expect("there is a segment");
        let mut bytes = fs::read(&newest).expect("it is there");
        let used = bytes.iter().rposition(|byte| *byte != 0).expect("it holds something");
        bytes[used / 2 / 4096 * 4096 + 100] ^= 1;
        fs::write(&newest, bytes).expect("it is ours");
        match Daemon::try_start(&node, node.cofferd()) {
            Err(ended) if ended.log.contains("damaged") => Ok(()),
            Err(ended) => Err(format!("it ended for another reason: {}", ended.log)),
            Ok(_) => Err("it goes on without what was acknowledged".to_owned()),
        }
    });
}

/// The directory is that of `golden.rs`.
#[test]
fn what_an_older_version_sealed_opens() {
    proves("what_an_older_version_sealed_opens", &["sealed-without-its-place"], |planted| {
        let node = planted.node().with_log_segments_of(64 << 10);
        tests::golden::copy("format-1", &node.state_dir());
        let _daemon = restarted(&node)?;
        match inspect(&node, "motd")?.data.as_slice() {
            b"hello" => Ok(()),
            other => Err(format!("it opens as {other:?}")),
        }
    });
}

fn restarted(node: &Node) -> Result<Daemon<'_>, String> {
    Daemon::try_start(node, node.cofferd()).map_err(|ended| ended.log)
}
