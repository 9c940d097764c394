//! A manager: this node's share of the cluster. Makes the cluster's files, opens them, and turns checked
//! requests into commands.

mod found;

use std::io;
use std::path::Path;
use std::sync::Arc;

use vault_core::cluster::Cluster;
use vault_core::command::{Action, Command, CreateSecret, ObjectKind, Outcome, Refusal};
use vault_core::id::{NodeId, ObjectId, SecretId, ServiceId};
use vault_core::labels::Labels;
use vault_core::name::SecretName;
use vault_core::request::RequestId;
use vault_core::seal::{Kind, OpenError, Place, Plaintext, open, open_into, seal};
use vault_core::secret::{Secret, SecretVersion};
use vault_core::service::ServiceSpec;
use vault_memory::{GuardError, Guarded};
use zeroize::Zeroizing;

use crate::clock;
use crate::disk::diskkey::{self, DiskKey, DiskKeyError};
use crate::disk::folder::{Folder, RealFolder};
use crate::disk::keyring::{self, Keyring, KeyringError};
use crate::disk::log::{self, LogKey};
use crate::disk::node::{self, Membership};
use crate::disk::seal::FileError;
use crate::entropy;
use crate::raft::{Consensus, ProposeError, Start, StartError, View};

pub use found::{FoundError, Founding, found, remove_draft};

/// The folder of a cluster's files inside the state directory.
const CLUSTER: &str = "cluster";
const LOG: &str = "log";
const SNAPSHOTS: &str = "snapshots";

