//! A set of named objects: by ID, by name, by unique prefix of an ID, page by page by name.
//!
//! Copies share their structure, so a copy for a snapshot or a reader costs nothing.

use std::sync::Arc;

use imbl::OrdMap;

use crate::id::ObjectId;
use crate::name::{Folded, Named};

/// Why a reference names no single object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupError {
    NotFound,
    /// The prefix fits so many IDs.
    Ambiguous(usize),
}

/// Objects of one kind.
#[derive(Clone, Debug)]
pub struct Table<T> {
    by_id: OrdMap<ObjectId, Arc<T>>,
    /// Every object's folded name. Invariant: as many entries as `by_id`.
    by_name: OrdMap<Folded, ObjectId>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { by_id: OrdMap::new(), by_name: OrdMap::new() }
    }
}

impl<T: Named> Table<T> {
    /// The object with exactly this ID.
    pub fn get(&self, id: ObjectId) -> Option<&Arc<T>> {
        self.by_id.get(&id)
    }

    /// The object with this name, whatever its case.
    pub fn by_name(&self, name: &Folded) -> Option<&Arc<T>> {
        self.by_id.get(self.by_name.get(name)?)
    }

    /// Finds by full ID, then by name, then by unique prefix of an ID: Swarm's order.
    pub fn find(&self, reference: &str) -> Result<&Arc<T>, LookupError> {
        if let Some(object) = ObjectId::parse(reference).ok().and_then(|id| self.get(id)) {
            return Ok(object);
        }
        if let Some(object) = self.by_name(&Folded::of(reference)) {
            return Ok(object);
        }
        self.find_prefix(reference)
    }

    fn find_prefix(&self, prefix: &str) -> Result<&Arc<T>, LookupError> {
        let base_36 = prefix.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        let first = ObjectId::first_with_prefix(prefix).filter(|_| base_36 && !prefix.is_empty());
        let Some(first) = first else { return Err(LookupError::NotFound) };
        let fits = |(id, _): &(&ObjectId, &Arc<T>)| id.as_str().starts_with(prefix);
        let mut matches = self.by_id.range(first..).take_while(fits);
        match (matches.next(), matches.count()) {
            (Some((_, object)), 0) => Ok(object),
            (Some(_), more) => Err(LookupError::Ambiguous(more.saturating_add(1))),
            (None, _) => Err(LookupError::NotFound),
        }
    }

    /// Puts an object in, in place of the one with the same ID, which is given back. Its name must be
    /// free or its own.
    pub fn insert(&mut self, id: ObjectId, object: Arc<T>) -> Option<Arc<T>> {
        let name = object.folded();
        let before = self.by_id.insert(id, object);
        let name_before = before.as_ref().map(|before| before.folded());
        if name_before.as_ref() != Some(&name) {
            if let Some(free) = name_before {
                self.by_name.remove(&free);
            }
            self.by_name.insert(name, id);
        }
        before
    }

    /// Takes an object out.
    pub fn remove(&mut self, id: ObjectId) -> Option<Arc<T>> {
        let object = self.by_id.remove(&id)?;
        self.by_name.remove(&object.folded());
        Some(object)
    }

    /// All objects, ordered by ID.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.by_id.values()
    }

    /// Up to `limit` objects ordered by name, those behind `after`.
    pub fn page(&self, after: Option<&Folded>, limit: usize) -> impl Iterator<Item = &Arc<T>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        let ids = self.by_name.range::<_, Folded>((start, Unbounded)).map(|(_, id)| id);
        ids.filter_map(|id| self.by_id.get(id)).take(limit)
    }

    /// How many objects.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Thing(&'static str);
    impl Named for Thing {
        fn folded(&self) -> Folded {
            Folded::of(self.0)
        }
    }

    fn table() -> Table<Thing> {
        let mut table = Table::default();
        for (id, name) in [
            ("aaaa000000000000000000000", "One"),
            ("aaab000000000000000000000", "two"),
            ("b000000000000000000000000", "aaaa000000000000000000000"),
            ("c000000000000000000000000", "b"),
        ] {
            table.insert(ObjectId::parse(id).unwrap(), Arc::new(Thing(name)));
        }
        table
    }

    #[test]
    fn look_up_tries_id_then_name_then_unique_prefix() {
        let table = table();
        for (reference, expected) in [
            ("aaaa000000000000000000000", Ok("One")),
            ("ONE", Ok("One")),
            ("aaab", Ok("two")),
            ("b", Ok("b")),
            ("b0", Ok("aaaa000000000000000000000")),
            ("aaa", Err(LookupError::Ambiguous(2))),
            ("", Err(LookupError::NotFound)),
            ("zz", Err(LookupError::NotFound)),
            ("AAAB", Err(LookupError::NotFound)),
            ("aaab0000000000000000000000", Err(LookupError::NotFound)),
        ] {
            let found = table.find(reference).map(|thing| thing.0);
            assert_eq!(found, expected, "{reference:?}");
        }
    }

    #[test]
    fn case_7_pages_go_through_all_names_in_order() {
        let table = table();
        let first: Vec<_> = table.page(None, 2).map(|t| t.0).collect();
        assert_eq!(first, ["aaaa000000000000000000000", "b"]);
        let rest: Vec<_> = table.page(Some(&Folded::of("B")), 9).map(|t| t.0).collect();
        assert_eq!(rest, ["One", "two"]);
    }

    #[test]
    fn an_object_that_changes_its_name_leaves_the_old_one_free() {
        let mut table = table();
        let id = ObjectId::parse("c000000000000000000000000").unwrap();
        table.insert(id, Arc::new(Thing("z")));
        assert!(table.by_name(&Folded::of("b")).is_none());
        assert_eq!(table.remove(id).unwrap().0, "z");
        assert_eq!(table.len(), 3);
    }
}
