//! The program and the simulation with bugs that are built in on purpose (`docs/faults.md`), as cargo builds them
//! for a test that asks for one: only the packages of this workspace are compiled again.

use std::path::{Path, PathBuf};
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

/// What cargo built with bugs.
struct Built {
    program: PathBuf,
    simulation: PathBuf,
}

/// The program. Kept under a name of its own, since the next build of anything puts something else in its place.
pub fn program() -> PathBuf {
    built().program.clone()
}

/// The simulation of whole managers (`docs/simulation.md`): a test program, under the name that cargo gave it.
pub fn simulation() -> PathBuf {
    built().simulation.clone()
}

/// Both come of one build, since cargo makes a package's programs for its tests, too. Once for each process.
fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let simulation = build();
        Built { program: keep(&folder().join("planted")), simulation }
    })
}

/// Has cargo build. Returns where it says that the simulation is.
fn build() -> PathBuf {
    let mut command = plain_cargo();
    command.args(["test", "--locked", "--no-run", "--package", "tests", "--test", "simulation"]);
    command.args(["--message-format", "json-render-diagnostics"]);
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
    let said = String::from_utf8(output.stdout).expect("cargo writes text");
    let mut programs = said.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == "simulation";
        message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    });
    programs.next_back().expect("cargo says what it built")
}

/// A copy beside the program. Returns its name.
fn keep(program: &Path) -> PathBuf {
    let (draft, kept) = (folder().join(random_name()), folder().join("cofferd-planted"));
    // By another process: see `binaries::install`.
    let status = Command::new("install").arg("-m755").arg(program).arg(&draft).status();
    assert!(status.expect("install is there").success(), "{} is written", draft.display());
    std::fs::rename(&draft, &kept).expect("the directory is cargo's");
    kept
}
