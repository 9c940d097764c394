//! Checks on disks that go bad.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tests::cluster::{form, leader, leader_of, voters};
use tests::disk::chance::Chance;
use tests::{Daemon, Node, wait_until};

use super::{Verdict, proves};

/// How long a flush takes on a slow disk: time enough to cut the power before it is done.
const FLUSH_MS: u64 = 300;
/// Some elections: in this time somebody would be elected if anybody could.
const ELECTIONS: Duration = Duration::from_secs(4);

fn create(node: &Node, name: &str) -> bool {
    node.coffer_reading(&["config", "create", name, "-"], b"value").code == Some(0)
}

fn names(node: &Node) -> Vec<String> {
    let run = node.coffer(&["config", "ls", "--format", "{{.Name}}"]);
    run.stdout.lines().map(str::to_owned).collect()
}

fn lost(node: &Node, acknowledged: &[String]) -> Verdict {
    let there = names(node);
    let lost: Vec<_> = acknowledged.iter().filter(|name| !there.contains(name)).collect();
    if lost.is_empty() { Ok(()) } else { Err(format!("acknowledged and lost: {lost:?}")) }
}

fn signal(daemon: &Daemon, signal: Signal) {
    let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("it has a number"), signal).expect("it is our child");
}

#[test]
fn case_44_nothing_acknowledged_is_lost_when_the_power_goes() {
    let check = "case_44_nothing_acknowledged_is_lost_when_the_power_goes";
    proves(check, &["acknowledged-before-flush"], |planted| {
        let mut chance = Chance::new(Chance::seed());
        let node = planted.node();
        let disk = planted.disk(&node);
        let mut daemon = node.start_cluster();
        let mut acknowledged = Vec::new();
        for round in 0..4 {
            disk.set(|trouble| trouble.flush_ms = FLUSH_MS);
            let name = format!("c{round}");
            if create(&node, &name) {
                acknowledged.push(name);
            }
            signal(&daemon, Signal::KILL);
            disk.power_off();
            daemon.kill();
            disk.power_on(&mut chance);
            daemon = Daemon::try_start(&node, node.cofferd()).map_err(|ended| ended.log)?;
            lost(&node, &acknowledged)?;
        }
        Ok(())
    });
}

#[test]
fn case_45_nothing_is_acknowledged_after_a_flush_that_failed() {
    let check = "case_45_nothing_is_acknowledged_after_a_flush_that_failed";
    proves(check, &["flush-error-forgiven"], |planted| {
        let mut chance = Chance::new(Chance::seed());
        let node = planted.node();
        let disk = planted.disk(&node);
        let daemon = node.start_cluster();
        let mut acknowledged = vec!["before".to_owned()];
        create(&node, "before");
        disk.set(|trouble| trouble.fails_flushes = 1);
        acknowledged.extend(create(&node, "during").then(|| "during".to_owned()));
        // The sound program has ended by now.
        disk.power_off();
        daemon.kill();
        disk.power_on(&mut chance);
        let _daemon = Daemon::try_start(&node, node.cofferd()).map_err(|ended| ended.log)?;
        lost(&node, &acknowledged)
    });
}

/// Of three managers the leader dies, and one of the two others has a disk that hangs: its vote cannot be on
/// the disk, so there cannot be a majority.
#[test]
fn nobody_is_elected_by_a_vote_that_is_not_on_a_disk() {
    let check = "nobody_is_elected_by_a_vote_that_is_not_on_a_disk";
    proves(check, &["vote-answered-before-stored"], |planted| {
        let nodes = planted.nodes::<3>();
        let disks = nodes.each_ref().map(|node| planted.disk(node));
        let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
        for node in &nodes {
            wait_until("all vote", || voters(node) == 3);
        }
        let first = leader(&nodes.each_ref());
        let (other, bad) = ((first + 1) % 3, (first + 2) % 3);
        disks[bad].set(|trouble| trouble.hangs = true);
        daemons[first].take().expect("it runs").kill();
        let left = [&nodes[other], &nodes[bad]];
        let start = Instant::now();
        let mut elected = None;
        while start.elapsed() < ELECTIONS && elected.is_none() {
            elected = leader_of(&left);
        }
        disks[bad].set(|trouble| trouble.hangs = false);
        wait_until("somebody is elected once the disk answers", || leader_of(&left).is_some());
        match elected {
            None => Ok(()),
            Some(_) => Err(format!("elected {:.1?} after the leader died", start.elapsed())),
        }
    });
}
