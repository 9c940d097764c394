//! Backups: a view of the cluster and its data keys in one file, sealed to age recipients or under a
//! passphrase. Taken from a running manager, checked without restoring, restored into an empty node.

mod contents;
mod format;
mod lock;
mod schedule;

pub use contents::{Contents, OpenError, SaveError, open, read_header, save, write};
pub use format::{FormatError, Header};
pub use lock::{Key, KeyError, Lock, LockError, UnlockError};
pub(crate) use schedule::keep_backups;

#[cfg(test)]
mod tests;
