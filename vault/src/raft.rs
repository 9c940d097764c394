//! Consensus: openraft over our log, our snapshots and our types. Nothing outside this module names it.

mod adopt;
mod alone;
mod codec;
mod consensus;
mod deadline;
mod gather;
mod housekeeping;
mod machine;
mod members;
mod network;
mod office;
mod reads;
mod store;
mod types;

/// Under which name the library below logs.
pub const LOG_TARGET: &str = "openraft";

pub use adopt::{IncompleteError, ViewReader, adopt};
pub use alone::{Remains, Store};
pub use codec::CodecError;
pub use consensus::{Consensus, ProposeError, Start, StartError};
pub use deadline::one_call;
pub use machine::{RestoreError, View};
pub use members::{MemberChangeError, MemberStatus, Standing};
pub use network::Door;
pub use reads::Freshness;
pub use store::EntryError;

#[cfg(test)]
mod tests;
