//! What can be typed about secrets, and in the same words about configs.

use std::num::NonZeroU32;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::ArgAction;
use clap::ArgGroup;
use clap::Args;
use clap::Subcommand;

use super::ListArgs;
use super::ReadArgs;
use super::parse_filter;
use super::parse_label;

#[derive(Debug, Subcommand)]
pub(crate) enum ValueCommand {
    /// Create a secret from a file or standard input as content
    #[command(
        override_usage = "coffer secret create [OPTIONS] SECRET [file|-]\n       \
                          coffer secret create [OPTIONS] --from-dir DIR",
        after_help = "Examples:\n  coffer secret create db-password ./password.txt\n  \
                            pass show db | coffer secret create -l env=prod db-password -\n  \
                            coffer secret create --from-dir ./secrets\n  \
                            coffer secret create db-password      asks without showing it"
    )]
    Create(CreateArgs),
    /// List secrets
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  coffer secret ls -f label=env=prod"
    )]
    Ls {
        /// Filter by 'id=...', 'name=...' (how they begin), 'label=key' or 'label=key=value'
        #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = parse_filter)]
        filters: Vec<(String, String)>,
        #[command(flatten)]
        list: ListArgs,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Display detailed information on one or more secrets
    #[command(after_help = "Example:\n  coffer secret inspect --pretty db-password")]
    Inspect {
        /// Print the information in a human friendly format
        #[arg(long)]
        pretty: bool,
        /// Format output using a template such as '{{.Spec.Name}}'
        #[arg(short, long)]
        format: Option<String>,
        #[command(flatten)]
        read: ReadArgs,
        #[arg(value_name = "SECRET", required = true)]
        references: Vec<String>,
    },
    /// Remove one or more secrets with all their versions
    #[command(visible_alias = "remove", after_help = "Example:\n  coffer secret rm db-password")]
    Rm {
        #[arg(value_name = "SECRET", required = true)]
        references: Vec<String>,
    },
    /// Add the next version of a secret; tasks that read it get it at once. Several change as one
    #[command(
        override_usage = "coffer secret rotate [OPTIONS] SECRET [file|-]\n       \
                          coffer secret rotate [OPTIONS] SECRET=<file|-> [SECRET=<file|->...]",
        after_help = "Examples:\n  coffer secret rotate db-password ./password.txt\n  \
                      coffer secret rotate db-user=./user db-password=./password.txt\n  \
                      coffer secret rotate --activate=false db-password -    waits for 'activate'"
    )]
    Rotate(RotateArgs),
    /// Have tasks read another version, the pending one if none is named. Several change as one
    #[command(after_help = "Examples:\n  coffer secret activate db-password\n  \
                            coffer secret activate db-user@4 db-password@blue")]
    Activate {
        /// A version is a number or a label
        #[arg(value_name = "SECRET[@VERSION]", required = true)]
        targets: Vec<String>,
    },
    /// Have tasks read the version before the current one again. Several change as one
    #[command(after_help = "Example:\n  coffer secret rollback db-user db-password")]
    Rollback {
        #[arg(value_name = "SECRET", required = true)]
        references: Vec<String>,
    },
    /// List the versions of a secret, the newest first, and whose tasks hold them
    #[command(after_help = "Example:\n  coffer secret versions db-password")]
    Versions {
        /// Only display numbers
        #[arg(short, long)]
        quiet: bool,
        /// Format output: 'table', 'table TEMPLATE', 'json', or a template such as '{{.Version}}'
        #[arg(long)]
        format: Option<String>,
        #[command(flatten)]
        read: ReadArgs,
        #[arg(value_name = "SECRET")]
        reference: String,
    },
    /// Destroy the value of one version of a secret for good; refused while tasks hold it
    #[command(after_help = "Example:\n  coffer secret destroy --version 3 db-password")]
    Destroy {
        /// Number of the version
        #[arg(long, value_name = "N")]
        version: NonZeroU32,
        /// Also if tasks hold the version: they keep what they have. Does not ask for confirmation
        #[arg(short, long)]
        force: bool,
        /// Do not ask for confirmation
        #[arg(short, long)]
        yes: bool,
        #[arg(value_name = "SECRET")]
        reference: String,
    },
    /// Change the labels of a secret, or how many versions of it are kept
    #[command(after_help = "Example:\n  coffer secret update --label-add env=prod db-password")]
    Update(ChangeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Secret labels
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub(crate) labels: Vec<(String, String)>,
    /// Number of versions to keep [default: the daemon's, 5]
    #[arg(long, value_name = "N")]
    pub(crate) version_limit: Option<NonZeroU32>,
    /// Create a secret of each regular file in a directory, under the file's name: all or none.
    /// Their IDs come in the order of the names
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "file"])]
    pub(crate) from_dir: Option<PathBuf>,
    /// Name of the secret
    #[arg(value_name = "SECRET", required_unless_present = "from_dir")]
    pub(crate) name: Option<String>,
    /// Where the value is read from; it is never taken from the command line
    #[arg(value_name = "file|-")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Have tasks read the new versions at once; 'false' leaves them pending
    #[arg(long, value_name = "true|false", default_value_t = true, default_missing_value = "true")]
    #[arg(num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) activate: bool,
    /// A label of your own for the new versions, such as the date
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) label: String,
    /// Only if the secret is as you saw it: its version index, as 'inspect' shows it
    #[arg(long, value_name = "N")]
    pub(crate) if_version: Option<NonZeroU64>,
    /// A secret and the file of its new value, or any number of both as SECRET=FILE; '-' once at
    /// most
    #[arg(value_name = "SECRET [file|-]", required = true)]
    pub(crate) typed: Vec<String>,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").required(true).multiple(true)
    .args(["labels_add", "labels_rm", "version_limit"])))]
