//! Another time of day for one process: `libfaketime` of Debian, from the host, or downloaded once beside what
//! cargo builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::binaries::folder;
use crate::node::Node;

/// Below the root of a host that has it, or of its unpacked package.
const PLACES: [&str; 2] = [
    "usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];
/// What a node's process reads its time's distance from.
const OFFSET: &str = "clock-offset";

/// The library; `None` where it is not and cannot be had.
pub fn library() -> Option<PathBuf> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    LIBRARY.get_or_init(find).clone()
}

fn below(root: &Path) -> Option<PathBuf> {
    PLACES.iter().map(|place| root.join(place)).find(|path| path.exists())
}

fn find() -> Option<PathBuf> {
    let own = folder().join("faketime");
    below(Path::new("/")).or_else(|| below(&own)).or_else(|| {
        let draft = folder().join(crate::scratch::random_name());
        fs::create_dir_all(&draft).ok()?;
        let run = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            command.args(args).current_dir(&draft).output().ok().filter(|run| run.status.success())
        };
        let found = run("apt-get", &["download", "libfaketime"]).and_then(|_| {
            let package = fs::read_dir(&draft).ok()?.flatten().next()?.file_name();
            run("dpkg-deb", &["-x", package.to_str()?, "."])
        });
        if found.is_some() {
            fs::rename(&draft, &own).ok();
        }
        fs::remove_dir_all(&draft).ok();
        below(&own)
    })
}

/// What a node's process needs in its environment so that `step` can set its clock.
pub fn environment(node: &Node) -> Option<Vec<(String, String)>> {
    step(node, 0);
    let file = node.scratch().path(OFFSET);
    let text = |path: &Path| path.to_str().expect("paths of tests are text").to_owned();
    Some(vec![
        ("LD_PRELOAD".to_owned(), text(&library()?)),
        ("FAKETIME_TIMESTAMP_FILE".to_owned(), text(&file)),
        ("FAKETIME_CACHE_DURATION".to_owned(), "1".to_owned()),
        // The clock of the day alone: the other one cannot be set on a real machine either.
        ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
    ])
}

/// Sets a node's clock so many seconds off the real time. It follows within a second.
pub fn step(node: &Node, seconds: i64) {
    let (draft, file) = (node.scratch().path("clock-draft"), node.scratch().path(OFFSET));
    fs::write(&draft, format!("{seconds:+}s\n")).expect("the directory is ours");
    fs::rename(&draft, &file).expect("the directory is ours");
}
