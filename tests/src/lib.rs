//! What whole-program tests share: the binaries, a node to run them on, and looks at the host.
//!
//! Nothing here knows what a test is about. Every wait has a deadline; none waits for luck.

pub mod bad_disk;
pub mod binaries;
pub mod cluster;
pub mod daemon;
pub mod disk;
pub mod engine;
pub mod faketime;
pub mod golden;
pub mod http;
pub mod impostor;
pub mod keyfiles;
pub mod messages;
pub mod node;
pub mod peers;
pub mod planted;
pub mod processes;
pub mod proxy;
pub mod run;
pub mod scratch;
pub mod trace;
pub mod wait;
pub mod wire;

pub use bad_disk::BadDisk;
pub use daemon::{Daemon, Ended};
pub use impostor::Impostor;
pub use keyfiles::KeyFiles;
pub use node::Node;
pub use run::Run;
pub use scratch::Scratch;
pub use trace::Trace;
pub use wait::{skipped, wait_for, wait_until, wait_until_none};
pub use wire::Wire;
