//! A worker: a node that is no manager. It keeps a session with whoever leads, renews its own certificate, and
//! becomes a manager when it is told so. It runs no tasks yet.

mod session;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pki::csr;
use pki::identity::{Claim, IdentityError, judge};
use pki::key::{KeyDocument, KeyError, SigningKey};
use pki::leaf;
use pki::pem::{PemError, pem_to_der};
use pki::public::PublicKey;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use vault_core::id::NodeId;
use vault_core::limits::{RENEW_LOOK_EVERY, RENEW_RETRY, WORKER_CALL_MAX};
use vault_core::node::{Availability, Role};
use vault_memory::GuardError;
use zeroize::Zeroizing;

use crate::disk::diskkey::{self, DiskKey};
use crate::disk::folder::{Folder, RealFolder, replace, replace_and_wipe};
use crate::disk::node::{self, Membership};
use crate::disk::{identity, worker as known_file};
use crate::home::{self, HomeError};
use crate::manager::{CLUSTER, ManagerError};
use crate::sessions::Peer;
use crate::tls::{Credentials, Tls, TlsError, dial_once};
use crate::{clock, entropy, rpc, world};

pub use crate::disk::worker::Known;
pub(crate) use session::{Ended, Word, keep_session};

/// The name that every manager's certificate has, whoever leads.
const ANY_MANAGER: &str = "swarm-ca";

