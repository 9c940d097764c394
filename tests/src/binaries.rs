//! The programs under test: `coffer` and `cofferd`, as cargo built them.
//!
//! Cargo builds no binary of another package for a test (only the unstable "artifact dependencies"
//! would). So they are looked for beside the test executable, where `cargo build` puts them; cargo's
//! own list of their sources, next to each, tells whether they are older than what they are made from.
//! If one is missing or stale, `cargo build` is run once for this process: in the same profile and the
//! same target directory, so that it has little to do. After a `cargo build` that never happens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::scratch::Scratch;

/// What to do where cargo cannot be run, as by a user who may not write to the target directory.
const ADVICE: &str =
    "run 'cargo build' first: the programs are missing or stale, and cargo fails here";

/// The command line.
pub fn coffer() -> PathBuf {
    folder().join("coffer")
}

/// The daemon.
pub fn cofferd() -> PathBuf {
    folder().join("cofferd")
}

/// Copies both to where every user may start them.
pub fn installed(scratch: &Scratch) -> (PathBuf, PathBuf) {
    (install(&coffer(), scratch), install(&cofferd(), scratch))
}

/// Another process writes the copy: a descriptor of ours could be inherited by what another test
/// starts just then, and a file that is open for writing cannot be run.
fn install(program: &Path, scratch: &Scratch) -> PathBuf {
    let copy = scratch.path(program.file_name().unwrap().to_str().unwrap());
    let status = Command::new("install").args(["-m", "755"]).arg(program).arg(&copy).status();
    assert!(status.expect("install is there").success(), "{} is copied", program.display());
    copy
}

/// The root of the source tree.
pub fn source_tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is a folder of the tree")
}

/// Where cargo puts programs.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let own = std::env::current_exe().expect("this program has a path");
        // target/<profile>/deps/<this program>
        let folder = own.ancestors().nth(2).expect("cargo put it there").to_owned();
        if !["coffer", "cofferd"].iter().all(|name| is_fresh(&folder.join(name))) {
            build(&folder);
        }
        folder
    })
}

/// Whether a program is there and newer than every source that cargo says it is made from.
fn is_fresh(program: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    let Some(built) = changed(program) else { return false };
    let Ok(list) = fs::read_to_string(program.with_extension("d")) else { return false };
    let lock = source_tree().join("Cargo.lock");
    // make's form: "target: source source ...", a blank in a name as "\ ".
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources).replace("\\ ", "\0");
    let mut sources = sources.split_whitespace().map(|name| PathBuf::from(name.replace('\0', " ")));
    sources.all(|source| changed(&source) <= Some(built)) && changed(&lock) <= Some(built)
}

/// Cargo without what the outer cargo told this test about its own package: build scripts watch some of those
/// names and would all run again.
pub(crate) fn plain_cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    let told =
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_EXE_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
    for (name, _) in std::env::vars_os() {
        if told.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs cargo.
fn build(folder: &Path) {
    let mut command = plain_cargo();
    command.args(["build", "--locked", "--package", "vault", "--package", "ctl", "--bins"]);
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            command.args(["--profile", profile]);
        }
    }
    command.env("CARGO_TARGET_DIR", folder.parent().expect("a profile has a parent"));
    match command.current_dir(source_tree()).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("{ADVICE}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("{ADVICE}: {error}"),
    }
}
