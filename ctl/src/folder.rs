//! A directory of values: each regular file is one, under the file's name.
//!
//! Links, folders and everything else in it are passed over. Names are the server's to judge.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::human::os_error;
use crate::limits::BATCH_MAX;
use crate::limits::REQUEST_BYTES_MAX;
use crate::objects::Class;
use crate::plaintext::Plaintext;
use crate::plaintext::ReadError;

/// Why a directory gives no values.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FolderError {
    #[error("cannot read the directory {}: {reason}", .folder.display())]
    Folder { folder: PathBuf, reason: String },
    #[error("there is no regular file in {}", .0.display())]
    Empty(PathBuf),
    #[error("the name of {} is not plain text", .0.display())]
    Name(PathBuf),
    #[error(
        "{} has {count} files or more, and one request takes {BATCH_MAX}; nothing was created",
        .folder.display()
    )]
    TooMany { folder: PathBuf, count: usize },
    #[error(
        "the files in {} have {bytes} bytes together, and one request takes {REQUEST_BYTES_MAX} (4 MiB); \
         nothing was created",
        .folder.display()
    )]
    TooLarge { folder: PathBuf, bytes: u64 },
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Reads all values, in the order of their names.
pub(crate) fn read(class: Class, folder: &Path) -> Result<Vec<(String, Plaintext)>, FolderError> {
    let files = regular_files(folder)?;
    let too_large = |bytes| FolderError::TooLarge { folder: folder.to_owned(), bytes };
    let limit = u64::try_from(REQUEST_BYTES_MAX).unwrap_or(u64::MAX);
    let said = files.iter().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
    if said > limit {
        return Err(too_large(said));
    }
    let (mut values, mut read_bytes) = (Vec::with_capacity(files.len()), 0_u64);
    for (name, _) in files {
        let value = Plaintext::obtain(class, &name, Some(&folder.join(&name)))?;
        // A file may have grown, or never have told its size.
        read_bytes += u64::try_from(value.size_bytes()).unwrap_or(u64::MAX);
        if read_bytes > limit {
            return Err(too_large(read_bytes));
        }
        values.push((name, value));
    }
    Ok(values)
}

/// Names and sizes, ordered by name.
fn regular_files(folder: &Path) -> Result<Vec<(String, u64)>, FolderError> {
    let failed = |error: io::Error| FolderError::Folder {
        folder: folder.to_owned(),
        reason: os_error(&error),
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let found = entry.metadata().map_err(failed)?;
        if !found.is_file() {
            continue;
        }
        let name = entry.file_name().into_string();
        files.push((name.map_err(|_| FolderError::Name(entry.path()))?, found.len()));
        if files.len() > BATCH_MAX {
            return Err(FolderError::TooMany { folder: folder.to_owned(), count: files.len() });
        }
    }
    if files.is_empty() {
        return Err(FolderError::Empty(folder.to_owned()));
    }
    files.sort();
    Ok(files)
}
