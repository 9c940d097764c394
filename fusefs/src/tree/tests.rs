//! What the tree answers, without any kernel: lookups, versions, switching, taking away.

use std::collections::BTreeSet;

use super::*;

// A derive on anything that holds a file would print or compare a secret.
static_assertions::assert_not_impl_any!(File: std::fmt::Debug, PartialEq);

fn id(number: u8) -> SubtreeId {
    SubtreeId::from_random([number; 8])
}

fn tree() -> Tree {
    Tree::new(NodeIds::new([9; 16]))
}

fn content(bytes: &[u8]) -> Arc<Guarded> {
    Arc::new(Guarded::filled(bytes.len(), |room| room.copy_from_slice(bytes)).unwrap())
}

fn file(name: &str, object: &str, version: u64, bytes: &[u8]) -> File {
    File {
        name: FileName::parse(name).unwrap(),
        uid: 7,
        gid: 8,
        mode: 0o100_440,
        object: object.to_owned(),
        version,
        modified_ns: i64::try_from(version).unwrap(),
        content: content(bytes),
    }
}

fn top(tree: &Tree, id: SubtreeId) -> Ino {
    tree.subtree_named(id.segment().as_bytes()).unwrap().attributes.ino
}

fn at(tree: &Tree, directory: Ino, name: &str) -> Result<Ino, Refusal> {
    tree.lookup(directory, name.as_bytes()).map(|found| found.attributes.ino)
}

fn bytes(tree: &Tree, ino: Ino) -> Result<Vec<u8>, Refusal> {
    tree.read(ino, 0, 1000, false).map(|(content, part)| content.expose()[part].to_vec())
}

#[test]
fn a_planted_file_is_found_with_its_attributes() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("token", "s1", 3, b"abc")]).unwrap();
    let directory = top(&tree, id(1));
    let found = tree.lookup(directory, b"token").unwrap();
    assert!(found.lasting);
    let ino = found.attributes.ino;
    let expected = Attributes {
        ino,
        is_directory: false,
        size: 3,
        mode: 0o440,
        uid: 7,
        gid: 8,
        modified_ns: 3,
    };
    assert_eq!(found.attributes, expected);
    assert_eq!(tree.attributes(ino), Ok(expected));
    assert_eq!(tree.attributes(directory).map(|of| of.modified_ns), Ok(3));
}

#[test]
fn a_lookup_says_why_not() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("token", "s1", 1, b"abc")]).unwrap();
    let directory = top(&tree, id(1));
    let leaf = at(&tree, directory, "token").unwrap();
    let long = vec![b'n'; 256];
    for (parent, name, expected) in [
        (directory, &b"other"[..], Refusal::NoEntry),
        (directory, b"\xff", Refusal::NoEntry),
        (directory, b"..", Refusal::NoEntry),
        (directory, b"", Refusal::NoEntry),
        (directory, &long, Refusal::NameTooLong),
        (leaf, b"token", Refusal::NotADirectory),
        (Ino(4711), b"token", Refusal::NoEntry),
        (ROOT, b"token", Refusal::NoEntry),
    ] {
        assert_eq!(tree.lookup(parent, name), Err(expected), "{parent:?} {name:?}");
    }
}

#[test]
fn the_root_lists_nothing_and_knows_subtrees_by_their_exact_name() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("token", "s1", 1, b"abc")]).unwrap();
    assert!(tree.listing(ROOT).unwrap().0.is_empty());
    assert_eq!(tree.subtree_named(id(2).segment().as_bytes()), Err(Refusal::NoEntry));
    assert_eq!(tree.subtree_named(b""), Err(Refusal::NoEntry));
    let found = tree.subtree_named(id(1).segment().as_bytes()).unwrap();
    assert!(!found.lasting, "another process must not find the name remembered");
}

#[test]
fn a_read_gives_the_part_that_was_asked_for() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("token", "s1", 1, b"abcdef")]).unwrap();
    let ino = at(&tree, top(&tree, id(1)), "token").unwrap();
    for (offset, size, expected) in [
        (0, 1000, &b"abcdef"[..]),
        (2, 3, b"cde"),
        (5, 9, b"f"),
        (6, 9, b""),
        (u64::MAX, u32::MAX, b""),
        (1, 0, b""),
    ] {
        let (content, part) = tree.read(ino, offset, size, false).unwrap();
        assert_eq!(&content.expose()[part], expected, "{offset} {size}");
    }
}

#[test]
fn a_directory_is_not_read_or_opened_as_a_file() {
    let mut tree = tree();
    tree.plant(id(1), vec![]).unwrap();
    for ino in [ROOT, top(&tree, id(1))] {
        assert_eq!(tree.read(ino, 0, 1, false).err(), Some(Refusal::IsADirectory));
        assert_eq!(tree.open(ino), Err(Refusal::IsADirectory));
        assert_eq!(tree.door(ino, false), Err(Refusal::IsADirectory));
    }
}

