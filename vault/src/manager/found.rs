//! Founding a cluster: keys, root certificate, join tokens, and the first entry of the log.
//!
//! Everything is made in a draft folder. Renaming it is the moment from which the cluster exists; a draft
//! left behind by a crash is thrown away at the next start.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use pki::key::{KeyDocument, KeyError, SigningKey};
use pki::root::{RootError, RootPlan, issue_root};
use pki::token::TokenSecret;
use vault_core::backups::Backups;
use vault_core::cluster::Cluster;
use vault_core::command::{Action, CreateCluster, Issued};
use vault_core::feature::Level;
use vault_core::id::{ClusterId, NodeId};
use vault_core::labels::Labels;
use vault_core::node::{Availability, Machine, Node, NodeStatus, Role};
use vault_core::root::{NodeTrust, Roots};
use vault_core::seal::{Kind, Plaintext, Sealed, seal};
use vault_core::time::Timestamp;
use vault_core::unlock::UnlockKey;
use vault_core::versioned::Meta;
use vault_memory::GuardError;
use zeroize::Zeroizing;

use super::admission::{IssueError, issue};
use super::locking::unlock_key;
use super::{CLUSTER, CallError, Files, Limits, Manager, ManagerError};
use crate::clock;
use crate::disk::diskkey::DiskKey;
use crate::disk::folder::{Folder, RealFolder};
use crate::disk::keyring::Keyring;
use crate::disk::node::Membership;
use crate::entropy;
use crate::tls::Credentials;

pub const DRAFT: &str = "cluster.new";
/// Raft IDs are never used twice; the first manager has the first one.
const FIRST_RAFT_ID: u64 = 1;
/// The version of a cluster's first unlock key.
const FIRST_LOCK: u32 = 1;

/// What the founder knows of its node.
pub struct Founding {
    pub hostname: String,
    /// Where others reach this node: "IP:PORT".
    pub addr: String,
    /// Whether it is locked from the first byte on.
    pub autolock: bool,
}

