//! The program with bugs that are built in on purpose (`docs/faults.md`), as cargo builds it for a test that
//! asks for it: only the packages of this workspace are compiled again.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::binaries::{folder, plain_cargo, source_tree};
use crate::scratch::random_name;

/// The names of the bugs, as the program has them.
pub fn names() -> Vec<String> {
    let source = std::fs::read_to_string(source_tree().join("vault/core/src/planted.rs"));
    let source = source.expect("it is there");
    let named = source.lines().filter_map(|line| line.trim().strip_prefix("(Self::"));
    named.filter_map(|line| line.split('"').nth(1).map(str::to_owned)).collect()
}

/// The program. Built once for each process; kept under a name of its own, since the next build of anything
/// puts something else in its place.
pub fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(build).clone()
}

fn build() -> PathBuf {
    let mut command = plain_cargo();
    command.args(["build", "--locked", "--package", "tests", "--bin", "planted"]);
    command.env("CARGO_TARGET_DIR", folder().parent().expect("a profile has a parent"));
    command.env("RUSTC_WORKSPACE_WRAPPER", source_tree().join("tests/planted-rustc"));
    match folder().file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            command.args(["--profile", profile]);
        }
    }
    let output = command.current_dir(source_tree()).output().expect("cargo is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (draft, kept) = (folder().join(random_name()), folder().join("cofferd-planted"));
    // By another process: see `binaries::install`.
    let mut install = Command::new("install");
    let status = install.arg("-m755").arg(folder().join("planted")).arg(&draft).status();
    assert!(status.expect("install is there").success(), "{} is written", draft.display());
    std::fs::rename(&draft, &kept).expect("the directory is cargo's");
    kept
}
