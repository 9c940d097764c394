//! Secrets as files: a pure tree of subtrees, files and versions, a FUSE server over it, and the
//! detached mounts that carry one subtree into one task.
//!
//! It does not know where values come from, and it never attaches a mount anywhere: that is the
//! caller's business, with the descriptor that [`FileSystem::tree_of`] or [`ram::ram_tree`] gives.

mod audit;
mod errno;
mod features;
mod mount;
mod name;
mod namespace;
mod nodeid;
mod notice;
pub mod ram;
mod server;
mod system;
mod tree;

pub use audit::{OpenOutcome, OpenRecord, Opens, Recorded};
pub use features::{Feature, Features, Missing, features};
pub use name::{FileName, FileNameError, SubtreeId};
pub use namespace::PidNamespace;
pub use system::{FileSystem, Options, StartError, StopError};
pub use tree::{File, NoSuchSubtree, PlantError, SUBTREE_FILES_MAX};
