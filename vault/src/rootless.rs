//! Running as an ordinary user: as root of a user namespace of its own.

use std::fs;
use std::io;

/// Why there is no user namespace. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[error(
    "user namespaces are not allowed for this user: run as root, or allow them (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces=10000, kernel.apparmor_restrict_unprivileged_userns=0)"
)]
pub(crate) struct RootlessError(#[source] io::Error);

/// Enters a user namespace in which this user is root, and a mount namespace to go with it. To be called
/// before any thread is started.
pub(crate) fn enter() -> Result<(), RootlessError> {
    enter_namespaces().map_err(RootlessError)
}

fn enter_namespaces() -> io::Result<()> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    vault_memory::sys::unshare_user()?;
    vault_memory::sys::unshare_mounts()?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}
