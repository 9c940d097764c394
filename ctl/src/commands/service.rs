//! `coffer service`: commands that run on the nodes, and the secrets that they may read.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::args::CreateServiceArgs;
use crate::args::ListArgs;
use crate::client::CallError;
use crate::client::Client;
use crate::client::Refusal;
use crate::commands::converge;
use crate::exit;
use crate::exit::Failure;
use crate::grant;
use crate::grant::GrantRequest;
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
use crate::objects::Class;
use crate::objects::Grant;
use crate::objects::Service;
use crate::objects::ServiceSpec;
use crate::out;
use crate::table;

/// Characters of an ID in a list.
pub(crate) const SHORT_ID: usize = 12;

/// Characters of a command in a list, without its quotes.
pub(crate) const SHORT_COMMAND: usize = 30;

/// Creates a service, prints its ID, and waits until it runs unless told not to.
pub(crate) async fn create(host: &Host, args: CreateServiceArgs) -> Result<(), Failure> {
    grant::refuse_duplicates(&args.secrets)?;
    let client = Client::connect(host).await?;
    let mut grants = Vec::new();
    for request in args.secrets {
        grants.push(find_secret(&client, request).await?);
    }
    let replicas = args.replicas;
    let spec = ServiceSpec {
        name: args.name,
        labels: args.labels.into_iter().collect(),
        command: args.command,
        env: args.env.into_iter().filter_map(|typed| env_pair(typed, env_of_caller)).collect(),
        grants,
        replicas,
    };
    let id = client.create_service(spec).await?;
    out::line(&id)?;
    if args.detach { Ok(()) } else { converge::wait(&client, &id, replicas, args.quiet).await }
}

/// The server also finds beginnings of IDs; a grant is for the exact name, without case.
async fn find_secret(client: &Client, request: GrantRequest) -> Result<Grant, Failure> {
    let GrantRequest { source, target, uid, gid, mode, version } = request;
    match client.inspect_value(Class::Secret, &source).await {
        Ok(found) if found.name.eq_ignore_ascii_case(&source) => {
            let (secret_id, secret_name) = (found.meta.id, found.name);
            Ok(Grant { secret_id, secret_name, target, uid, gid, mode, version })
        }
        Ok(_) | Err(CallError::Refused { refusal: Refusal::Absence, .. }) => {
            Err(Failure::SecretNotFound(source))
        }
        Err(error) => Err(error.into()),
    }
}

