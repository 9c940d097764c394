//! Where a backup goes: a new file, which has its name only once all of it is on the disk, or standard output.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use super::BackupError;
use crate::human::os_error;

/// A backup on its way out.
pub(super) enum Target {
    Stdout,
    File(Draft),
}

/// A file that is removed again unless it is finished.
pub(super) struct Draft {
    file: File,
    part: PathBuf,
    path: PathBuf,
    is_done: bool,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_done {
            std::fs::remove_file(&self.part).ok();
        }
    }
}

fn refused(path: &Path, error: &io::Error) -> BackupError {
    BackupError::Write { file: path.display().to_string(), reason: os_error(error) }
}

impl Target {
    /// Makes the file, readable by its owner alone. One that is there is not touched.
    pub(super) fn create(path: &Path) -> Result<Self, BackupError> {
        if path == Path::new("-") {
            return if io::stdout().is_terminal() {
                Err(BackupError::Terminal)
            } else {
                Ok(Self::Stdout)
            };
        }
        let exists = || BackupError::Exists { file: path.display().to_string() };
        if path.symlink_metadata().is_ok() {
            return Err(exists());
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let file = file.map_err(|error| refused(&part, &error))?;
        Ok(Self::File(Draft { file, part, path: path.to_owned(), is_done: false }))
    }

    pub(super) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    /// Writes the next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(bytes),
            Self::File(draft) => draft.file.write_all(bytes),
        }
        .map_err(|error| refused(self.path(), &error))
    }

    /// Gives the file its name once it is on the disk. Returns the name.
    pub(super) fn finish(mut self) -> Result<String, BackupError> {
        match &mut self {
            Self::Stdout => io::stdout().lock().flush(),
            Self::File(draft) => draft.finish(),
        }
        .map_err(|error| refused(self.path(), &error))?;
        Ok(self.path().display().to_string())
    }

    fn path(&self) -> &Path {
        match self {
            Self::Stdout => Path::new("standard output"),
            Self::File(draft) => &draft.path,
        }
    }
}

impl Draft {
    fn finish(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        // A link never takes the place of what came there meanwhile; a rename would.
        match std::fs::hard_link(&self.part, &self.path) {
            Ok(()) => std::fs::remove_file(&self.part)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            // Some file systems have no links.
            Err(_) => std::fs::rename(&self.part, &self.path)?,
        }
        self.is_done = true;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
}
