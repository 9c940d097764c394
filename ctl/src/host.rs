//! Where the daemon listens, and how new its answers have to be: parses `-H` and `COFFER_HOST`. Connects to nothing.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use crate::args::ReadArgs;

/// Used when neither `-H` nor `COFFER_HOST` is given.
pub(crate) const DEFAULT: &str = "unix:///run/coffer/coffer.sock";

/// Bytes of a socket path: `sun_path` has 108 with its closing zero (unix(7)).
pub(crate) const PATH_BYTES_MAX: usize = 107;

const SCHEME: &str = "unix://";

/// A Unix socket's path, short enough for the kernel; and how a command reads there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    path: PathBuf,
    reading: Reading,
}

/// How new an answer has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As everybody acknowledged it before.
    #[default]
    Newest,
    /// As this manager knows it.
    Stale,
    /// As it was at this index of the log, or later.
    AtLeast(u64),
}

/// Why a host is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    #[error("invalid host '{0}': only unix:// is supported, as in unix:///run/coffer/coffer.sock")]
    Scheme(String),
    #[error("invalid host '{0}': write it as a URL, unix://{0}")]
    BarePath(String),
    #[error("invalid host 'unix://': the path of the socket is missing, as in {DEFAULT}")]
    PathMissing,
    #[error(
        "invalid host: the path of the socket has {0} bytes, a Unix socket allows {PATH_BYTES_MAX}"
    )]
    PathTooLong(usize),
}

impl Host {
    /// Reads `unix://PATH`. An empty text is as good as none, as an empty variable is.
    pub(crate) fn parse(text: &str) -> Result<Self, HostError> {
        let text = if text.is_empty() { DEFAULT } else { text };
        let Some(path) = text.strip_prefix(SCHEME) else {
            return Err(if text.starts_with('/') {
                HostError::BarePath(text.to_owned())
            } else {
                HostError::Scheme(text.to_owned())
            });
        };
        match path.len() {
            0 => Err(HostError::PathMissing),
            length if length > PATH_BYTES_MAX => Err(HostError::PathTooLong(length)),
            _ => Ok(Self { path: PathBuf::from(path), reading: Reading::Newest }),
        }
    }

    /// The socket's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same, for a command that may say how new its answer has to be.
    pub(crate) fn reading(&self, args: ReadArgs) -> Self {
        let reading = match (args.stale, args.at_least) {
            (true, _) => Reading::Stale,
            (false, Some(index)) => Reading::AtLeast(index),
            (false, None) => Reading::Newest,
        };
        Self { path: self.path.clone(), reading }
    }

    /// How new answers have to be.
    pub(crate) fn freshness(&self) -> Reading {
        self.reading
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{SCHEME}{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_url_of_a_unix_socket() {
        let long = format!("unix:///{}", "p".repeat(PATH_BYTES_MAX));
        for (text, expected) in [
            (DEFAULT, Ok("/run/coffer/coffer.sock")),
            ("unix://relative.sock", Ok("relative.sock")),
            ("unix://", Err(HostError::PathMissing)),
            ("/run/x.sock", Err(HostError::BarePath("/run/x.sock".to_owned()))),
            ("tcp://127.0.0.1:1", Err(HostError::Scheme("tcp://127.0.0.1:1".to_owned()))),
            ("", Ok("/run/coffer/coffer.sock")),
            (long.as_str(), Err(HostError::PathTooLong(PATH_BYTES_MAX + 1))),
        ] {
            let parsed = Host::parse(text);
            let path = parsed.as_ref().map(|host| host.path().to_str().unwrap());
            assert_eq!(path, expected.as_ref().copied(), "host {text:?}");
        }
    }

    #[test]
    fn a_host_is_shown_as_it_is_typed() {
        assert_eq!(Host::parse(DEFAULT).unwrap().to_string(), DEFAULT);
    }
}
