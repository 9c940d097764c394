//! `coffer node`: the nodes of the cluster, as far as one manager knows.

use crate::args::ListArgs;
use crate::client::Client;
use crate::exit::Failure;
use crate::host::Host;
use crate::listing::Column;
use crate::listing::Format;
use crate::listing::Listing;
use crate::listing::Row;
use crate::listing::hidden;
use crate::listing::shown;
use crate::natural;
use crate::objects::Labels;
use crate::objects::Node;
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