/// Why this manager does not start.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    #[error("cannot open {file}")]
    Io {
        file: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{0}")]
    DiskKey(#[from] DiskKeyError),
    #[error("{0}")]
    Keyring(#[from] KeyringError),
    #[error("{0}")]
    File(#[from] FileError),
    #[error("{0}")]
    Start(#[from] StartError),
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("{0}")]
    Propose(#[from] ProposeError),
}

/// A sealed value that cannot be handed out.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    #[error("epoch {epoch} is not in this node's keyring")]
    Epoch { epoch: u32 },
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("no memory for the value")]
    Memory(#[from] GuardError),
}

/// This node's share of the cluster.
pub struct Manager {
    membership: Membership,
    keyring: Arc<Keyring>,
    consensus: Consensus,
}

impl Manager {
    /// Opens the files of the cluster that this node belongs to; `None` if it belongs to none.
    pub async fn open(state_dir: &Path) -> Result<Option<Self>, ManagerError> {
        let path = state_dir.join(CLUSTER);
        if !path.exists() {
            return Ok(None);
        }
        let io = |file| move |source| ManagerError::Io { file, source };
        let folder: Arc<dyn Folder> = Arc::new(RealFolder::open(&path).map_err(io(CLUSTER))?);
        let read = |name| folder.read(name).map(Zeroizing::new).map_err(io(name));
        let disk_key = DiskKey::parse(&read(diskkey::NAME)?)?;
        let membership = Membership::parse(disk_key.expose(), &read(node::NAME)?)?;
        let context = membership.context();
        let keyring = Keyring::parse(disk_key.expose(), &context, &read(keyring::NAME)?)?;
        let manager = Self::start(folder, disk_key, keyring, membership).await?;
        if let Some(torn) = manager.consensus.torn_tail() {
            tracing::warn!(
                file = torn.file,
                offset = torn.offset,
                "the log's last batch was written in part and never acknowledged: it was cut"
            );
        }
        Ok(Some(manager))
    }

    async fn start(
        folder: Arc<dyn Folder>,
        disk_key: DiskKey,
        keyring: Keyring,
        membership: Membership,
    ) -> Result<Self, ManagerError> {
        let io = |file| move |source| ManagerError::Io { file, source };
        let keyring = Arc::new(keyring);
        let log_key = LogKey { context: membership.context(), disk_key };
        let consensus = Consensus::start(Start {
            cluster: membership.cluster,
            raft_id: membership.raft_id,
            keyring: Arc::clone(&keyring),
            log_key,
            log_folder: folder.folder(LOG).map_err(io(LOG))?,
            log_options: log::Options::default(),
            snapshot_folder: folder.folder(SNAPSHOTS).map_err(io(SNAPSHOTS))?,
            fault: Box::new(|fault| crate::end::after_disk_fault(&fault)),
        })
        .await?;
        Ok(Self { membership, keyring, consensus })
    }

    /// This node's ID.
    pub fn node_id(&self) -> NodeId {
        self.membership.node
    }

    /// Consensus, for those that watch views.
    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// A view that reflects everything acknowledged before this call.
    pub async fn read(&self) -> Result<View, CallError> {
        Ok(self.consensus.read().await?)
    }

    /// Has something done. A refusal is an error here.
    pub async fn act(
        &self,
        request: Option<RequestId>,
        action: Action,
    ) -> Result<(u64, Option<ObjectId>), CallError> {
        let command = Command { at: clock::now(), request, action };
        match self.consensus.propose(command).await? {
            (index, Outcome::Done) => Ok((index, None)),
            (index, Outcome::Created(id)) => Ok((index, Some(id))),
            (_, Outcome::Refused(refusal)) => Err(refusal.into()),
        }
    }

    /// Seals a new secret's value and has the secret made.
    pub async fn create_secret(
        &self,
        request: Option<RequestId>,
        name: SecretName,
        labels: Labels,
        value: Plaintext,
    ) -> Result<(u64, Option<ObjectId>), CallError> {
        let id = SecretId::from_entropy(entropy::random());
        let place = self.secret_place(id, 1);
        let sealed = seal(self.keyring.newest(), &place, entropy::random(), &value);
        drop(value);
        let secret = CreateSecret { id, name, labels, sealed };
        self.act(request, Action::CreateSecret(secret)).await
    }

    /// Removes the secret that the reference names.
    pub async fn remove_secret(&self, reference: &str) -> Result<u64, CallError> {
        let view = self.read().await?;
        let found = view.state.secrets().find(reference);
        let secret =
            found.map_err(|failed| Refusal::lookup(ObjectKind::Secret, reference, failed))?;
        Ok(self.act(None, Action::RemoveSecret(secret.id)).await?.0)
    }

    /// Has a service made.
    pub async fn create_service(
        &self,
        request: Option<RequestId>,
        spec: ServiceSpec,
    ) -> Result<(u64, Option<ObjectId>), CallError> {
        let id = ServiceId::from_entropy(entropy::random());
        self.act(request, Action::CreateService(id, Box::new(spec))).await
    }

    /// Removes the service that the reference names.
    pub async fn remove_service(&self, reference: &str) -> Result<u64, CallError> {
        let view = self.read().await?;
        let found = view.state.services().find(reference);
        let service =
            found.map_err(|failed| Refusal::lookup(ObjectKind::Service, reference, failed))?;
        Ok(self.act(None, Action::RemoveService(service.id)).await?.0)
    }

    /// Opens one version of a secret into guarded memory.
    pub fn open_secret(
        &self,
        secret: &Secret,
        version: &SecretVersion,
    ) -> Result<Guarded, ValueError> {
        let place = self.secret_place(secret.id, version.number);
        let epoch = version.sealed.epoch;
        let key = self.keyring.key(epoch).ok_or(ValueError::Epoch { epoch: epoch.0 })?;
        let mut opened = Ok(());
        let value = Guarded::filled(version.sealed.value_len(), |bytes| {
            opened = open_into(key, &place, &version.sealed, bytes);
        })?;
        opened?;
        Ok(value)
    }

    /// Opens one of the cluster's own values.
    pub fn open_own(&self, cluster: &Cluster, kind: Kind) -> Result<Plaintext, ValueError> {
        let sealed = match kind {
            Kind::WorkerToken => &cluster.worker_token,
            Kind::ManagerToken => &cluster.manager_token,
            Kind::RootKey | Kind::SecretValue => &cluster.root_key,
        };
        let epoch = sealed.epoch;
        let key = self.keyring.key(epoch).ok_or(ValueError::Epoch { epoch: epoch.0 })?;
        Ok(open(key, &Cluster::place(cluster.id, kind), sealed)?)
    }

    fn secret_place(&self, id: SecretId, version: u32) -> Place {
        let cluster = self.membership.cluster;
        Place { cluster, kind: Kind::SecretValue, object: id.object(), version }
    }
}
