//! What this kernel and this process can do of what the file system needs, found out by trying where
//! that is possible.
//!
//! It leaves nothing behind, and it decides nothing.

use std::fmt;
use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;

use rustix::fs::Mode;
use rustix::mount::FsMountFlags;
use rustix::mount::FsOpenFlags;

use crate::mount;

/// The first kernel that can turn the export of FUSE file handles off.
const NO_EXPORT_SINCE: (u32, u32) = (6, 9);

/// One thing that may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// The FUSE device can be opened.
    FuseDevice,
    /// The FUSE file system can be mounted by this process.
    FuseMount,
    /// The export of file handles can be turned off.
    NoExport,
    /// A directory of a detached mount can be cloned.
    SubtreeClone,
    /// A tmpfs that is never swapped can be made.
    Noswap,
}

/// One thing that is missing, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is missing.
    pub feature: Feature,
    /// What was found instead.
    pub found: String,
}

impl Missing {
    /// What it costs.
    pub fn cost(&self) -> &'static str {
        match self.feature {
            Feature::FuseDevice | Feature::FuseMount => {
                "secrets are files in memory that do not change under a running task"
            }
            Feature::NoExport => "tasks cannot share a FUSE superblock safely",
            Feature::SubtreeClone => "no task can be given its part of a shared FUSE superblock",
            Feature::Noswap => "the files in memory that stand in for FUSE are a ramfs",
        }
    }

    /// What to do about it.
    pub fn cure(&self) -> &'static str {
        match self.feature {
            Feature::FuseDevice => "load the fuse module, or make /dev/fuse accessible",
            Feature::FuseMount => "run as root, or in a user namespace of your own",
            Feature::NoExport => "use Linux 6.9 or newer",
            Feature::SubtreeClone => "use Linux 6.15 or newer",
            Feature::Noswap => "use Linux 6.4 or newer, as root of the host",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.feature {
            Feature::FuseDevice => "/dev/fuse cannot be opened",
            Feature::FuseMount => "FUSE cannot be mounted",
            Feature::NoExport => "FUSE file handles cannot be turned off",
            Feature::SubtreeClone => "a part of a detached mount cannot be cloned",
            Feature::Noswap => "tmpfs has no noswap",
        };
        write!(f, "{what} ({}): {}; {}", self.found, self.cost(), self.cure())
    }
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// Everything that is missing, each with what it costs and what to do.
    pub missing: Vec<Missing>,
}

impl Features {
    /// True if the feature is there.
    pub fn has(&self, feature: Feature) -> bool {
        self.missing.iter().all(|missing| missing.feature != feature)
    }

    /// True if [`crate::FileSystem`] works here.
    pub fn has_shared_fuse(&self) -> bool {
        [Feature::FuseDevice, Feature::FuseMount, Feature::NoExport, Feature::SubtreeClone]
            .into_iter()
            .all(|feature| self.has(feature))
    }
}

/// Tries what can be tried, and looks at the kernel's release for the rest.
pub fn features() -> Features {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let tried = [
        (Feature::FuseDevice, mount::open_device().map(drop).map_err(|fault| fault.to_string())),
        (Feature::FuseMount, try_fuse().map_err(|fault| fault.to_string())),
        (Feature::NoExport, no_export(&release)),
        (Feature::SubtreeClone, try_clone().map_err(|fault| fault.to_string())),
        (Feature::Noswap, try_noswap().map_err(|fault| fault.to_string())),
    ];
    let missing = tried
        .into_iter()
        .filter_map(|(feature, tried)| Some(Missing { feature, found: tried.err()? }))
        .collect();
    Features { missing }
}

fn try_fuse() -> io::Result<()> {
    rustix::mount::fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC)?;
    Ok(())
}

fn no_export(release: &str) -> Result<(), String> {
    match version_of(release) {
        Some(version) if version >= NO_EXPORT_SINCE => Ok(()),
        Some(_) | None => Err(format!("Linux {release}")),
    }
}

/// Makes a detached tmpfs with a directory in it, and clones the directory.
fn try_clone() -> io::Result<()> {
    let mounted = detached_tmpfs(None)?;
    rustix::fs::mkdirat(&mounted, "part", Mode::RWXU)?;
    mount::subtree(&mounted, "part")?;
    Ok(())
}

fn try_noswap() -> io::Result<()> {
    detached_tmpfs(Some("noswap"))?;
    Ok(())
}

fn detached_tmpfs(flag: Option<&str>) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    if let Some(flag) = flag {
        rustix::mount::fsconfig_set_flag(context.as_fd(), flag)?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    Ok(rustix::mount::fsmount(context.as_fd(), flags, mount::HARMLESS)?)
}

/// The first two numbers of a kernel's release.
fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_as_two_numbers() {
        for (release, expected) in [
            ("6.18.44-fc-v595", Some((6, 18))),
            ("6.9.0", Some((6, 9))),
            ("6.9-rc1", Some((6, 9))),
            ("10.0", Some((10, 0))),
            ("six", None),
            ("6", None),
            ("", None),
        ] {
            assert_eq!(version_of(release), expected, "{release:?}");
        }
    }

    #[test]
    fn export_is_judged_by_the_release() {
        for (release, expected) in [("6.8.12", false), ("6.9.1", true), ("7.0", true), ("?", false)]
        {
            assert_eq!(no_export(release).is_ok(), expected, "{release:?}");
        }
    }

    #[test]
    fn what_is_missing_says_what_to_do() {
        let missing = Missing { feature: Feature::NoExport, found: "Linux 6.1".to_owned() };
        assert_eq!(
            missing.to_string(),
            "FUSE file handles cannot be turned off (Linux 6.1): tasks cannot share a FUSE \
             superblock safely; use Linux 6.9 or newer"
        );
    }
}
