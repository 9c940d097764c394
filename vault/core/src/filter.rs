//! Filters of a list, in Swarm's words: `id`, `name`, `names`, `label`.

use crate::id::ObjectId;
use crate::labels::Labels;
use crate::limits::FILTERS_MAX;
use crate::name::Folded;
use crate::versioned::Class;

/// A filter that is none. The first text is Swarm's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("invalid filter '{0}'")]
    Unknown(String),
    #[error("{count} filters given, at most {FILTERS_MAX} are")]
    TooMany { count: usize },
}

/// Which objects are wanted. ID and name filters are alternatives; labels must all fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    id_prefixes: Vec<String>,
    name_prefixes: Vec<Folded>,
    names: Vec<Folded>,
    labels: Vec<(String, Option<String>)>,
}

impl Filters {
    /// Takes `key=value` pairs.
    pub fn parse<'a>(
        class: Class,
        pairs: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, FilterError> {
        if pairs.len() > FILTERS_MAX {
            return Err(FilterError::TooMany { count: pairs.len() });
        }
        let mut filters = Self::default();
        for (key, value) in pairs {
            match (key, class) {
                ("id", _) => filters.id_prefixes.push(value.to_owned()),
                ("name", _) => filters.name_prefixes.push(Folded::of(value)),
                // As in Swarm, configs have no exact filter.
                ("names", Class::Secret) => filters.names.push(Folded::of(value)),
                ("label", _) => filters.labels.push(match value.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (value.to_owned(), None),
                }),
                _ => return Err(FilterError::Unknown(key.to_owned())),
            }
        }
        Ok(filters)
    }

    /// Whether an object is wanted.
    pub fn admit(&self, id: ObjectId, name: &Folded, labels: &Labels) -> bool {
        let anything =
            self.id_prefixes.is_empty() && self.name_prefixes.is_empty() && self.names.is_empty();
        let by_id = self.id_prefixes.iter().any(|prefix| id.as_str().starts_with(prefix));
        let by_prefix =
            || self.name_prefixes.iter().any(|prefix| name.as_str().starts_with(prefix.as_str()));
        let by_name = || self.names.contains(name);
        let has = |(key, value): &(String, Option<String>)| match (labels.as_map().get(key), value)
        {
            (Some(found), Some(wanted)) => found == wanted,
            (found, None) => found.is_some(),
            (None, Some(_)) => false,
        };
        (anything || by_id || by_prefix() || by_name()) && self.labels.iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn admits(pairs: &[(&str, &str)]) -> bool {
        let filters = Filters::parse(Class::Secret, pairs.iter().copied()).unwrap();
        let id = ObjectId::parse("abc0000000000000000000000").unwrap();
        let labels = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
        filters.admit(id, &Folded::of("Db-password"), &Labels::parse(labels).unwrap())
    }

    #[test]
    fn names_and_ids_are_alternatives_and_labels_must_all_fit() {
        for (pairs, expected) in [
            (&[][..], true),
            (&[("id", "abc")], true),
            (&[("id", "x")], false),
            (&[("name", "DB")], true),
            (&[("name", "password")], false),
            (&[("names", "db")], false),
            (&[("names", "db-PASSWORD")], true),
            (&[("id", "x"), ("name", "db")], true),
            (&[("label", "env")], true),
            (&[("label", "env=prod")], true),
            (&[("label", "env=")], false),
            (&[("label", "nobody=prod")], false),
            (&[("label", "nobody")], false),
            (&[("label", "env"), ("label", "x")], false),
            (&[("name", "db"), ("label", "env=dev")], false),
        ] {
            assert_eq!(admits(pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn unknown_filters_are_refused_in_swarms_words() {
        let pairs = [("bogus", "x")];
        let refused = Filters::parse(Class::Secret, pairs.into_iter()).unwrap_err();
        assert_eq!(refused.to_string(), "invalid filter 'bogus'");
        let names = Filters::parse(Class::Config, [("names", "x")].into_iter());
        assert_eq!(names, Err(FilterError::Unknown("names".into())));
    }

    #[test]
    fn filters_are_bounded_in_number() {
        let of = |count| Filters::parse(Class::Secret, vec![("name", "a"); count].into_iter());
        of(FILTERS_MAX).unwrap();
        assert_eq!(of(FILTERS_MAX + 1), Err(FilterError::TooMany { count: FILTERS_MAX + 1 }));
    }
}