#[test]
fn an_open_descriptor_keeps_its_version_and_a_new_open_is_sent_to_the_next() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("token", "s1", 1, b"old")]).unwrap();
    let directory = top(&tree, id(1));
    let old = at(&tree, directory, "token").unwrap();
    tree.open(old).unwrap();
    tree.replace(id(1), vec![file("token", "s1", 2, b"newer")]).unwrap();

    assert_eq!(tree.door(old, false), Err(Refusal::Stale));
    assert_eq!(tree.door(old, true).map(|door| door.version), Ok(1));
    assert_eq!(tree.open(old), Err(Refusal::Stale));
    assert_eq!(bytes(&tree, old), Ok(b"old".to_vec()));
    assert_eq!(tree.attributes(old).map(|of| of.size), Ok(3));
    let new = at(&tree, directory, "token").unwrap();
    assert_ne!(new, old);
    assert_eq!(bytes(&tree, new), Ok(b"newer".to_vec()));

    tree.release(old);
    // The kernel may ask for its attributes in the middle of the next open.
    assert_eq!(tree.attributes(old).map(|of| of.size), Ok(3));
    assert_eq!(tree.attribute(old, b"user.secret.id"), Err(Refusal::Stale));
    assert_eq!(bytes(&tree, old), Err(Refusal::Revoked));
}

#[test]
fn a_version_that_comes_back_has_its_node_again() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("token", "s1", 1, b"one")]).unwrap();
    let directory = top(&tree, id(1));
    let first = at(&tree, directory, "token").unwrap();
    for (version, value) in [(2, b"two"), (1, b"one")] {
        tree.replace(id(1), vec![file("token", "s1", version, value)]).unwrap();
    }
    assert_eq!(at(&tree, directory, "token"), Ok(first));
    tree.open(first).unwrap();
    assert_eq!(bytes(&tree, first), Ok(b"one".to_vec()));
}

#[test]
fn the_bytes_of_a_version_do_not_change() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("token", "s1", 1, b"one")]).unwrap();
    let ino = at(&tree, top(&tree, id(1)), "token").unwrap();
    let mut other = file("token", "s1", 1, b"forged");
    other.mode = 0o400;
    let change = tree.replace(id(1), vec![other]).unwrap();
    assert_eq!(bytes(&tree, ino), Ok(b"one".to_vec()));
    assert_eq!(tree.attributes(ino).map(|of| of.mode), Ok(0o400));
    assert!(change.attributes.contains(&ino), "the kernel must ask for the mode again");
}

#[test]
fn a_secret_that_is_no_longer_shown_is_taken_from_open_descriptors() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("a", "s1", 1, b"one"), file("b", "s2", 1, b"two")]).unwrap();
    let directory = top(&tree, id(1));
    let (a, b) = (at(&tree, directory, "a").unwrap(), at(&tree, directory, "b").unwrap());
    tree.open(a).unwrap();
    tree.open(b).unwrap();
    let change = tree.replace(id(1), vec![file("b", "s2", 1, b"two")]).unwrap();
    assert!(change.pages.contains(&a));
    assert_eq!(bytes(&tree, a), Err(Refusal::Revoked));
    assert_eq!(bytes(&tree, b), Ok(b"two".to_vec()));
    assert_eq!(at(&tree, directory, "a"), Err(Refusal::NoEntry));

    // It comes back, and the old descriptor stays dead.
    tree.replace(id(1), vec![file("a", "s1", 1, b"one"), file("b", "s2", 1, b"two")]).unwrap();
    let again = at(&tree, directory, "a").unwrap();
    assert_ne!(again, a);
    assert_eq!(bytes(&tree, a), Err(Refusal::Revoked));
    assert_eq!(bytes(&tree, again), Ok(b"one".to_vec()));
}

#[test]
fn a_felled_subtree_is_gone_for_everybody() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("a", "s1", 1, b"one")]).unwrap();
    tree.plant(id(2), vec![file("a", "s1", 1, b"one")]).unwrap();
    let directory = top(&tree, id(1));
    let ino = at(&tree, directory, "a").unwrap();
    tree.open(ino).unwrap();
    assert!(tree.fell(id(1)).pages.contains(&ino));
    assert_eq!(bytes(&tree, ino), Err(Refusal::Revoked));
    assert_eq!(tree.open(ino), Err(Refusal::Stale));
    assert_eq!(tree.attributes(ino), Err(Refusal::Stale));
    assert_eq!(tree.attributes(directory), Err(Refusal::Stale));
    assert_eq!(tree.lookup(directory, b"a"), Err(Refusal::NoEntry));
    assert_eq!(tree.listing(directory).err(), Some(Refusal::Stale));
    assert_eq!(tree.fell(id(1)), Change::default());

    let other = at(&tree, top(&tree, id(2)), "a").unwrap();
    assert_eq!(bytes(&tree, other), Ok(b"one".to_vec()));
    // The last release frees what was kept for the descriptor.
    tree.release(ino);
    assert_eq!(tree.leaves.keys().filter(|leaf| **leaf == ino).count(), 0);
}

