//! What can be typed, and nothing more: the commands take it from here, checked in form only.

mod backup;
mod ca;
mod root;
mod stream;
mod token;
mod value;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::CommandFactory;
use clap::FromArgMatches;
use clap::Parser;
use clap::Subcommand;

use crate::grant;
use crate::grant::GrantRequest;
use crate::host;
pub(crate) use backup::BackupCommand;
pub(crate) use backup::BackupKeyArgs;
pub(crate) use backup::SaveBackupArgs;
pub(crate) use backup::UpdateSwarmArgs;
pub(crate) use ca::CaArgs;
pub(crate) use ca::CaCommand;
pub(crate) use ca::CaLogArgs;
pub(crate) use root::RootArgs;
pub(crate) use stream::AuditCommand;
pub(crate) use stream::EventsArgs;
pub(crate) use stream::TailArgs;
pub(crate) use token::CreateTokenArgs;
pub(crate) use token::JoinTokenArgs;
pub(crate) use token::TokenCommand;
pub(crate) use value::ChangeArgs;
pub(crate) use value::CreateArgs;
pub(crate) use value::RotateArgs;
pub(crate) use value::ValueCommand;

/// A secrets vault for a cluster: secrets, services that read them, and the nodes that run them
#[derive(Debug, Parser)]
#[command(name = "coffer", version, max_term_width = 100)]
#[command(
    after_help = "Start here:\n  coffer dev        shows the whole way on a throw-away cluster\n"
)]
pub(crate) struct Cli {
    /// Daemon socket to connect to
    #[arg(short = 'H', long, global = true, value_name = "URL", env = "COFFER_HOST")]
    #[arg(default_value = host::DEFAULT, hide_default_value = false)]
    pub(crate) host: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Manage the swarm: the cluster of this node
    #[command(subcommand)]
    Swarm(SwarmCommand),
    /// Manage secrets: values that tasks read, and that no command shows
    #[command(subcommand)]
    Secret(ValueCommand),
    /// Manage configs: the same for values that are no secret
    #[command(subcommand)]
    Config(ValueCommand),
    /// Manage nodes
    #[command(subcommand)]
    Node(NodeCommand),
    /// Manage services: commands that run on the nodes and read their secrets
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Show what happens to secrets, configs, services, nodes and the swarm, as it happens
    Events(EventsArgs),
    /// Show who called what, and check that the record of it is whole
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Save the cluster into one sealed file, check such a file, bring the cluster back from it
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Show on one screen how the cluster stands, and what to do about it
    #[command(
        after_help = "Exits with 0 if the cluster is healthy, with 2 if it is not.\n\nExample:\n  coffer status"
    )]
    Status {
        /// Format output: 'json'
        #[arg(long)]
        format: Option<String>,
    },
    /// Look over this machine: kernel, FUSE, limits, swap, clock, disk, port, permissions; each with its cure
    #[command(
        after_help = "Exits with 0 if nothing is bad, with 1 if something is. Needs no daemon, and sees more as root.\n\nExample:\n  coffer doctor"
    )]
    Doctor(DoctorArgs),
    /// Show the whole way on a throw-away single-node cluster in the foreground
    Dev(DevArgs),
    /// Show the version
    #[command(after_help = "Example:\n  coffer version")]
    Version,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SwarmCommand {
    /// Initialize a swarm: this node becomes its first manager
    #[command(after_help = "Example:\n  coffer swarm init --advertise-addr 10.0.0.1")]
    Init {
        /// Address that other nodes reach this one at (IP or IP:PORT)
        #[arg(long, value_name = "ADDR", default_value = "", hide_default_value = true)]
        advertise_addr: String,
        /// The other managers are lost for good: make a cluster of what this one holds, and fence them off
        #[arg(long)]
        force_new_cluster: bool,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        /// Lock managers: after a restart each needs the unlock key
        #[arg(long)]
        autolock: bool,
    },
    /// Join a swarm as a node
    #[command(after_help = "Example:\n  coffer swarm join --token SWMTKN-1-... 10.0.0.1:2377")]
    Join(JoinArgs),
    /// Show the token that a node joins with, and the command to run there; make others that end by themselves
    #[command(after_help = "Examples:\n  coffer swarm join-token worker\n  \
                      coffer swarm join-token create --role manager --ttl 1h --uses 2")]
    JoinToken(JoinTokenArgs),
    /// Leave the swarm: this node forgets it
    #[command(after_help = "Example:\n  coffer swarm leave --force")]
    Leave {
        /// Also if this node is a manager
        #[arg(short, long)]
        force: bool,
    },
    /// Change what holds for the whole swarm
    #[command(arg_required_else_help = true)]
    #[command(after_help = "Examples:\n  coffer swarm update --autolock=true\n  \
                      coffer swarm update --backup-every 6h --backup-recipient age1... --backup-dir /var/backups/coffer")]
    Update(UpdateSwarmArgs),
    /// Show the key that managers are unlocked with
    #[command(after_help = "Example:\n  coffer swarm unlock-key --rotate")]
    UnlockKey {
        /// Only display the key
        #[arg(short, long)]
        quiet: bool,
        /// Make the key anew: the old one opens only managers that were away meanwhile
        #[arg(long)]
        rotate: bool,
    },
    /// Unlock this node's manager: asks for the key, or reads it from standard input
    #[command(after_help = "Example:\n  coffer swarm unlock")]
    Unlock,
    /// Show the certificate of the swarm's root, in PEM; what it signed; what of it was taken back; or change the root
    #[command(
        after_help = "Examples:\n  coffer swarm ca > root.pem\n  coffer swarm ca --rotate\n  \
                      coffer swarm ca log --verify\n  coffer swarm ca crl > crl.pem"
    )]
    Ca(CaArgs),
    /// Make a new data key and seal all values anew under it
    #[command(after_help = "Example:\n  coffer swarm rotate-keys")]
    RotateKeys {
        /// Exit at once and leave the rest to the background
        #[arg(short, long)]
        detach: bool,
    },
}

