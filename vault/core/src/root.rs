//! The cluster's root and what came before it, a rotation that goes on, and what nodes are to be told of it.
//!
//! The rules of a rotation are `pki::rotation`'s; here stands what the managers remember of it.

use pki::rotation::{Ack, Generation, Manner, Options, Phase, Rotation};

use crate::id::NodeId;
use crate::node::KeyPin;
use crate::seal::Sealed;

/// Cross certificates that lead back to earlier roots: with the node's own certificate as many as a chain may have.
pub const LINKS_MAX: usize = 3;
/// Roots that were taken back and are refused for ever. The oldest go first, and have ended by then.
pub const DENIED_MAX: usize = 256;

/// The roots of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// Of the root in use, which stands in the join tokens.
    pub generation: Generation,
    /// None is used twice.
    pub last_used: Generation,
    /// The ID of the last rotation. Taking one back counts as one.
    pub last_rotation: u64,
    pub change: Option<Box<Change>>,
    /// From the root in use back to earlier ones, each signed by the one before it: PEM, the newest first.
    pub links: Vec<String>,
    /// Keys of roots whose word is worth nothing, whoever vouches for it.
    pub denied: Vec<KeyPin>,
    /// How long certificates live, if that was said.
    pub lifetime_secs: Option<u64>,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            generation: Generation(1),
            last_used: Generation(1),
            last_rotation: 0,
            change: None,
            links: Vec::new(),
            denied: Vec::new(),
            lifetime_secs: None,
        }
    }
}

/// A rotation that goes on, and the root beside the one in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub rotation: Rotation,
    pub options: Options,
    /// Of the root beside the one in use.
    pub generation: Generation,
    /// Its certificate: one PEM block.
    pub certificate: String,
    pub key: Sealed,
    /// It, signed by the root in use. Empty if that vouches for nothing any more.
    pub link: String,
    /// The root in use, signed by it: for taking the rotation back.
    pub back_link: String,
}

/// A rotation that is to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// The last rotation's and one.
    pub id: u64,
    /// The last generation's and one: what the key is sealed for.
    pub to: Generation,
    pub manner: Manner,
    pub options: Options,
    pub certificate: String,
    pub key: Sealed,
    pub link: String,
    pub back_link: String,
    /// How long certificates live from now on, if that changes.
    pub lifetime_secs: Option<u64>,
}

/// A step of a rotation. Each names the rotation that it is meant for, and does nothing to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Begin(Box<Begin>),
    Enter(u64, Phase),
    /// These nodes are asked to take new certificates.
    Ask(u64, Vec<NodeId>),
    /// The node has that trust on its disk.
    Acknowledge(NodeId, Ack),
    Abort(u64),
    /// In that phase. With the tokens of workers and managers if the root is another one from now on.
    Finish(u64, Phase, Option<Box<[Sealed; 2]>>),
}

/// What is known of a node's trust and certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeTrust {
    /// Whose certificate it has.
    pub issuer: Generation,
    /// When it was asked to take a new one: seconds since 1970.
    pub asked_secs: Option<u64>,
    pub ack: Option<Ack>,
    /// When it was last heard of, if it is not now: seconds since 1970.
    pub heard_secs: u64,
}

impl Default for NodeTrust {
    fn default() -> Self {
        Self { issuer: Generation(1), asked_secs: None, ack: None, heard_secs: 0 }
    }
}

/// What a node is to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The roots that it is to trust: PEM.
    pub bundle: String,
    /// What it acknowledges once it has them on its disk, unless it did.
    pub ack: Option<Ack>,
    /// Whether it is to take a new certificate now.
    pub is_to_renew: bool,
}

/// A lawful no to a step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootRefusal {
    #[error(
        "a rotation of the root goes on; wait for its end (coffer swarm ca --status), or take it back with: coffer swarm ca --abort"
    )]
    Running,
    #[error("every generation of the root was used")]
    Exhausted,
    #[error("no rotation of the root goes on")]
    Nothing,
    #[error("the rotation of the root went on meanwhile; see: coffer swarm ca --status")]
    OutOfStep,
    #[error(
        "nodes trust the new root alone already; go back by rotating again: coffer swarm ca --rotate"
    )]
    TooLate,
    #[error("the rotation of the root is being taken back already")]
    TakenBack,
    #[error(
        "the old root's key is in other hands, and is not gone back to; rotate again once this is done"
    )]
    Compromised,
    /// A certificate by a root that does not sign any more, or does not yet: it is made again.
    #[error("another root signs certificates by now: try it again")]
    Signer,
}
