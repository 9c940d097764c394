//! `State::apply` of one creation on a large state, in this process: no log, no disk, no wire.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vault_core::cluster::Cluster;
use vault_core::command::{Action, Command, CreateCluster, NewObject, Outcome};
use vault_core::feature::Level;
use vault_core::id::{ClusterId, NodeId, ObjectId};
use vault_core::labels::Labels;
use vault_core::name::SecretName;
use vault_core::node::{Availability, Node, NodeStatus, Role};
use vault_core::seal::{Epoch, Sealed};
use vault_core::state::State;
use vault_core::time::Timestamp;
use vault_core::versioned::{Class, Meta, VersionLimit};

/// Creations that are timed.
const TIMED: usize = 20_000;
/// Snapshots that are timed.
const SNAPSHOTS: usize = 1_000;
/// As many entries are applied before a view is published, about as with 64 clients.
const BATCH: usize = 16;

/// Times of one apply, on average.
pub struct Applied {
    /// With no view of the state held.
    pub alone: Duration,
    /// With the view of the batch before held, as the daemon publishes it.
    pub published: Duration,
    /// What a snapshot costs who applies: to take a view of all, and the first apply while it is held. The longest.
    pub pause: Duration,
}

/// Fills a state, then times creations on it.
pub fn measure(objects: usize, size: usize) -> Result<Applied, Box<dyn Error>> {
    let mut state = State::default();
    state.apply(1, command(cluster()));
    let mut next = Next { number: 0, random: 1, size };
    for _ in 0..objects {
        next.apply(&mut state)?;
    }
    let alone = next.timed(&mut state, 0)?;
    let published = next.timed(&mut state, BATCH)?;
    let pause = next.longest_pause(&mut state)?;
    Ok(Applied { alone, published, pause })
}

/// Makes one creation after the other.
struct Next {
    number: usize,
    random: u64,
    size: usize,
}

impl Next {
    /// A new secret under a name and an ID that stand anywhere in their order.
    fn create(&mut self) -> Result<Command, Box<dyn Error>> {
        let mut entropy = [0; 17];
        for part in entropy.chunks_mut(8) {
            // Marsaglia's xorshift: even enough, and the same in every run.
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            part.copy_from_slice(&self.random.to_le_bytes()[..part.len()]);
        }
        let name = format!("{:08x}-{}", self.random >> 32, self.number);
        self.number += 1;
        let object = NewObject {
            id: ObjectId::from_entropy(entropy),
            name: SecretName::parse(&name)?,
            labels: Labels::default(),
            limit: VersionLimit::default(),
            sealed: sealed(self.size),
        };
        Ok(command(Action::Create(Class::Secret, vec![object])))
    }

    fn apply(&mut self, state: &mut State) -> Result<(), Box<dyn Error>> {
        let command = self.create()?;
        let applied = state.apply(state.index() + 1, command);
        assert!(matches!(applied.outcome, Outcome::Created(_)), "a new name is free");
        Ok(())
    }

    /// The longest of many times to take a view, and to apply one creation while it is held.
    fn longest_pause(&mut self, state: &mut State) -> Result<Duration, Box<dyn Error>> {
        let mut longest = Duration::ZERO;
        for _ in 0..SNAPSHOTS {
            let command = self.create()?;
            let start = Instant::now();
            let held = state.clone();
            std::hint::black_box(state.apply(state.index() + 1, command));
            longest = longest.max(start.elapsed());
            drop(held);
        }
        Ok(longest)
    }

    /// The mean time of one apply; with `batch`, a copy of the state is held and renewed so often.
    fn timed(&mut self, state: &mut State, batch: usize) -> Result<Duration, Box<dyn Error>> {
        let commands: Vec<_> = (0..TIMED).map(|_| self.create()).collect::<Result<_, _>>()?;
        let mut held = None;
        let start = Instant::now();
        for (number, command) in commands.into_iter().enumerate() {
            if batch != 0 && number % batch == 0 {
                held = Some(state.clone());
            }
            std::hint::black_box(state.apply(state.index() + 1, command));
        }
        let took = start.elapsed();
        drop(held);
        Ok(took.div_f64(TIMED as f64))
    }
}

fn command(action: Action) -> Command {
    Command { at: Timestamp::from_nanos(1), request: None, actor: None, action }
}

fn sealed(size: usize) -> Sealed {
    Sealed { epoch: Epoch(1), nonce: [0; 24], text: Arc::from(vec![0; size + 16]) }
}

fn cluster() -> Action {
    let at = Timestamp::default();
    let meta = Meta { version_index: 0, created_at: at, updated_at: at };
    let cluster = Cluster {
        id: ClusterId::from_entropy([1; 17]),
        meta,
        root_certificate: String::new(),
        root_key: sealed(32),
        worker_token: sealed(32),
        manager_token: sealed(32),
        level: Level::FIRST,
        level_version: String::new(),
        unlock_key: None,
        lock_version: 0,
        roots: vault_core::root::Roots::default(),
        backups: vault_core::backups::Backups::default(),
    };
    let node = Node {
        id: NodeId::from_entropy([2; 17]),
        meta,
        hostname: "bench".to_owned(),
        role: Role::Manager,
        availability: Availability::Active,
        addr: "127.0.0.1:2377".to_owned(),
        engine_version: "0".to_owned(),
        level: Level::FIRST,
        labels: Labels::default(),
        status: NodeStatus::Ready,
        raft_id: Some(1),
        pins: Vec::new(),
        certificate: String::new(),
        certificate_end_secs: 0,
        token: None,
        machine: vault_core::node::Machine::default(),
        engine: None,
        trust: vault_core::root::NodeTrust::default(),
    };
    Action::CreateCluster(Box::new(CreateCluster { cluster, node }))
}
