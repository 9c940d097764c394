//! How secrets become files of a task: the shared FUSE file system, or a file system in memory where FUSE
//! is not to be had.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use fusefs::{
    Features, File, FileSystem, OpenOutcome, OpenRecord, Opens, Options, PidNamespace, PlantError,
    Recorded, StartError, SubtreeId,
};

use crate::entropy;

/// Files that did not become a task's.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("files of the task: {0}")]
    Plant(#[from] PlantError),
    #[error("mount of the task's files")]
    Mount(#[source] io::Error),
}

/// Files that did not change.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplaceError {
    #[error(transparent)]
    Plant(#[from] PlantError),
    #[error("without FUSE a task gets the new version when it is started again")]
    Memory,
}

/// The way to deliver on this node.
pub enum Delivery {
    /// One FUSE superblock, a subtree for each task.
    Fuse(FileSystem),
    /// Files in memory of their own for each task.
    Memory,
}

/// One task's files, until they are taken away.
pub(super) struct Delivered {
    delivery: Arc<Delivery>,
    id: SubtreeId,
}

impl Delivery {
    /// Starts the best way that this kernel has.
    pub fn start(features: &Features) -> Result<Self, StartError> {
        if !features.has_shared_fuse() {
            return Ok(Self::Memory);
        }
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(4);
        let options = Options {
            key: entropy::random(),
            threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN),
            opens: Arc::new(OpenLog),
        };
        FileSystem::start(options).map(Self::Fuse)
    }

    /// In one word, for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fuse(_) => "fuse",
            Self::Memory => "memory",
        }
    }

    /// Takes every file away from every task.
    pub fn stop(self) {
        let Self::Fuse(system) = self else { return };
        if let Err(error) = system.stop() {
            tracing::warn!(%error, "the file system of secrets did not end cleanly");
        }
    }

    /// Makes one task's files, and the mount that carries them into it.
    pub(super) fn deliver(
        self: &Arc<Self>,
        files: Vec<File>,
    ) -> Result<(Delivered, OwnedFd), DeliveryError> {
        let id = SubtreeId::from_random(entropy::random());
        let mount = match self.as_ref() {
            Self::Fuse(system) => {
                system.plant(id, files)?;
                system.tree_of(id)
            }
            Self::Memory => fusefs::ram::ram_tree(&files),
        };
        let delivered = Delivered { delivery: Arc::clone(self), id };
        Ok((delivered, mount.map_err(DeliveryError::Mount)?))
    }
}

impl Delivered {
    /// Lets the processes of a task's PID namespace, and no others, open the files.
    pub(super) fn admit(&self, init_pid: u32) -> io::Result<()> {
        match self.delivery.as_ref() {
            Delivery::Fuse(system) => {
                let namespace = PidNamespace::of(init_pid)?;
                system.admit(self.id, namespace).map_err(io::Error::other)
            }
            Delivery::Memory => Ok(()),
        }
    }
}

impl Delivered {
    /// Changes all files in one step: a task sees all of the new ones or all of the old ones.
    pub(super) fn replace(&self, files: Vec<File>) -> Result<(), ReplaceError> {
        match self.delivery.as_ref() {
            Delivery::Fuse(system) => Ok(system.replace(self.id, files)?),
            Delivery::Memory => Err(ReplaceError::Memory),
        }
    }
}

impl Drop for Delivered {
    /// The task is over: nothing of its files is left, whoever still holds a descriptor.
    fn drop(&mut self) {
        if let Delivery::Fuse(system) = self.delivery.as_ref() {
            system.fell(self.id);
        }
    }
}

/// Tells the daemon's log of every open; refused ones as a warning.
struct OpenLog;

impl Opens for OpenLog {
    fn opened(&self, record: OpenRecord) -> Recorded {
        let OpenRecord { object, version, pid, uid, outcome, .. } = record;
        match outcome {
            OpenOutcome::Admitted => {
                tracing::debug!(secret = object, version, pid, uid, "secret opened");
            }
            OpenOutcome::Stranger | OpenOutcome::NotYetAdmitted => {
                tracing::warn!(
                    secret = object,
                    version,
                    pid,
                    uid,
                    "open refused: not a process of the task"
                );
            }
        }
        Recorded::Kept
    }
}
