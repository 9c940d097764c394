//! State directories as released versions wrote them: `tests/golden/format-N`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Files of a directory, each with its length, a line each: zeros at the end of a file are left out of it.
pub const LENGTHS: &str = "lengths";

/// Where the directory of a format is kept.
pub fn folder(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(format)
}

/// Makes a copy that a manager may go on with.
pub fn copy(format: &str, to: &Path) {
    let from = folder(format);
    for line in fs::read_to_string(from.join(LENGTHS)).unwrap().lines() {
        let (path, length) = line.split_once(' ').unwrap();
        let mut bytes = fs::read(from.join(path)).unwrap();
        bytes.resize(length.parse().unwrap(), 0);
        let file = to.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, bytes).unwrap();
        // Where sources are kept, nobody keeps that they are closed.
        for (path, mode) in [(file.parent().unwrap(), 0o700), (&file, 0o600), (to, 0o700)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}
