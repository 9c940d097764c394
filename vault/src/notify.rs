//! Tells systemd how the daemon does, where systemd asked to be told.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The daemon serves.
pub const READY: &str = "READY=1";
/// The daemon is ending.
pub const STOPPING: &str = "STOPPING=1";

/// Sends one state, if `socket` (the value of `NOTIFY_SOCKET`) is set.
pub fn notify(socket: Option<&OsStr>, state: &str) {
    let Some(socket) = socket else { return };
    if let Err(error) = send(socket, state) {
        tracing::warn!(%error, "systemd could not be told {state}");
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reaches_the_socket() {
        let folder = crate::testing::folder();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        notify(Some(path.as_os_str()), READY);
        let mut text = [0; 32];
        let length = systemd.recv(&mut text).unwrap();
        assert_eq!(&text[..length], READY.as_bytes());
    }

    #[test]
    fn without_systemd_nothing_is_sent() {
        notify(None, READY);
    }
}