/// Why a worker has no newer certificate. The one that is in use stays.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("cannot write this node's files")]
    Io(#[from] io::Error),
    #[error("cannot make a key")]
    Key(#[from] KeyError),
    #[error("cannot make a certificate request")]
    Request(#[from] csr::MakeError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("a certificate is not PEM")]
    Pem(#[from] PemError),
    #[error("a certificate does not read")]
    Identity(#[from] IdentityError),
    #[error("no memory for keys")]
    Memory(#[from] GuardError),
    #[error("no manager gives one: {0}")]
    NoManager(String),
    #[error("the certificate that was issued is another node's")]
    AnotherNodes,
    #[error("stopped")]
    Stopped,
}

/// What a worker is made of.
pub struct WorkerFiles {
    pub folder: Arc<dyn Folder>,
    pub disk_key: DiskKey,
    pub membership: Membership,
    pub credentials: Credentials,
    pub known: Known,
}

/// How it stands with the managers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The manager that it has a session through; none while it has none.
    pub through: Option<Peer>,
    pub availability: Option<Availability>,
}

/// This node as a worker.
pub struct Worker {
    membership: Membership,
    folder: Arc<dyn Folder>,
    disk_key: DiskKey,
    tls: Tls,
    known: Mutex<Known>,
    seen: watch::Sender<Seen>,
    /// Somebody wants a newer certificate.
    wants_renewal: Notify,
    /// Counts certificates: connections are made anew with each.
    renewed: watch::Sender<u64>,
    /// One at a time. Holds a pair that the record knows and the file does not have yet.
    renewing: tokio::sync::Mutex<Option<Arc<Credentials>>>,
}

impl WorkerFiles {
    /// Writes them all. The last one makes the folder a worker's.
    pub fn write(&self) -> io::Result<()> {
        let (folder, key) = (self.folder.as_ref(), self.disk_key.expose());
        let file = self.disk_key.to_file(&mut entropy::random::<24>);
        replace(folder, diskkey::NAME, &file)?;
        let own = identity::to_file(&self.credentials, key, entropy::random());
        replace(folder, identity::NAME, &own)?;
        replace(folder, node::NAME, &self.membership.to_file(key, entropy::random()))?;
        let context = self.membership.context();
        let known = self.known.to_file(key, &context, entropy::random());
        replace(folder, known_file::NAME, &known)
    }

    fn read(path: &Path) -> Result<Self, ManagerError> {
        let io = |file| move |source| ManagerError::Io { file, source };
        let folder: Arc<dyn Folder> = Arc::new(RealFolder::open(path).map_err(io(CLUSTER))?);
        let read = |name| {
            home::read_closed(&path.join(name)).map_err(|error| match error {
                HomeError::Io { source, .. } => io(name)(source),
                open => open.into(),
            })
        };
        let disk_key = DiskKey::parse(&read(diskkey::NAME)?)?;
        let membership = Membership::parse(disk_key.expose(), &read(node::NAME)?)?;
        let credentials = identity::parse(disk_key.expose(), &read(identity::NAME)?)?;
        let known = read(known_file::NAME)?;
        let known = Known::parse(disk_key.expose(), &membership.context(), &known)?;
        Ok(Self { folder, disk_key, membership, credentials, known })
    }
}

impl Worker {
    /// Takes its files up.
    pub fn of(files: WorkerFiles) -> Result<Self, TlsError> {
        let WorkerFiles { folder, disk_key, membership, credentials, known } = files;
        Ok(Self {
            membership,
            folder,
            disk_key,
            tls: Tls::new(&credentials)?,
            known: Mutex::new(known),
            seen: watch::Sender::new(Seen::default()),
            wants_renewal: Notify::new(),
            renewed: watch::Sender::new(0),
            renewing: tokio::sync::Mutex::new(None),
        })
    }

    /// Opens the files of the cluster that this node is a worker of; `None` if it is none.
    pub fn open(state_dir: &Path) -> Result<Option<Self>, ManagerError> {
        let path = state_dir.join(CLUSTER);
        if !path.join(known_file::NAME).exists() {
            return Ok(None);
        }
        Ok(Some(Self::of(WorkerFiles::read(&path)?).map_err(ManagerError::Identity)?))
    }

    /// Who this node is.
    pub fn membership(&self) -> Membership {
        self.membership
    }

    /// This node's ID.
    pub fn node_id(&self) -> NodeId {
        self.membership.node
    }

    /// How it stands with the managers.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Returns once it has a session.
    pub async fn in_session(&self) {
        let mut seen = self.seen.subscribe();
        // The sender is this worker's own.
        seen.wait_for(|seen| seen.through.is_some()).await.ok();
    }

    /// Where it is reached itself, and where managers are.
    pub fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What its certificate says.
    pub fn claim(&self) -> Result<Claim, WorkerError> {
        let chain = pem_to_der(&self.tls.chain())?;
        Ok(Claim::of(chain.first().map_or(&[], Vec::as_slice))?)
    }

    /// What it proves itself with, as its file holds it.
    pub fn credentials(&self) -> Result<Credentials, ManagerError> {
        let io = |source| ManagerError::Io { file: identity::NAME, source };
        let file = Zeroizing::new(self.folder.read(identity::NAME).map_err(io)?);
        Ok(identity::parse(self.disk_key.expose(), &file)?)
    }

    /// The managers are these from now on.
    fn take_managers(&self, managers: Vec<Peer>) -> io::Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if managers.is_empty() || known.managers == managers {
            return Ok(());
        }
        known.managers = managers;
        let (key, context) = (self.disk_key.expose(), self.membership.context());
        let file = known.to_file(key, &context, entropy::random());
        replace(self.folder.as_ref(), known_file::NAME, &file)
    }

    /// The managers in an order by chance, so that workers spread over them.
    fn managers(&self) -> Vec<Peer> {
        let mut managers = self.known().managers;
        let mut drawn: Vec<(u64, Peer)> =
            managers.drain(..).map(|peer| (u64::from_le_bytes(entropy::random()), peer)).collect();
        drawn.sort_by_key(|(draw, _)| *draw);
        drawn.into_iter().map(|(_, peer)| peer).collect()
    }

    /// Believes another bundle, if its own certificate holds under it.
    async fn believe(&self, roots: &str) -> Result<(), WorkerError> {
        let _alone = self.renewing.lock().await;
        if roots.is_empty() || *self.tls.roots() == *roots {
            return Ok(());
        }
        let chain = pem_to_der(&self.tls.chain())?;
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        judge(&chain, roots, clock::now().secs())?;
        let mut credentials = self.credentials().map_err(io::Error::other)?;
        roots.clone_into(&mut credentials.roots);
        self.take_up(&credentials)
    }

    fn take_up(&self, credentials: &Credentials) -> Result<(), WorkerError> {
        // Refused here if certificate and key do not fit each other: the old ones stay then.
        Tls::new(credentials)?;
        let file = identity::to_file(credentials, self.disk_key.expose(), entropy::random());
        replace_and_wipe(self.folder.as_ref(), identity::NAME, &file)?;
        self.tls.exchange(credentials)?;
        self.renewed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// A new key and a certificate for it, of the role that the record says. What cannot be written is tried again,
    /// and not made again.
    pub(crate) async fn renew(&self) -> Result<(), WorkerError> {
        let mut unwritten = self.renewing.lock().await;
        let credentials = match unwritten.take() {
            Some(credentials) => credentials,
            None => Arc::new(self.issued().await?),
        };
        *unwritten = Some(Arc::clone(&credentials));
        self.take_up(&credentials)?;
        *unwritten = None;
        tracing::info!("this worker has a new certificate");
        Ok(())
    }

    async fn issued(&self) -> Result<Credentials, WorkerError> {
        let own = KeyDocument::generate(&entropy::source())?;
        let (request, public) = {
            let random = entropy::source();
            let key = SigningKey::parse(own.expose(), &random)?;
            (csr::make(&key)?, key.public_key())
        };
        let mut why = "none is known".to_owned();
        for peer in self.managers() {
            let asking = self.ask(&peer, request.clone());
            match timeout(2 * WORKER_CALL_MAX, asking).await {
                Ok(Ok(issued)) => {
                    self.judge_own(&issued, &public)?;
                    let key = Zeroizing::new(own.expose().to_vec());
                    let roots = self.tls.roots().to_string();
                    return Ok(Credentials { chain: issued, key, roots });
                }
                Ok(Err(error)) => why = error,
                Err(_) => "no answer in time".clone_into(&mut why),
            }
        }
        Err(WorkerError::NoManager(why))
    }

    /// Asks one manager for a certificate; why there is none, if there is none.
    async fn ask(&self, peer: &Peer, request: String) -> Result<String, String> {
        let channel = dial_once(self.tls.client(), &peer.addr, ANY_MANAGER).await;
        let channel = channel.map_err(|error| crate::lock::chain(&error))?;
        let issued = rpc::ca::issue(channel, request, "", Availability::Active).await;
        Ok(issued.map_err(|status| status.message().to_owned())?.certificate)
    }

    /// Whether a certificate holds under what this node believes, and is for this key of its own.
    fn judge_own(&self, certificate: &str, key: &PublicKey) -> Result<(), WorkerError> {
        let der = pem_to_der(certificate)?;
        let chain: Vec<&[u8]> = der.iter().map(Vec::as_slice).collect();
        let claim = judge(&chain, &self.tls.roots(), clock::now().secs())?;
        let is_own = claim.node == self.node_id().as_str() && claim.key == key.digest();
        if is_own { Ok(()) } else { Err(WorkerError::AnotherNodes) }
    }

    /// Whether its certificate says what it was told that it is.
    fn is_certified(&self, role: Role) -> bool {
        let wanted = match role {
            Role::Worker => leaf::Role::Worker,
            Role::Manager => leaf::Role::Manager,
        };
        self.claim().is_ok_and(|claim| claim.role == wanted)
    }
}

/// Renews the certificate when it is due, or wanted. Runs for ever.
pub(crate) async fn keep_certificate(worker: &Worker) {
    let draw = u32::from_le_bytes(entropy::random());
    loop {
        let due = worker.claim().map_or(0, |claim| pki::renewal::due(&claim, draw));
        let left = Duration::from_secs(due.saturating_sub(clock::now().secs()));
        let is_wanted = if left.is_zero() {
            true
        } else {
            let wanted = worker.wants_renewal.notified();
            timeout(left.min(RENEW_LOOK_EVERY), wanted).await.is_ok()
        };
        if !is_wanted {
            continue;
        }
        if let Err(error) = worker.renew().await {
            let error = crate::lock::chain(&error);
            tracing::warn!(error, "this worker's certificate was not renewed; it is tried again");
            // In vain: as if it were wanted again.
            tokio::time::sleep(RENEW_RETRY).await;
            worker.wants_renewal.notify_one();
        }
    }
}

/// Writes a worker's files beside everything else.
pub(crate) async fn found(files: WorkerFiles) -> Result<Worker, WorkerError> {
    let files = world::blocking(move || files.write().map(|()| files)).await;
    Ok(Worker::of(files.map_err(|_| WorkerError::Stopped)??)?)
}
