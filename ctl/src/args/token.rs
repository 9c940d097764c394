//! What can be typed about join tokens.

use std::num::NonZeroU32;

use clap::Args;
use clap::Subcommand;

use super::ListArgs;
use super::backup::parse_time;

/// A standing token is shown or made anew, or something is done about the others.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct JoinTokenArgs {
    #[command(subcommand)]
    pub(crate) command: Option<TokenCommand>,
    /// Only display the token
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Make the token anew: the old one opens nothing any more
    #[arg(long)]
    pub(crate) rotate: bool,
    /// worker or manager
    #[arg(value_name = "worker|manager", required = true)]
    pub(crate) role: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token beside the standing ones, and show it once
    #[command(
        after_help = "Examples:\n  coffer swarm join-token create --role manager --ttl 1h --uses 1\n  \
                      coffer swarm join-token create --role worker --ttl 0 -q"
    )]
    Create(CreateTokenArgs),
    /// List the tokens beside the standing ones, also those that ended within a week
    #[command(visible_alias = "list", after_help = "Example:\n  coffer swarm join-token ls")]
    Ls(ListArgs),
    /// End tokens: they let nobody in from now on. Nodes that they let in stay
    #[command(after_help = "Example:\n  coffer swarm join-token revoke 3k2j")]
    Revoke {
        /// IDs, or unique prefixes of them
        #[arg(value_name = "TOKEN", required = true)]
        references: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateTokenArgs {
    /// What nodes join as: worker or manager
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: String,
    /// How long it can be used: 90s, 30m, 6h or 1d; 0 for until it is revoked
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_time)]
    pub(crate) ttl: u64,
    /// How many nodes it lets in [default: any number]
    #[arg(long, value_name = "N")]
    pub(crate) uses: Option<NonZeroU32>,
    /// Only display the token
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
