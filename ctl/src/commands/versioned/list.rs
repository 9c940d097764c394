//! `ls`: what the filters let through, as the daemon sees it, in the natural order of names. Behind Swarm's
//! columns: whose tasks hold which version.

use super::holders;
use crate::args::ListArgs;
use crate::client::Client;
use crate::clock;
use crate::exit::Failure;
use crate::host::Host;
use crate::human;
use crate::listing::Column;
use crate::listing::Format;
use crate::listing::Listing;
use crate::listing::Row;
use crate::listing::hidden;
use crate::listing::labels_cell;
use crate::listing::shown;
use crate::natural;
use crate::objects::Class;
use crate::objects::Versioned;
use crate::out;

const SECRET_COLUMNS: &[Column] = &[
    shown("ID", "ID"),
    shown("Name", "NAME"),
    shown("Driver", "DRIVER"),
    shown("CreatedAt", "CREATED"),
    shown("UpdatedAt", "UPDATED"),
    hidden("Labels", "LABELS"),
    shown("HeldBy", "HELD BY"),
];

const CONFIG_COLUMNS: &[Column] = &[
    shown("ID", "ID"),
    shown("Name", "NAME"),
    shown("CreatedAt", "CREATED"),
    shown("UpdatedAt", "UPDATED"),
    hidden("Labels", "LABELS"),
];

/// Lists objects of one class.
pub(super) async fn list(
    host: &Host,
    class: Class,
    filters: Vec<(String, String)>,
    args: &ListArgs,
) -> Result<(), Failure> {
    let format = Format::parse(args.format.as_deref(), args.quiet)?;
    let mut found = Client::connect(host).await?.list_values(class, filters).await?;
    found.sort_by(|a, b| natural::compare(&a.name, &b.name));
    Ok(out::text(listing(class, found, clock::now_ns()).render(&format)?)?)
}

fn listing(class: Class, found: Vec<Versioned>, now: i64) -> Listing {
    let columns = match class {
        Class::Secret => SECRET_COLUMNS,
        Class::Config => CONFIG_COLUMNS,
    };
    Listing { columns, rows: found.into_iter().map(|found| row(class, found, now)).collect() }
}

fn row(class: Class, found: Versioned, now: i64) -> Row {
    // A secret's value may come from a driver in Swarm; here it never does.
    let driver = (class == Class::Secret).then(String::new);
    let times = [found.meta.created_at, found.meta.updated_at];
    let mut cells = vec![found.meta.id, found.name];
    cells.extend(driver);
    cells.extend(times.map(|at| human::age(now, at)));
    cells.push(labels_cell(&found.labels));
    if class == Class::Secret {
        cells.push(holders::in_a_cell(&found.holders));
    }
    Row { cells, labels: found.labels, mark: "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Holder;
    use crate::objects::Labels;
    use crate::objects::Meta;

    #[test]
    fn a_row_shows_ages_and_only_secrets_have_a_driver() {
        let at = 1_795_206_672_518_797_996;
        for (class, expected) in [
            (
                Class::Secret,
                "ID        NAME      DRIVER    CREATED          UPDATED         HELD BY\n\
                 i         n                   16 seconds ago   3 seconds ago   3: web (2)\n",
            ),
            (
                Class::Config,
                "ID        NAME      CREATED          UPDATED\n\
                 i         n         16 seconds ago   3 seconds ago\n",
            ),
        ] {
            let (id, updated_at) = ("i".to_owned(), at + 13_000_000_000);
            let meta = Meta { id, version_index: 11, created_at: at, updated_at };
            let (name, labels) = ("n".to_owned(), Labels::new());
            let holders = vec![Holder { version: 3, service: "web".to_owned(), tasks: 2 }];
            let (versions, data) = (Vec::new(), b"data".to_vec());
            let found = Versioned { meta, name, labels, versions, holders, data };
            let table = listing(class, vec![found], at + 16_000_000_000).render(&Format::Table);
            assert_eq!(table, Ok(expected.to_owned()), "{class}");
        }
    }
}