fn env_of_caller(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// `KEY=VALUE` as typed; a bare `KEY` takes the caller's value, or is left out.
fn env_pair(typed: String, caller: impl Fn(&str) -> Option<String>) -> Option<String> {
    if typed.contains('=') {
        Some(typed)
    } else {
        caller(&typed).map(|value| format!("{typed}={value}"))
    }
}

const COLUMNS: &[Column] = &[
    shown("ID", "ID"),
    shown("Name", "NAME"),
    shown("Mode", "MODE"),
    shown("Replicas", "REPLICAS"),
    shown("Command", "COMMAND"),
    hidden("Labels", "LABELS"),
];

/// Lists services in the natural order of their names.
pub(crate) async fn list(host: &Host, args: &ListArgs) -> Result<(), Failure> {
    let format = Format::parse(args.format.as_deref(), args.quiet)?;
    let mut services = Client::connect(host).await?.list_services().await?;
    services.sort_by(|a, b| natural::compare(&a.spec.name, &b.spec.name));
    let rows = services.into_iter().map(row).collect();
    Ok(out::text(Listing { columns: COLUMNS, rows }.render(&format)?)?)
}

fn row(service: Service) -> Row {
    let cells = vec![
        short_id(&service.meta.id),
        service.spec.name,
        "replicated".to_owned(),
        format!("{}/{}", service.running_tasks, service.spec.replicas),
        quoted(&table::ellipsis(&service.spec.command.join(" "), SHORT_COMMAND)),
        labels_cell(&service.spec.labels),
    ];
    Row { cells, labels: service.spec.labels, mark: "" }
}

pub(crate) fn short_id(id: &str) -> String {
    id.chars().take(SHORT_ID).collect()
}

pub(crate) fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// Shows each service that is there, then what was wrong with the others.
pub(crate) async fn inspect(
    host: &Host,
    format: Option<&str>,
    references: &[String],
) -> Result<(), Failure> {
    let shape = Shape::parse(format)?;
    let client = Client::connect(host).await?;
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for reference in references {
        match client.inspect_service(reference).await {
            Ok(service) => found.push(json_object(&service)),
            Err(error) => errors.push(error),
        }
    }
    out::text(shape.render(found)?)?;
    exit::all(errors)
}

fn json_object(service: &Service) -> Value {
    let Service { meta, spec, running_tasks } = service;
    json!({
        "ID": meta.id,
        "Version": {"Index": meta.version_index},
        "CreatedAt": human::rfc3339(meta.created_at),
        "UpdatedAt": human::rfc3339(meta.updated_at),
        "Spec": {
            "Name": spec.name,
            "Labels": spec.labels,
            "TaskTemplate": {"ContainerSpec": container_object(spec)},
            "Mode": {"Replicated": {"Replicas": spec.replicas}},
        },
        "ServiceStatus": {"RunningTasks": running_tasks, "DesiredTasks": spec.replicas},
    })
}

/// As in Swarm, an empty list is left out.
fn container_object(spec: &ServiceSpec) -> Map<String, Value> {
    let secrets: Vec<Value> = spec.grants.iter().map(grant_object).collect();
    let lists = [
        ("Command", spec.command.clone().into()),
        ("Env", spec.env.clone().into()),
        ("Secrets", Value::from(secrets)),
    ];
    let filled = lists.into_iter().filter(|(_, list)| *list != json!([]));
    filled.map(|(name, list)| (name.to_owned(), list)).collect()
}

/// Swarm's fields, and the version where one is pinned, which Swarm does not know.
fn grant_object(grant: &Grant) -> Value {
    let Grant { secret_id, secret_name, target, uid, gid, mode, version } = grant;
    let mut object = json!({
        "File": {"Name": target, "UID": uid, "GID": gid, "Mode": mode},
        "SecretID": secret_id,
        "SecretName": secret_name,
    });
    if let Some(fields) = object.as_object_mut().filter(|_| !version.is_empty()) {
        fields.insert("SecretVersion".to_owned(), version.as_str().into());
    }
    object
}

/// Removes each service that can be removed, and prints what was asked for.
pub(crate) async fn remove(host: &Host, references: &[String]) -> Result<(), Failure> {
    let client = Client::connect(host).await?;
    let mut errors = Vec::new();
    for reference in references {
        match client.remove_service(reference).await {
            Ok(()) => out::line(reference)?,
            Err(error) => errors.push(error),
        }
    }
    exit::all(errors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Labels;
    use crate::objects::Meta;

    fn service(grants: Vec<Grant>) -> Service {
        let meta =
            Meta { id: "a".repeat(25), version_index: 3, created_at: 0, updated_at: 1_000_000_000 };
        let command = ["sh", "-c", "cat /run/secrets/db; sleep infinity"].map(str::to_owned);
        let spec = ServiceSpec {
            name: "web".to_owned(),
            labels: Labels::new(),
            command: command.into(),
            env: Vec::new(),
            grants,
            replicas: 2,
        };
        Service { meta, spec, running_tasks: 1 }
    }

    #[test]
    fn a_service_is_listed_with_its_tasks_and_a_short_command() {
        let table = Listing { columns: COLUMNS, rows: vec![row(service(Vec::new()))] };
        assert_eq!(
            table.render(&Format::Table).unwrap(),
            "ID             NAME      MODE         REPLICAS   COMMAND\n\
             aaaaaaaaaaaa   web       replicated   1/2        \"sh -c cat /run/secrets/db; sl\u{2026}\"\n"
        );
    }

    #[test]
    fn a_service_is_inspected_with_swarms_fields() {
        let grant = Grant {
            secret_id: "i".to_owned(),
            secret_name: "db".to_owned(),
            target: "pw".to_owned(),
            uid: "0".to_owned(),
            gid: "0".to_owned(),
            mode: 0o444,
            version: String::new(),
        };
        let pinned = Grant { version: "3".to_owned(), ..grant.clone() };
        assert_eq!(grant_object(&pinned)["SecretVersion"], "3");
        let shown = json_object(&service(vec![grant]));
        let secrets = shown.pointer("/Spec/TaskTemplate/ContainerSpec/Secrets").unwrap();
        assert_eq!(
            secrets.to_string(),
            "[{\"File\":{\"Name\":\"pw\",\"UID\":\"0\",\"GID\":\"0\",\"Mode\":292},\
             \"SecretID\":\"i\",\"SecretName\":\"db\"}]"
        );
        assert!(shown.pointer("/Spec/TaskTemplate/ContainerSpec/Env").is_none());
    }

    #[test]
    fn a_bare_variable_takes_the_callers_value() {
        let caller = |name: &str| (name == "HOME").then(|| "/h".to_owned());
        for (typed, expected) in
            [("A=b", Some("A=b")), ("A=", Some("A=")), ("HOME", Some("HOME=/h")), ("NONE", None)]
        {
            assert_eq!(env_pair(typed.to_owned(), caller).as_deref(), expected, "-e {typed}");
        }
    }
}
