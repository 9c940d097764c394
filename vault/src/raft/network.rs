//! Raft between managers: gRPC over mutual TLS, a connection of its own for each purpose.

mod client;
mod door;
mod envelope;
mod wire;

pub(super) use client::{ForwardError, Network, Peers};
pub use door::Door;
pub(super) use door::Heard;
pub(super) use envelope::Envelope;