/// How this node joins.
#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// Token for entry into the swarm; '-' reads it from standard input
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) token: String,
    /// Address that other nodes reach this one at (IP or IP:PORT)
    #[arg(long, value_name = "ADDR", default_value = "", hide_default_value = true)]
    pub(crate) advertise_addr: String,
    /// Whether tasks are placed on this node: active, pause, drain
    #[arg(long, value_name = "STATE", default_value = "active")]
    pub(crate) availability: String,
    /// A manager's address
    #[arg(value_name = "HOST:PORT")]
    pub(crate) remote: String,
}

/// How a node changes.
#[derive(Debug, Args)]
pub(crate) struct UpdateNodeArgs {
    /// Whether tasks are placed on it: active, pause, drain
    #[arg(long, value_name = "STATE")]
    pub(crate) availability: Option<String>,
    /// worker or manager
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<String>,
    /// Add or change a label: KEY=VALUE
    #[arg(long, value_name = "LABEL")]
    pub(crate) label_add: Vec<String>,
    /// Remove a label
    #[arg(long, value_name = "KEY")]
    pub(crate) label_rm: Vec<String>,
    /// ID, unique prefix of it, host name, or self
    #[arg(value_name = "NODE")]
    pub(crate) reference: String,
}

/// How a list is shown.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only display IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Format output: 'table', 'table TEMPLATE', 'json', or a template such as '{{.ID}}: {{.Name}}'
    #[arg(long)]
    pub(crate) format: Option<String>,
}

