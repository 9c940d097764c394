//! The files in memory that stand in for FUSE.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;

use crate::can_mount;
use crate::can_mount_as_host_root;
use crate::file;
use crate::path_in;

#[test]
fn files_in_memory_are_as_given_and_read_only() {
    if !can_mount_as_host_root() {
        return;
    }
    let mut token = file("token", 1, b"sesame");
    (token.uid, token.gid, token.mode) = (1234, 4321, 0o440);
    let tree = fusefs::ram::ram_tree(&[token, file("empty", 1, b"")]).unwrap();
    assert_eq!(fs::read(path_in(&tree, "token")).unwrap(), b"sesame");
    assert_eq!(fs::read(path_in(&tree, "empty")).unwrap(), b"");
    let metadata = fs::metadata(path_in(&tree, "token")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode()), (1234, 4321, 0o100_440));
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_700_000_000, 123_456_789));
    let flags = rustix::fs::fstatvfs(&tree).unwrap().f_flag;
    let wanted = StatVfsMountFlags::RDONLY
        | StatVfsMountFlags::NOSUID
        | StatVfsMountFlags::NODEV
        | StatVfsMountFlags::NOEXEC;
    assert!(flags.contains(wanted), "{flags:?}");
    let created = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    for (name, flags) in [("token", OFlags::WRONLY), ("new", created)] {
        let opened = rustix::fs::openat(&tree, name, flags, Mode::RWXU).map(drop);
        assert_eq!(opened, Err(Errno::ROFS), "{name}");
    }
}

#[test]
fn two_files_of_one_name_are_refused_in_memory_too() {
    if !can_mount() {
        return;
    }
    let twice = [file("token", 1, b"x"), file("token", 2, b"y")];
    let fault = fusefs::ram::ram_tree(&twice).unwrap_err();
    assert_eq!(fault.kind(), std::io::ErrorKind::AlreadyExists);
}
