//! What a task reads: content, attributes, versions while they change.

use std::fs;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::Planted;
use crate::can_mount;
use crate::can_mount_as_host_root;
use crate::errno;
use crate::file;

fn names(path: impl AsRef<std::path::Path>) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_shows_its_content_mode_owner_and_time() {
    if !can_mount_as_host_root() {
        return;
    }
    let mut token = file("token", 3, b"sesame");
    (token.uid, token.gid, token.mode) = (1234, 4321, 0o7640);
    let planted = Planted::with(vec![token, file("empty", 1, b"")]);
    assert_eq!(planted.read("token"), Ok(b"sesame".to_vec()));
    assert_eq!(planted.read("empty"), Ok(vec![]));
    let metadata = fs::metadata(planted.path("token")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (1234, 4321));
    assert_eq!(metadata.mode(), 0o100_640);
    assert_eq!((metadata.len(), metadata.blocks(), metadata.nlink()), (6, 1, 1));
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_700_000_000, 123_456_789));
}

#[test]
fn a_directory_lists_its_files_in_order_and_nothing_else() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(["c", "a", "b"].map(|name| file(name, 1, b"x")).to_vec());
    assert_eq!(names(planted.path("")), ["a", "b", "c"]);
    assert_eq!(names(planted.path("..data")), ["a", "b", "c"]);
    let many = (0..3000).map(|number| file(&format!("file {number:05}"), 1, b"x")).collect();
    planted.system.replace(planted.id, many).unwrap();
    let listed = names(planted.path(""));
    assert_eq!(listed.len(), 3000);
    assert!(listed.is_sorted());
}

#[test]
fn names_that_are_not_there_are_not_there_and_long_ones_are_too_long() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("token", 1, b"x")]);
    assert_eq!(planted.read("other"), Err(Errno::NOENT));
    assert_eq!(planted.read("token/below"), Err(Errno::NOTDIR));
    assert_eq!(planted.read(&"n".repeat(255)), Err(Errno::NOENT));
    assert_eq!(planted.read(&"n".repeat(256)), Err(Errno::NAMETOOLONG));
    // A name that comes later is seen at once, so its absence was not remembered.
    let files = vec![file("token", 1, b"x"), file("other", 1, b"here")];
    planted.system.replace(planted.id, files).unwrap();
    assert_eq!(planted.read("other"), Ok(b"here".to_vec()));
}

#[test]
fn any_part_of_a_long_file_can_be_read() {
    if !can_mount() {
        return;
    }
    let bytes: Vec<u8> = (0_u32..500_000).map(|number| number.to_le_bytes()[1]).collect();
    let planted = Planted::with(vec![file("long", 1, &bytes)]);
    assert_eq!(planted.read("long"), Ok(bytes.clone()));
    let mut opened = fs::File::open(planted.path("long")).unwrap();
    for (offset, len) in [(0, 1), (4095, 2), (131_071, 300_000), (499_999, 1), (4096, 4096)] {
        let mut part = vec![0; len];
        opened.read_exact_at(&mut part, u64::try_from(offset).unwrap()).unwrap();
        assert_eq!(part, bytes[offset..offset + len], "{offset} {len}");
    }
    assert_eq!(opened.read_at(&mut [0; 9], 500_000).unwrap(), 0);
    assert_eq!(opened.seek(SeekFrom::End(-3)).unwrap(), 499_997);
    let mut rest = [0; 9];
    assert_eq!(opened.read(&mut rest).unwrap(), 3);
    assert_eq!(rest[..3], bytes[499_997..]);
}

#[test]
fn extended_attributes_tell_the_secret_and_its_version() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("token", 3, b"x")]);
    let path = planted.path("token");
    let get = |name: &str| {
        let mut value = vec![0; 100];
        let len = rustix::fs::getxattr(&path, name, &mut value)?;
        value.truncate(len);
        Ok(String::from_utf8(value).unwrap())
    };
    assert_eq!(get("user.secret.version"), Ok("3".to_owned()));
    assert_eq!(get("user.secret.id"), Ok("object of token".to_owned()));
    assert_eq!(get("user.other"), Err(Errno::NODATA));
    let mut short = [0; 1];
    assert_eq!(rustix::fs::getxattr(&path, "user.secret.id", &mut short), Err(Errno::RANGE));
    let mut listed = vec![0; 100];
    let len = rustix::fs::listxattr(&path, &mut listed).unwrap();
    assert_eq!(&listed[..len], b"user.secret.id\0user.secret.version\0");
}

#[test]
fn the_file_system_tells_its_size() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("a", 1, &[1; 5000]), file("b", 1, b"x")]);
    let told = rustix::fs::fstatvfs(&planted.tree).unwrap();
    assert_eq!((told.f_blocks, told.f_bfree, told.f_files, told.f_namemax), (2, 0, 2, 255));
}

#[test]
fn a_descriptor_keeps_its_version_and_a_path_shows_the_new_one_at_once() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("token", 1, b"first")]);
    let mut old = fs::File::open(planted.path("token")).unwrap();
    assert_eq!(fs::metadata(planted.path("token")).unwrap().len(), 5);
    planted.system.replace(planted.id, vec![file("token", 2, b"the second")]).unwrap();
    assert_eq!(planted.read("token"), Ok(b"the second".to_vec()));
    assert_eq!(fs::metadata(planted.path("token")).unwrap().len(), 10);
    let mut bytes = [0; 9];
    assert_eq!(old.read(&mut bytes).unwrap(), 5);
    assert_eq!(&bytes[..5], b"first");
    assert_eq!(old.metadata().unwrap().len(), 5);
    // A rollback shows the first again, also where the second is held.
    planted.system.replace(planted.id, vec![file("token", 1, b"first")]).unwrap();
    assert_eq!(planted.read("token"), Ok(b"first".to_vec()));
}

