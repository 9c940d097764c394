//! Joining a cluster: the root by the token's digest, a key and a certificate of one's own, the data keys,
//! and a place among the managers.
//!
//! Everything is made in a draft folder, as when a cluster is founded.

use std::io;
use std::path::Path;
use std::sync::Arc;

use pki::csr;
use pki::identity::{Claim, IdentityError, judge};
use pki::key::{KeyDocument, KeyError, SigningKey};
use pki::leaf::Role;
use pki::pem::{PemError, pem_to_der};
use pki::token::{JoinToken, RootDigest, TokenError};
use tonic::Status;
use vault_core::command::ManagerPlace;
use vault_core::id::{ClusterId, IdError, NodeId};
use vault_core::limits::JOIN_CLOCKS_APART_SECS_MAX;
use vault_core::node::Availability;
use vault_memory::GuardError;
use zeroize::Zeroizing;

use crate::disk::diskkey::DiskKey;
use crate::disk::folder::{Folder, RealFolder};
use crate::disk::keyring::Keyring;
use crate::disk::node::Membership;
use crate::manager::{self, CLUSTER, DRAFT, Files, Limits, Manager, ManagerError};
use crate::sessions::Peer;
use crate::tls::{self, Credentials, TlsError, dial_once};
use crate::worker::{self, Known, Worker, WorkerError, WorkerFiles};
use crate::{clock, entropy, rpc};

/// A worker has no number in Raft; managers' begin with 1.
const NO_RAFT_ID: u64 = 0;
/// The name that every manager's certificate has, whoever leads.
const CA_NAME: &str = "swarm-ca";

/// What a node joins with.
pub struct Joining {
    /// Where a manager is reached: "IP:PORT".
    pub remote: String,
    pub token: Zeroizing<String>,
    pub availability: Availability,
    pub place: ManagerPlace,
}

/// What a node is once it has joined.
pub enum Joined {
    Manager(Box<Manager>),
    Worker(Box<Worker>),
}

