//! What is to be started and as whom: checked where it comes in, carried to the helper as bytes,
//! checked again there. Names no secret value and touches nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::limits::{NAMESPACED_IDS, SPEC_BYTES_MAX};
use super::wire::{DecodeError, Reader, Writer};

/// A task as the caller describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchSpec {
    /// The program and its arguments; a program without a slash is looked up in the task's own
    /// PATH.
    pub command: Vec<String>,
    /// `NAME=value` each, the last of equal names wins. PATH and HOME have defaults.
    pub env: Vec<String>,
    pub workdir: PathBuf,
    pub user: TaskUser,
    /// Directories that the task finds empty. Each must exist: a missing one is an error, not a
    /// hole.
    pub hide: Vec<PathBuf>,
}

/// Whom a task runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskUser {
    /// A user of the host that is nobody else's; never root.
    Dynamic { uid: u32, gid: u32 },
    /// Root of a user namespace whose numbers 0 to 65,535 are `base` and up on the host.
    NamespacedRoot { base: u32 },
    /// The one user that the daemon's own user namespace maps.
    Rootless,
}

/// Why a described task is refused before anything is started.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    #[error("command is empty")]
    NoCommand,
    #[error("argument {0} of the command holds a NUL byte")]
    NulInCommand(usize),
    #[error("entry {0} of the environment is not NAME=value")]
    BadEnvironment(usize),
    #[error("path {0:?} is not absolute, holds a NUL byte, or cannot be hidden")]
    BadPath(PathBuf),
    #[error("a task is root only inside a user namespace")]
    HostRoot,
    #[error("user numbers from {base} leave no room for a user namespace")]
    BadBase { base: u32 },
    #[error("described task has {size} bytes, at most {SPEC_BYTES_MAX} are allowed")]
    TooLarge { size: usize },
    #[error("described task is not readable: {0}")]
    Unreadable(DecodeError),
}

/// A described task whose every part was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckedSpec(LaunchSpec);

impl CheckedSpec {
    pub(super) fn parse(spec: LaunchSpec) -> Result<Self, SpecError> {
        if spec.command.first().is_none_or(String::is_empty) {
            return Err(SpecError::NoCommand);
        }
        if let Some(at) = spec.command.iter().position(|argument| argument.contains('\0')) {
            return Err(SpecError::NulInCommand(at));
        }
        if let Some(at) = spec.env.iter().position(|entry| variable(entry).is_none()) {
            return Err(SpecError::BadEnvironment(at));
        }
        // What is mounted over the root directory covers nothing.
        let is_hideable = |path: &&PathBuf| is_plain(path) && path.file_name().is_some();
        let unhideable = spec.hide.iter().find(|path| !is_hideable(path));
        let bad_workdir = Some(&spec.workdir).filter(|path| !is_plain(path));
        if let Some(path) = unhideable.or(bad_workdir) {
            return Err(SpecError::BadPath(path.clone()));
        }
        parse_user(spec.user)?;
        let size = encode(&spec).len();
        if size > SPEC_BYTES_MAX {
            return Err(SpecError::TooLarge { size });
        }
        Ok(Self(spec))
    }

    pub(super) fn program(&self) -> &str {
        self.0.command.first().expect("a parsed command is not empty")
    }

    pub(super) fn arguments(&self) -> impl Iterator<Item = &str> {
        self.0.command.iter().skip(1).map(String::as_str)
    }

    pub(super) fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.env.iter().filter_map(|entry| variable(entry))
    }

    pub(super) fn workdir(&self) -> &Path {
        &self.0.workdir
    }

    pub(super) fn user(&self) -> TaskUser {
        self.0.user
    }

    pub(super) fn hide(&self) -> &[PathBuf] {
        &self.0.hide
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        encode(&self.0)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, SpecError> {
        if bytes.len() > SPEC_BYTES_MAX {
            return Err(SpecError::TooLarge { size: bytes.len() });
        }
        Self::parse(decode(bytes).map_err(SpecError::Unreadable)?)
    }
}

fn variable(entry: &str) -> Option<(&str, &str)> {
    entry.split_once('=').filter(|(name, _)| !name.is_empty() && !entry.contains('\0'))
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute() && !path.as_os_str().as_bytes().contains(&0)
}

fn parse_user(user: TaskUser) -> Result<TaskUser, SpecError> {
    match user {
        // The last number means "leave as it is" to the kernel.
        TaskUser::Dynamic { uid, gid } if [0, u32::MAX].iter().any(|n| [uid, gid].contains(n)) => {
            Err(SpecError::HostRoot)
        }
        TaskUser::NamespacedRoot { base }
            if base < NAMESPACED_IDS || base.checked_add(NAMESPACED_IDS).is_none() =>
        {
            Err(SpecError::BadBase { base })
        }
        TaskUser::Dynamic { .. } | TaskUser::NamespacedRoot { .. } | TaskUser::Rootless => Ok(user),
    }
}

fn encode(spec: &LaunchSpec) -> Vec<u8> {
    let start = match spec.user {
        TaskUser::Dynamic { uid, gid } => Writer::tagged(1).u32(uid).u32(gid),
        TaskUser::NamespacedRoot { base } => Writer::tagged(2).u32(base),
        TaskUser::Rootless => Writer::tagged(3),
    };
    start
        .list(spec.command.iter().map(String::as_bytes))
        .list(spec.env.iter().map(String::as_bytes))
        .bytes(spec.workdir.as_os_str().as_bytes())
        .list(spec.hide.iter().map(|path| path.as_os_str().as_bytes()))
        .finish()
}

fn decode(bytes: &[u8]) -> Result<LaunchSpec, DecodeError> {
    let mut reader = Reader::new(bytes);
    let user = match reader.byte()? {
        1 => TaskUser::Dynamic { uid: reader.u32()?, gid: reader.u32()? },
        2 => TaskUser::NamespacedRoot { base: reader.u32()? },
        3 => TaskUser::Rootless,
        other => return Err(DecodeError::UnknownTag(other)),
    };
    let spec = LaunchSpec {
        command: reader.list(Reader::text)?,
        env: reader.list(Reader::text)?,
        workdir: path(&mut reader)?,
        user,
        hide: reader.list(path)?,
    };
    reader.finish()?;
    Ok(spec)
}

fn path(reader: &mut Reader<'_>) -> Result<PathBuf, DecodeError> {
    Ok(PathBuf::from(OsStr::from_bytes(reader.bytes()?)))
}

#[cfg(test)]
mod tests;
