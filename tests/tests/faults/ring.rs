//! The managers under test: each behind its proxy, each replaceable by a new process at any time, some of them
//! on disks that go bad; and a guest, who comes and goes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;
use tests::disk::chance::Chance;
use tests::faketime;
use tests::node::own_address;
use tests::proxy::{Proxies, Rule};
use tests::{BadDisk, Daemon, Node, wait_until};

/// Managers and what stands between them.
pub struct Ring<'a> {
    /// Those who stay.
    pub nodes: &'a [Node],
    pub guest: &'a Node,
    daemons: Vec<Mutex<Option<Daemon<'a>>>>,
    proxies: Proxies,
    /// By the manager's number.
    disk: Option<(usize, BadDisk)>,
    /// What the disk keeps when the power goes.
    chance: Mutex<Chance>,
    /// Whether clocks can be set.
    pub has_clocks: bool,
}

/// So many nodes and a guest, each of which tells others of its proxy instead of itself.
pub fn nodes<const COUNT: usize>(test: &str) -> Option<Vec<Node>> {
    let nodes: Option<Vec<Node>> = (0..=COUNT).map(|_| Node::for_test(test)).collect();
    let prepared = |node: Node| {
        let node = node.with_address().behind(&own_address()).with_log_segments_of(1 << 20);
        match faketime::environment(&node) {
            Some(environment) => node.with_environment(environment),
            None => node,
        }
    };
    Some(nodes?.into_iter().map(prepared).collect())
}

impl<'a> Ring<'a> {
    /// Starts the nodes and makes them one cluster, but for the last one, the guest. One has a disk that can
    /// go bad.
    pub fn form(test: &str, nodes: &'a [Node], seed: u64) -> Self {
        let doors = nodes.iter().map(|node| {
            let address = |address: Option<&str>| address.expect("it has one").to_owned();
            (address(node.advertised()), address(node.address()))
        });
        let proxies = Proxies::start(&doors.collect::<Vec<_>>());
        let daemons = nodes.iter().map(|_| Mutex::new(None)).collect();
        let (guest, nodes) = nodes.split_last().expect("there is a guest");
        let mut chance = Chance::new(seed);
        let bad = chance.below(nodes.len());
        let disk = BadDisk::under(&nodes[bad], test).map(|disk| (bad, disk));
        let (chance, has_clocks) = (Mutex::new(chance), faketime::library().is_some());
        let ring = Self { nodes, guest, daemons, proxies, disk, chance, has_clocks };
        for (at, node) in nodes.iter().enumerate() {
            ring.start(at);
            if at == 0 {
                node.coffer(&["swarm", "init"]).said();
            } else {
                ring.join(node);
            }
        }
        ring.start(nodes.len());
        ring
    }

    /// Has a node join by the first one. Whether it did.
    pub fn join(&self, node: &Node) -> bool {
        let said = self.nodes[0].coffer(&["swarm", "join-token", "-q", "manager"]);
        let door = self.nodes[0].advertised().expect("it has one");
        let join = ["swarm", "join", "--token", said.stdout.trim(), door];
        said.code == Some(0) && node.coffer(&join).code == Some(0)
    }

    fn daemon(&self, at: usize) -> MutexGuard<'_, Option<Daemon<'a>>> {
        self.daemons[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the manager whose disk can go bad, and the disk.
    pub fn disk(&self) -> Option<(usize, &BadDisk)> {
        self.disk.as_ref().map(|(at, disk)| (*at, disk))
    }

    fn disk_of(&self, at: usize) -> Option<&BadDisk> {
        self.disk().filter(|(own, _)| *own == at).map(|(_, disk)| disk)
    }

    fn node(&self, at: usize) -> &'a Node {
        self.nodes.get(at).unwrap_or(self.guest)
    }

    /// Starts a manager, if it does not run, on a disk that is good again.
    pub fn start(&self, at: usize) {
        let mut daemon = self.daemon(at);
        if let Some(disk) = self.disk_of(at) {
            disk.set(|trouble| trouble.heal());
        }
        if daemon.as_mut().is_some_and(Daemon::has_ended) {
            *daemon = None;
            self.forget_unflushed(at);
        }
        if daemon.is_none() {
            let started = Daemon::spawn(self.node(at), self.node(at).cofferd());
            self.proxies.runs(at, Some(started.pid()));
            *daemon = Some(started.ready());
        }
    }

    fn forget_unflushed(&self, at: usize) {
        if let Some(disk) = self.disk_of(at) {
            disk.power_on(&mut self.chance.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// `kill -9`; on a disk that can go bad, the power goes, too.
    pub fn kill(&self, at: usize) {
        self.proxies.runs(at, None);
        let Some(daemon) = self.daemon(at).take() else { return };
        daemon.signal(Signal::KILL);
        if let Some(disk) = self.disk_of(at) {
            disk.power_off();
        }
        daemon.kill();
        self.forget_unflushed(at);
    }

    /// Asks it to end, and waits.
    pub fn end(&self, at: usize) {
        let mut daemon = self.daemon(at);
        if let Some(disk) = self.disk_of(at) {
            disk.set(|trouble| trouble.heal());
        }
        if daemon.as_mut().is_some_and(Daemon::has_ended) {
            *daemon = None;
            return self.forget_unflushed(at);
        }
        if let Some(daemon) = daemon.take() {
            daemon.signal(Signal::CONT);
            daemon.end_by(Signal::TERM);
        }
        self.proxies.runs(at, None);
    }

    /// Sends a signal to a manager that runs.
    pub fn signal(&self, at: usize, signal: Signal) {
        if let Some(daemon) = self.daemon(at).as_ref() {
            daemon.signal(signal);
        }
    }

    /// Changes the rule for bytes from one manager to another.
    pub fn rule(&self, from: usize, to: usize, change: impl Fn(&mut Rule)) {
        self.proxies.change(|rules| change(&mut rules[from][to]));
    }

    /// Everybody runs, and nothing is in the way.
    pub fn heal(&self) {
        self.proxies.heal();
        for at in 0..self.nodes.len() {
            self.signal(at, Signal::CONT);
            faketime::step(&self.nodes[at], 0);
            self.start(at);
        }
    }

    /// Who leads, as far as one that runs knows.
    pub fn leader(&self) -> Option<usize> {
        let nodes: Vec<&Node> = self.nodes.iter().collect();
        tests::cluster::leader_of(&nodes)
    }

    /// Waits until every manager answers a read that must be new.
    pub fn wait_until_whole(&self) {
        for node in self.nodes {
            wait_until("every manager reads", || node.coffer(&["config", "ls"]).code == Some(0));
        }
    }
}
