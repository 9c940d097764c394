//! `coffer dev`: the whole show in one command, as root and as anybody, and nothing left of it.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use tests::node::{clean, has_user_namespaces, is_root};
use tests::{Run, Scratch, binaries, processes, skipped};

/// A user without rights, who need not have a name.
const SOMEBODY: u32 = 61_237;

#[test]
fn dev_shows_the_way_of_a_secret_and_leaves_nothing() {
    if !is_root() && !has_user_namespaces(|_| {}) {
        let test = "dev_shows_the_way_of_a_secret_and_leaves_nothing";
        return skipped(test, "needs root or user namespaces");
    }
    shows_and_leaves_nothing(&Scratch::new(), &mut clean(&binaries::coffer()));
}

#[test]
fn dev_works_for_a_user_without_rights() {
    let test = "dev_works_for_a_user_without_rights";
    if !is_root() {
        // Then the other test is this one.
        return;
    }
    let as_somebody = |command: &mut Command| {
        command.uid(SOMEBODY).gid(SOMEBODY);
    };
    if !has_user_namespaces(as_somebody) {
        return skipped(test, "user namespaces are not allowed for users");
    }
    let scratch = Scratch::new();
    let (coffer, _) = binaries::installed(&scratch);
    let mut command = clean(&coffer);
    as_somebody(&mut command);
    shows_and_leaves_nothing(&scratch, &mut command);
}

/// Runs it with a directory for its temporary files that can be looked at afterwards.
fn shows_and_leaves_nothing(scratch: &Scratch, coffer: &mut Command) {
    let runtime = scratch.path("runtime");
    std::fs::create_dir(&runtime).unwrap();
    std::fs::set_permissions(&runtime, PermissionsExt::from_mode(0o700)).unwrap();
    if is_root() && coffer.get_program() != binaries::coffer() {
        chown(&runtime, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    }
    let before = processes::mounts();
    let said = Run::of(coffer.args(["dev", "--exit"]).env("XDG_RUNTIME_DIR", &runtime), b"").said();
    let step = said.split_once("4. ").expect("the show has four steps").1;
    assert!(step.contains("    | hello from coffer "), "{said}");
    assert!(said.ends_with("Stopped. Nothing of it is left.\n"), "{said}");
    let left: Vec<_> = std::fs::read_dir(&runtime).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let running = processes::with_argument(scratch.name());
    assert!(running.is_empty(), "processes {running:?} still run");
    tests::wait_until_none("new mounts", || {
        processes::mounts().difference(&before).cloned().collect()
    });
}
