//! A manager: this node's share of the cluster. Makes the cluster's files, opens them, and turns checked
//! requests into commands.

mod admission;
mod alone;
mod crl;
mod files;
mod found;
mod locking;
mod restore;
mod roots;
mod tokens;
mod values;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pki::rotation::Generation;
use vault_core::cluster::Cluster;
use vault_core::command::{Action, Actor, Command, Outcome, Refusal};
use vault_core::feature::{self, LevelTooLow};
use vault_core::id::{NodeId, ObjectId, ServiceId};
use vault_core::labels::LabelsError;
use vault_core::request::RequestId;
use vault_core::seal::{Kind, OpenError, Place, Plaintext, Sealed, open, open_into};
use vault_core::service::ServiceSpec;
use vault_core::time::Timestamp;
use vault_core::unlock::UnlockKey;
use vault_core::versioned::{Class, Version};
use vault_memory::{GuardError, Guarded};

use crate::audit::Audit;
use crate::disk::diskkey::DiskKeyError;
use crate::disk::folder::Folder;
use crate::disk::keyring::KeyringError;
use crate::disk::log::{self, LogError, LogKey, MarkFile};
use crate::disk::node::Membership;
use crate::disk::seal::FileError;
use crate::disk::watch::Patience;
use crate::entropy;
use crate::home::HomeError;
use crate::keys::{KeyChangeError, Keys};
use crate::lock::Locking;
use crate::meters::Meters;
use crate::raft::{Consensus, Freshness, ProposeError, Start, StartError, View};
use crate::sessions::Sessions;
use crate::space::{RESERVE_BYTES, Space};
use crate::tls::{Dialer, Tls, TlsError};

pub use admission::{AdmitError, Applicant, IssueError};
pub use alone::{AloneError, Found, stand_alone};
pub use crl::CrlRefused;
pub use files::Files;
pub use found::{DRAFT, FoundError, Founding, found, found_in, remove_draft};
pub use locking::{Locked, LockingError};
pub use restore::{RestoreError, restore};
pub use roots::{RootError, RootWanted};
pub use tokens::{TokenRefused, TokenWanted};
pub use values::{Draft, NextVersion, lookup};

/// The folder of a cluster's files inside the state directory.
pub const CLUSTER: &str = "cluster";
const LOG: &str = "log";
const SNAPSHOTS: &str = "snapshots";
const AUDIT: &str = "audit";
/// Which segment is the newest: of the log, and of the audit.
const LOG_MARK: &str = "log.mark";
const AUDIT_MARK: &str = "audit.mark";
/// A value whose number was taken, or whose key was replaced meanwhile, is sealed again so often.
const SEAL_TRIES: usize = 10;

/// Why this manager does not start.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    #[error("cannot open {file}")]
    Io {
        file: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    DiskKey(#[from] DiskKeyError),
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("audit")]
    Audit(#[source] LogError),
    #[error("identity")]
    Identity(#[source] TlsError),
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error(
        "secrets and configs take {used} bytes of memory, {budget} are allowed: remove some, or raise --memory-budget"
    )]
    MemoryBudget { used: u64, budget: u64 },
    #[error(
        "the disk is nearly full: {free} bytes are free, {reserve} are kept in reserve. Reads go on; writes do again once there is room"
    )]
    DiskFull { free: u64, reserve: u64 },
    #[error(transparent)]
    Level(#[from] LevelTooLow),
    #[error(transparent)]
    Keys(#[from] KeyChangeError),
    #[error(transparent)]
    Labels(#[from] LabelsError),
}

/// Who asks, and whether the same request may come twice.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub actor: Option<Actor>,
    pub request: Option<RequestId>,
    /// Set once the log keeps the record of this call.
    pub is_logged: Option<Arc<AtomicBool>>,
}

/// How much a manager may take of its node.
#[derive(Clone)]
pub struct Limits {
    /// Bytes that secrets and configs may take.
    pub memory_budget: u64,
    pub space: Space,
    pub log: log::Options,
    /// Where what happens is counted.
    pub meters: Arc<Meters>,
}

/// What a change gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The log index of the change.
    pub index: u64,
    /// What was made or changed.
    pub objects: Vec<ObjectId>,
    /// Of new versions, in the same order.
    pub numbers: Vec<u32>,
}

