//! A whole manager on a disk in memory, while its data key is rotated: killed at every flush, or without
//! power there. Every value opens at any time, and the rotation goes on to its end.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tests::Scratch;
use tests::disk::power::{Fate, Outage};
use tests::disk::{FaultyDisk, Image, Operation};
use tests::wait::PATIENCE;
use tokio::task::JoinHandle;
use vault::disk::diskkey::{self, DiskKey};
use vault::disk::folder::Folder;
use vault::disk::identity;
use vault::disk::keyring::{self, Keyring};
use vault::disk::log;
use vault::disk::node::{self, Membership};
use vault::manager::{Asked, Draft, Files, Founding, Limits, Manager, found};
use vault::raft::View;
use vault::rotation::keep_keys;
use vault::space::Space;
use vault_core::labels::Labels;
use vault_core::name::SecretName;
use vault_core::seal::{Epoch, Plaintext};
use vault_core::versioned::{Class, VersionLimit};

/// More than one command of `Reseal` holds.
const SIZES: [usize; 7] = [1, 16, 5_000, 400_000, 400_000, 400_000, 100];

/// A manager at work, and its rotation beside it.
pub(crate) struct Running {
    pub(crate) manager: Arc<Manager>,
    rotation: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn on(disk: &FaultyDisk, scratch: &Scratch) -> Self {
        let folder: Arc<dyn Folder> = Arc::new(disk.clone());
        let disk_key = DiskKey::parse(&folder.read(diskkey::NAME).unwrap()).unwrap();
        let own = folder.read(node::NAME).unwrap();
        let own = Membership::parse(disk_key.expose(), &own).unwrap();
        let ring = folder.read(keyring::NAME).unwrap();
        let keyring = Keyring::parse(disk_key.expose(), &own.context(), &ring).unwrap();
        let identity = folder.read(identity::NAME).unwrap();
        let credentials = identity::parse(disk_key.expose(), &identity).unwrap();
        let files = Files { folder, disk_key, keyring, membership: own, credentials };
        let manager = Manager::start(files, limits(scratch)).await.unwrap();
        manager.consensus().lead().await.unwrap();
        let manager = Arc::new(manager);
        let rotation = tokio::spawn(keep_keys(Arc::clone(&manager)));
        Self { rotation, manager }
    }

    /// Opens every value; what it should be is told by its name.
    fn read_all(&self) {
        self.read_all_of(&self.manager.consensus().view());
    }

    fn read_all_of(&self, view: &View) {
        let mut count = 0;
        let own = |name: &SecretName| name.to_string().starts_with('s');
        for object in view.state.of_class(Class::Secret).iter().filter(|one| own(&one.name)) {
            let version = object.current_version().expect("it has one");
            let opened = self.manager.open_version(Class::Secret, object.id, version);
            let at: usize = object.name.to_string().trim_start_matches('s').parse().unwrap();
            assert!(opened.expect("it opens").expose() == value(at), "value {at}");
            count += 1;
        }
        assert_eq!(count, SIZES.len());
    }

    /// Reads all the time until one key is left, and nothing needs another.
    pub(crate) async fn until_rotated(&self) {
        let done = async {
            while self.is_rotating() {
                self.read_all();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, done).await.expect("the rotation comes to its end");
        let newest = self.manager.keys().ring().newest().epoch;
        assert_eq!(self.manager.consensus().view().state.sealed_before(newest), 0);
        self.read_all();
    }

    /// Whether a newer key is wanted, or an older one is still needed somewhere.
    pub(crate) fn is_rotating(&self) -> bool {
        let view = self.manager.consensus().view();
        let is_settled = view.state.wanted_epoch() == view.state.oldest_epoch();
        !is_settled || self.manager.keys().ring().epochs().count() > 1
    }

    pub(crate) async fn stop(self) {
        self.rotation.abort();
        self.rotation.await.ok();
        self.manager.consensus().stop().await;
    }
}

fn value(at: usize) -> Vec<u8> {
    vec![u8::try_from(at).unwrap() + b'a'; SIZES[at]]
}

fn limits(scratch: &Scratch) -> Limits {
    let space = Space::watch(scratch.folder().to_owned()).unwrap();
    let log = log::Options { segment_bytes: 4 << 20, ..log::Options::default() };
    Limits { memory_budget: 1 << 30, space, log, meters: Arc::default() }
}

/// A cluster with secrets, as it lies on the disk.
pub(crate) async fn cluster(scratch: &Scratch) -> Image {
    let founding =
        Founding { hostname: "here".into(), addr: "127.0.0.1:1".into(), autolock: false };
    let manager = found(scratch.folder(), founding, limits(scratch)).await.unwrap();
    let draft = |at| Draft {
        name: SecretName::parse(&format!("s{at}")).unwrap(),
        labels: Labels::default(),
        limit: VersionLimit::default(),
        value: Plaintext::new(value(at)),
    };
    let drafts = (0..SIZES.len()).map(draft).collect();
    manager.create(Asked::default(), Class::Secret, drafts).await.unwrap();
    manager.consensus().stop().await;
    drop(manager);
    let mut image = Image::default();
    load(&scratch.path("cluster"), "", &mut image);
    image
}

fn load(folder: &Path, prefix: &str, image: &mut Image) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            load(&entry.path(), &format!("{name}/"), image);
        } else {
            image.put(&name, fs::read(entry.path()).unwrap());
        }
    }
}

fn is_flush(operation: &Operation) -> bool {
    matches!(operation, Operation::Flush { .. } | Operation::FlushNames { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn case_33_a_rotation_that_is_killed_at_any_flush_loses_nothing_and_goes_on() {
    let scratch = Scratch::new();
    let disk = FaultyDisk::from(cluster(&scratch).await);
    let running = Running::on(&disk, &scratch).await;
    let before = running.manager.consensus().view();
    disk.mark(0);
    running.manager.rotate_keys().await.unwrap();
    running.until_rotated().await;
    disk.mark(1);
    // Who took a view before the old key was destroyed may read by it later.
    running.read_all_of(&before);
    running.stop().await;

    let mut outage = Outage::of(&disk);
    let mut least = [Epoch(1); 2];
    let (mut is_rotating, mut states, mut unfinished) = (false, 0, 0);
    while let Some(operation) = outage.step() {
        match operation {
            Operation::Mark(0) => is_rotating = true,
            Operation::Mark(_) => break,
            _ => {}
        }
        if !is_rotating || !is_flush(&operation) {
            continue;
        }
        // Killed; and without power, when nothing was kept that had not to be.
        let lost = outage.image(&vec![Fate::Lost; outage.pending().len()]);
        for (again, least) in [outage.killed(), FaultyDisk::from(lost)].iter().zip(&mut least) {
            let running = Running::on(again, &scratch).await;
            unfinished += usize::from(running.is_rotating());
            running.read_all();
            running.until_rotated().await;
            // Before the wish is in the log, nobody has asked for anything; from then on for ever.
            let newest = running.manager.keys().ring().newest().epoch;
            assert!(newest >= *least, "after {operation:?}");
            *least = newest;
            running.stop().await;
            states += 1;
        }
    }
    assert_eq!(least, [Epoch(2); 2]);
    println!("{states} states, {unfinished} of them in the middle");
    assert!(unfinished > 5 && states > unfinished, "{states}, {unfinished}");
}
