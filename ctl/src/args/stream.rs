//! What can be typed to see what goes on: events, and the audit.

use clap::Args;
use clap::Subcommand;

use super::parse_filter;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coffer events\n  \
                        coffer events --filter type=secret --filter event=update\n  \
                        coffer events --since 4711 --format json    goes on behind an index")]
pub(crate) struct EventsArgs {
    /// Show what happened behind this index, then what comes; 0 for all that is remembered.
    /// Without it, only what comes
    #[arg(long, value_name = "INDEX")]
    pub(crate) since: Option<u64>,
    /// Filter by 'type=secret|config|service|node|swarm' or 'event=create|update|remove'
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = parse_filter)]
    pub(crate) filters: Vec<(String, String)>,
    /// Format output: 'json', or a template such as '{{.Action}} {{.Actor.ID}}'
    #[arg(long)]
    pub(crate) format: Option<String>,
    /// End once what happened is shown
    #[arg(long, requires = "since")]
    pub(crate) no_follow: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show the last calls and their outcomes; names and values are never in it
    #[command(after_help = "Example:\n  coffer audit tail -n 20 -f")]
    Tail(TailArgs),
    /// Read all records and check that none was changed, moved or taken out
    #[command(after_help = "Example:\n  coffer audit verify")]
    Verify,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Number of records to show [default: the daemon's, 100]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) lines: Option<u32>,
    /// Go on with the records that come
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Format output: 'json', or a template such as '{{.Call}} {{.Outcome}}'
    #[arg(long)]
    pub(crate) format: Option<String>,
}