pub(crate) struct ChangeArgs {
    /// Add or replace a label
    #[arg(long = "label-add", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub(crate) labels_add: Vec<(String, String)>,
    /// Remove a label; done before labels are added
    #[arg(long = "label-rm", value_name = "KEY")]
    pub(crate) labels_rm: Vec<String>,
    /// Number of versions to keep
    #[arg(long, value_name = "N")]
    pub(crate) version_limit: Option<NonZeroU32>,
    #[arg(value_name = "SECRET")]
    pub(crate) reference: String,
}

/// The words of a secret's help, and what a config's says in their place.
const WORDS: &[(&str, &str)] = &[
    // Only secrets are asked for.
    ("\n  coffer secret create db-password      asks without showing it", ""),
    ("pass show db |", "sed s/80/8080/ nginx.conf |"),
    ("password.txt", "nginx.conf"),
    ("db-password", "nginx"),
    ("db-user=./user", "sites=./sites.conf"),
    ("db-user", "sites"),
    ("SECRET", "CONFIG"),
    ("Secret", "Config"),
    ("secret", "config"),
];

/// What stands for an object in a usage: these texts have to be static.
const VALUE_NAMES: &[(&str, &str)] = &[
    ("SECRET", "CONFIG"),
    ("SECRET[@VERSION]", "CONFIG[@VERSION]"),
    ("SECRET [file|-]", "CONFIG file|-"),
];

/// Usages that have two forms.
const USAGES: &[(&str, &str)] = &[
    (
        "create",
        "coffer config create [OPTIONS] CONFIG file|-\n       \
         coffer config create [OPTIONS] --from-dir DIR",
    ),
    (
        "rotate",
        "coffer config rotate [OPTIONS] CONFIG file|-\n       \
         coffer config rotate [OPTIONS] CONFIG=<file|-> [CONFIG=<file|->...]",
    ),
];

/// Turns the help of `coffer secret` into that of `coffer config`: nothing else differs.
pub(super) fn speak_of_configs(config: clap::Command) -> clap::Command {
    config.mut_subcommands(|mut verb| {
        if let Some(about) = verb.get_about().map(reworded) {
            verb = verb.about(about);
        }
        if let Some(examples) = verb.get_after_help().map(reworded) {
            verb = verb.after_help(examples);
        }
        if let Some((_, usage)) = USAGES.iter().find(|(name, _)| *name == verb.get_name()) {
            verb = verb.override_usage(*usage);
        }
        verb.mut_args(|mut typed| {
            if let Some(help) = typed.get_help().map(reworded) {
                typed = typed.help(help);
            }
            let names = typed.get_value_names().and_then(|names| names.first());
            let named = |(secret, _): &&(&str, &str)| names.is_some_and(|name| name == secret);
            match VALUE_NAMES.iter().find(named) {
                Some((_, config)) => typed.value_name(*config),
                None => typed,
            }
        })
    })
}

fn reworded(text: impl ToString) -> String {
    let words = WORDS.iter();
    words.fold(text.to_string(), |text, (secrets, configs)| text.replace(secrets, configs))
}
