//! `versions`: what is kept of one object, the newest first.

use std::cmp::Reverse;

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
use crate::listing::shown;
use crate::objects::Class;
use crate::objects::Holder;
use crate::objects::Labels;
use crate::objects::Version;
use crate::out;

const COLUMNS: &[Column] = &[
    shown("Version", "VERSION"),
    shown("Labels", "LABELS"),
    shown("CreatedAt", "CREATED"),
    shown("Size", "SIZE"),
    shown("HeldBy", "HELD BY"),
    shown("Tasks", "TASKS"),
];

/// Lists the versions of one object.
pub(super) async fn list(
    host: &Host,
    class: Class,
    args: &ListArgs,
    reference: &str,
) -> Result<(), Failure> {
    let format = Format::parse(args.format.as_deref(), args.quiet)?;
    let found = Client::connect(host).await?.inspect_value(class, reference).await?;
    Ok(out::text(listing(found.versions, &found.holders, clock::now_ns()).render(&format)?)?)
}

fn listing(mut versions: Vec<Version>, holders: &[Holder], now: i64) -> Listing {
    versions.sort_by_key(|version| Reverse(version.number));
    let rows = versions.iter().map(|version| row(version, holders, now)).collect();
    Listing { columns: COLUMNS, rows }
}

fn row(version: &Version, holders: &[Holder], now: i64) -> Row {
    let holders = || holders.iter().filter(|holder| holder.version == version.number);
    let mut services: Vec<_> = holders().map(|holder| holder.service.as_str()).collect();
    services.sort_unstable();
    let tasks = holders().map(|holder| holder.tasks).fold(0, u64::saturating_add);
    let cells = vec![
        version.number.to_string(),
        version.labels.join(","),
        human::age(now, version.created_at),
        format!("{}B", version.size_bytes),
        services.join(","),
        tasks.to_string(),
    ];
    Row { cells, labels: Labels::new(), mark: "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_listed_with_the_newest_first() {
        let version = |number, labels: &[&str]| Version {
            number,
            created_at: i64::from(number) * 1_000_000_000,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            size_bytes: 511_999,
        };
        let holder =
            |version, service: &str, tasks| Holder { version, service: service.to_owned(), tasks };
        let holders = [holder(1, "gone", 9), holder(10, "web", 3), holder(10, "api", 2)];
        let versions = || vec![version(2, &["previous"]), version(10, &["blue", "current"])];
        for (format, quiet, expected) in [
            (
                None,
                false,
                "VERSION   LABELS         CREATED          SIZE      HELD BY   TASKS\n\
                 10        blue,current   2 seconds ago    511999B   api,web   5\n\
                 2         previous       10 seconds ago   511999B             0\n",
            ),
            (None, true, "10\n2\n"),
            (Some("{{.Version}} {{.Labels}}"), false, "10 blue,current\n2 previous\n"),
            (Some("{{.HeldBy}} {{.Tasks}}"), false, "api,web 5\n 0\n"),
        ] {
            let format = Format::parse(format, quiet).unwrap();
            let shown = listing(versions(), &holders, 12_000_000_000).render(&format);
            assert_eq!(shown, Ok(expected.to_owned()), "{format:?}");
        }
    }
}
