//! What can be typed about the root, and about what it signed.

use clap::Args;
use clap::Subcommand;

use super::ListArgs;
use super::RootArgs;

/// The root's certificate is shown, or more is asked for.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CaArgs {
    #[command(subcommand)]
    pub(crate) command: Option<CaCommand>,
    #[command(flatten)]
    pub(crate) root: RootArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// List the certificates that were issued, the newest last, or check the chain of them
    #[command(
        after_help = "Each certificate is recorded with the digest of all before it. --verify reads that chain back\n\
                      as far as this manager has it, and exits with 1 if it does not hold.\n\n\
                      Examples:\n  coffer swarm ca log -n 20\n  coffer swarm ca log --verify"
    )]
    Log(CaLogArgs),
    /// Show the list of certificates that were taken back before their end, signed by the root, in PEM
    #[command(
        after_help = "No node of the swarm needs it: the swarm's records decide there. It is for others who believe\n\
                      this root. It holds for a week.\n\nExample:\n  coffer swarm ca crl > crl.pem"
    )]
    Crl,
}

#[derive(Debug, Args)]
pub(crate) struct CaLogArgs {
    /// Number of certificates to show [default: the daemon's, 100]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) lines: Option<u32>,
    /// Show those before this number
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) before: Option<u64>,
    /// Check that none was changed, put in or taken out
    #[arg(long, conflicts_with_all = ["lines", "before", "quiet", "format"])]
    pub(crate) verify: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}
