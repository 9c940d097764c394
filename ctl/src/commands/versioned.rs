//! `coffer secret` and `coffer config`: the same verbs over objects with versions.
//!
//! The two differ by their class alone. No verb shows a secret's value.

mod change;
pub(crate) mod confirm;
mod holders;
mod inspect;
mod list;
pub(crate) mod rotate;
mod versions;

use std::path::Path;

use self::change::Sure;
use crate::args::CreateArgs;
use crate::args::ListArgs;
use crate::args::ValueCommand;
use crate::client::Client;
use crate::exit::Failure;
use crate::folder;
use crate::host::Host;
use crate::objects::Class;
use crate::out;
use crate::plaintext::Plaintext;

/// Why a command is refused before the daemon is asked to act.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VersionedError {
    #[error("cannot supply extra formatting options to the pretty template")]
    PrettyAndFormat,
    #[error("give one {0} and its file, or NAME=FILE for each {0} that is to change")]
    RotateForm(Class),
    #[error("'{0}' is not of the form NAME=FILE")]
    RotatePair(String),
    #[error("'-' is given {0} times, and standard input holds one value")]
    StdinTwice(usize),
    #[error("--if-version is for one {0}: each has a version index of its own")]
    ExpectedOfMany(Class),
    #[error("the version behind '@' is missing in '{0}'; leave both out for the pending one")]
    VersionMissing(String),
    #[error("key {key} doesn't exist in {class}'s labels")]
    NoLabel { class: Class, key: String },
    #[error(
        "destroying a version asks first, and standard input is not a terminal; \
         give -y (--yes) if it is meant"
    )]
    NobodyToAsk,
    #[error("cancelled; nothing was destroyed")]
    Cancelled,
}

/// Runs one verb.
pub(crate) async fn run(host: &Host, class: Class, command: ValueCommand) -> Result<(), Failure> {
    match command {
        ValueCommand::Create(args) => create(host, class, args).await,
        ValueCommand::Ls { filters, list, read } => {
            list::list(&host.reading(read), class, filters, &list).await
        }
        ValueCommand::Inspect { pretty, format, read, references } => {
            let host = &host.reading(read);
            inspect::inspect(host, class, pretty, format.as_deref(), &references).await
        }
        ValueCommand::Rm { references } => change::remove(host, class, &references).await,
        ValueCommand::Rotate(args) => rotate::rotate(host, class, args).await,
        ValueCommand::Activate { targets } => change::activate(host, class, &targets).await,
        ValueCommand::Rollback { references } => change::roll_back(host, class, &references).await,
        ValueCommand::Versions { quiet, format, read, reference } => {
            let host = &host.reading(read);
            versions::list(host, class, &ListArgs { quiet, format }, &reference).await
        }
        ValueCommand::Destroy { version, force, yes, reference } => {
            let sure = Sure { yes: yes || force, force };
            change::destroy(host, class, &reference, version, sure).await
        }
        ValueCommand::Update(args) => change::update(host, class, args).await,
    }
}

/// Creates one object, or one of each file in a directory, and prints the IDs.
async fn create(host: &Host, class: Class, args: CreateArgs) -> Result<(), Failure> {
    let CreateArgs { labels, version_limit, from_dir, name, file } = args;
    let values =
        read_values(class, from_dir.as_deref(), name.unwrap_or_default(), file.as_deref())?;
    let labels = labels.into_iter().collect();
    let client = Client::connect(host).await?;
    let ids = client.create_values(class, values, &labels, version_limit).await?;
    Ok(out::text(ids.into_iter().map(|id| id + "\n").collect::<String>())?)
}

fn read_values(
    class: Class,
    folder: Option<&Path>,
    name: String,
    file: Option<&Path>,
) -> Result<Vec<(String, Plaintext)>, Failure> {
    if let Some(folder) = folder {
        return Ok(folder::read(class, folder)?);
    }
    let value = Plaintext::obtain(class, &name, file)?;
    Ok(vec![(name, value)])
}
