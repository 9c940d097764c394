//! What nobody may do: write, open without a record, or open before being admitted.

use std::fs;
use std::sync::Arc;

use fusefs::FileSystem;
use fusefs::OpenOutcome;
use fusefs::OpenRecord;
use fusefs::Opens;
use fusefs::PidNamespace;
use fusefs::PlantError;
use fusefs::Recorded;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::Uid;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::Planted;
use crate::Recorder;
use crate::can_mount;
use crate::errno;
use crate::file;
use crate::fresh_id;
use crate::path_in;
use crate::started;

#[test]
fn every_kind_of_write_is_refused() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("token", 1, b"sesame")]);
    let tree = &planted.tree;
    let open =
        |name, flags| rustix::fs::openat(tree, name, flags | OFlags::CLOEXEC, Mode::RWXU).map(drop);
    let now = Timespec { tv_sec: 1, tv_nsec: 0 };
    let times = Timestamps { last_access: now, last_modification: now };
    let xattr = XattrFlags::empty();
    let user = Some(Uid::from_raw(1));
    let group = Some(Gid::from_raw(1));
    let path = planted.path("token");
    for (what, tried) in [
        ("write", open("token", OFlags::WRONLY)),
        ("read and write", open("token", OFlags::RDWR)),
        ("truncate at open", open("token", OFlags::RDONLY | OFlags::TRUNC)),
        ("append", open("token", OFlags::WRONLY | OFlags::APPEND)),
        ("create", open("new", OFlags::WRONLY | OFlags::CREATE)),
        ("nameless file", open(".", OFlags::RDWR | OFlags::TMPFILE)),
        ("unlink", rustix::fs::unlinkat(tree, "token", AtFlags::empty())),
        ("rename", rustix::fs::renameat(tree, "token", tree, "other")),
        ("link", rustix::fs::linkat(tree, "token", tree, "other", AtFlags::empty())),
        ("symlink", rustix::fs::symlinkat("token", tree, "other")),
        ("mkdir", rustix::fs::mkdirat(tree, "other", Mode::RWXU)),
        ("mknod", rustix::fs::mknodat(tree, "other", FileType::Fifo, Mode::RWXU, 0)),
        ("chmod", rustix::fs::chmodat(tree, "token", Mode::RWXU, AtFlags::empty())),
        ("chown", rustix::fs::chownat(tree, "token", user, group, AtFlags::empty())),
        ("utimes", rustix::fs::utimensat(tree, "token", &times, AtFlags::empty())),
        ("setxattr", rustix::fs::setxattr(&path, "user.secret.id", b"x", xattr)),
        ("removexattr", rustix::fs::removexattr(&path, "user.secret.id")),
    ] {
        assert_eq!(tried, Err(Errno::ROFS), "{what}");
    }
    assert_eq!(planted.read("token"), Ok(b"sesame".to_vec()));
}

#[test]
fn nobody_opens_before_somebody_is_admitted() {
    if !can_mount() {
        return;
    }
    let recorder = Arc::new(Recorder::default());
    let system = started(Arc::<Recorder>::clone(&recorder));
    let id = fresh_id();
    system.plant(id, vec![file("token", 1, b"sesame")]).unwrap();
    let tree = system.tree_of(id).unwrap();
    let read = || fs::read(path_in(&tree, "token")).map_err(|fault| errno(&fault));
    assert_eq!(read(), Err(Errno::ACCESS));
    let listed = fs::read_dir(path_in(&tree, "")).map_err(|fault| errno(&fault));
    assert_eq!(listed.err(), Some(Errno::ACCESS));
    system.admit(id, PidNamespace::of(std::process::id()).unwrap()).unwrap();
    assert_eq!(read(), Ok(b"sesame".to_vec()));
    let outcomes: Vec<OpenOutcome> =
        recorder.records().iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [OpenOutcome::NotYetAdmitted, OpenOutcome::Admitted]);
}

#[test]
fn a_record_says_who_opened_which_version() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("token", 1, b"first")]);
    drop(planted.read("token"));
    planted.system.replace(planted.id, vec![file("token", 2, b"second")]).unwrap();
    drop(planted.read("token"));
    let expected = |version| OpenRecord {
        subtree: planted.id,
        name: "token".to_owned(),
        object: "object of token".to_owned(),
        version,
        pid: u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap(),
        uid: 0,
        gid: 0,
        outcome: OpenOutcome::Admitted,
    };
    assert_eq!(planted.recorder.records(), [expected(1), expected(2)]);
}

/// Panics at every record.
struct Broken;

impl Opens for Broken {
    fn opened(&self, _record: OpenRecord) -> Recorded {
        std::panic::panic_any("the audit is broken, as this test wants it")
    }
}

#[test]
fn an_open_that_cannot_be_recorded_is_refused() {
    if !can_mount() {
        return;
    }
    let losing: Arc<dyn Opens> = Arc::new(Recorder { loses: true, ..Recorder::default() });
    for opens in [losing, Arc::new(Broken)] {
        let system = started(opens);
        let id = fresh_id();
        system.plant(id, vec![file("token", 1, b"sesame")]).unwrap();
        system.admit(id, PidNamespace::of(std::process::id()).unwrap()).unwrap();
        let tree = system.tree_of(id).unwrap();
        for _ in 0..3 {
            let read = fs::read(path_in(&tree, "token")).map_err(|fault| errno(&fault));
            assert_eq!(read, Err(Errno::IO));
        }
    }
}

#[test]
fn a_subtree_that_is_not_there_is_refused_everywhere() {
    if !can_mount() {
        return;
    }
    let system: FileSystem = started(Arc::new(Recorder::default()));
    let id = fresh_id();
    assert_eq!(system.replace(id, vec![]), Err(PlantError::NotPlanted));
    assert!(system.admit(id, PidNamespace::of(std::process::id()).unwrap()).is_err());
    assert_eq!(system.tree_of(id).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    system.fell(id);
    system.plant(id, vec![]).unwrap();
    assert_eq!(system.plant(id, vec![]), Err(PlantError::AlreadyPlanted));
}