/// Why a node did not join. Nothing of it is left, but for the record that the cluster may have of it.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("cannot reach a manager at {addr}: {text}")]
    Dial { addr: String, text: String },
    /// Somebody else answers there, or the token is of another cluster or of before a rotation.
    #[error(
        "remote CA does not match fingerprint. The manager at {addr} has another root certificate than the token: check the address, or take a new token with: coffer swarm join-token"
    )]
    OtherRoot { addr: String },
    #[error("{0}")]
    Refused(String),
    /// Certificates would not be valid yet, or soon no more, by one of the two.
    #[error("this node's clock is {secs} s {} the manager's: set the one that is wrong", if *.is_ahead { "ahead of" } else { "behind" })]
    Clock { secs: u64, is_ahead: bool },
    #[error("the certificate that was issued is not one for this node: {0}")]
    Certificate(#[from] IdentityError),
    #[error("the answer of the manager does not read: {0}")]
    Answer(&'static str),
    #[error("cannot make a key")]
    Key(#[from] KeyError),
    #[error("cannot make a certificate request")]
    Request(#[from] csr::MakeError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("no memory for keys")]
    Memory(#[from] GuardError),
    #[error("cannot write the cluster's files")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error(transparent)]
    Manager(#[from] ManagerError),
}

impl From<Status> for JoinError {
    fn from(status: Status) -> Self {
        Self::Refused(status.message().to_owned())
    }
}

impl From<IdError> for JoinError {
    fn from(_: IdError) -> Self {
        Self::Answer("not an ID")
    }
}

impl From<PemError> for JoinError {
    fn from(_: PemError) -> Self {
        Self::Answer("not a certificate")
    }
}

/// Joins as what the token is for. A manager follows the log from when the leader reaches it, and votes once it has
/// caught up.
pub async fn join(state_dir: &Path, joining: Joining, limits: Limits) -> Result<Joined, JoinError> {
    manager::remove_draft(state_dir)?;
    let made = make(state_dir, joining, limits).await;
    if made.is_err() {
        manager::remove_draft(state_dir)?;
    }
    made
}

async fn make(state_dir: &Path, joining: Joining, limits: Limits) -> Result<Joined, JoinError> {
    let home = RealFolder::open(state_dir)?;
    let joined = join_in(home.folder(DRAFT)?, joining, limits).await?;
    home.rename(DRAFT, CLUSTER)?;
    home.flush()?;
    Ok(joined)
}

/// The same in an empty folder that stays where it is.
pub async fn join_in(
    folder: Arc<dyn Folder>,
    joining: Joining,
    limits: Limits,
) -> Result<Joined, JoinError> {
    let addr = joining.remote.as_str();
    let token = JoinToken::parse(joining.token.trim())?;
    let roots = root(addr, token.root).await?;
    let own = KeyDocument::generate(&entropy::source())?;
    let (claim, chain) = certificate(&joining, &roots, &own).await?;
    let credentials = Credentials { chain, key: Zeroizing::new(own.expose().to_vec()), roots };
    let node = NodeId::parse(&claim.node)?;
    if claim.role == Role::Manager {
        let files = take_part(folder, node, credentials, addr, &joining.place).await?;
        return Ok(Joined::Manager(Box::new(Manager::start(files, limits).await?)));
    }
    let cluster = ClusterId::parse(&claim.cluster)?;
    let membership = Membership { cluster, node, raft_id: NO_RAFT_ID, recovery_epoch: 0 };
    let first = Peer { node_id: String::new(), addr: joining.remote.clone() };
    let known = Known { own: joining.place.addr.clone(), managers: vec![first] };
    let disk_key = DiskKey::filled(entropy::fill)?;
    let files = WorkerFiles { folder, disk_key, membership, credentials, known };
    Ok(Joined::Worker(Box::new(worker::found(files).await?)))
}

/// A worker that was made a manager: in a new folder, which then takes the place of the worker's.
pub(crate) async fn promoted(
    state_dir: &Path,
    worker: &Worker,
    place: &ManagerPlace,
    limits: Limits,
) -> Result<Manager, JoinError> {
    manager::remove_draft(state_dir)?;
    let home = RealFolder::open(state_dir)?;
    let (node, addrs) = (worker.node_id(), worker.known().managers);
    let mut tried = Err(JoinError::Answer("no manager is known"));
    for Peer { addr, .. } in addrs {
        let folder = home.folder(DRAFT)?;
        tried = take_part(folder, node, worker.credentials()?, &addr, place).await;
        if tried.is_ok() {
            break;
        }
    }
    let manager = Manager::start(tried?, limits).await?;
    // In one step: after a crash it is one or the other.
    let (draft, cluster) = (state_dir.join(DRAFT), state_dir.join(CLUSTER));
    let exchange = rustix::fs::RenameFlags::EXCHANGE;
    rustix::fs::renameat_with(rustix::fs::CWD, draft, rustix::fs::CWD, cluster, exchange)
        .map_err(io::Error::from)?;
    home.flush()?;
    manager::remove_draft(state_dir)?;
    Ok(manager)
}

/// Asks for a place among the managers and for the data keys, and writes all that a manager has.
async fn take_part(
    folder: Arc<dyn Folder>,
    node: NodeId,
    credentials: Credentials,
    addr: &str,
    place: &ManagerPlace,
) -> Result<Files, JoinError> {
    let config = tls::Tls::new(&credentials)?.client();
    let channel = dial(config, addr, CA_NAME).await?;
    let admitted = rpc::peers::admit(channel.clone(), place).await?;
    let keys = rpc::peers::keyring_over(channel.clone()).await?;
    let locked = rpc::ca::unlock_key(channel).await?;
    let keyring = Keyring::from_keys(&keys)?.ok_or(JoinError::Answer("no data keys"))?;
    let membership = Membership {
        cluster: admitted.cluster,
        node,
        raft_id: admitted.raft_id,
        recovery_epoch: admitted.recovery_epoch,
    };
    let disk_key = match locked {
        Some(locked) => DiskKey::locked(entropy::fill, &locked.key, locked.version)?,
        None => DiskKey::filled(entropy::fill)?,
    };
    let files = Files { folder, disk_key, keyring, membership, credentials };
    files.write()?;
    Ok(files)
}

/// The root bundle, believed because its digest stands in the token.
async fn root(addr: &str, digest: RootDigest) -> Result<String, JoinError> {
    let channel = dial(tls::first_contact()?, addr, CA_NAME).await?;
    let shown = rpc::ca::root(channel).await?;
    if RootDigest::of(&shown.roots) != digest {
        return Err(JoinError::OtherRoot { addr: addr.to_owned() });
    }
    if let Some(theirs) = shown.now_secs {
        let own = clock::now().secs();
        let (secs, is_ahead) = (own.abs_diff(theirs), own > theirs);
        if secs > JOIN_CLOCKS_APART_SECS_MAX {
            return Err(JoinError::Clock { secs, is_ahead });
        }
    }
    Ok(shown.roots)
}

/// This node's ID and certificate, over its own key.
async fn certificate(
    joining: &Joining,
    roots: &str,
    own: &KeyDocument,
) -> Result<(Claim, String), JoinError> {
    let (request, public) = {
        let random = entropy::source();
        let key = SigningKey::parse(own.expose(), &random)?;
        (csr::make(&key)?, key.public_key())
    };
    let channel = dial(tls::joining(roots)?, &joining.remote, CA_NAME).await?;
    let issued = rpc::ca::issue(channel, request, &joining.token, joining.availability).await?;
    let der = pem_to_der(&issued.certificate)?;
    let chain: Vec<&[u8]> = der.iter().map(Vec::as_slice).collect();
    let claim = judge(&chain, roots, clock::now().secs())?;
    if claim.node != issued.node_id || claim.key != public.digest() {
        return Err(JoinError::Answer("the certificate is another node's"));
    }
    Ok((claim, issued.certificate))
}

async fn dial(
    config: Arc<rustls::ClientConfig>,
    addr: &str,
    name: &'static str,
) -> Result<tonic::transport::Channel, JoinError> {
    dial_once(config, addr, name).await.map_err(|error| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            text = next.to_string();
            cause = next.source();
        }
        JoinError::Dial { addr: addr.to_owned(), text }
    })
}
