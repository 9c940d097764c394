//! Whose tasks hold which version, in words. The newest version comes first, services by their names.

use std::cmp::Reverse;

use serde_json::Value;
use serde_json::json;

use crate::objects::Holder;
use crate::objects::Version;
use crate::objects::Versioned;

/// Of one version: `api (1), web (2)`.
pub(super) fn of_version(holders: &[Holder], number: u32) -> String {
    let named = sorted(holders, number);
    let named = named.iter().map(|Holder { service, tasks, .. }| format!("{service} ({tasks})"));
    named.collect::<Vec<_>>().join(", ")
}

/// Of all versions: `3: api (1), web (2); 2: web (1)`.
pub(super) fn in_a_cell(holders: &[Holder]) -> String {
    let mut numbers: Vec<_> = holders.iter().map(|holder| Reverse(holder.version)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let each = numbers.iter().map(|Reverse(number)| {
        let named = of_version(holders, *number);
        format!("{number}: {named}")
    });
    each.collect::<Vec<_>>().join("; ")
}

/// The versions of an object, oldest first, as `inspect` has them.
pub(super) fn json_versions(found: &Versioned) -> Vec<Value> {
    let version = |version: &Version| {
        let holders = sorted(&found.holders, version.number);
        let holders =
            holders.iter().map(|holder| json!({"Service": holder.service, "Tasks": holder.tasks}));
        json!({
            "Number": version.number,
            "Labels": version.labels,
            "HeldBy": holders.collect::<Vec<_>>(),
        })
    };
    found.versions.iter().map(version).collect()
}

/// The same for people, under a heading.
pub(super) fn pretty_versions(found: &Versioned) -> String {
    let line = |version: &Version| {
        let labels = match version.labels.join(", ") {
            none if none.is_empty() => none,
            labels => format!(" ({labels})"),
        };
        let held = match of_version(&found.holders, version.number) {
            none if none.is_empty() => none,
            held => format!(", held by {held}"),
        };
        format!(" - {}{labels}{held}\n", version.number)
    };
    let lines = found.versions.iter().map(line).collect::<String>();
    if lines.is_empty() { lines } else { format!("Versions:\n{lines}") }
}

fn sorted(holders: &[Holder], number: u32) -> Vec<&Holder> {
    let mut of: Vec<_> = holders.iter().filter(|holder| holder.version == number).collect();
    of.sort_by(|a, b| a.service.cmp(&b.service));
    of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_named_by_version_and_service() {
        let holder = |(version, service, tasks): &(u32, &str, u64)| Holder {
            version: *version,
            service: (*service).to_owned(),
            tasks: *tasks,
        };
        for (holders, expected) in [
            (&[][..], ""),
            (&[(2, "web", 1)], "2: web (1)"),
            (
                &[(2, "web", 1), (9, "web", 2), (10, "z", 4), (10, "a", 3)],
                "10: a (3), z (4); 9: web (2); 2: web (1)",
            ),
        ] {
            let holders: Vec<_> = holders.iter().map(holder).collect();
            assert_eq!(in_a_cell(&holders), expected);
        }
    }
}
