//! Verbs that change what is there: `rm`, `activate`, `rollback`, `destroy`, `update`.
//!
//! Each prints what it was given once that is done.

use std::num::NonZeroU32;

use super::VersionedError;
use super::confirm;
use crate::args::ChangeArgs;
use crate::client::Client;
use crate::exit;
use crate::exit::Failure;
use crate::host::Host;
use crate::objects::Change;
use crate::objects::Class;
use crate::objects::Labels;
use crate::out;

/// Removes each object that can be removed.
pub(super) async fn remove(
    host: &Host,
    class: Class,
    references: &[String],
) -> Result<(), Failure> {
    let client = Client::connect(host).await?;
    let mut errors = Vec::new();
    for reference in references {
        match client.remove_value(class, reference).await {
            Ok(()) => out::line(reference)?,
            Err(error) => errors.push(error),
        }
    }
    exit::all(errors)
}

/// Makes one version of each current: all or none.
pub(super) async fn activate(host: &Host, class: Class, targets: &[String]) -> Result<(), Failure> {
    let parsed = targets.iter().map(|typed| parse_target(typed)).collect::<Result<_, _>>()?;
    Client::connect(host).await?.activate_values(class, parsed).await?;
    print(targets)
}

/// `NAME` or `NAME@VERSION`. No name has a `@`.
fn parse_target(typed: &str) -> Result<(String, String), VersionedError> {
    match typed.split_once('@') {
        None => Ok((typed.to_owned(), String::new())),
        Some((_, "")) => Err(VersionedError::VersionMissing(typed.to_owned())),
        Some((name, version)) => Ok((name.to_owned(), version.to_owned())),
    }
}

/// Makes the version before the current one of each current again: all or none.
pub(super) async fn roll_back(
    host: &Host,
    class: Class,
    references: &[String],
) -> Result<(), Failure> {
    Client::connect(host).await?.roll_values_back(class, references).await?;
    print(references)
}

/// How sure somebody is that a version is to go.
pub(super) struct Sure {
    /// Need not be asked.
    pub(super) yes: bool,
    /// Also from under tasks.
    pub(super) force: bool,
}

/// Takes the value of one version away, after a yes.
pub(super) async fn destroy(
    host: &Host,
    class: Class,
    reference: &str,
    version: NonZeroU32,
    sure: Sure,
) -> Result<(), Failure> {
    if !sure.yes {
        confirm::ask(&format!(
            "WARNING! The value of version {version} of {class} {reference} will be gone for good.\n\
             Are you sure you want to continue?"
        ))?;
    }
    Client::connect(host).await?.destroy_version(class, reference, version, sure.force).await?;
    Ok(out::line(reference)?)
}

/// Changes an object's labels and how many versions of it are kept.
pub(super) async fn update(host: &Host, class: Class, args: ChangeArgs) -> Result<(), Failure> {
    let ChangeArgs { labels_add, labels_rm, version_limit, reference } = args;
    let client = Client::connect(host).await?;
    let labels = if labels_add.is_empty() && labels_rm.is_empty() {
        None
    } else {
        // Another change in between is refused by the version index that was seen here.
        let found = client.inspect_value(class, &reference).await?;
        let labels = changed(class, found.labels, labels_add, &labels_rm)?;
        Some((labels, found.meta.version_index))
    };
    client.update_value(class, &reference, Change { labels, version_limit }).await?;
    Ok(out::line(reference)?)
}

/// Takes away before it adds, so that a key can do both.
fn changed(
    class: Class,
    mut labels: Labels,
    add: Vec<(String, String)>,
    remove: &[String],
) -> Result<Labels, VersionedError> {
    for key in remove {
        if labels.remove(key).is_none() {
            return Err(VersionedError::NoLabel { class, key: key.clone() });
        }
    }
    labels.extend(add);
    Ok(labels)
}

fn print(done: &[String]) -> Result<(), Failure> {
    done.iter().try_for_each(|one| Ok(out::line(one)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_behind_an_at() {
        let target = |name: &str, version: &str| Ok((name.to_owned(), version.to_owned()));
        for (typed, expected) in [
            ("a", target("a", "")),
            ("a@3", target("a", "3")),
            ("a@blue", target("a", "blue")),
            ("a@3@4", target("a", "3@4")),
            ("a@", Err(VersionedError::VersionMissing("a@".to_owned()))),
        ] {
            assert_eq!(parse_target(typed), expected, "{typed}");
        }
    }

    #[test]
    fn labels_are_taken_away_before_others_are_added() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let missing =
            |key: &str| Err(VersionedError::NoLabel { class: Class::Secret, key: key.to_owned() });
        for (add, remove, expected) in [
            (&[][..], &[][..], Ok(labels(&[("a", "1"), ("b", "2")]))),
            (&[("c", "3")], &["a"], Ok(labels(&[("b", "2"), ("c", "3")]))),
            (&[("a", "9")], &[], Ok(labels(&[("a", "9"), ("b", "2")]))),
            (&[("a", "9")], &["a"], Ok(labels(&[("a", "9"), ("b", "2")]))),
            (&[("c", "3")], &["c"], missing("c")),
            (&[], &["a", "a"], missing("a")),
        ] {
            let before = labels(&[("a", "1"), ("b", "2")]);
            let remove: Vec<_> = remove.iter().map(|key| (*key).to_owned()).collect();
            let after = changed(Class::Secret, before, labels(add).into_iter().collect(), &remove);
            assert_eq!(after, expected, "add {add:?}, remove {remove:?}");
        }
    }
}
