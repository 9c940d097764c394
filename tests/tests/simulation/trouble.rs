//! Faults by the seed, one after the other, and some of them at one time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::io::Errno;
use tests::disk::chance::Chance;
use tests::disk::power::Outage;
use tests::disk::{Call, Failure, FaultyDisk};
use vault::daemon::{Daemon, NodeChange};
use vault::manager::Asked;
use vault_core::node::Role;

use crate::node::host;
use crate::run::World;
use crate::stage::{Order, below, lock, once_in, stage};

/// How long one fault lasts at most, in milliseconds: some elections.
const LASTS_MS: u64 = 2_000;
/// A flush that takes so long counts as a disk that hangs, in milliseconds.
const HANGS_MS: u64 = 2_500;
/// How long a demotion is waited for before there is more trouble.
const DEMOTED_WITHIN: Duration = Duration::from_secs(5);
/// How long a write is waited for before the power of all goes.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(500);
const FLUSH_MS: u64 = 2;
/// How long a message takes at most, without trouble.
pub const LATENCY: Duration = Duration::from_millis(5);
const KINDS: u64 = 18;

/// Makes trouble for so long, then puts everything right again.
pub fn make(world: &mut World<'_>, length: Duration) {
    let end = world.sim.elapsed() + length;
    while world.sim.elapsed() < end {
        let victim = victim();
        one(world, below(KINDS), victim);
        world.pass(Duration::from_millis(100 + below(LASTS_MS)));
        // Now and then the next fault comes on top.
        if !once_in(3) {
            heal(world);
            world.pass(Duration::from_millis(below(1_000)));
        }
    }
    heal(world);
}

/// The leader, half of the time.
fn victim() -> usize {
    let any = stage().any();
    if once_in(2) { stage().leader().unwrap_or(any) } else { any }
}

fn one(world: &mut World<'_>, kind: u64, victim: usize) {
    stage().note(|| format!("trouble {kind} for {victim}"));
    let others = || stage().nodes().filter(move |other| *other != victim).map(host);
    let spot = &stage().spots[victim];
    match kind {
        0 | 1 => {
            kill(world, victim);
            // It starts again at once, or its machine refuses who dials.
            spot.is_away.store(once_in(2), Ordering::Relaxed);
            world.sim.bounce(host(victim));
        }
        2 => cut_power(world, victim, once_in(2)),
        3 => cut_all_power(world),
        5 => others().for_each(|other| world.sim.hold(host(victim), other)),
        6 => others().for_each(|other| world.sim.partition(host(victim), other)),
        7 => others().for_each(|other| world.sim.partition_oneway(host(victim), other)),
        8 => others().for_each(|other| world.sim.partition_oneway(other, host(victim))),
        9 => world.sim.hold(host(victim), host(stage().after(victim))),
        10 => world.sim.set_max_message_latency(Duration::from_millis(10 + below(300))),
        11 => world.sim.set_fail_rate(0.01),
        12 | 13 => fail_disk(victim),
        14 if once_in(2) => spot.flush_ms.store(HANGS_MS, Ordering::Relaxed),
        14 => spot.flush_ms.store(10 + below(200), Ordering::Relaxed),
        15 if once_in(2) => demote(world, victim),
        16 => stage().order(victim, Order::RotateKeys),
        4 | 17 => cut_power_of_slow_disks(world),
        _ => {
            let secs = i64::try_from(below(7_200)).expect("it is small") - 3_600;
            spot.off.store(secs * 1_000_000_000, Ordering::Relaxed);
        }
    }
}

/// The process dies; what it wrote is still there to be read, and may be lost later.
fn kill(world: &mut World<'_>, node: usize) {
    let outage = all_of(&lock(&stage().spots[node].disk));
    end(world, node, outage.killed());
}

/// The power goes: of what was not flushed, the disk keeps what it likes, or nothing at all.
fn cut_power(world: &mut World<'_>, node: usize, keeps_any: bool) {
    let outage = all_of(&lock(&stage().spots[node].disk));
    let image = if keeps_any {
        outage.any_image(&mut Chance::new(fate::number() | 1))
    } else {
        outage.image(&[])
    };
    end(world, node, image.into());
}

/// The power of all goes at once, in the moment after an acknowledgement: what is not safe then is missed. If one
/// disk kept what the others lost, it could hide that.
fn cut_all_power(world: &mut World<'_>) {
    let acknowledged = || stage().acknowledged.load(Ordering::Relaxed);
    let before = acknowledged();
    world.until(ACKNOWLEDGED_WITHIN, || acknowledged() > before);
    let keep_any = once_in(2);
    stage().nodes().for_each(|node| cut_power(world, node, keep_any));
}

