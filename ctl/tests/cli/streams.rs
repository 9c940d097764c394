//! Events, the audit and the rotation of keys against the fake daemon.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::process::Stdio;

use proto::v1;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use crate::fake::Fake;
use crate::support::coffer;
use crate::verbs::failed;
use crate::verbs::printed;

/// 2026-11-20T20:31:12Z
const AT: i64 = 1_795_206_672_000_000_000;

fn event(index: u64, kind: &str, action: &str) -> v1::Event {
    let [kind, action, id] = [kind, action, "i"].map(str::to_owned);
    v1::Event { index, at: AT, kind, action, id, name: format!("n{index}") }
}

/// A cluster in which this happened.
fn with_events(events: &[v1::Event], end: bool) -> Fake {
    let fake = Fake::start();
    assert_eq!(fake.run(&["swarm", "init"], b"").code, Some(0));
    fake.kept().events = events.to_vec();
    fake.kept().events_end = end;
    fake
}

fn some_events() -> [v1::Event; 4] {
    [
        event(5, "secret", "create"),
        event(6, "config", "create"),
        event(6, "secret", "update"),
        event(9, "service", "remove"),
    ]
}

fn line(kind: &str, action: &str, index: u64) -> String {
    format!("2026-11-20T20:31:12.000000000Z {kind} {action} i (name=n{index})\n")
}

#[test]
fn events_behind_an_index_are_shown_as_lines() {
    // Whether the daemon ends the stream or leaves it open makes no difference.
    for end in [true, false] {
        let fake = with_events(&some_events(), end);
        let run = fake.run(&["events", "--since", "5", "--no-follow"], b"");
        let lines = [
            line("config", "create", 6),
            line("secret", "update", 6),
            line("service", "remove", 9),
        ];
        assert_eq!(run, printed(&lines.concat()), "the stream ends: {end}");
    }
}

#[test]
fn events_are_filtered_and_formatted() {
    let fake = with_events(&some_events(), true);
    let template = "{{.Index}} {{.Type}} {{.Action}} {{.Actor.Attributes.name}}";
    for (args, expected) in [
        (&["--filter", "type=secret"][..], "5 secret create n5\n6 secret update n6\n"),
        (&["-f", "type=secret", "-f", "event=update"], "6 secret update n6\n"),
        (
            &["-f", "event=remove", "-f", "event=update"],
            "6 secret update n6\n9 service remove n9\n",
        ),
        (&["-f", "type=node"], ""),
    ] {
        let whole =
            [&["events", "--since", "0", "--no-follow", "--format", template], args].concat();
        assert_eq!(fake.run(&whole, b""), printed(expected), "{args:?}");
    }
    let json = fake.run(&["events", "--since", "6", "--no-follow", "--format", "json"], b"").stdout;
    let expected = "{\"Type\":\"service\",\"Action\":\"remove\",\
                    \"Actor\":{\"ID\":\"i\",\"Attributes\":{\"name\":\"n9\"}},\"scope\":\"swarm\",\
                    \"time\":1795206672,\"timeNano\":1795206672000000000,\"index\":9}\n";
    assert_eq!(json, expected);
}

#[test]
fn nothing_is_waited_for_if_nothing_happened_behind_the_index() {
    let fake = with_events(&some_events(), false);
    assert_eq!(fake.run(&["events", "--since", "9", "--no-follow"], b""), printed(""));
}

#[test]
fn events_that_are_forgotten_are_said_with_how_to_go_on() {
    let fake = with_events(&some_events(), true);
    for follow in [&["--no-follow"][..], &[]] {
        let run = fake.run(&[&["events", "--since", "3"], follow].concat(), b"");
        let text = "Error response from daemon: index 3 is no longer remembered\n\
                    Older events are gone: what happened behind that index is no longer remembered as a whole.\n\
                    List what is there anew, then go on with 'coffer events' (from now), or with \
                    'coffer events --since 0' (from the oldest that is remembered).\n";
        assert_eq!(run, failed("", text));
    }
}

#[test]
fn a_stream_that_the_daemon_ends_is_said_with_where_to_go_on() {
    let fake = with_events(&some_events(), true);
    let run = fake.run(&["events", "--since", "6"], b"");
    let text = "cofferd ended the stream; go on with 'coffer events --since 8'\n";
    assert_eq!(run, failed(&line("service", "remove", 9), text));
    let text = "cofferd ended the stream before anything happened; go on with 'coffer events'\n";
    assert_eq!(fake.run(&["events"], b""), failed("", text));
}

