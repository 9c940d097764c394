//! What a manager keeps in its state directory: keys, the log, snapshots. Every byte of it stands in
//! `docs/formats.md`.

pub mod diskkey;
pub mod folder;
pub mod identity;
pub mod keyring;
pub mod log;
pub mod node;
mod pace;
pub mod seal;
pub mod snapshot;
pub mod watch;
pub mod worker;
