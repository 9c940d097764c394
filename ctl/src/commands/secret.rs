//! `coffer secret`: put values in, list what is there, take it away. No verb shows a value.

use std::path::Path;

use serde_json::Value;
use serde_json::json;

use crate::args::ListArgs;
use crate::client::Client;
use crate::clock;
use crate::exit;
use crate::exit::Failure;
use crate::host::Host;
use crate::human;
use crate::inspect::Shape;
use crate::listing::Column;
use crate::listing::Format;
use crate::listing::Listing;
use crate::listing::Row;
use crate::listing::hidden;
use crate::listing::labels_cell;
use crate::listing::shown;
use crate::natural;
use crate::objects::Secret;
use crate::out;
use crate::plaintext::Plaintext;

/// Why a secret command is refused before the daemon is asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("invalid filter '{0}'; use id=, name= or label=")]
    UnknownFilter(String),
    #[error("cannot supply extra formatting options to the pretty template")]
    PrettyAndFormat,
}

/// Creates a secret and prints its ID.
pub(crate) async fn create(
    host: &Host,
    name: &str,
    labels: Vec<(String, String)>,
    file: Option<&Path>,
) -> Result<(), Failure> {
    let value = Plaintext::obtain(name, file)?;
    let labels = labels.into_iter().collect();
    let id = Client::connect(host).await?.create_secret(name, labels, value).await?;
    Ok(out::line(id)?)
}

const COLUMNS: &[Column] = &[
    shown("ID", "ID"),
    shown("Name", "NAME"),
    shown("Driver", "DRIVER"),
    shown("CreatedAt", "CREATED"),
    shown("UpdatedAt", "UPDATED"),
    hidden("Labels", "LABELS"),
];

/// Lists secrets in the natural order of their names.
pub(crate) async fn list(
    host: &Host,
    filters: Vec<(String, String)>,
    args: &ListArgs,
) -> Result<(), Failure> {
    let format = Format::parse(args.format.as_deref(), args.quiet)?;
    let filters = Filters::parse(filters)?;
    let mut secrets = Client::connect(host).await?.list_secrets().await?;
    secrets.retain(|secret| filters.accept(secret));
    secrets.sort_by(|a, b| natural::compare(&a.name, &b.name));
    let now = clock::now_ns();
    let rows = secrets.into_iter().map(|secret| row(secret, now)).collect();
    Ok(out::text(Listing { columns: COLUMNS, rows }.render(&format)?)?)
}

fn row(secret: Secret, now: i64) -> Row {
    let cells = vec![
        secret.meta.id,
        secret.name,
        String::new(),
        human::age(now, secret.meta.created_at),
        human::age(now, secret.meta.updated_at),
        labels_cell(&secret.labels),
    ];
    Row { cells, labels: secret.labels, mark: "" }
}

/// IDs and names are beginnings, any of which will do; every label has to be there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filters {
    ids: Vec<String>,
    names: Vec<String>,
    labels: Vec<String>,
}

impl Filters {
    fn parse(pairs: Vec<(String, String)>) -> Result<Self, SecretError> {
        let mut filters = Self::default();
        for (key, value) in pairs {
            match key.as_str() {
                "id" => filters.ids.push(value),
                "name" => filters.names.push(value.to_lowercase()),
                "label" => filters.labels.push(value),
                _ => return Err(SecretError::UnknownFilter(key)),
            }
        }
        Ok(filters)
    }

    fn accept(&self, secret: &Secret) -> bool {
        let name = secret.name.to_lowercase();
        let anything = self.ids.is_empty() && self.names.is_empty();
        let begins = anything
            || self.ids.iter().any(|id| secret.meta.id.starts_with(id))
            || self.names.iter().any(|prefix| name.starts_with(prefix));
        begins
            && self.labels.iter().all(|label| match label.split_once('=') {
                Some((key, value)) => secret.labels.get(key).is_some_and(|found| found == value),
                None => secret.labels.contains_key(label),
            })
    }
}

/// Shows each secret that is there, then what was wrong with the others.
pub(crate) async fn inspect(
    host: &Host,
    pretty: bool,
    format: Option<&str>,
    references: &[String],
) -> Result<(), Failure> {
    if pretty && format.is_some() {
        return Err(SecretError::PrettyAndFormat.into());
    }
    let shape = Shape::parse(format)?;
    let client = Client::connect(host).await?;
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for reference in references {
        match client.inspect_secret(reference).await {
            Ok(secret) => found.push(secret),
            Err(error) => errors.push(error),
        }
    }
    out::text(if pretty {
        found.iter().map(pretty_text).collect()
    } else {
        shape.render(found.iter().map(json_object).collect())?
    })?;
    exit::all(errors)
}

fn json_object(secret: &Secret) -> Value {
    json!({
        "ID": secret.meta.id,
        "Version": {"Index": secret.meta.version_index},
        "CreatedAt": human::rfc3339(secret.meta.created_at),
        "UpdatedAt": human::rfc3339(secret.meta.updated_at),
        "Spec": {"Name": secret.name, "Labels": secret.labels},
    })
}

fn pretty_text(secret: &Secret) -> String {
    let label = |(key, value): (&String, &String)| {
        if value.is_empty() { format!(" - {key}\n") } else { format!(" - {key}={value}\n") }
    };
    let heading = if secret.labels.is_empty() { "" } else { "Labels:\n" };
    format!(
        "ID:              {}\nName:              {}\n{heading}{}Driver:            \n\
         Created at:        {}\nUpdated at:        {}\n",
        secret.meta.id,
        secret.name,
        secret.labels.iter().map(label).collect::<String>(),
        human::pretty_time(secret.meta.created_at),
        human::pretty_time(secret.meta.updated_at),
    )
}

/// Removes each secret that can be removed, and prints what was asked for.
pub(crate) async fn remove(host: &Host, references: &[String]) -> Result<(), Failure> {
    let client = Client::connect(host).await?;
    let mut errors = Vec::new();
    for reference in references {
        match client.remove_secret(reference).await {
            Ok(()) => out::line(reference)?,
            Err(error) => errors.push(error),
        }
    }
    exit::all(errors)
}

#[cfg(test)]
mod tests;
