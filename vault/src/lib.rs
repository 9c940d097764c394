//! The daemon of a node: the agent on every node; on a manager also the store and the calls.
//!
//! A thin shell around `vault-core` and `pki`: it does the I/O, they decide.

pub mod address;
pub mod agent;
pub mod args;
pub mod audit;
pub mod backup;
pub mod clock;
pub mod clocks;
mod cork;
pub mod daemon;
pub mod disk;
mod duty;
mod end;
pub mod entropy;
pub mod events;
pub mod home;
pub mod join;
pub mod keys;
mod level;
pub mod lock;
mod logging;
pub mod manager;
pub mod meters;
pub mod metrics;
mod moved;
pub mod notify;
pub mod peer;
mod picture;
#[cfg(planted)]
mod planted;
pub mod raft;
pub mod renewal;
mod rootless;
mod roster;
pub mod rotation;
mod rpc;
pub mod runner;
mod scheduler;
pub mod sessions;
pub mod space;
pub mod start;
#[cfg(test)]
mod testing;
pub mod tls;
mod trust;
pub mod worker;
pub mod world;
