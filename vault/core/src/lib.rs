//! What the cluster holds and decides: objects, commands, sealed values, grants, scheduling.
//!
//! Pure: nothing here does I/O, reads a clock, draws randomness or starts a thread. Time and entropy
//! come in as arguments, so that the same commands give the same state on every manager.

// Tests may index and count freely: a panic there is a failed test.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::wildcard_enum_match_arm
    )
)]

pub mod access;
pub mod backups;
pub mod clocks;
pub mod cluster;
pub mod command;
pub mod duty;
pub mod event;
pub mod feature;
pub mod filter;
pub mod health;
pub mod id;
pub mod labels;
pub mod limits;
pub mod name;
pub mod node;
#[cfg(planted)]
pub mod planted;
pub mod presence;
pub mod probe;
pub mod reason;
pub mod recovery;
pub mod renewal;
pub mod request;
pub mod root;
pub mod roster;
pub mod schedule;
pub mod seal;
pub mod service;
pub mod stamp;
pub mod state;
pub mod table;
pub mod task;
pub mod time;
pub mod token;
pub mod unlock;
pub mod versioned;