/// Every disk has much to do, and then the power of all goes at once.
fn cut_power_of_slow_disks(world: &mut World<'_>) {
    let most = 50 + below(300);
    stage().nodes().for_each(|node| stage().spots[node].flush_ms.store(most, Ordering::Relaxed));
    world.pass(Duration::from_millis(100 + below(1_000)));
    cut_all_power(world);
}

fn all_of(disk: &FaultyDisk) -> Outage {
    let mut outage = Outage::of(disk);
    while outage.step().is_some() {}
    outage
}

fn end(world: &mut World<'_>, node: usize, disk: FaultyDisk) {
    let spot = &stage().spots[node];
    // First: what its tasks do to the disk while they are dropped does not happen.
    *lock(&spot.disk) = disk;
    // Nothing happens to one that is down already.
    world.sim.crash(host(node));
    lock(&spot.daemon).take();
    spot.has_ended.store(false, Ordering::Relaxed);
    stage().note(|| format!("node {node} is down"));
}

/// From some write or flush on, every one fails: the process has to end.
fn fail_disk(node: usize) {
    let spot = &stage().spots[node];
    let disk = lock(&spot.disk);
    let after = usize::try_from(below(12)).expect("it is small");
    let call =
        [Call::Write, Call::Flush, Call::FlushNames][usize::try_from(below(3)).expect("small")];
    disk.fail(Failure { call, after, errno: Errno::IO, for_ever: true });
    spot.is_disk_bad.store(true, Ordering::Relaxed);
}

/// A manager is demoted by another one, and its disk comes back empty: as somebody new.
fn demote(world: &mut World<'_>, victim: usize) {
    let Some(gone) = stage().manager(victim).map(|manager| manager.node_id()) else { return };
    let by = stage().after(victim);
    lock(&stage().going).push((victim, by, gone));
    stage().order(by, Order::Demote(gone));
    world.until(DEMOTED_WITHIN, || !lock(&stage().going).contains(&(victim, by, gone)));
}

/// Whoever was demoted comes back as somebody new, whenever it came to that.
fn replace(world: &mut World<'_>) {
    let all = lock(&stage().going).clone();
    for (victim, by, gone) in all {
        if stage().is_demoted(by, gone) {
            lock(&stage().going).retain(|(_, _, other)| *other != gone);
            end(world, victim, FaultyDisk::default());
            stage().spots[victim].is_new.store(true, Ordering::Relaxed);
            world.sim.bounce(host(victim));
        }
    }
}

/// What the operator's command does, in the process of the manager that is asked.
pub async fn operate(daemon: &Daemon, node: usize) {
    match stage().next_order(node) {
        None => {}
        Some(Order::Demote(gone)) => {
            let change = NodeChange { role: Some(Role::Worker), ..NodeChange::default() };
            let changed = daemon.update_node(Asked::default(), gone.as_str(), change).await;
            let changed = changed.map_err(|error| error.to_string());
            stage().note(|| format!("demoted {gone}: {changed:?}"));
        }
        Some(Order::RotateKeys) => {
            let manager = daemon.manager().expect("it has one");
            let asked = manager.rotate_keys().await.map_err(|error| error.to_string());
            stage().note(|| format!("asked for a new data key: {asked:?}"));
        }
    }
}

/// Everybody runs, and nothing is in the way.
pub fn heal(world: &mut World<'_>) {
    stage().note(|| "healed".to_owned());
    world.sim.set_max_message_latency(LATENCY);
    world.sim.set_fail_rate(0.0);
    for node in stage().nodes() {
        for other in node + 1..stage().count() {
            world.sim.release(host(node), host(other));
            world.sim.repair(host(node), host(other));
        }
        let spot = &stage().spots[node];
        spot.flush_ms.store(FLUSH_MS, Ordering::Relaxed);
        spot.off.store(0, Ordering::Relaxed);
        if spot.is_disk_bad.swap(false, Ordering::Relaxed) {
            // Another disk with what was on it, or the same one after a pause.
            end_somehow(world, node);
        }
        if spot.is_away.swap(false, Ordering::Relaxed) || !world.sim.is_host_running(host(node)) {
            world.sim.bounce(host(node));
        }
    }
}

/// Takes processes away that ended by themselves, and managers that were demoted.
pub fn bury(world: &mut World<'_>) {
    replace(world);
    for node in stage().nodes() {
        if stage().spots[node].has_ended.load(Ordering::Relaxed) {
            end_somehow(world, node);
        }
    }
}

fn end_somehow(world: &mut World<'_>, node: usize) {
    if once_in(2) { kill(world, node) } else { cut_power(world, node, once_in(2)) }
}