/// How new an answer has to be.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ReadArgs {
    /// Show what this manager knows, without asking the others: it may be old. Works without a majority, too
    #[arg(long)]
    pub(crate) stale: bool,
    /// Show what this manager knows once it has followed the log to this index: no older than what you saw there
    #[arg(long, value_name = "INDEX", conflicts_with = "stale")]
    pub(crate) at_least: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// List nodes in the swarm
    #[command(visible_alias = "list", after_help = "Example:\n  coffer node ls")]
    Ls {
        #[command(flatten)]
        list: ListArgs,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Show nodes in detail
    #[command(after_help = "Example:\n  coffer node inspect self")]
    Inspect {
        /// Format output: 'json', or a template such as '{{.ID}}'
        #[arg(long)]
        format: Option<String>,
        #[command(flatten)]
        read: ReadArgs,
        /// IDs, unique prefixes of them, host names, or self
        #[arg(value_name = "NODE", required = true)]
        references: Vec<String>,
    },
    /// Make workers managers
    #[command(after_help = "Example:\n  coffer node promote host-4")]
    Promote {
        #[arg(value_name = "NODE", required = true)]
        references: Vec<String>,
    },
    /// Make managers workers: they lose their rights at once
    #[command(after_help = "Example:\n  coffer node demote host-2")]
    Demote {
        #[arg(value_name = "NODE", required = true)]
        references: Vec<String>,
    },
    /// Change a node
    #[command(after_help = "Example:\n  coffer node update --availability drain host-2")]
    Update(UpdateNodeArgs),
    /// Remove nodes that are down: they never come back as themselves
    #[command(visible_alias = "remove", after_help = "Example:\n  coffer node rm host-2")]
    Rm {
        /// Also if the node is not down
        #[arg(short, long)]
        force: bool,
        #[arg(value_name = "NODE", required = true)]
        references: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Create a service: a command whose tasks find their secrets at /run/secrets
    #[command(
        after_help = "Examples:\n  coffer service create --name web --secret db-password -- /srv/web --port 80\n  \
                            coffer service create --name web --secret source=db-password,target=pw,mode=0400 -- /srv/web\n  \
                            coffer service create --name web --secret db-password@3 -- /srv/web"
    )]
    Create(CreateServiceArgs),
    /// List services
    #[command(visible_alias = "list", after_help = "Example:\n  coffer service ls")]
    Ls {
        #[command(flatten)]
        list: ListArgs,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// List the tasks of one or more services
    #[command(after_help = "Example:\n  coffer service ps web")]
    Ps {
        #[command(flatten)]
        list: ListArgs,
        #[command(flatten)]
        read: ReadArgs,
        /// Do not truncate output
        #[arg(long)]
        no_trunc: bool,
        #[arg(value_name = "SERVICE", required = true)]
        references: Vec<String>,
    },
    /// Display detailed information on one or more services
    #[command(after_help = "Example:\n  coffer service inspect -f '{{json .Spec.Mode}}' web")]
    Inspect {
        /// Format output using a template such as '{{.Spec.Name}}'
        #[arg(short, long)]
        format: Option<String>,
        #[command(flatten)]
        read: ReadArgs,
        #[arg(value_name = "SERVICE", required = true)]
        references: Vec<String>,
    },
    /// Remove one or more services
    #[command(visible_alias = "remove", after_help = "Example:\n  coffer service rm web")]
    Rm {
        #[arg(value_name = "SERVICE", required = true)]
        references: Vec<String>,
    },
    /// Fetch the logs of a service
    #[command(after_help = "Example:\n  coffer service logs --tail 20 -f web")]
    Logs(LogsArgs),
}

/// Not a comment of the field: the brackets would be links there.
const SECRET_HELP: &str = "Secret for the tasks: its name, or source=NAME[,target=FILE][,uid=U][,gid=G][,mode=0444]; \
     NAME@VERSION pins a version by its number, or follows another label";

#[derive(Debug, Args)]
pub(crate) struct CreateServiceArgs {
    /// Service name
    #[arg(long)]
    pub(crate) name: String,
    #[arg(long = "secret", value_name = "SECRET", value_parser = grant::parse, help = SECRET_HELP)]
    pub(crate) secrets: Vec<GrantRequest>,
    /// Number of tasks
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) replicas: u64,
    /// Environment variables; a bare KEY takes the value from here
    #[arg(short, long = "env", value_name = "KEY[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Service labels
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub(crate) labels: Vec<(String, String)>,
    /// Exit at once instead of waiting for the service to converge
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Suppress progress output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// The command that each task runs
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Follow log output
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Number of lines to show from the end of each task's logs, or 'all'
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = parse_tail)]
    pub(crate) tail: Tail,
    /// Do not include task IDs in output
    #[arg(long)]
    pub(crate) no_task_ids: bool,
    /// Show timestamps
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    #[arg(value_name = "SERVICE")]
    pub(crate) reference: String,
}