/// Why no cluster was founded. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    #[error("cannot write the cluster's files")]
    Io(#[from] io::Error),
    #[error("no memory for keys")]
    Memory(#[from] GuardError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error(transparent)]
    Issue(#[from] IssueError),
    #[error(transparent)]
    Manager(#[from] ManagerError),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Throws away what a crash left behind while founding.
pub fn remove_draft(state_dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(state_dir.join(DRAFT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Founds a cluster with this node as its only manager.
pub async fn found(
    state_dir: &Path,
    founding: Founding,
    limits: Limits,
) -> Result<Manager, FoundError> {
    remove_draft(state_dir)?;
    let made = make(state_dir, founding, limits).await;
    if made.is_err() {
        remove_draft(state_dir)?;
    }
    made
}

async fn make(state_dir: &Path, founding: Founding, limits: Limits) -> Result<Manager, FoundError> {
    let home = RealFolder::open(state_dir)?;
    let manager = found_in(home.folder(DRAFT)?, founding, limits).await?;
    home.rename(DRAFT, CLUSTER)?;
    home.flush()?;
    Ok(manager)
}

/// The same in an empty folder that stays where it is.
pub async fn found_in(
    folder: Arc<dyn Folder>,
    founding: Founding,
    limits: Limits,
) -> Result<Manager, FoundError> {
    let membership = Membership {
        cluster: ClusterId::from_entropy(entropy::random()),
        node: NodeId::from_entropy(entropy::random()),
        raft_id: FIRST_RAFT_ID,
        recovery_epoch: 1,
    };
    let unlock_key = founding.autolock.then(unlock_key);
    let disk_key = match &unlock_key {
        Some(key) => DiskKey::locked(entropy::fill, key, FIRST_LOCK)?,
        None => DiskKey::filled(entropy::fill)?,
    };
    let keyring = Keyring::first(entropy::fill)?;
    let root = Root::new(&keyring, membership, unlock_key.as_ref())?;
    let (issued, credentials) = own_identity(&root.cluster, root.key.expose(), membership.node)?;
    let files = Files { folder, disk_key, keyring, membership, credentials };
    files.write()?;
    let first = first_entry(root.cluster, membership, &founding, issued);
    let manager = Manager::start(files, limits).await?;
    let consensus = manager.consensus();
    let founded = consensus.found(membership.node.as_str(), &founding.addr).await;
    founded.map_err(ManagerError::from)?;
    consensus.lead().await.map_err(CallError::from)?;
    manager.act(Action::CreateCluster(Box::new(first))).await?;
    Ok(manager)
}

/// A new root, its key still at hand.
struct Root {
    cluster: Cluster,
    key: KeyDocument,
}

impl Root {
    fn new(
        keyring: &Keyring,
        membership: Membership,
        unlock_key: Option<&UnlockKey>,
    ) -> Result<Self, FoundError> {
        let id = membership.cluster;
        let random = entropy::source();
        let document = KeyDocument::generate(&random)?;
        let key = SigningKey::parse(document.expose(), &random)?;
        let plan = RootPlan {
            cluster: id.as_str(),
            generation: 1,
            now_secs: clock::now().secs(),
            serial: entropy::random(),
        };
        let own = |kind, value: &[u8]| -> Sealed {
            let value = Plaintext::new(value.to_vec());
            seal(keyring.newest(), &Cluster::place(id, kind), entropy::random(), &value)
        };
        let token = |kind| own(kind, TokenSecret::new(entropy::random()).expose());
        let cluster = Cluster {
            id,
            meta: unset(),
            root_certificate: issue_root(&plan, &key)?,
            root_key: own(Kind::RootKey, document.expose()),
            worker_token: token(Kind::WorkerToken),
            manager_token: token(Kind::ManagerToken),
            level: Level::FIRST,
            level_version: String::new(),
            unlock_key: unlock_key.map(|key| own(Kind::UnlockKey, key.expose())),
            lock_version: if unlock_key.is_some() { FIRST_LOCK } else { 0 },
            backups: Backups::default(),
            roots: Roots::default(),
        };
        Ok(Self { cluster, key: document })
    }
}

/// A new key and certificate for this node, as a manager, and what it proves itself with.
pub(super) fn own_identity(
    cluster: &Cluster,
    root_key: &[u8],
    node: NodeId,
) -> Result<(Issued, Credentials), IssueError> {
    let random = entropy::source();
    let own = KeyDocument::generate(&random)?;
    let public = SigningKey::parse(own.expose(), &random)?.public_key();
    let issued = issue(cluster, root_key, node, Role::Manager, &public)?;
    let credentials = Credentials {
        chain: issued.certificate.clone(),
        key: Zeroizing::new(own.expose().to_vec()),
        roots: cluster.bundle(),
    };
    Ok((issued, credentials))
}

/// Set when the entry is applied.
fn unset() -> Meta {
    Meta { version_index: 0, created_at: Timestamp::default(), updated_at: Timestamp::default() }
}

fn first_entry(
    cluster: Cluster,
    membership: Membership,
    founding: &Founding,
    issued: Issued,
) -> CreateCluster {
    CreateCluster { cluster, node: own_node(membership, founding, issued) }
}

/// This node's record, as the only manager there is.
pub(super) fn own_node(membership: Membership, founding: &Founding, issued: Issued) -> Node {
    Node {
        id: membership.node,
        meta: unset(),
        hostname: founding.hostname.clone(),
        role: Role::Manager,
        availability: Availability::Active,
        addr: founding.addr.clone(),
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        level: Level::known(),
        labels: Labels::default(),
        status: NodeStatus::Ready,
        raft_id: Some(membership.raft_id),
        pins: vec![issued.pin],
        certificate: issued.certificate,
        certificate_end_secs: issued.end_secs,
        token: None,
        machine: Machine::default(),
        engine: None,
        trust: NodeTrust { issuer: issued.issuer, ..NodeTrust::default() },
    }
}
