//! Identity: keys, certificates of the root and of nodes, requests for them, join tokens. `docs/formats.md` has every byte.
//!
//! Pure: no I/O, no clock; all that ends up in a certificate is an argument, and randomness comes in as
//! a handed-in source.

#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::wildcard_enum_match_arm
    )
)]

pub mod base36;
mod certificate;
pub mod crl;
pub mod cross;
pub mod csr;
pub mod identity;
pub mod import;
pub mod issued;
pub mod key;
pub mod leaf;
pub mod pem;
mod profile;
pub mod public;
pub mod renewal;
pub mod root;
pub mod rotation;
pub mod token;

#[cfg(test)]
mod tests;
