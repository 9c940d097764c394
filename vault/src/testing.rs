//! What unit tests of this package share: a folder of their own that goes with them.

use std::fs;
use std::path::{Path, PathBuf};

/// A new folder, removed with this value.
pub(crate) struct TestFolder(PathBuf);

impl TestFolder {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

pub(crate) fn folder() -> TestFolder {
    let name = crate::entropy::random::<8>().map(|byte| format!("{byte:02x}")).concat();
    let path = std::env::temp_dir().join(format!("coffer-unit-{name}"));
    fs::create_dir(&path).unwrap();
    TestFolder(path)
}
