//! What a backup is sealed or opened with: from files, standard input or a prompt, into buffers that are wiped.

use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use zeroize::Zeroizing;

use super::BackupError;
use super::unreadable;
use crate::args::BackupKeyArgs;
use crate::args::SaveBackupArgs;
use crate::client::BackupKey;
use crate::exit::Failure;
use crate::limits::BACKUP_KEY_BYTES_MAX;
use crate::plaintext::ReadError;
use crate::prompt;
use crate::prompt::PromptError;

/// Opens a file; '-' is standard input, without the buffer of the standard library, which nobody would wipe.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if path == Path::new("-") {
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        File::open(path)
    }
}

/// Recipients, or a passphrase.
pub(super) fn lock(args: &SaveBackupArgs) -> Result<(Vec<String>, Zeroizing<Vec<u8>>), Failure> {
    let mut recipients = args.recipients.clone();
    if let Some(path) = &args.recipients_file {
        recipients.extend(recipients_of(path)?);
    }
    let passphrase = match &args.passphrase_file {
        Some(path) => passphrase_of(path)?,
        None if recipients.is_empty() => typed(prompt::ask_passphrase_twice)?,
        None => Zeroizing::new(Vec::new()),
    };
    Ok((recipients, passphrase))
}

/// An identity, or a passphrase. `backup` is what else is read.
pub(super) fn key(args: &BackupKeyArgs, backup: &Path) -> Result<BackupKey, Failure> {
    let stdin = Path::new("-");
    let file = args.identity.as_deref().or(args.passphrase_file.as_deref());
    if file == Some(stdin) && backup == stdin {
        return Err(BackupError::StdinTwice.into());
    }
    let (mut identity, mut passphrase) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()));
    match (&args.identity, &args.passphrase_file) {
        (Some(path), _) => identity = read(path)?,
        (None, Some(path)) => passphrase = passphrase_of(path)?,
        (None, None) => passphrase = typed(prompt::ask_passphrase)?,
    }
    Ok(BackupKey { identity, passphrase })
}

fn typed(
    ask: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, PromptError>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if !io::stdin().is_terminal() {
        return Err(BackupError::NoPassphrase.into());
    }
    let typed = ask().map_err(ReadError::from)?;
    if typed.is_empty() { Err(BackupError::NoPassphrase.into()) } else { Ok(typed) }
}

/// A passphrase's file may end with a line's end, which is not part of it.
fn passphrase_of(path: &Path) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    let mut bytes = read(path)?;
    while bytes.last().is_some_and(|last| b"\r\n".contains(last)) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(BackupError::Empty { file: path.display().to_string() });
    }
    Ok(bytes)
}

fn recipients_of(path: &Path) -> Result<Vec<String>, BackupError> {
    let file = || path.display().to_string();
    let bytes = read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| BackupError::NotText { file: file() })?;
    let lines = text.lines().map(str::trim);
    let wanted: Vec<String> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    if wanted.is_empty() { Err(BackupError::Empty { file: file() }) } else { Ok(wanted) }
}

/// Reads a small file into one buffer that never grows: growing would leave copies behind.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    let mut source = open(path).map_err(|error| unreadable(path, &error))?;
    let mut buffer = Zeroizing::new(vec![0; BACKUP_KEY_BYTES_MAX + 1]);
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(path, &error)),
        }
    }
    let file = || path.display().to_string();
    match filled {
        0 => Err(BackupError::Empty { file: file() }),
        length if length > BACKUP_KEY_BYTES_MAX => Err(BackupError::TooLong { file: file() }),
        _ => {
            buffer.truncate(filled);
            Ok(buffer)
        }
    }
}
