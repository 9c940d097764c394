//! Which bug this process has been given, if it is one with bugs: `COFFER_PLANTED` names it. With
//! `COFFER_PLANTED_LEVEL` it is a program of a later version instead. Compiled with `--cfg planted` alone.

use vault_core::planted::{Bug, know, plant};

/// Reads the name, once, before anything else happens.
///
/// # Panics
/// If there is no bug of that name: a check of a bug that is not there would prove nothing.
pub(crate) fn choose() {
    if let Some(level) = std::env::var_os("COFFER_PLANTED_LEVEL") {
        let level = level.to_str().and_then(|level| level.parse().ok());
        know(level.expect("COFFER_PLANTED_LEVEL is a number"));
        tracing::warn!("THIS PROGRAM STANDS IN FOR A LATER VERSION: it is for tests alone");
    }
    let Some(name) = std::env::var_os("COFFER_PLANTED") else { return };
    let bug = name.to_str().and_then(Bug::parse).expect("COFFER_PLANTED names a bug");
    plant(bug);
    tracing::warn!(
        ?bug,
        "THIS PROGRAM HAS A BUG ON PURPOSE: it is for the tests of the tests alone"
    );
}
