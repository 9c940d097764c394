//! Walls: between tasks, against processes outside, against made-up file handles, and towards the
//! host's own mounts.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;

use fusefs::OpenOutcome;
use fusefs::PidNamespace;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::mount::MoveMountFlags;
use rustix::thread::UnshareFlags;

use crate::Planted;
use crate::can_mount;
use crate::can_mount_as_host_root;
use crate::file;
use crate::fresh_id;
use crate::path_in;
use crate::skip;
use crate::soon;

/// A process that is the first of its own PID namespace, alive until this is dropped.
struct Namespace {
    outer: Child,
    init: u32,
}

impl Namespace {
    fn new() -> Self {
        let outer = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let children = format!("/proc/{0}/task/{0}/children", outer.id());
        let mut init = None;
        soon("the first process of the namespace", || {
            let text = fs::read_to_string(&children).unwrap();
            init = text.split_whitespace().next().map(|number| number.parse().unwrap());
            init.is_some()
        });
        Self { outer, init: init.unwrap() }
    }

    /// Runs a command with a new process inside.
    fn run(&self, args: &[&str]) -> std::process::Output {
        let target = self.init.to_string();
        Command::new("nsenter").args(["--target", &target, "--pid"]).args(args).output().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.outer.kill().unwrap();
        self.outer.wait().unwrap();
    }
}

#[test]
fn only_processes_in_the_admitted_namespace_or_below_it_may_open() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("token", 1, b"sesame")]);
    let (inside, elsewhere) = (Namespace::new(), Namespace::new());
    planted.system.admit(planted.id, PidNamespace::of(inside.init).unwrap()).unwrap();
    let path = planted.path("token");
    let path = path.to_str().unwrap();

    assert_eq!(inside.run(&["cat", path]).stdout, b"sesame");
    let below = ["unshare", "--pid", "--fork", "cat", path];
    assert_eq!(inside.run(&below).stdout, b"sesame");
    let far_below = ["unshare", "--pid", "--fork", "unshare", "--pid", "--fork", "cat", path];
    assert_eq!(inside.run(&far_below).stdout, b"sesame");

    assert_eq!(planted.read("token"), Err(Errno::ACCESS), "the host's own namespace");
    for args in [&["cat", path][..], &below] {
        let output = elsewhere.run(args);
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains("Permission denied"));
    }
    let listed = elsewhere.run(&["ls", planted.path("").to_str().unwrap()]);
    assert!(listed.stdout.is_empty(), "not even names");

    let outcomes: Vec<OpenOutcome> =
        planted.recorder.records().iter().map(|record| record.outcome).collect();
    let (yes, no) = (OpenOutcome::Admitted, OpenOutcome::Stranger);
    assert_eq!(outcomes, [yes, yes, yes, no, no, no]);
}

#[test]
fn modes_and_groups_count_inside() {
    if !can_mount_as_host_root() {
        return;
    }
    let mut token = file("token", 1, b"sesame");
    (token.uid, token.gid, token.mode) = (12_345, 54_321, 0o440);
    let planted = Planted::with(vec![token]);
    // From a mount of its own: the way through this process's descriptors is closed to others.
    let output = in_private_mounts(&planted, |place| {
        let path = place.join("token");
        let cat = |user: &str, groups: &str| {
            let ids = [format!("--reuid={user}"), format!("--regid={user}")];
            let groups = format!("--groups={groups}");
            let mut command = Command::new("setpriv");
            command.args(ids).arg(groups).arg("cat").arg(&path).output().unwrap().stdout
        };
        [cat("12345", "1"), cat("999", "54321"), cat("999", "1")]
    });
    assert_eq!(output, [b"sesame".to_vec(), b"sesame".to_vec(), vec![]]);
}

/// Attaches the planted mount in a mount namespace of its own, and runs something there.
fn in_private_mounts<R: Send>(planted: &Planted, run: impl FnOnce(&Path) -> R + Send) -> R {
    let place = std::env::temp_dir().join(format!("fusefs-{}", planted.id.number()));
    fs::create_dir(&place).unwrap();
    let result = thread::scope(|scope| {
        let attached = scope.spawn(|| {
            #[expect(deprecated, reason = "safe with these flags, and a form without unsafe")]
            rustix::thread::unshare(UnshareFlags::FS | UnshareFlags::NEWNS).unwrap();
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            rustix::mount::mount_change("/", private).unwrap();
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
            let tree = planted.tree.as_fd();
            rustix::mount::move_mount(tree, "", rustix::fs::CWD, &place, flags).unwrap();
            run(&place)
        });
        attached.join().unwrap()
    });
    fs::remove_dir(&place).unwrap();
    result
}

#[test]
fn an_attached_subtree_is_harmless_read_only_and_unseen_by_the_host() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("token", 1, b"sesame")]);
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let (read, line, host) = in_private_mounts(&planted, |place| {
        let read = fs::read(place.join("token")).unwrap();
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let line = mounts.lines().find(|line| line.contains("fusefs")).unwrap().to_owned();
        let host = fs::read_to_string("/proc/self/mountinfo").unwrap();
        (read, line, host)
    });
    assert_eq!(read, b"sesame");
    assert_eq!(host, before);
    let (of_mount, of_superblock) = line.split_once(" - ").unwrap();
    for word in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(of_mount.split([' ', ',']).any(|given| given == word), "{word}: {line}");
    }
    for word in ["ro", "default_permissions", "allow_other"] {
        assert!(of_superblock.split([' ', ',']).any(|given| given == word), "{word}: {line}");
    }
}

