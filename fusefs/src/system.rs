//! One running superblock: started, planted, changed, and stopped.
//!
//! It attaches nothing; [`FileSystem::tree_of`] hands out detached mounts.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use fuser::BackgroundSession;
use fuser::Config;
use fuser::Session;
use fuser::SessionACL;

use crate::audit::Opens;
use crate::mount;
use crate::mount::Valve;
use crate::name::SubtreeId;
use crate::namespace::PidNamespace;
use crate::nodeid::NodeIds;
use crate::notice::Kernel;
use crate::notice::Pending;
use crate::server::Gate;
use crate::server::Handshake;
use crate::server::Server;
use crate::tree::Change;
use crate::tree::File;
use crate::tree::NoSuchSubtree;
use crate::tree::PlantError;
use crate::tree::Tree;

/// The most serving threads. Each has a request buffer of 16 MiB address space.
const THREADS_MAX: usize = 16;

/// How a file system is started.
pub struct Options {
    /// The key of the node ids. With the same key the same versions get the same ids.
    pub key: [u8; 16],
    /// How many threads serve; 16 at most are started.
    pub threads: NonZeroUsize,
    /// The one who is told about every open.
    pub opens: Arc<dyn Opens>,
}

/// Why no file system was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The FUSE device cannot be opened.
    #[error("cannot open /dev/fuse")]
    Device(#[source] io::Error),
    /// The superblock cannot be made or mounted.
    #[error("cannot make a FUSE mount")]
    Mount(#[source] io::Error),
    /// The kernel cannot turn the export of file handles off.
    #[error(
        "this kernel cannot turn file handles off, so tasks sharing a superblock could read each \
         other's secrets: Linux 6.9 or newer is needed"
    )]
    Exportable,
    /// The kernel and the server did not agree.
    #[error("the FUSE handshake failed")]
    Handshake(#[source] io::Error),
    /// A thread could not be started.
    #[error("cannot start a serving thread")]
    Thread(#[source] io::Error),
}

/// Why a file system goes on although it was stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The connection cannot be ended, as is the case in a user namespace; it ends when the last
    /// mount of it goes. Nothing is shown on it meanwhile.
    #[error("cannot end the FUSE connection")]
    Abort(#[source] io::Error),
    /// A serving thread had ended with an error.
    #[error("a serving thread failed")]
    Thread(#[source] io::Error),
}

/// One running superblock, attached nowhere. Dropping it leaves the mounts that were handed out
/// served until the last of them is gone; [`FileSystem::stop`] ends them.
pub struct FileSystem {
    gate: Arc<Gate>,
    kernel: Arc<Kernel>,
    root: OwnedFd,
    valve: Arc<io::Result<Valve>>,
    session: BackgroundSession,
}

impl FileSystem {
    /// Makes the superblock and starts to serve it.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let device = mount::open_device().map_err(StartError::Device)?;
        let beside = device.try_clone().map_err(StartError::Device)?;
        let context = mount::superblock(&device).map_err(StartError::Mount)?;
        let pending = Arc::new(Pending::default());
        let tree = Tree::new(NodeIds::new(options.key));
        let gate = Arc::new(Gate::new(tree, options.opens, Arc::clone(&pending)));
        let handshake = Arc::new(Handshake::default());
        let server = Server::new(Arc::clone(&gate), Arc::clone(&handshake));
        // The greeting is in the device already, so this does not wait.
        let session = Session::from_fd(server, device, SessionACL::All, config(options.threads))
            .map_err(|source| {
                if handshake.is_exportable.load(Ordering::Relaxed) {
                    StartError::Exportable
                } else {
                    StartError::Handshake(source)
                }
            })?;
        let kernel = Arc::new(Kernel::new(session.notifier(), beside));
        handshake.forgets_names.store(kernel.forget_names().is_ok(), Ordering::Relaxed);
        let root = mount::detached(&context).map_err(StartError::Mount)?;
        let session = session.spawn().map_err(StartError::Thread)?;
        let valve = Arc::new(Valve::of(&root));
        start_notifier(Arc::clone(&kernel), pending, Arc::clone(&valve))
            .map_err(StartError::Thread)?;
        Ok(Self { gate, kernel, root, valve, session })
    }

    /// Shows a new subtree; nobody may open anything in it yet. An identity is used once: it must
    /// not be that of a subtree that was felled.
    pub fn plant(&self, id: SubtreeId, files: Vec<File>) -> Result<(), PlantError> {
        self.gate.tree_mut().plant(id, files)
    }

    /// Changes all files of a subtree in one step: whoever opens a file after this has returned gets
    /// the new version, and no open sees a mixture. A descriptor that is open goes on reading the
    /// version that it opened as long as the subtree still shows that secret; if it does not, the
    /// descriptor fails at once.
    ///
    /// A version that was shown before keeps its bytes; those given for it now are not looked at.
    pub fn replace(&self, id: SubtreeId, files: Vec<File>) -> Result<(), PlantError> {
        let change = self.gate.tree_mut().replace(id, files)?;
        self.kernel.tell(&change);
        self.gate.sweep();
        Ok(())
    }

    /// From now on the processes in this PID namespace, or in one below it, may open; before that,
    /// nobody.
    pub fn admit(&self, id: SubtreeId, namespace: PidNamespace) -> Result<(), NoSuchSubtree> {
        self.gate.tree_mut().admit(id, namespace)
    }

    /// Takes one version of one secret out of a subtree, also from descriptors that are open.
    pub fn revoke(&self, id: SubtreeId, object: &str, version: u64) {
        self.tell(|tree| tree.revoke(id, object, version));
    }

    /// Takes a subtree away. Reads on open descriptors fail with EACCES, names are not there, and
    /// what the kernel's page cache holds is dropped before this returns.
    pub fn fell(&self, id: SubtreeId) {
        self.tell(|tree| tree.fell(id));
    }

    /// A detached mount of one subtree alone, read-only, without set-uid bits, devices and programs,
    /// to be moved into the task's mount namespace. Each call gives another mount.
    pub fn tree_of(&self, id: SubtreeId) -> io::Result<OwnedFd> {
        if !self.gate.tree().has(id) {
            return Err(io::ErrorKind::NotFound.into());
        }
        mount::subtree(&self.root, &id.segment())
    }

    /// The connection's device. A process that keeps a copy of it open keeps readers waiting, rather
    /// than failing, while no daemon serves.
    pub fn device(&self) -> BorrowedFd<'_> {
        self.kernel.device().as_fd()
    }

    /// The detached mount of the hidden root, for a process that is to go on after this one.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Fells every subtree and ends the connection: every mount of it fails from now on.
    pub fn stop(self) -> Result<(), StopError> {
        self.tell(Tree::clear);
        match self.valve.as_ref() {
            Ok(valve) => valve.shut().map_err(StopError::Abort)?,
            Err(fault) => return Err(StopError::Abort(fault.kind().into())),
        }
        self.session.join().map_err(StopError::Thread)
    }

    fn tell(&self, change: impl FnOnce(&mut Tree) -> Change) {
        let change = change(&mut self.gate.tree_mut());
        // The lock is free again: the kernel may ask the server before it has taken the notice.
        self.kernel.tell(&change);
    }
}

fn config(threads: NonZeroUsize) -> Config {
    let mut config = Config::default();
    config.acl = SessionACL::All;
    config.n_threads = Some(threads.get().min(THREADS_MAX));
    config
}

/// Starts the thread that drops pages after releases. It ends with the serving threads.
fn start_notifier(
    kernel: Arc<Kernel>,
    pending: Arc<Pending>,
    valve: Arc<io::Result<Valve>>,
) -> io::Result<()> {
    let run = move || {
        while let Some(ino) = pending.next() {
            kernel.forget_pages(ino);
        }
        // Nobody serves any more. Our copy of the device would keep readers waiting for ever if the
        // serving threads ended by a fault; if they were stopped, the connection is gone already.
        if let Ok(valve) = valve.as_ref() {
            drop(valve.shut());
        }
    };
    thread::Builder::new().name("fusefs-notices".to_owned()).spawn(run)?;
    Ok(())
}
