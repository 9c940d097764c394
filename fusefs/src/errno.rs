//! The one place where a refusal of the tree or of the server becomes an error number.

use fuser::Errno;

use crate::tree::Refusal;

/// The number that the caller's system call fails with.
pub(crate) fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::NoEntry => Errno::ENOENT,
        Refusal::NameTooLong => Errno::ENAMETOOLONG,
        Refusal::NotADirectory => Errno::ENOTDIR,
        Refusal::IsADirectory => Errno::EISDIR,
        // The kernel answers this one by a fresh lookup and a second try.
        Refusal::Stale => Errno::ESTALE,
        Refusal::Revoked | Refusal::Stranger => Errno::EACCES,
        Refusal::ReadOnly => Errno::EROFS,
        Refusal::NoAttribute => Errno::ENODATA,
        Refusal::BufferTooSmall => Errno::ERANGE,
        Refusal::Unrecorded => Errno::EIO,
        // The kernel remembers this one and does not ask again.
        Refusal::NotOffered => Errno::ENOSYS,
        Refusal::NoSuchControl => Errno::ENOTTY,
    }
}
