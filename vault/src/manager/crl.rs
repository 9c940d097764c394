//! The list of certificates that were taken back, for others who believe the cluster's root.

use pki::crl::{CrlError, CrlPlan, Taken, issue_crl};
use pki::key::{KeyError, SigningKey};

use super::{Manager, ValueError};
use crate::raft::View;
use crate::{clock, entropy};

/// Why no list was signed.
#[derive(Debug, thiserror::Error)]
pub enum CrlRefused {
    #[error("there is no cluster yet")]
    NoCluster,
    #[error(transparent)]
    Value(#[from] ValueError),
    #[error("the root key does not read")]
    Key(#[from] KeyError),
    #[error("{0}")]
    List(#[from] CrlError),
}

impl Manager {
    /// Signs the list of what is taken back by now. Its number is the index of the view.
    pub fn crl(&self, view: &View) -> Result<String, CrlRefused> {
        let cluster = view.state.cluster().ok_or(CrlRefused::NoCluster)?;
        let root_key = self.open_root(cluster, cluster.roots.generation)?;
        let random = entropy::source();
        let key = SigningKey::parse(root_key.expose(), &random)?;
        let revoked = view.state.issued().revoked();
        let taken: Vec<_> =
            revoked.map(|(serial, revoked)| Taken { serial, at_secs: revoked.at_secs }).collect();
        let (now_secs, number) = (clock::now().secs(), view.state.index());
        let plan = CrlPlan { now_secs, number, taken: &taken };
        Ok(issue_crl(&plan, &cluster.root_certificate, &key)?)
    }
}
