//! No nonce of a value, no salt of a snapshot and no nonce of a small file comes twice, in lives that start
//! from copies of one disk.

use std::collections::BTreeSet;

use tests::Scratch;
use tests::disk::{FaultyDisk, Operation};
use vault::disk::{keyring, node};
use vault::manager::{Asked, Draft, NextVersion};
use vault_core::name::SecretName;
use vault_core::seal::{Kind, Plaintext};
use vault_core::versioned::{Class, VersionLimit};

use crate::rotation::{Running, cluster};

const LIVES: usize = 6;
const VALUES: usize = 40;

/// What was drawn for sealing, and what it sealed.
#[derive(Default)]
struct Drawn(BTreeSet<Vec<u8>>);

impl Drawn {
    /// Takes note of one more. The same text under the same nonce is the same sealed thing, seen again.
    fn note(&mut self, nonce: &[u8]) {
        assert!(self.0.insert(nonce.to_vec()), "{nonce:02x?} was drawn twice");
    }

    /// What stands in the heads of the files that were written in a life.
    fn look_at(&mut self, disk: &FaultyDisk) {
        let (_, operations) = disk.recording();
        for operation in operations {
            let Operation::Write { offset: 0, bytes, .. } = operation else { continue };
            if let Some(b"COFFSNP1" | b"COFFRNG1") = bytes.get(..8) {
                self.note(&bytes[16..40]);
            }
        }
    }
}

/// One life: new secrets, new versions, a rotation of the data key with its snapshot; then a kill.
async fn live(disk: &FaultyDisk, scratch: &Scratch, drawn: &mut Drawn) {
    let running = Running::on(disk, scratch).await;
    let manager = &running.manager;
    let draft = |at| Draft {
        name: SecretName::parse(&format!("n{at}")).unwrap(),
        labels: vault_core::labels::Labels::default(),
        limit: VersionLimit::default(),
        value: Plaintext::new(b"the same value".to_vec()),
    };
    let drafts = (0..VALUES).map(draft).collect();
    manager.create(Asked::default(), Class::Secret, drafts).await.unwrap();
    let next = |at| NextVersion {
        reference: format!("n{at}"),
        value: Plaintext::new(b"the same value".to_vec()),
        expected: None,
    };
    let next = (0..VALUES).map(next).collect();
    manager.rotate(Asked::default(), Class::Secret, next, true, None).await.unwrap();
    note_values(&running, drawn);
    manager.rotate_keys().await.unwrap();
    running.until_rotated().await;
    note_values(&running, drawn);
    let view = manager.consensus().view();
    // There is no unlock key.
    let own = Kind::OWN.into_iter().filter_map(|kind| view.state.cluster()?.sealed(kind));
    own.for_each(|sealed| drawn.note(&sealed.nonce));
    running.stop().await;
    drawn.look_at(disk);
}

fn note_values(running: &Running, drawn: &mut Drawn) {
    let view = running.manager.consensus().view();
    for object in view.state.of_class(Class::Secret).iter() {
        // Those of before the copies were made are the same in all of them.
        for version in object.versions.iter().filter(|_| object.name.to_string().starts_with('n')) {
            drawn.note(&version.sealed.nonce);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_32_no_nonce_of_a_value_or_a_file_comes_twice_over_copies_of_the_disk() {
    let scratch = Scratch::new();
    let image = cluster(&scratch).await;
    let mut drawn = Drawn::default();
    for name in [node::NAME, keyring::NAME] {
        drawn.note(&image.get(name).unwrap()[16..40]);
    }
    for _ in 0..LIVES {
        live(&FaultyDisk::from(image.clone()), &scratch, &mut drawn).await;
    }
    let least = LIVES * (VALUES * 4 + Kind::OWN.len() + 2);
    println!("{} nonces and salts", drawn.0.len());
    assert!(drawn.0.len() > least, "{} of {least}", drawn.0.len());
}
