//! Debian's packages: downloaded and unpacked into a folder. Nothing is installed, nothing is started.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a program to its end; its complaint goes to standard error.
pub fn run(command: &mut Command) -> io::Result<()> {
    let status = command.stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}

/// Downloads packages into a folder and unpacks them there.
pub fn unpack(names: &[&str], into: &Path) -> io::Result<()> {
    run(Command::new("apt-get").arg("download").args(names).current_dir(into))?;
    for entry in std::fs::read_dir(into)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "deb") {
            run(Command::new("dpkg").arg("-x").arg(&path).arg(into))?;
        }
    }
    Ok(())
}
