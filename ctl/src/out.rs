//! Standard output and standard error are written here, so that a closed pipe is met in one place.

use std::fmt::Display;
use std::io;
use std::io::Write;

/// Writes one line to standard output.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes a text that brings its own line ends.
pub(crate) fn text(text: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    write!(stdout, "{text}")?;
    stdout.flush()
}

/// Writes bytes as they are, and a line end, to standard output or standard error.
pub(crate) fn raw_line(to_stderr: bool, prefix: &str, bytes: &[u8]) -> io::Result<()> {
    let whole = [prefix.as_bytes(), bytes, b"\n"].concat();
    if to_stderr {
        io::stderr().lock().write_all(&whole)
    } else {
        io::stdout().lock().write_all(&whole)
    }
}

/// Writes one line to standard error. Nobody can be told when that fails.
pub(crate) fn error_line(text: impl Display) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// Writes a text to standard error without a line end, for a prompt.
pub(crate) fn prompt(text: &str) {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{text}").and_then(|()| stderr.flush()).ok();
}
