//! The managers under test: each behind its proxy, each replaceable by a new process at any time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use tests::cluster::token;
use tests::node::own_address;
use tests::proxy::{Proxies, Rule};
use tests::{Daemon, Node, wait_until};

/// Managers and what stands between them.
pub struct Ring<'a> {
    pub nodes: &'a [Node],
    daemons: Vec<Mutex<Option<Daemon<'a>>>>,
    proxies: Proxies,
}

/// So many nodes, each of which tells others of its proxy instead of itself.
pub fn nodes<const COUNT: usize>(test: &str) -> Option<Vec<Node>> {
    let nodes: Option<Vec<Node>> = (0..COUNT).map(|_| Node::for_test(test)).collect();
    let behind = |node: Node| node.with_address().behind(&own_address());
    Some(nodes?.into_iter().map(|node| behind(node).with_log_segments_of(1 << 20)).collect())
}

impl<'a> Ring<'a> {
    /// Starts the nodes and makes them one cluster.
    pub fn form(nodes: &'a [Node]) -> Self {
        let doors = nodes.iter().map(|node| {
            let address = |address: Option<&str>| address.expect("it has one").to_owned();
            (address(node.advertised()), address(node.address()))
        });
        let proxies = Proxies::start(&doors.collect::<Vec<_>>());
        let daemons = nodes.iter().map(|_| Mutex::new(None)).collect();
        let ring = Self { nodes, daemons, proxies };
        for (at, node) in nodes.iter().enumerate() {
            ring.start(at);
            if at == 0 {
                node.coffer(&["swarm", "init"]).said();
                continue;
            }
            let token = token(&nodes[0], "manager");
            let door = nodes[0].advertised().expect("it has one");
            node.coffer(&["swarm", "join", "--token", &token, door]).said();
        }
        ring
    }

    fn daemon(&self, at: usize) -> MutexGuard<'_, Option<Daemon<'a>>> {
        self.daemons[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a manager, if it does not run.
    pub fn start(&self, at: usize) {
        let mut daemon = self.daemon(at);
        if daemon.is_none() {
            let started = Daemon::spawn(&self.nodes[at], self.nodes[at].cofferd());
            self.proxies.runs(at, Some(started.pid()));
            *daemon = Some(started.ready());
        }
    }

    /// `kill -9`.
    pub fn kill(&self, at: usize) {
        self.proxies.runs(at, None);
        if let Some(daemon) = self.daemon(at).take() {
            daemon.kill();
        }
    }

    /// Asks it to end, and waits.
    pub fn end(&self, at: usize) {
        let ending = self.daemon(at).take();
        if let Some(daemon) = ending {
            daemon.end_by(Signal::TERM);
        }
        self.proxies.runs(at, None);
    }

    /// Sends a signal to a manager that runs.
    pub fn signal(&self, at: usize, signal: Signal) {
        if let Some(daemon) = self.daemon(at).as_ref() {
            let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw);
            kill_process(pid.expect("it has a number"), signal).expect("it is our child");
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
