//! What holds after any sequence of changes: nobody reads another version's bytes, nothing that was
//! taken away is read, and nothing is kept without a reason.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Plant { subtree: u8, files: Vec<(u8, u8, u8)> },
    Replace { subtree: u8, files: Vec<(u8, u8, u8)> },
    Revoke { subtree: u8, object: u8, version: u8 },
    Fell { subtree: u8 },
    Open { subtree: u8, name: u8, through_set: bool },
    Release { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let files = || prop::collection::vec((0..3_u8, 0..3_u8, 0..3_u8), 0..4);
    prop_oneof![
        (0..2_u8, files()).prop_map(|(subtree, files)| Step::Plant { subtree, files }),
        (0..2_u8, files()).prop_map(|(subtree, files)| Step::Replace { subtree, files }),
        (0..2_u8, files()).prop_map(|(subtree, files)| Step::Replace { subtree, files }),
        (0..2_u8, 0..3_u8, 0..3_u8).prop_map(|(subtree, object, version)| Step::Revoke {
            subtree,
            object,
            version
        }),
        (0..2_u8).prop_map(|subtree| Step::Fell { subtree }),
        (0..2_u8, 0..3_u8, any::<bool>()).prop_map(|(subtree, name, through_set)| Step::Open {
            subtree,
            name,
            through_set
        }),
        (0..8_usize).prop_map(|which| Step::Release { which }),
    ]
}

fn id(subtree: u8) -> SubtreeId {
    SubtreeId::from_random([subtree + 1; 8])
}

/// The bytes of a version: of its secret and number alone.
fn value(object: u8, version: u8) -> [u8; 2] {
    [object, version]
}

fn file((name, object, version): (u8, u8, u8)) -> File {
    let bytes = value(object, version);
    File {
        name: FileName::parse(&format!("name {name}")).unwrap(),
        uid: 0,
        gid: 0,
        mode: 0o400,
        object: format!("s{object}"),
        version: u64::from(version),
        modified_ns: 0,
        content: Arc::new(Guarded::filled(2, |room| room.copy_from_slice(&bytes)).unwrap()),
    }
}

/// A descriptor: its node, and the bytes that it may read, until they are taken from it.
struct Held {
    ino: Ino,
    bytes: Vec<u8>,
    is_dead: bool,
}

#[derive(Default)]
struct World {
    held: Vec<Held>,
}

impl World {
    fn take(&mut self, tree: &mut Tree, step: Step) {
        match step {
            Step::Plant { subtree, files } => {
                drop(tree.plant(id(subtree), files.into_iter().map(file).collect()));
            }
            Step::Replace { subtree, files } => {
                drop(tree.replace(id(subtree), files.into_iter().map(file).collect()));
            }
            Step::Revoke { subtree, object, version } => {
                drop(tree.revoke(id(subtree), &format!("s{object}"), u64::from(version)));
            }
            Step::Fell { subtree } => drop(tree.fell(id(subtree))),
            Step::Open { subtree, name, through_set } => {
                self.held.extend(open(tree, id(subtree), name, through_set));
            }
            Step::Release { which } if which < self.held.len() => {
                tree.release(self.held.swap_remove(which).ino);
            }
            Step::Release { .. } => {}
        }
    }
}

fn open(tree: &mut Tree, id: SubtreeId, name: u8, through_set: bool) -> Option<Held> {
    let mut directory = tree.subtree_named(id.segment().as_bytes()).ok()?.attributes.ino;
    if through_set {
        directory = tree.lookup(directory, SET_DIRECTORY.as_bytes()).unwrap().attributes.ino;
    }
    let ino = tree.lookup(directory, format!("name {name}").as_bytes()).ok()?.attributes.ino;
    tree.open(ino).unwrap();
    let bytes = read(tree, ino).unwrap();
    let door = tree.door(ino, false).unwrap();
    let expected = [door.object.as_bytes()[1] - b'0', u8::try_from(door.version).unwrap()];
    assert_eq!(bytes, expected, "what is opened is what the door says");
    Some(Held { ino, bytes, is_dead: false })
}

fn read(tree: &Tree, ino: Ino) -> Result<Vec<u8>, Refusal> {
    tree.read(ino, 0, 100, false).map(|(content, part)| content.expose()[part].to_vec())
}

fn invariant_a_descriptor_reads_its_version_or_nothing_for_ever(tree: &Tree, held: &mut [Held]) {
    for held in held {
        match read(tree, held.ino) {
            Ok(bytes) => {
                assert!(!held.is_dead, "a descriptor came back to life");
                assert_eq!(bytes, held.bytes);
            }
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Revoked);
                held.is_dead = true;
            }
        }
    }
}

fn invariant_nothing_is_kept_without_a_reason(tree: &Tree) {
    let shown: BTreeSet<Ino> = tree
        .directories
        .values()
        .flat_map(|directory| directory.listing.values().copied())
        .collect();
    for (ino, leaf) in &tree.leaves {
        let is_current = matches!(leaf.standing, Standing::Current(_));
        assert_eq!(is_current, shown.contains(ino), "only what is shown can be opened");
        assert!(is_current || leaf.opens > 0);
    }
    assert!(shown.iter().all(|ino| tree.leaves.contains_key(ino)));
    assert!(tree.directories.len() <= 3 * tree.subtrees.len());
    let known: usize = tree.subtrees.values().map(|subtree| subtree.leaves.len()).sum();
    assert!(known <= tree.leaves.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_sequence_of_changes_keeps_the_promises(steps in prop::collection::vec(step(), 1..40)) {
        let mut tree = Tree::new(NodeIds::new([3; 16]));
        let mut world = World::default();
        for step in steps {
            world.take(&mut tree, step);
            invariant_a_descriptor_reads_its_version_or_nothing_for_ever(&tree, &mut world.held);
            invariant_nothing_is_kept_without_a_reason(&tree);
        }
        for id in [id(0), id(1)] {
            tree.fell(id);
        }
        invariant_a_descriptor_reads_its_version_or_nothing_for_ever(&tree, &mut world.held);
        prop_assert!(world.held.iter().all(|held| held.is_dead));
        for held in world.held {
            tree.release(held.ino);
        }
        prop_assert!(tree.leaves.is_empty() && tree.directories.is_empty());
    }
}