/// How many of the last lines are asked for; none for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail(pub(crate) Option<u32>);

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  coffer dev\n  coffer dev --exit      ends by itself after the show"
)]
pub(crate) struct DevArgs {
    /// End after the show instead of staying up until Ctrl-C
    #[arg(long, visible_alias = "once")]
    pub(crate) exit: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The daemon's state directory
    #[arg(long, value_name = "DIR", default_value = "/var/lib/coffer")]
    pub(crate) state_dir: PathBuf,
    /// The daemon's node port
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:2377")]
    pub(crate) listen_addr: SocketAddr,
    /// Format output: 'json'
    #[arg(long)]
    pub(crate) format: Option<String>,
}

/// Why a value on the command line has no usable form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    #[error("bad format of filter (expected name=value)")]
    Filter,
    #[error("invalid label '': the key is missing")]
    Label,
    #[error("expected a number of lines, or 'all'")]
    Tail,
}

/// `key=value`, or a lone key with an empty value.
fn parse_label(text: &str) -> Result<(String, String), FormError> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() { Err(FormError::Label) } else { Ok((key.to_owned(), value.to_owned())) }
}

fn parse_filter(text: &str) -> Result<(String, String), FormError> {
    let (key, value) = text.split_once('=').ok_or(FormError::Filter)?;
    Ok((key.trim().to_lowercase(), value.trim().to_owned()))
}

fn parse_tail(text: &str) -> Result<Tail, FormError> {
    match text {
        "all" => Ok(Tail(None)),
        number => number.parse().map(|lines| Tail(Some(lines))).map_err(|_| FormError::Tail),
    }
}

/// All that can be typed, with its help.
pub(crate) fn command() -> clap::Command {
    Cli::command().mut_subcommand("config", value::speak_of_configs)
}

/// Reads the command line. Asking for help is an error of clap's, too.
pub(crate) fn parse(typed: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(typed)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        let mut open = vec![command()];
        while let Some(command) = open.pop() {
            let leaf = !command.has_subcommands();
            assert!(!leaf || command.get_after_help().is_some(), "{}", command.get_name());
            open.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn the_help_of_configs_does_not_speak_of_secrets() {
        let mut config = command().find_subcommand("config").cloned().unwrap();
        assert!(config.get_subcommands().count() == 10);
        for verb in config.get_subcommands_mut() {
            let help = verb.render_long_help().to_string().to_lowercase();
            assert!(help.contains("config") && !help.contains("secret"), "{help}");
        }
    }

    #[test]
    fn a_label_is_a_pair_or_a_key() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        for (text, expected) in [
            ("a=b", pair("a", "b")),
            ("a=b=c", pair("a", "b=c")),
            ("a", pair("a", "")),
            ("=b", Err(FormError::Label)),
        ] {
            assert_eq!(parse_label(text), expected, "label {text:?}");
        }
    }

    #[test]
    fn a_tail_is_a_number_or_all() {
        for (text, expected) in [
            ("all", Ok(Tail(None))),
            ("0", Ok(Tail(Some(0)))),
            ("20", Ok(Tail(Some(20)))),
            ("-1", Err(FormError::Tail)),
            ("some", Err(FormError::Tail)),
        ] {
            assert_eq!(parse_tail(text), expected, "tail {text:?}");
        }
    }

    #[test]
    fn a_tasks_command_keeps_its_own_flags() {
        for typed in [
            &["coffer", "service", "create", "--name", "n", "--", "sh", "-c", "true"][..],
            &["coffer", "service", "create", "--name", "n", "sh", "-c", "true"][..],
        ] {
            let cli = parse(typed.iter().map(OsString::from)).unwrap();
            let Command::Service(ServiceCommand::Create(create)) = cli.command else {
                panic!("{typed:?} is service create");
            };
            assert_eq!(create.command, ["sh", "-c", "true"], "{typed:?}");
        }
    }
}
