//! One run: a cluster is made, is in trouble for a while, and must be whole again afterwards.

use std::sync::atomic::Ordering;
use std::time::Duration;

use turmoil::{Builder, Sim};

use crate::clients::KEYS;
use crate::history::{self, Call};
use crate::net::{Simulated, Watcher};
use crate::stage::{NODES_MAX, lock, stage};
use crate::wgl::{self, Verdict};
use crate::{node, order, trouble};

/// What the world does in one step.
const TICK: Duration = Duration::from_millis(1);
/// How long a cluster takes to be made.
const MADE_WITHIN: Duration = Duration::from_secs(30);
/// How long everybody may take to go on once nothing is in the way any more. A connection of which a
/// partition swallowed something is found dead within ten seconds, and another manager may wait for it.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);
/// How long trouble lasts, unless `COFFER_SIM_SECONDS` says otherwise.
const TROUBLE_SECS: u64 = 8;

/// Every so many seeds there are five managers instead of three.
const FIVE_EVERY: u64 = 4;

/// What a run gave.
pub struct Ended {
    pub digest: u64,
    pub lines: u64,
    pub simulated: Duration,
    pub calls: usize,
    pub wrong: Vec<String>,
}

/// The world, and how far it has come.
pub struct World<'a> {
    pub sim: Sim<'a>,
}

impl World<'_> {
    fn new(seed: u64) -> Self {
        let mut sim = Builder::new()
            .rng_seed(seed)
            .tick_duration(TICK)
            .simulation_duration(Duration::from_secs(3_600))
            .min_message_latency(Duration::from_millis(0))
            .max_message_latency(trouble::LATENCY)
            .tcp_capacity(4_096)
            .enable_random_order()
            .build();
        for node in stage().nodes() {
            sim.host(node::host(node), move || node::live(node));
        }
        Self { sim }
    }

    /// Time goes on by one step.
    fn step(&mut self) {
        fate::set_now(u64::try_from(self.sim.elapsed().as_nanos()).expect("no run takes so long"));
        self.sim.step().expect("no node's software fails");
        trouble::bury(self);
    }

    /// Goes on for so long.
    pub fn pass(&mut self, time: Duration) {
        self.until(time, || false);
    }

    /// Goes on until something is so. Returns whether it came to that in time.
    pub fn until(&mut self, within: Duration, mut is_so: impl FnMut() -> bool) -> bool {
        let end = self.sim.elapsed() + within;
        while self.sim.elapsed() < end {
            if is_so() {
                return true;
            }
            self.step();
        }
        is_so()
    }

    /// What must come true without faults.
    fn must(&mut self, what: &str, within: Duration, is_so: impl FnMut() -> bool) {
        if !self.until(within, is_so) {
            stage().wrong(format!("not within {within:?}: {what}"));
        }
    }
}

/// Every manager has a vote and knows it.
fn is_whole() -> bool {
    let count = stage().count();
    stage().nodes().all(|node| {
        stage().manager(node).is_some_and(|manager| {
            let standing = manager.consensus().standing();
            let voters = standing.members.iter().filter(|member| member.is_voter);
            voters.count() == count && standing.members.len() == count && !standing.is_changing
        })
    })
}

/// Since a moment, every manager answered a read and every register was written.
fn all_went_on(since: u64) -> bool {
    let calls = lock(&stage().calls);
    let done = |call: &&Call| call.start > since && call.answer().is_some();
    let reads =
        |node| calls.iter().filter(done).any(|call| !call.is_write() && call.manager == node);
    let writes = |key| calls.iter().filter(done).any(|call| call.is_write() && call.key == key);
    stage().nodes().all(reads) && (0..KEYS).all(writes)
}

/// Whether all managers have applied the same entries.
fn all_applied_the_same() -> bool {
    let applied =
        |node| stage().manager(node).map(|manager| manager.consensus().view().applied_index());
    stage().nodes().all(|node| applied(node) == applied(0) && applied(0).is_some())
}

/// Then their states are the same, to the last field.
fn invariant_states_are_equal() {
    let states: Vec<String> = stage()
        .nodes()
        .filter_map(|node| Some(format!("{:#?}", stage().manager(node)?.consensus().view().state)))
        .collect();
    for (node, state) in states.iter().enumerate().skip(1) {
        let differing = shared(state).zip(shared(&states[0])).find(|(one, other)| one != other);
        if let Some((one, other)) = differing {
            stage().wrong(format!("node {node} holds {one:?}, and node 0 {other:?}"));
        }
    }
}

/// A state's lines, but for what each manager counts for those that wait in its own process.
fn shared(state: &str) -> impl Iterator<Item = &str> {
    let own = ["    workload_index: ", "    delivery_index: "];
    state.lines().filter(move |line| !own.iter().any(|one| line.starts_with(one)))
}

/// Both checkers of histories.
fn invariant_history_is_one_machines(calls: &[Call]) {
    order::violations(calls).into_iter().take(10).for_each(|one| stage().wrong(one));
    for key in 0..KEYS {
        let own: Vec<Call> = calls.iter().filter(|call| call.key == key).copied().collect();
        if wgl::judge(&own) == Verdict::NotLinearizable {
            stage().wrong(format!("key {key} is not linearizable"));
        }
    }
}

/// Puts a bug in place that the environment names: in a program that has them.
#[cfg(planted)]
fn plant() {
    use vault_core::planted::{Bug, plant};
    let Ok(name) = std::env::var("COFFER_PLANTED") else { return };
    plant(Bug::parse(&name).expect("COFFER_PLANTED names a bug"));
}

/// Runs a seed on this thread, which must be new.
pub fn run(seed: u64) -> Ended {
    fate::decide(seed);
    #[cfg(planted)]
    plant();
    stage().set_count(if seed.is_multiple_of(FIVE_EVERY) { NODES_MAX } else { 3 });
    let is_told = std::env::var_os("COFFER_SIM_TELL").is_some();
    tracing::subscriber::set_global_default(Watcher { is_told }).expect("nobody else listens");
    vault::world::simulate(Box::new(Simulated));
    let mut world = World::new(seed);
    world.must("a cluster is made", MADE_WITHIN, is_whole);
    let seconds = std::env::var("COFFER_SIM_SECONDS").ok();
    let seconds = seconds.map_or(TROUBLE_SECS, |text| text.parse().expect("it is a number"));
    if lock(&stage().wrong).is_empty() {
        trouble::make(&mut world, Duration::from_secs(seconds));
    }
    let since = stage().moment();
    world.must("everybody votes again", WHOLE_WITHIN, is_whole);
    world.must("everybody goes on", WHOLE_WITHIN, || all_went_on(since));
    stage().is_over.store(true, Ordering::Relaxed);
    world.must("all apply the same entries", WHOLE_WITHIN, all_applied_the_same);
    invariant_states_are_equal();
    let calls = lock(&stage().calls).clone();
    invariant_history_is_one_machines(&calls);
    if !lock(&stage().wrong).is_empty() {
        let kept = std::env::temp_dir().join(format!("coffer-simulated-{seed}.txt"));
        std::fs::write(&kept, history::text(&calls)).expect("it can be written");
        println!("seed {seed}: the history is in {}", kept.display());
    }
    let (digest, lines) = stage().digest();
    let wrong = lock(&stage().wrong).clone();
    Ended { digest, lines, simulated: world.sim.elapsed(), calls: calls.len(), wrong }
}