#[test]
fn no_other_subtree_is_reached_from_inside_one() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("token", 1, b"mine")]);
    let other = fresh_id();
    planted.system.plant(other, vec![file("token", 1, b"theirs")]).unwrap();
    let own = PidNamespace::of(std::process::id()).unwrap();
    planted.system.admit(other, own).unwrap();
    let segment = format!("{:016x}", other.number());
    for path in [format!("../{segment}/token"), format!("../../{segment}/token"), segment] {
        assert_eq!(planted.read(&path), Err(Errno::NOENT), "{path}");
    }
    assert_eq!(planted.read("../token"), Ok(b"mine".to_vec()), "up stays where it is");
    let seen = in_private_mounts(&planted, |place| {
        let ls = Command::new("ls").arg(place.join("..data/../..")).output().unwrap();
        String::from_utf8(ls.stdout).unwrap()
    });
    assert!(seen.contains("fusefs-"), "above the mount is the place that it is attached to");
}

#[test]
fn the_hidden_root_lists_nothing_and_answers_only_the_daemon() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("token", 1, b"sesame")]);
    let root = planted.system.root().try_clone_to_owned().unwrap();
    assert_eq!(fs::read_dir(path_in(&root, "")).unwrap().count(), 0);
    let segment = format!("{:016x}", planted.id.number());
    let path = path_in(&root, &format!("{segment}/token"));
    assert_eq!(fs::read(&path).unwrap(), b"sesame", "the daemon's own threads");
    let output = Command::new("cat").arg(&path).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("No such file"), "{message}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_private_map_dies_when_its_subtree_is_felled() {
    if !can_mount() {
        return;
    }
    let planted = Planted::with(vec![file("token", 1, b"sesame")]);
    let program = "import mmap,sys\n\
        f=open(sys.argv[1],'rb')\n\
        m=mmap.mmap(f.fileno(),0,mmap.MAP_PRIVATE,mmap.PROT_READ)\n\
        sys.stdout.write(chr(m[0])); sys.stdout.flush()\n\
        sys.stdin.read(1)\n\
        sys.stdout.write(chr(m[1])); sys.stdout.flush()\n";
    let spawned = Command::new("python3")
        .args(["-c", program])
        .arg(planted.path("token"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else { return skip("python3 is needed to map a file") };
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0];
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"s");
    planted.system.fell(planted.id);
    child.stdin.take().unwrap().write_all(b"x").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert!(!child.wait().unwrap().success());
}

#[test]
fn a_made_up_file_handle_opens_nothing() {
    if !can_mount_as_host_root() {
        return;
    }
    let calls = match std::env::consts::ARCH {
        "x86_64" => ["303", "304"],
        "aarch64" => ["264", "265"],
        _ => return skip("the numbers of the handle calls are not known for this machine"),
    };
    let planted = Planted::with(vec![file("token", 1, b"sesame")]);
    // Looked up and open, so that the kernel has the node in its cache: the attacker's best case.
    let held = fs::File::open(planted.path("token")).unwrap();
    let ino = std::os::unix::fs::MetadataExt::ino(&held.metadata().unwrap());
    // First the honest way to a handle, then one put together from node id and generation.
    let program = "use strict; use Errno; my ($get, $open, $dir, $ino) = @ARGV;\n\
        opendir(my $d, $dir) or die $!; my $fd = fileno($d);\n\
        my $name = 'token'; my $h = pack('Ii', 128, 0) . (\"\\0\" x 128); my $m = pack('i', 0);\n\
        my $r = syscall($get+0, $fd, $name, $h, $m, 0);\n\
        print $r == 0 ? 'got' : $!{EOPNOTSUPP} ? 'none' : \"? $!\"; print ' ';\n\
        my $made = pack('IiLLL', 12, 0x81, $ino >> 32, $ino & 0xffffffff, 1);\n\
        $r = syscall($open+0, $fd, $made, 0);\n\
        print $r >= 0 ? 'opened' : $!{ESTALE} ? 'stale' : \"? $!\";\n";
    let output = Command::new("perl")
        .args(["-e", program, calls[0], calls[1]])
        .arg(planted.path(""))
        .arg(ino.to_string())
        .output();
    let Ok(output) = output else { return skip("perl is needed to make up a file handle") };
    let told = String::from_utf8(output.stdout).unwrap();
    let fault = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told, "none stale", "{fault}");
}

#[test]
fn each_mount_of_a_subtree_is_a_mount_of_its_own() {
    if !can_mount_as_host_root() {
        return;
    }
    let planted = Planted::with(vec![file("token", 1, b"sesame")]);
    let second = planted.system.tree_of(planted.id).unwrap();
    let Planted { system, tree, .. } = planted;
    drop(tree);
    assert_eq!(fs::read(path_in(&second, "token")).unwrap(), b"sesame");
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(&second, ".", flags, Mode::empty()).unwrap();
    drop(second);
    // What is open holds the mount.
    assert_eq!(fs::read(path_in(&dir, "token")).unwrap(), b"sesame");
    system.stop().unwrap();
}