impl Changed {
    /// By what came of the command at an index.
    fn of(index: u64, outcome: Outcome) -> Result<Self, CallError> {
        let (objects, numbers) = match outcome {
            Outcome::Done => (Vec::new(), Vec::new()),
            Outcome::Created(objects) => (objects, Vec::new()),
            Outcome::Rotated(versions) => versions.into_iter().unzip(),
            Outcome::Refused(refusal) => return Err(refusal.into()),
        };
        Ok(Self { index, objects, numbers })
    }
}

/// A sealed value that cannot be handed out.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    #[error("epoch {epoch} is not in this node's keyring")]
    Epoch { epoch: u32 },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("no memory for the value")]
    Memory(#[from] GuardError),
}

/// This node's share of the cluster.
pub struct Manager {
    membership: Membership,
    keys: Arc<Keys>,
    consensus: Consensus,
    tls: Arc<Tls>,
    dialer: Arc<Dialer>,
    audit: Audit,
    locking: Locking,
    space: Space,
    memory_budget: u64,
    meters: Arc<Meters>,
    sessions: Sessions,
}

impl Manager {
    /// Opens the files of the cluster that this node belongs to; `None` if it belongs to none.
    pub async fn open(state_dir: &Path, limits: Limits) -> Result<Option<Self>, ManagerError> {
        Self::open_with(state_dir, None, limits).await
    }

    /// The same for a disk that may be locked. Nothing here waits for another manager.
    pub async fn open_with(
        state_dir: &Path,
        unlock: Option<&UnlockKey>,
        limits: Limits,
    ) -> Result<Option<Self>, ManagerError> {
        let path = state_dir.join(CLUSTER);
        if !path.exists() {
            return Ok(None);
        }
        let files = Files::read(&path, unlock)?;
        let manager = Self::start(files, limits).await?;
        if let Some(torn) = manager.consensus.torn_tail() {
            tracing::warn!(
                file = torn.file,
                offset = torn.offset,
                "the log's last batch was written in part and never acknowledged: it was cut"
            );
        }
        Ok(Some(manager))
    }

    /// Starts on the cluster's folder with what was read from its files.
    pub async fn start(files: Files, limits: Limits) -> Result<Self, ManagerError> {
        let Files { folder, disk_key, keyring, membership, credentials } = files;
        let tls = Arc::new(Tls::new(&credentials).map_err(ManagerError::Identity)?);
        let dialer = Arc::new(Dialer::new(Arc::clone(&tls)));
        let io = |file| move |source| ManagerError::Io { file, source };
        let (log_folder, snapshot_folder) = (
            folder.folder(LOG).map_err(io(LOG))?,
            folder.folder(SNAPSHOTS).map_err(io(SNAPSHOTS))?,
        );
        let (disk_key, context) = (Arc::new(disk_key), membership.context());
        let log_key = LogKey { context: context.clone(), disk_key: Arc::clone(&disk_key) };
        let place = |inner: Arc<dyn Folder>, mark: &str| log::Place {
            folder: inner,
            mark: MarkFile { folder: Arc::clone(&folder), name: mark.to_owned() },
        };
        let log_place = place(log_folder, LOG_MARK);
        let audit_place = place(folder.folder(AUDIT).map_err(io(AUDIT))?, AUDIT_MARK);
        let audit_key = LogKey {
            context: [context.as_slice(), AUDIT.as_bytes()].concat(),
            disk_key: Arc::clone(&disk_key),
        };
        let fault = Box::new(|fault| crate::end::after_disk_fault(&fault));
        let audit = Audit::open(audit_place, audit_key, fault).map_err(ManagerError::Audit)?;
        let locking = Locking::new(Arc::clone(&folder), Arc::clone(&disk_key));
        let keys = Arc::new(Keys::new(keyring, folder, disk_key, context));
        let consensus = Consensus::start(Start {
            cluster: membership.cluster,
            raft_id: membership.raft_id,
            recovery_epoch: membership.recovery_epoch,
            dialer: Arc::clone(&dialer),
            keys: Arc::clone(&keys),
            log_key,
            log_place,
            log_options: limits.log,
            snapshot_folder,
            audit: audit.clone(),
            fault: Box::new(|fault| crate::end::after_disk_fault(&fault)),
            patience: Patience::default(),
            lost: Box::new(crate::end::after_disk_lost),
        })
        .await?;
        let Limits { memory_budget, space, meters, .. } = limits;
        Ok(Self {
            membership,
            keys,
            consensus,
            tls,
            dialer,
            audit,
            locking,
            space,
            memory_budget,
            meters,
            sessions: Sessions::default(),
        })
    }