fn record(number: u64, outcome: u32) -> v1::AuditRecord {
    v1::AuditRecord {
        number,
        at: AT,
        uid: 1_000,
        pid: 77,
        call: "/coffer.v1.Secrets/Create".to_owned(),
        objects: vec!["i".to_owned()],
        outcome,
        request_id: "ab".to_owned(),
        index: 4,
        node: "n1".to_owned(),
    }
}

#[test]
fn the_last_records_are_a_table_or_json() {
    let fake = Fake::start();
    fake.kept().records = vec![record(1, 0), record(2, 5)];
    let header = "TIME                             UID       PID       CALL                  OUTCOME              OBJECTS\n";
    let row = |outcome| {
        format!(
            "2026-11-20T20:31:12.000000000Z   1000      77        Secrets/Create        {outcome:<18}   i\n"
        )
    };
    let table = [header.to_owned(), row("OK"), row("NotFound")].concat();
    assert_eq!(fake.run(&["audit", "tail"], b""), printed(&table));
    let last = [header.to_owned(), row("NotFound")].concat();
    assert_eq!(fake.run(&["audit", "tail", "-n", "1"], b""), printed(&last));
    let json = fake.run(&["audit", "tail", "-n", "1", "--format", "json"], b"");
    let expected = "{\"Number\":2,\"Time\":\"2026-11-20T20:31:12.000000000Z\",\"UID\":1000,\"PID\":77,\
                    \"Call\":\"/coffer.v1.Secrets/Create\",\"Outcome\":\"NotFound\",\"Objects\":[\"i\"],\
                    \"RequestID\":\"ab\",\"Index\":4,\"Node\":\"n1\"}\n";
    assert_eq!(json, printed(expected));
    let run = fake.run(&["audit", "tail", "-f", "--format", "{{.Number}}"], b"");
    let text = "cofferd ended the stream; go on with 'coffer audit tail -f'\n";
    assert_eq!(run, failed("1\n2\n", text));
}

#[test]
fn an_audit_is_whole_or_it_is_said_where_it_breaks() {
    let fake = Fake::start();
    assert_eq!(fake.run(&["audit", "verify"], b""), printed("0 records, chain whole\n"));
    fake.kept().records = vec![record(1, 0), record(2, 0), record(3, 0)];
    assert_eq!(fake.run(&["audit", "verify"], b""), printed("3 records, 1 to 3, chain whole\n"));
    fake.kept().broken = "audit.1, offset 96: the digest differs".to_owned();
    let text = "the audit is not whole after 3 records: audit.1, offset 96: the digest differs\n";
    assert_eq!(fake.run(&["audit", "verify"], b""), failed("", text));
}

fn status(values_left: u64, epochs_kept: &[u32]) -> v1::KeyStatus {
    v1::KeyStatus { epoch: 2, values_left, epochs_kept: epochs_kept.to_vec() }
}

#[test]
fn a_rotation_of_keys_is_followed_to_its_end() {
    let fake = Fake::start();
    let going = [status(1_234, &[1, 2]), status(1_234, &[1, 2]), status(0, &[1, 2])];
    fake.kept().keys = going.into_iter().chain([status(0, &[2])]).collect();
    let text = "sealing anew under epoch 2: 1234 values left\n\
                sealing anew under epoch 2: 0 values left\n\
                All values are sealed under epoch 2; the older keys are gone.\n";
    assert_eq!(fake.run(&["swarm", "rotate-keys"], b""), printed(text));
    assert_eq!(fake.kept().key_rotations, 1);
}

#[test]
fn a_rotation_of_keys_can_be_left_to_the_background() {
    let fake = Fake::start();
    fake.kept().keys = [status(7, &[1, 2])].into();
    let going = "sealing anew under epoch 2: 7 values left\n";
    assert_eq!(fake.run(&["swarm", "rotate-keys", "--detach"], b""), printed(going));
    let mut command = coffer();
    command.args(["swarm", "rotate-keys", "-H"]);
    command.arg(format!("unix://{}", fake.socket().display()));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, going);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let text = "Operation continuing in background: cofferd seals all values under epoch 2, also after a restart.\n";
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), text));
}
