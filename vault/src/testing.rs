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

/// Compares bytes with the golden ones in `vectors/NAME.hex`. With `COFFER_WRITE_VECTORS=1` writes them
/// instead: for a new format version, never to make a failing test pass.
pub(crate) fn assert_golden(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(format!("{name}.hex"));
    let text: String = bytes.chunks(32).map(hex_line).collect();
    if std::env::var_os("COFFER_WRITE_VECTORS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let golden =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, golden, "{name}: these bytes are stored; a change needs a new version");
}

fn hex_line(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.chain(["\n".to_owned()]).collect()
}
