//! What is told about each attempt to open a file, and to whom.
//!
//! Where records go, and how many may wait, is decided by whoever implements [`Opens`].

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use crate::name::SubtreeId;

/// What came of an attempt to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenOutcome {
    /// The caller is in the task's PID namespace or below it, and reads this version from now on.
    Admitted,
    /// The caller is outside the task's PID namespace.
    Stranger,
    /// Nobody has been admitted to the subtree yet.
    NotYetAdmitted,
}

/// One attempt to open a file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRecord {
    /// The subtree that the file is in.
    pub subtree: SubtreeId,
    /// The file's name in the subtree.
    pub name: String,
    /// The identity of the secret behind the file.
    pub object: String,
    /// The version of the secret.
    pub version: u64,
    /// The thread that asked, as the daemon's PID namespace numbers it; 0 if it is not visible there.
    pub pid: u32,
    /// The file system user of the caller.
    pub uid: u32,
    /// The file system group of the caller.
    pub gid: u32,
    /// What came of it.
    pub outcome: OpenOutcome,
}

/// Whether a record is safe with the one who was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The record is kept.
    Kept,
    /// The record is lost; an open that would have been admitted is refused with an I/O error.
    Lost,
}

/// The one who is told about every attempt to open a file, before the answer is given. The call must
/// not wait: the task that opens waits for it.
pub trait Opens: Send + Sync {
    /// Takes one record.
    fn opened(&self, record: OpenRecord) -> Recorded;
}

/// Tells the hook; a hook that panics has lost the record, and the serving thread goes on.
pub(crate) fn tell(opens: &dyn Opens, record: OpenRecord) -> Recorded {
    catch_unwind(AssertUnwindSafe(|| opens.opened(record))).unwrap_or(Recorded::Lost)
}
