//! Founding a cluster: keys, root certificate, join tokens, and the first entry of the log.
//!
//! Everything is made in a draft folder. Renaming it is the moment from which the cluster exists; a draft
//! left behind by a crash is thrown away at the next start.

use std::fs;
use std::io;
use std::path::Path;

use pki::key::{KeyDocument, KeyError, SigningKey};
use pki::root::{RootError, RootPlan, issue_root};
use pki::token::TokenSecret;
use vault_core::cluster::Cluster;
use vault_core::command::{Action, CreateCluster};
use vault_core::feature::Level;
use vault_core::id::{ClusterId, NodeId};
use vault_core::node::{Availability, Node, Role};
use vault_core::seal::{Kind, Plaintext, Sealed, seal};
use vault_core::time::Timestamp;
use vault_core::versioned::Meta;
use vault_memory::GuardError;

use super::{CLUSTER, CallError, Limits, Manager, ManagerError};
use crate::clock;
use crate::disk::diskkey::{self, DiskKey};
use crate::disk::folder::{Folder, RealFolder, replace};
use crate::disk::keyring::{self, Keyring};
use crate::disk::node::{self, Membership};
use crate::entropy;

const DRAFT: &str = "cluster.new";
/// Raft IDs are never used twice; the first manager has the first one.
const FIRST_RAFT_ID: u64 = 1;

/// What the founder knows of its node.
pub struct Founding {
    pub hostname: String,
    /// Where others reach this node: "IP:PORT".
    pub addr: String,
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
    let folder = home.folder(DRAFT)?;
    let membership = Membership {
        cluster: ClusterId::from_entropy(entropy::random()),
        node: NodeId::from_entropy(entropy::random()),
        raft_id: FIRST_RAFT_ID,
        recovery_epoch: 1,
    };
    let disk_key = DiskKey::filled(entropy::fill)?;
    let keyring = Keyring::first(entropy::fill)?;
    write_files(folder.as_ref(), &disk_key, &keyring, membership)?;
    let first = first_entry(&keyring, membership, &founding)?;
    let manager = Manager::start(folder, disk_key, keyring, membership, limits).await?;
    let consensus = manager.consensus();
    let founded = consensus.found(membership.node.as_str(), &founding.addr).await;
    founded.map_err(ManagerError::from)?;
    consensus.lead().await.map_err(CallError::from)?;
    manager.act(Action::CreateCluster(Box::new(first))).await?;
    home.rename(DRAFT, CLUSTER)?;
    home.flush()?;
    Ok(manager)
}

fn write_files(
    folder: &dyn Folder,
    disk_key: &DiskKey,
    keyring: &Keyring,
    membership: Membership,
) -> io::Result<()> {
    let key = disk_key.expose();
    replace(folder, diskkey::NAME, &disk_key.to_clear_file())?;
    let ring = keyring.to_file(key, &membership.context(), entropy::random());
    replace(folder, keyring::NAME, &ring)?;
    replace(folder, node::NAME, &membership.to_file(key, entropy::random()))
}

fn first_entry(
    keyring: &Keyring,
    membership: Membership,
    founding: &Founding,
) -> Result<CreateCluster, FoundError> {
    let id = membership.cluster;
    let random = entropy::source();
    let document = KeyDocument::generate(&random)?;
    let key = SigningKey::parse(document.expose(), &random)?;
    let plan = RootPlan {
        cluster: id.as_str(),
        generation: 1,
        now_secs: clock::now().nanos() / 1_000_000_000,
        serial: entropy::random(),
    };
    let own = |kind, value: &[u8]| -> Sealed {
        let value = Plaintext::new(value.to_vec());
        seal(keyring.newest(), &Cluster::place(id, kind), entropy::random(), &value)
    };
    let token = |kind| own(kind, TokenSecret::new(entropy::random()).expose());
    // Set when the entry is applied.
    let meta = Meta {
        version_index: 0,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    };
    let cluster = Cluster {
        id,
        meta,
        root_certificate: issue_root(&plan, &key)?,
        root_key: own(Kind::RootKey, document.expose()),
        worker_token: token(Kind::WorkerToken),
        manager_token: token(Kind::ManagerToken),
        level: Level::FIRST,
        level_version: String::new(),
    };
    let node = Node {
        id: membership.node,
        meta,
        hostname: founding.hostname.clone(),
        role: Role::Manager,
        availability: Availability::Active,
        addr: founding.addr.clone(),
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(CreateCluster { cluster, node })
}