    /// This node's ID.
    pub fn node_id(&self) -> NodeId {
        self.membership.node
    }

    /// Room on the disk.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Bytes that secrets and configs may take.
    pub fn memory_budget(&self) -> u64 {
        self.memory_budget
    }

    /// What is counted.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Who this manager is.
    pub fn membership(&self) -> Membership {
        self.membership
    }

    /// TLS as this node speaks it.
    pub fn tls(&self) -> &Arc<Tls> {
        &self.tls
    }

    /// Sessions of nodes, while this manager leads.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Connections to other nodes.
    pub fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Consensus, for those that watch views.
    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// The data keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The audit.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The time now, as a command is stamped with it.
    pub fn now(&self) -> Timestamp {
        self.consensus.now()
    }

    /// A view that reflects everything acknowledged before this call.
    pub async fn read(&self) -> Result<View, CallError> {
        let read = self.consensus.read().await;
        self.meters.read(&read);
        Ok(read?)
    }

    /// A view as new as somebody needs it.
    pub async fn read_as(&self, freshness: Freshness) -> Result<View, CallError> {
        let read = self.consensus.read_as(freshness).await;
        self.meters.read(&read);
        Ok(read?)
    }

    /// Has something done by the daemon itself. A refusal is an error here.
    pub async fn act(&self, action: Action) -> Result<Changed, CallError> {
        self.act_for(Asked::default(), action).await
    }

    /// Has something done for somebody.
    pub async fn act_for(&self, asked: Asked, action: Action) -> Result<Changed, CallError> {
        let acted = self.act_uncounted(asked, action).await;
        self.meters.acted(&acted);
        acted
    }

    async fn act_uncounted(&self, asked: Asked, action: Action) -> Result<Changed, CallError> {
        if let Some(free) = self.space.short() {
            return Err(CallError::DiskFull { free, reserve: RESERVE_BYTES });
        }
        // The level only rises: what a view allows stays allowed.
        feature::permit(feature::since(&action), self.consensus.level())?;
        let Asked { actor, request, is_logged } = asked;
        let actor = actor.map(|actor| Actor { node: Some(self.node_id()), ..actor });
        let command = Command { at: self.now(), request, actor, action };
        let (index, outcome) = self.consensus.propose(command).await?;
        if let Some(is_logged) = is_logged {
            is_logged.store(true, Ordering::Relaxed);
        }
        Changed::of(index, outcome)
    }

    /// The same, where the caller named the objects.
    async fn change(
        &self,
        asked: Asked,
        objects: Vec<ObjectId>,
        action: Action,
    ) -> Result<Changed, CallError> {
        let changed = self.act_for(asked, action).await?;
        Ok(Changed { objects, ..changed })
    }

    /// Has a service made.
    pub async fn create_service(
        &self,
        asked: Asked,
        spec: ServiceSpec,
    ) -> Result<Changed, CallError> {
        let id = ServiceId::from_entropy(entropy::random());
        self.act_for(asked, Action::CreateService(id, Box::new(spec))).await
    }