#[test]
fn a_set_is_read_whole_through_one_descriptor_of_its_directory() {
    if !can_mount() {
        return;
    }
    let files = |version: u64| {
        let value = version.to_string();
        vec![file("cert", version, value.as_bytes()), file("key", version, value.as_bytes())]
    };
    let planted = Planted::with(files(1));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let set = rustix::fs::openat(&planted.tree, "..data", flags, Mode::empty()).unwrap();
    planted.system.replace(planted.id, files(2)).unwrap();
    for name in ["cert", "key"] {
        assert_eq!(fs::read(crate::path_in(&set, name)).unwrap(), b"1", "{name}");
        assert_eq!(planted.read(&format!("..data/{name}")), Ok(b"2".to_vec()), "{name}");
        assert_eq!(planted.read(name), Ok(b"2".to_vec()), "{name}");
    }
}

#[test]
fn a_spinning_reader_sees_whole_versions_and_never_an_old_one() {
    if !can_mount() {
        return;
    }
    // Every byte of a version is the same, and versions differ in length.
    let value = |version: u64| {
        let byte = u8::try_from(version % 251).unwrap();
        vec![byte; 3000 + usize::try_from(version % 7).unwrap() * 1000]
    };
    let planted = Planted::with(vec![file("token", 1, &value(1))]);
    let published = AtomicU64::new(1);
    let is_over = AtomicBool::new(false);
    let spin = || {
        let mut reads = 0_u64;
        while !is_over.load(Ordering::SeqCst) {
            let least = published.load(Ordering::SeqCst);
            let bytes = planted.read("token").unwrap();
            let most = published.load(Ordering::SeqCst) + 1;
            let is_one = (least..=most).any(|version| bytes == value(version));
            assert!(is_one, "torn or old: {} bytes, {least}..{most}", bytes.len());
            reads += 1;
        }
        reads
    };
    thread::scope(|scope| {
        let readers = [scope.spawn(spin), scope.spawn(spin)];
        for version in 2..=400 {
            let files = vec![file("token", version, &value(version))];
            planted.system.replace(planted.id, files).unwrap();
            published.store(version, Ordering::SeqCst);
        }
        is_over.store(true, Ordering::SeqCst);
        let reads: u64 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        assert!(reads > 0);
    });
}

#[test]
fn what_is_taken_away_fails_at_once_for_open_descriptors() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("a", 1, b"one"), file("b", 1, b"two")]);
    let open = |name| fs::File::open(planted.path(name)).unwrap();
    let (a, b) = (open("a"), open("b"));
    let first = |of: &fs::File| of.read_at(&mut [0; 9], 0).map_err(|fault| errno(&fault));
    planted.system.replace(planted.id, vec![file("b", 1, b"two")]).unwrap();
    assert_eq!(first(&a), Err(Errno::ACCESS));
    assert_eq!(planted.read("a"), Err(Errno::NOENT));
    assert_eq!(first(&b), Ok(3));

    planted.system.revoke(planted.id, "object of b", 2);
    assert_eq!(first(&b), Ok(3), "another version was meant");
    planted.system.revoke(planted.id, "object of b", 1);
    assert_eq!(first(&b), Err(Errno::ACCESS));
    assert_eq!(planted.read("b"), Err(Errno::NOENT));
}

#[test]
fn a_felled_subtree_fails_at_once_for_everything_that_is_open() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("token", 1, b"sesame")]);
    let opened = fs::File::open(planted.path("token")).unwrap();
    let listed = fs::read_dir(planted.path("")).unwrap();
    planted.system.fell(planted.id);
    let read = opened.read_at(&mut [0; 9], 0).map_err(|fault| errno(&fault));
    assert_eq!(read, Err(Errno::ACCESS));
    assert_eq!(opened.metadata().map_err(|fault| errno(&fault)).err(), Some(Errno::STALE));
    let gone = planted.read("token").unwrap_err();
    assert!([Errno::NOENT, Errno::STALE].contains(&gone), "{gone}");
    let gone = errno(&fs::metadata(planted.path("token")).unwrap_err());
    assert!([Errno::NOENT, Errno::STALE].contains(&gone), "{gone}");
    assert!(listed.flatten().next().is_none());
    let again = planted.system.tree_of(planted.id).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_stopped_file_system_fails_every_mount_of_it_at_once() {
    if !can_mount_as_host_root() {
        return;
    }
    let planted = Planted::with(vec![file("token", 1, b"sesame")]);
    let opened = fs::File::open(planted.path("token")).unwrap();
    let Planted { system, tree, .. } = planted;
    system.stop().unwrap();
    let ended = [Errno::NOTCONN, Errno::CONNABORTED];
    let fault = errno(&opened.read_at(&mut [0; 9], 0).unwrap_err());
    assert!(ended.contains(&fault), "{fault}");
    let fault = errno(&fs::read(crate::path_in(&tree, "token")).unwrap_err());
    assert!(ended.contains(&fault), "{fault}");
}
