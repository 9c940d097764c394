//! The directory of a throw-away cluster: for this user alone, with a name that nobody can guess.

use std::fs;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use crate::chance;
use crate::commands::dev::DevError;
use crate::human::os_error;

/// Removed with all it holds when it goes away.
pub(super) struct Place {
    root: PathBuf,
    is_removed: bool,
}

impl Place {
    pub(super) fn create() -> Result<Self, DevError> {
        let parent = parent();
        let root = parent.join(format!("coffer-dev-{}", chance::hex::<8>()));
        let made = DirBuilder::new().mode(0o700).create(&root);
        made.map_err(|error| DevError::place(&parent, &error))?;
        Ok(Self { root, is_removed: false })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.root.join("state")
    }

    pub(super) fn run_dir(&self) -> PathBuf {
        self.root.join("run")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.run_dir().join("coffer.sock")
    }

    /// What the daemon says goes here.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("cofferd.log")
    }

    pub(super) fn remove(mut self) -> Result<(), DevError> {
        self.is_removed = true;
        fs::remove_dir_all(&self.root).map_err(|error| DevError::Remains {
            directory: self.root.clone(),
            reason: os_error(&error),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_removed {
            fs::remove_dir_all(&self.root).ok();
        }
    }
}

/// The user's runtime directory, if it is theirs: whoever owns the parent could swap the child.
fn parent() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    own.filter(|path| path.is_absolute() && is_ours(path)).unwrap_or_else(|| "/tmp".into())
}

fn is_ours(path: &Path) -> bool {
    let uid = |found: io::Result<fs::Metadata>| found.ok().filter(|found| found.is_dir());
    uid(fs::metadata(path)).is_some_and(|found| found.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_place_is_private_and_goes_away_with_what_it_holds() {
        let place = Place::create().unwrap();
        let root = place.root().to_owned();
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(place.state_dir()).unwrap();
        fs::write(place.log(), "line").unwrap();
        place.remove().unwrap();
        assert!(!root.exists());
    }

    #[test]
    fn a_forgotten_place_goes_away_too() {
        let root = Place::create().unwrap().root().to_owned();
        assert!(!root.exists());
    }
}
