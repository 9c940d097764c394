//! Hostile bytes for every parser of stored or foreign bytes, with libFuzzer or without.

pub mod mutate;
pub mod targets;
