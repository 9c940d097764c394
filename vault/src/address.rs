//! Where others reach this node: what was given, or what can be found out.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// Swarm's port.
const PORT: u16 = 2377;

/// An address that cannot be used. The texts are Swarm's where Swarm has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("advertise address must be an IP address with an optional port, not \"{0}\"")]
    NotAnAddress(String),
    #[error("advertise address must be one that others can reach, not \"{0}\"")]
    Unspecified(String),
    #[error("could not find the system's IP address - specify one with --advertise-addr")]
    NotFound,
}

/// The address to give to others: the one asked for, else the one configured, else the one listened on,
/// else that of the route to the world.
pub fn advertised(
    asked: &str,
    configured: Option<SocketAddr>,
    listen: SocketAddr,
) -> Result<SocketAddr, AddressError> {
    let port = if listen.port() == 0 { PORT } else { listen.port() };
    if !asked.is_empty() {
        return parse(asked, port);
    }
    if let Some(configured) = configured {
        return Ok(configured);
    }
    if !listen.ip().is_unspecified() {
        return Ok(SocketAddr::new(listen.ip(), port));
    }
    own_ip().map(|ip| SocketAddr::new(ip, port)).ok_or(AddressError::NotFound)
}

/// Takes "IP" or "IP:PORT".
pub fn parse(text: &str, port: u16) -> Result<SocketAddr, AddressError> {
    let address = text.parse::<SocketAddr>().ok();
    let address = address.or_else(|| text.parse().ok().map(|ip| SocketAddr::new(ip, port)));
    match address {
        Some(address) if address.ip().is_unspecified() => {
            Err(AddressError::Unspecified(text.to_owned()))
        }
        Some(address) => Ok(address),
        None => Err(AddressError::NotAnAddress(text.to_owned())),
    }
}

/// Whether an interface of this machine has an address. What cannot be found out counts as here.
pub fn is_here(ip: IpAddr) -> bool {
    let bound = UdpSocket::bind((ip, 0));
    !bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// The source address of packets to the world. Connecting a datagram socket sends none.
fn own_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // A documentation address: routed like any other, owned by nobody.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_goes_before_what_is_configured_and_found() {
        let any: SocketAddr = "0.0.0.0:2377".parse().unwrap();
        let given: SocketAddr = "10.0.0.1:5".parse().unwrap();
        for (asked, configured, listen, expected) in [
            ("192.0.2.7", Some(given), any, "192.0.2.7:2377"),
            ("192.0.2.7:99", None, any, "192.0.2.7:99"),
            ("::1", None, any, "[::1]:2377"),
            ("", Some(given), any, "10.0.0.1:5"),
            ("", None, "127.0.0.1:0".parse().unwrap(), "127.0.0.1:2377"),
        ] {
            let found = advertised(asked, configured, listen).unwrap();
            assert_eq!(found.to_string(), expected, "{asked}");
        }
    }

    #[test]
    fn an_address_of_this_machine_is_told_from_one_of_another() {
        assert!(is_here("127.0.0.1".parse().unwrap()));
        // A documentation address: no machine has it.
        assert!(!is_here("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn text_that_is_no_reachable_address_is_refused() {
        for text in ["host", "1.2.3", "1.2.3.4:x", "0.0.0.0", "[::]:1"] {
            assert!(parse(text, 1).is_err(), "{text}");
        }
    }
}