    /// Removes the service that the reference names.
    pub async fn remove_service(
        &self,
        asked: Asked,
        reference: &str,
    ) -> Result<Changed, CallError> {
        let view = self.read().await?;
        let found = view.state.services().find(reference);
        let kind = vault_core::command::ObjectKind::Service;
        let service = found.map_err(|failed| Refusal::lookup(kind, reference, failed))?;
        let id = service.id;
        self.change(asked, vec![id.object()], Action::RemoveService(id)).await
    }

    /// Asks for a rotation of the data key, unless one is under way. The leader does it.
    pub async fn rotate_keys(&self) -> Result<(), CallError> {
        let epoch = self.consensus.view().state.epoch();
        self.act(Action::WantEpochAfter(epoch)).await?;
        Ok(())
    }

    /// Opens one version of a secret or config into guarded memory. The version may come from an older
    /// view: if its key was destroyed since, it is opened as it was sealed anew.
    pub fn open_version(
        &self,
        class: Class,
        id: ObjectId,
        version: &Version,
    ) -> Result<Guarded, ValueError> {
        let place = self.place(class, id, version.number);
        let opened = self.open_guarded(&place, &version.sealed);
        let Err(ValueError::Epoch { .. }) = opened else { return opened };
        let view = self.consensus.view();
        let object = view.state.of_class(class).get(id);
        let now = object.and_then(|object| object.version(version.number));
        now.map_or(opened, |now| self.open_guarded(&place, &now.sealed))
    }

    fn open_guarded(&self, place: &Place, sealed: &Sealed) -> Result<Guarded, ValueError> {
        let epoch = sealed.epoch;
        let ring = self.keys.ring();
        let key = ring.key(epoch).ok_or(ValueError::Epoch { epoch: epoch.0 })?;
        let mut opened = Ok(());
        let value = Guarded::filled(sealed.value_len(), |bytes| {
            opened = open_into(key, place, sealed, bytes);
        })?;
        opened?;
        Ok(value)
    }

    /// Opens one of the cluster's own values; from an older view, too, as above.
    pub fn open_own(&self, cluster: &Cluster, kind: Kind) -> Result<Plaintext, ValueError> {
        let opened = self.open_own_as(cluster, kind);
        let Err(ValueError::Epoch { .. }) = opened else { return opened };
        let view = self.consensus.view();
        view.state.cluster().map_or(opened, |now| self.open_own_as(now, kind))
    }

    fn open_own_as(&self, cluster: &Cluster, kind: Kind) -> Result<Plaintext, ValueError> {
        let sealed = cluster.sealed(kind).ok_or(ValueError::Open(OpenError))?;
        self.open_plain(&Cluster::place(cluster.id, kind), sealed)
    }

    /// Opens the key of a root, while it is kept; from an older view, too, as above.
    pub fn open_root(
        &self,
        cluster: &Cluster,
        generation: Generation,
    ) -> Result<Plaintext, ValueError> {
        let open = |cluster: &Cluster| {
            let root = cluster.root(generation).ok_or(ValueError::Open(OpenError))?;
            self.open_plain(&Cluster::root_place(cluster.id, generation), root.key)
        };
        let opened = open(cluster);
        let Err(ValueError::Epoch { .. }) = opened else { return opened };
        let view = self.consensus.view();
        view.state.cluster().map_or(opened, |now| open(now))
    }

    fn open_plain(&self, place: &Place, sealed: &Sealed) -> Result<Plaintext, ValueError> {
        let epoch = sealed.epoch;
        let ring = self.keys.ring();
        let key = ring.key(epoch).ok_or(ValueError::Epoch { epoch: epoch.0 })?;
        Ok(open(key, place, sealed)?)
    }

    fn place(&self, class: Class, object: ObjectId, version: u32) -> Place {
        Place { cluster: self.membership.cluster, kind: class.value_kind(), object, version }
    }
}
