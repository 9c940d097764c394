//! Identity: keys, the root certificate, join tokens. `docs/formats.md` has every byte.
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
pub mod key;
pub mod root;
pub mod token;
