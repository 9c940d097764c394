//! A node, as the cluster knows it. The record decides what a node may do.

use crate::id::NodeId;
use crate::versioned::Meta;

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
}
