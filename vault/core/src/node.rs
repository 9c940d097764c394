//! A node, as the cluster knows it. The record decides what a node may do.

use crate::feature::Level;
use crate::id::{NodeId, TokenId};
use crate::labels::Labels;
use crate::root::NodeTrust;
use crate::versioned::Meta;

/// Bytes of the digest that a node's key is known by: SHA-256 of its public key.
pub const KEY_DIGEST_BYTES: usize = 32;

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Worker,
    Manager,
}

/// Whether tasks are placed on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    Active,
    Pause,
    Drain,
}

/// Whether a node is heard of, as the leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStatus {
    /// It joined, and was not heard of since.
    Unknown,
    /// It was not heard of for a while: its tasks run elsewhere.
    Down,
    Ready,
}

/// The digest of a node's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPin(pub [u8; KEY_DIGEST_BYTES]);

/// What is told of a node's machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub os: String,
    pub architecture: String,
    pub nano_cpus: u64,
    pub memory_bytes: u64,
    /// What whoever runs its daemon says of it.
    pub labels: Labels,
}

/// What a worker says of itself when it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub hostname: String,
    pub engine_version: String,
    /// The feature level that it knows.
    pub level: Level,
    pub machine: Machine,
}

impl Described {
    /// Whether a node's record says all of it.
    pub fn is_known_of(&self, node: &Node) -> bool {
        (&node.hostname, &node.engine_version, node.level, &node.machine)
            == (&self.hostname, &self.engine_version, self.level, &self.machine)
    }
}

/// A stock Docker Engine, and no node of ours: a worker for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// Its latest certificate request, byte for byte: it takes no certificate but for that one.
    pub request: Vec<u8>,
}

/// A node's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub id: NodeId,
    pub meta: Meta,
    pub hostname: String,
    pub role: Role,
    pub availability: Availability,
    /// Where others reach it: "IP:PORT".
    pub addr: String,
    /// Version of the daemon that it runs.
    pub engine_version: String,
    /// The feature level that its daemon knows.
    pub level: Level,
    pub labels: Labels,
    pub status: NodeStatus,
    /// Its number in Raft while it is a manager. Never used twice, not even by the same node.
    pub raft_id: Option<u64>,
    /// The keys that prove it: the one last seen, and one that was issued after it.
    pub pins: Vec<KeyPin>,
    /// Its latest certificate in PEM.
    pub certificate: String,
    /// When that ends: seconds since 1970.
    pub certificate_end_secs: u64,
    /// What it joined with, unless that was a standing token.
    pub token: Option<TokenId>,
    pub machine: Machine,
    /// None of one that runs `cofferd`.
    pub engine: Option<Engine>,
    pub trust: NodeTrust,
}

impl Node {
    /// Whether a key proves this node.
    pub fn is_proven_by(&self, pin: KeyPin) -> bool {
        self.pins.contains(&pin)
    }
}
