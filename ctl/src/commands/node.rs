//! `coffer node`: the nodes of the cluster.

use serde_json::Value;
use serde_json::json;

use crate::args::ListArgs;
use crate::args::UpdateNodeArgs;
use crate::client::Client;
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
use crate::listing::shown;
use crate::natural;
use crate::objects::Labels;
use crate::objects::Node;
use crate::objects::NodeChange;
use crate::out;

const COLUMNS: &[Column] = &[
    shown("ID", "ID"),
    shown("Hostname", "HOSTNAME"),
    shown("Status", "STATUS"),
    shown("Availability", "AVAILABILITY"),
    shown("ManagerStatus", "MANAGER STATUS"),
    shown("EngineVersion", "ENGINE VERSION"),
    hidden("Self", "SELF"),
];

/// Lists the nodes.
pub(crate) async fn list(host: &Host, args: &ListArgs) -> Result<(), Failure> {
    let format = Format::parse(args.format.as_deref(), args.quiet)?;
    let mut nodes = Client::connect(host).await?.nodes().await?;
    nodes.sort_by(|a, b| natural::compare(&a.hostname, &b.hostname));
    let rows = nodes.into_iter().map(row).collect();
    Ok(out::text(Listing { columns: COLUMNS, rows }.render(&format)?)?)
}

fn row(node: Node) -> Row {
    let cells = vec![
        node.id,
        node.hostname,
        node.state.to_owned(),
        node.availability.to_owned(),
        node.manager_status.to_owned(),
        node.engine_version,
        node.is_self.to_string(),
    ];
    let mark = if node.is_self { " *" } else { "  " };
    Row { cells, labels: Labels::new(), mark }
}

/// Why a node command is refused before the daemon is asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NodeError {
    #[error("invalid availability {0}: active, pause and drain are known")]
    Availability(String),
    #[error("unknown role {0}")]
    Role(String),
    #[error("invalid label {0}: KEY=VALUE is wanted")]
    Label(String),
}

/// Shows nodes in detail.
pub(crate) async fn inspect(
    host: &Host,
    format: Option<&str>,
    references: &[String],
) -> Result<(), Failure> {
    let shape = Shape::parse(format)?;
    let client = Client::connect(host).await?;
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for reference in references {
        match client.inspect_node(reference).await {
            Ok(node) => found.push(document(&node)),
            Err(error) => errors.push(error),
        }
    }
    out::text(shape.render(found)?)?;
    exit::all(errors)
}

fn document(node: &Node) -> Value {
    let manager = (node.role == "manager").then(|| {
        json!({
            "Leader": node.manager_status == "Leader",
            "Reachability": match node.manager_status {
                "Leader" => "reachable".to_owned(),
                other => other.to_lowercase(),
            },
            "Addr": node.addr,
        })
    });
    let mut document = json!({
        "ID": node.id,
        "Version": { "Index": node.version_index },
        "CreatedAt": human::rfc3339(node.created_at),
        "UpdatedAt": human::rfc3339(node.updated_at),
        "Spec": {
            "Labels": node.labels,
            "Role": node.role,
            "Availability": node.availability.to_lowercase(),
        },
        "Description": description(node),
        "CertificateEnd": node.certificate_end,
        "Status": { "State": node.state.to_lowercase(), "Addr": node.addr },
    });
    if let (Some(manager), Some(fields)) = (manager, document.as_object_mut()) {
        fields.insert("ManagerStatus".to_owned(), manager);
    }
    document
}

/// A worker says more of itself than a manager.
fn description(node: &Node) -> Value {
    let machine = &node.machine;
    if machine.os.is_empty() {
        return json!({
            "Hostname": node.hostname,
            "Engine": { "EngineVersion": node.engine_version },
        });
    }
    json!({
        "Hostname": node.hostname,
        "Platform": { "Architecture": machine.architecture, "OS": machine.os },
        "Resources": { "NanoCPUs": machine.nano_cpus, "MemoryBytes": machine.memory_bytes },
        "Engine": {
            "EngineVersion": node.engine_version,
            "Labels": machine.labels,
            "IsDockerEngine": machine.is_engine,
        },
    })
}

/// Makes workers managers. Stops at the first that it cannot.
pub(crate) async fn promote(host: &Host, references: &[String]) -> Result<(), Failure> {
    change_role(host, references, "manager").await
}

/// Makes managers workers. Stops at the first that it cannot.
pub(crate) async fn demote(host: &Host, references: &[String]) -> Result<(), Failure> {
    change_role(host, references, "worker").await
}

async fn change_role(host: &Host, references: &[String], role: &str) -> Result<(), Failure> {
    let client = Client::connect(host).await?;
    for reference in references {
        let node = client.inspect_node(reference).await?;
        if node.role == role {
            out::line(format_args!("Node {reference} is already a {role}."))?;
            continue;
        }
        let change = NodeChange { role: Some(role.to_owned()), ..NodeChange::default() };
        client.update_node(&node.id, change).await?;
        if role == "manager" {
            out::line(format_args!("Node {reference} promoted to a manager in the swarm."))?;
        } else {
            out::line(format_args!("Manager {reference} demoted in the swarm."))?;
        }
    }
    Ok(())
}

/// Changes a node, and prints what was typed.
pub(crate) async fn update(host: &Host, args: UpdateNodeArgs) -> Result<(), Failure> {
    if let Some(word) = &args.availability
        && !["active", "pause", "drain"].contains(&word.as_str())
    {
        return Err(NodeError::Availability(word.clone()).into());
    }
    if let Some(word) = &args.role
        && !["worker", "manager"].contains(&word.as_str())
    {
        return Err(NodeError::Role(word.clone()).into());
    }
    let mut label_add = Labels::new();
    for typed in args.label_add {
        let (key, value) = typed.split_once('=').unwrap_or((&typed, ""));
        if key.is_empty() {
            return Err(NodeError::Label(typed).into());
        }
        label_add.insert(key.to_owned(), value.to_owned());
    }
    let UpdateNodeArgs { role, availability, label_rm, reference, .. } = args;
    let change = NodeChange { role, availability, label_add, label_rm };
    Client::connect(host).await?.update_node(&reference, change).await?;
    Ok(out::line(reference)?)
}

/// Removes each node that can go, then says what was wrong with the others.
pub(crate) async fn remove(host: &Host, force: bool, references: &[String]) -> Result<(), Failure> {
    let client = Client::connect(host).await?;
    let mut errors = Vec::new();
    for reference in references {
        match client.remove_node(reference, force).await {
            Ok(()) => out::line(reference)?,
            Err(error) => errors.push(error),
        }
    }
    exit::all(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_node_is_marked() {
        let node = |id: &str, manager_status, is_self| Node {
            id: id.to_owned(),
            hostname: format!("host-{id}"),
            state: "Ready",
            availability: "Active",
            manager_status,
            engine_version: "0.1.0".to_owned(),
            is_self,
            role: "manager",
            addr: String::new(),
            labels: Labels::new(),
            version_index: 1,
            created_at: 0,
            updated_at: 0,
            certificate_end: 0,
            machine: crate::objects::Machine::default(),
        };
        let rows = [node("a", "Leader", true), node("b", "", false)].map(row).into();
        let table = Listing { columns: COLUMNS, rows }.render(&Format::Table).unwrap();
        assert_eq!(
            table,
            "ID        HOSTNAME   STATUS    AVAILABILITY   MANAGER STATUS   ENGINE VERSION\n\
             a *       host-a     Ready     Active         Leader           0.1.0\n\
             b         host-b     Ready     Active                          0.1.0\n"
        );
    }
}
