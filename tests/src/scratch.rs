//! A directory of a test's own, gone with the test.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Removed with all it holds when it goes out of scope.
pub struct Scratch {
    path: PathBuf,
    name: String,
}

impl Scratch {
    /// A new directory that others may pass through: who may see what is inside is for the test.
    pub fn new() -> Self {
        let name = format!("coffer-test-{}", random_name());
        let path = std::env::temp_dir().join(&name);
        fs::DirBuilder::new().mode(0o755).create(&path).expect("the name is new");
        Self { path, name }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// The last part of its path, which nothing else on this host has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of something inside.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.path.join(inside)
    }

    /// A file with this content.
    pub fn file(&self, inside: &str, content: &[u8]) -> PathBuf {
        let path = self.path(inside);
        fs::write(&path, content).expect("the directory is there");
        path
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

/// A number that differs in every call and every process. Not for secrets: the standard library
/// seeds it from the kernel, which is all that a test needs.
pub fn random_number() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Sixteen characters that nothing else on this host is called.
pub fn random_name() -> String {
    format!("{:016x}", random_number())
}
