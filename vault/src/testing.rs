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

/// The golden bytes of `vectors/NAME.hex`.
pub(crate) fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(format!("{name}.hex"));
    let text = fs::read_to_string(path).unwrap().replace('\n', "");
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn hex_line(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.chain(["\n".to_owned()]).collect()
}

/// What a manager of a made-up cluster proves itself with.
pub(crate) fn credentials(node: &str) -> crate::tls::Credentials {
    credentials_as(node, pki::leaf::Role::Manager)
}

/// The same for any role.
pub(crate) fn credentials_as(node: &str, role: pki::leaf::Role) -> crate::tls::Credentials {
    use pki::key::{KeyDocument, SigningKey};
    use pki::leaf::{LeafPlan, issue_leaf};
    use pki::root::{RootPlan, issue_root};
    let random = crate::entropy::source();
    let now_secs = crate::clock::now().secs();
    let (root, own) =
        (KeyDocument::generate(&random).unwrap(), KeyDocument::generate(&random).unwrap());
    let root_key = SigningKey::parse(root.expose(), &random).unwrap();
    let serial = crate::entropy::random();
    let plan = RootPlan { cluster: "c", generation: 1, now_secs, serial };
    let roots = issue_root(&plan, &root_key).unwrap();
    let lifetime_secs = 7_200;
    let plan = LeafPlan { cluster: "c", node, role, now_secs, lifetime_secs, serial };
    let public = SigningKey::parse(own.expose(), &random).unwrap().public_key();
    let chain = issue_leaf(&plan, &public, &roots, &root_key).unwrap();
    crate::tls::Credentials { chain, key: own.expose().to_vec().into(), roots }
}
