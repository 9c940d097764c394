//! A leader whose own log does not read.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use tests::cluster::{form, leader, leader_of, nodes};
use tests::{Daemon, Node, wait_until};

use super::{go_on, settled};

/// Past what a manager keeps of the log in memory, several times over.
const SECRETS: usize = 12;
const SECRET_BYTES: usize = 500_000;
const BLOCK: u64 = 4096;
/// How often it is tried to have one leader all the time.
const TRIES: usize = 3;
/// From here to there every block is damaged: behind what the cluster's founding wrote, before the newest entries.
const DAMAGED: std::ops::Range<u64> = (1 << 20) / BLOCK..(4 << 20) / BLOCK;

/// Changes a byte in each of many blocks of the log, under the daemon that writes it.
fn damage(node: &Node) {
    for entry in fs::read_dir(node.state_dir().join("cluster/log")).unwrap().flatten() {
        let file = File::options().read(true).write(true).open(entry.path()).unwrap();
        if file.metadata().unwrap().len() < DAMAGED.end * BLOCK {
            continue;
        }
        for block in DAMAGED {
            let (at, mut byte) = (block * BLOCK + 1_234, [0]);
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
        }
    }
}

fn count(node: &Node) -> usize {
    node.coffer(&["secret", "ls", "-q"]).stdout.lines().count()
}

/// Whether the leader was asked for what it cannot read, and all went as it should. On a busy machine the office
/// may go to somebody else meanwhile, who can.
fn asked_and_ended(nodes: &[Node; 3]) -> bool {
    let mut daemons: Vec<_> = form(nodes).into_iter().map(Some).collect();
    settled(nodes);
    let away = (leader(&nodes.each_ref()) + 1) % 3;
    daemons[away].take().unwrap().kill();
    let left = [(away + 1) % 3, (away + 2) % 3];
    for number in 0..SECRETS {
        nodes[left[0]].secret(&format!("secret-{number}"), &vec![b'v'; SECRET_BYTES]);
    }
    let lead = left[leader(&left.map(|one| &nodes[one]))];
    let other = (lead + away) * 2 % 3;
    damage(&nodes[lead]);
    daemons[away] = Some(nodes[away].start());
    let damaged = daemons[lead].as_mut().unwrap();
    let mut has_ended = false;
    wait_until("it ends, or somebody else leads", || {
        has_ended = damaged.has_ended();
        has_ended || leader_of(&[&nodes[other]]).is_some()
    });
    let log = damaged.log();
    if !has_ended && !log.contains("consensus ended by itself") {
        return false;
    }
    wait_until("it ends", || damaged.has_ended());
    assert!(log.contains(": damaged") && !log.contains("panicked"), "{log}");
    for node in [&nodes[away], &nodes[other]] {
        wait_until("nothing is lost", || count(node) == SECRETS);
    }
    // Nor does it come back with what it has.
    let refused = Daemon::try_start(&nodes[lead], nodes[lead].cofferd());
    let refused = refused.err().expect("it does not start");
    assert!(refused.log.contains("offset"), "{}", refused.log);
    daemons.remove(lead);
    let mut left: Vec<_> = daemons.iter_mut().flatten().collect();
    go_on(&[&nodes[other], &nodes[away]], &mut left, "after");
    true
}

/// What it cannot read it does not make up: it ends, somebody else leads, and nothing is lost.
#[test]
fn case_43_a_leader_that_cannot_read_its_log_sends_nothing_and_ends() {
    let test = "case_43_a_leader_that_cannot_read_its_log_sends_nothing_and_ends";
    for _ in 0..TRIES {
        let Some(nodes) = nodes::<3>(test) else { return };
        if asked_and_ended(&nodes) {
            return;
        }
        println!("the leader went before it was asked");
    }
    panic!("no leader stays for long enough, {TRIES} times");
}
