//! What can be said of the swarm's root.

use std::path::PathBuf;

use clap::Args;

use super::backup::parse_time;

/// Whether the root is shown, changed, or not changed after all.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub(crate) struct RootArgs {
    /// Change the root: a new one is made, or taken from --ca-cert and --ca-key
    #[arg(long, conflicts_with_all = ["abort", "status"])]
    pub(crate) rotate: bool,
    /// Take back the rotation that goes on
    #[arg(long, conflicts_with = "status")]
    pub(crate) abort: bool,
    /// Show how far the rotation is
    #[arg(long)]
    pub(crate) status: bool,
    /// Path to a root certificate in PEM, to change to
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// Path to its key: PKCS #8 in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_key: Option<PathBuf>,
    /// How long nodes' certificates live from now on: 12h or 90d
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) cert_expiry: Option<u64>,
    /// Certificate signing endpoints; not used yet
    #[arg(long, value_name = "SPEC")]
    pub(crate) external_ca: Vec<String>,
    /// Exit at once and leave the rest to the background
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Suppress progress output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Wait also for nodes that are down
    #[arg(long)]
    pub(crate) wait_for_all: bool,
    /// Somebody has the old root's key: it vouches for nothing, and nobody is waited for long
    #[arg(long, conflicts_with = "wait_for_all")]
    pub(crate) compromised: bool,
}

impl RootArgs {
    /// A flag that means something only together with --rotate, if one was given.
    pub(crate) fn needs_rotate(&self) -> Option<&'static str> {
        let given = [
            ("ca-cert", self.ca_cert.is_some()),
            ("ca-key", self.ca_key.is_some()),
            ("cert-expiry", self.cert_expiry.is_some()),
            ("external-ca", !self.external_ca.is_empty()),
            ("wait-for-all", self.wait_for_all),
            ("compromised", self.compromised),
        ];
        let flag = given.into_iter().find(|(_, is_given)| *is_given);
        flag.map(|(flag, _)| flag).filter(|_| !self.rotate)
    }
}