#[test]
fn one_version_is_revoked_and_the_others_stay() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("a", "s1", 1, b"one"), file("b", "s1", 2, b"two")]).unwrap();
    let directory = top(&tree, id(1));
    let (a, b) = (at(&tree, directory, "a").unwrap(), at(&tree, directory, "b").unwrap());
    tree.open(a).unwrap();
    tree.revoke(id(1), "s1", 1);
    assert_eq!(bytes(&tree, a), Err(Refusal::Revoked));
    assert_eq!(at(&tree, directory, "a"), Err(Refusal::NoEntry));
    let set = at(&tree, directory, SET_DIRECTORY).unwrap();
    assert_eq!(at(&tree, set, "a"), Err(Refusal::NoEntry));
    assert_eq!(bytes(&tree, b), Ok(b"two".to_vec()));
}

#[test]
fn the_set_directory_is_of_one_revision() {
    let files = |version| {
        let value = [b'0' + u8::try_from(version).unwrap()];
        vec![file("cert", "s1", version, &value), file("key", "s2", version, &value)]
    };
    let mut tree = tree();
    tree.plant(id(1), files(1)).unwrap();
    let directory = top(&tree, id(1));
    let found = tree.lookup(directory, SET_DIRECTORY.as_bytes()).unwrap();
    assert!(!found.lasting, "a path through it must reach the newest revision");
    let first = found.attributes.ino;
    tree.replace(id(1), files(2)).unwrap();
    let second = at(&tree, directory, SET_DIRECTORY).unwrap();
    assert_ne!(first, second);

    // Whoever is in the directory of the revision before opens that one's files, whole.
    for (set, expected) in [(first, b"1"), (second, b"2")] {
        for name in ["cert", "key"] {
            let ino = at(&tree, set, name).unwrap();
            assert_eq!(tree.open(ino), Ok(()), "{name}");
            assert_eq!(bytes(&tree, ino), Ok(expected.to_vec()), "{name}");
        }
    }
    // Two steps later it is gone, but not from open descriptors.
    let held = at(&tree, first, "cert").unwrap();
    tree.replace(id(1), files(3)).unwrap();
    assert_eq!(at(&tree, first, "cert"), Err(Refusal::NoEntry));
    assert_eq!(tree.open(held), Err(Refusal::Stale));
    assert_eq!(bytes(&tree, held), Ok(b"1".to_vec()));
    assert_eq!(at(&tree, second, SET_DIRECTORY), Err(Refusal::NoEntry));
}

#[test]
fn the_revision_before_does_not_show_a_secret_that_was_taken_away() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("a", "s1", 1, b"one"), file("b", "s2", 1, b"two")]).unwrap();
    let directory = top(&tree, id(1));
    let set = at(&tree, directory, SET_DIRECTORY).unwrap();
    tree.replace(id(1), vec![file("b", "s2", 2, b"two")]).unwrap();
    assert_eq!(at(&tree, set, "a"), Err(Refusal::NoEntry));
    assert_ne!(at(&tree, set, "b"), Err(Refusal::NoEntry));
}

#[test]
fn going_to_and_fro_between_two_revisions_leaves_nothing_behind() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("a", "s1", 1, b"one")]).unwrap();
    for round in 2..50 {
        let version = 1 + round % 2;
        tree.replace(id(1), vec![file("a", "s1", version, b"one")]).unwrap();
    }
    for version in 3..50 {
        tree.replace(id(1), vec![file("a", "s1", version, b"one")]).unwrap();
    }
    // One at the top, one in each of two sets.
    assert_eq!(tree.leaves.len(), 3);
    assert_eq!(tree.directories.len(), 3);
    assert_eq!(tree.subtrees[&id(1)].leaves.len(), 3);
    for version in 50..6000 {
        tree.replace(id(1), vec![file("a", "s1", version, b"one")]).unwrap();
    }
    assert_eq!((tree.former.order.len(), tree.former.attributes.len()), (FORMER_MAX, FORMER_MAX));
    tree.fell(id(1));
    assert!(tree.leaves.is_empty() && tree.directories.is_empty() && tree.subtrees.is_empty());
}

#[test]
fn nodes_differ_between_subtrees_and_repeat_with_the_key() {
    let mut first = tree();
    let mut second = tree();
    for tree in [&mut first, &mut second] {
        tree.plant(id(1), vec![file("a", "s1", 1, b"one")]).unwrap();
        tree.plant(id(2), vec![file("a", "s1", 1, b"one")]).unwrap();
    }
    let nodes: BTreeSet<Ino> =
        first.leaves.keys().chain(first.directories.keys()).copied().collect();
    assert_eq!(nodes.len(), 8);
    assert_eq!(first.leaves.keys().collect::<Vec<_>>(), second.leaves.keys().collect::<Vec<_>>());
}

#[test]
fn a_set_of_files_that_cannot_be_shown_changes_nothing() {
    let mut tree = tree();
    let twice = || vec![file("a", "s1", 1, b"one"), file("a", "s2", 1, b"two")];
    let many = || {
        let one = file("a", "s1", 1, b"one");
        vec![one; SUBTREE_FILES_MAX + 1]
    };
    let name_twice = PlantError::NameTwice { name: "a".to_owned() };
    let too_many = PlantError::TooManyFiles { files: SUBTREE_FILES_MAX + 1 };
    assert_eq!(tree.plant(id(1), twice()), Err(name_twice.clone()));
    assert_eq!(tree.plant(id(1), many()), Err(too_many.clone()));
    assert_eq!(tree.replace(id(1), vec![]), Err(PlantError::NotPlanted));

    tree.plant(id(1), vec![file("a", "s1", 1, b"one")]).unwrap();
    assert_eq!(tree.plant(id(1), vec![]), Err(PlantError::AlreadyPlanted));
    assert_eq!(tree.replace(id(1), twice()), Err(name_twice));
    assert_eq!(tree.replace(id(1), many()), Err(too_many));
    let ino = at(&tree, top(&tree, id(1)), "a").unwrap();
    assert_eq!(bytes(&tree, ino), Ok(b"one".to_vec()));
}

#[test]
fn a_door_tells_who_may_open_and_what() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("a", "s1", 4, b"one")]).unwrap();
    let ino = at(&tree, top(&tree, id(1)), "a").unwrap();
    let mut expected = Door {
        subtree: id(1),
        admitted: None,
        name: FileName::parse("a").unwrap(),
        object: "s1".to_owned(),
        version: 4,
    };
    assert_eq!(tree.door(ino, false), Ok(expected.clone()));
    let own = PidNamespace::of(std::process::id()).unwrap();
    tree.admit(id(1), own.clone()).unwrap();
    expected.admitted = Some(own.clone());
    assert_eq!(tree.door(ino, false), Ok(expected));
    assert_eq!(tree.admit(id(2), own), Err(NoSuchSubtree));
}

#[test]
fn attributes_tell_the_secret_and_its_version() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("a", "s1", 4, b"one")]).unwrap();
    let directory = top(&tree, id(1));
    let ino = at(&tree, directory, "a").unwrap();
    assert_eq!(tree.attribute(ino, b"user.secret.id"), Ok("s1".to_owned()));
    assert_eq!(tree.attribute(ino, b"user.secret.version"), Ok("4".to_owned()));
    assert_eq!(tree.attribute(ino, b"security.selinux"), Err(Refusal::NoAttribute));
    assert_eq!(tree.attribute(directory, b"user.secret.id"), Err(Refusal::NoAttribute));
    assert_eq!(tree.attribute(Ino(5), b"user.secret.id"), Err(Refusal::Stale));
    assert_eq!(tree.attribute_names(ino), Ok(b"user.secret.id\0user.secret.version\0".to_vec()));
    assert_eq!(tree.attribute_names(directory), Ok(vec![]));
}

#[test]
fn only_reads_into_the_page_cache_ask_for_its_pages_to_be_dropped() {
    for is_for_pages in [true, false] {
        let mut tree = tree();
        tree.plant(id(1), vec![file("a", "s1", 1, b"one")]).unwrap();
        let ino = at(&tree, top(&tree, id(1)), "a").unwrap();
        tree.open(ino).unwrap();
        tree.open(ino).unwrap();
        tree.read(ino, 0, 4096, is_for_pages).unwrap();
        assert!(!tree.release(ino), "somebody still has it open");
        assert_eq!(tree.release(ino), is_for_pages);
    }
}

#[test]
fn the_room_is_that_of_the_subtree() {
    let mut tree = tree();
    tree.plant(id(1), vec![file("a", "s1", 1, b"one"), file("b", "s2", 1, b"four")]).unwrap();
    let directory = top(&tree, id(1));
    let leaf = at(&tree, directory, "a").unwrap();
    for ino in [directory, leaf, at(&tree, directory, SET_DIRECTORY).unwrap()] {
        assert_eq!(tree.room(ino), Room { bytes: 7, files: 2 }, "{ino:?}");
    }
    assert_eq!(tree.room(ROOT), Room { bytes: 0, files: 0 });
}
