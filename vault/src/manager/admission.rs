//! Admitting nodes and giving them certificates. Any manager can: the root key is in the state, sealed, and
//! what is issued counts once it is committed.

use std::sync::Arc;
use std::time::Duration;

use pki::csr::{self, CsrError};
use pki::identity::{Claim, IdentityError};
use pki::key::{KeyError, SigningKey};
use pki::leaf::{LIFETIME_DEFAULT_SECS, LeafError, LeafPlan, issue_leaf};
use pki::pem::{PemError, pem_to_der};
use pki::public::PublicKey;
use pki::token::{JoinToken, RootDigest, TokenSecret};
use tokio::time::timeout;
use vault_core::cluster::Cluster;
use vault_core::command::{Action, Issued, ObjectKind, Refusal};
use vault_core::feature::Level;
use vault_core::id::{NodeId, TokenId};
use vault_core::labels::Labels;
use vault_core::node::{Availability, Engine, KeyPin, Machine, Node, NodeStatus, Role};
use vault_core::root::NodeTrust;
use vault_core::seal::{Kind, Plaintext, seal};
use vault_core::time::Timestamp;
use vault_core::token::{Standing, TokenDigest};
use vault_core::versioned::Meta;

use super::{CallError, Manager, SEAL_TRIES, ValueError};
use crate::raft::{ProposeError, View};
use crate::{clock, entropy};

/// How long the managers' join token may take to be changed after a manager went.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// Why a node got no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// Swarm's text. It never says which part of a token was wrong.
    #[error("A valid join token is necessary to join this cluster")]
    Token,
    #[error("certificate request: {0}")]
    Csr(#[from] CsrError),
    #[error("the key of the certificate request is another node's")]
    KeyTaken,
    #[error("there is no cluster yet")]
    NoCluster,
    #[error(
        "the token is for a manager, and a Docker Engine is a worker here: take the other token with: coffer swarm join-token worker"
    )]
    Engine,
    #[error(transparent)]
    Value(#[from] ValueError),
    #[error(transparent)]
    Issue(#[from] IssueError),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error("the root key does not read")]
    Key(#[from] KeyError),
    #[error(transparent)]
    Leaf(#[from] LeafError),
    #[error("the new certificate is not PEM")]
    Pem(#[from] PemError),
    #[error("the new certificate does not read")]
    Identity(#[from] IdentityError),
}

/// A role, as certificates know it.
fn certified(role: Role) -> pki::leaf::Role {
    match role {
        Role::Worker => pki::leaf::Role::Worker,
        Role::Manager => pki::leaf::Role::Manager,
    }
}

/// Who asks to be let in.
pub struct Applicant<'a> {
    /// Its certificate request.
    pub request: &'a [u8],
    pub token: &'a str,
    pub availability: Availability,
    /// The feature level that it knows; none of a stock engine.
    pub level: Option<Level>,
}

/// What a token that somebody showed stands for.
struct Shown {
    role: Role,
    /// One beside the standing ones.
    further: Option<TokenId>,
}

/// Whoever shows a token hears no more of it than of one that never was; the log tells why.
fn worthless(refusal: &Refusal) -> AdmitError {
    tracing::warn!("somebody who would join is refused: {refusal}");
    AdmitError::Token
}

/// Signs a node's certificate, by the root that signs now, with what leads from that to earlier ones.
pub(super) fn issue(
    cluster: &Cluster,
    root_key: &[u8],
    node: NodeId,
    role: Role,
    public: &PublicKey,
) -> Result<Issued, IssueError> {
    let random = entropy::source();
    let key = SigningKey::parse(root_key, &random)?;
    let plan = LeafPlan {
        cluster: cluster.id.as_str(),
        node: node.as_str(),
        role: certified(role),
        now_secs: clock::now().secs(),
        lifetime_secs: cluster.roots.lifetime_secs.unwrap_or(LIFETIME_DEFAULT_SECS),
        serial: entropy::random(),
    };
    let signer = cluster.signer();
    let mut certificate = issue_leaf(&plan, public, signer.certificate, &key)?;
    let der = pem_to_der(&certificate)?;
    let claim = Claim::of(der.first().map_or(&[], Vec::as_slice))?;
    let pin = KeyPin(*public.digest().bytes());
    cluster.links().into_iter().for_each(|link| certificate.push_str(link));
    let (end_secs, issuer) = (claim.not_after_secs, signer.generation);
    Ok(Issued { pin, certificate, end_secs, role, request: Vec::new(), issuer })
}

impl Manager {
    /// Admits whoever shows a token: gives it an ID and a certificate. The same key again gets the same
    /// node, not a second one.
    pub async fn admit(&self, applicant: Applicant<'_>) -> Result<NodeId, AdmitError> {
        let Applicant { request, token, availability, level } = applicant;
        let public = csr::read(request)?;
        let view = self.settled().await?;
        let cluster = view.state.cluster().ok_or(AdmitError::NoCluster)?;
        let Shown { role, further } = self.shown(&view, cluster, token)?;
        if role == Role::Manager && level.is_none() {
            // Before anything is issued, and before there is a record of it.
            return Err(AdmitError::Engine);
        }
        let pin = KeyPin(*public.digest().bytes());
        if let Some(known) = view.state.node_with_key(pin) {
            let is_same = (known.role, known.token) == (role, further);
            return if is_same { Ok(known.id) } else { Err(AdmitError::KeyTaken) };
        }
        if let Some(token) = further.and_then(|id| view.state.tokens().get(id)) {
            // The entry's time decides. This spares the log what can be seen already.
            let standing = token.standing(view.state.clock());
            if standing != Standing::Good {
                return Err(worthless(&Refusal::TokenWorthless { id: token.id, standing }));
            }
        }
        let id = NodeId::from_entropy(entropy::random());
        let issued = self.issue(cluster, id, role, &public)?;
        let meta = Meta {
            version_index: 0,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        };
        let node = Node {
            id,
            meta,
            hostname: String::new(),
            role,
            availability,
            addr: String::new(),
            engine_version: String::new(),
            level: level.unwrap_or(Level::FIRST),
            labels: Labels::default(),
            status: NodeStatus::Unknown,
            raft_id: None,
            pins: vec![issued.pin],
            certificate: issued.certificate,
            certificate_end_secs: issued.end_secs,
            token: further,
            machine: Machine::default(),
            engine: level.is_none().then(|| Engine { request: request.to_vec() }),
            trust: NodeTrust { issuer: issued.issuer, ..NodeTrust::default() },
        };
        let admitted = match self.act(Action::AdmitNode(Box::new(node))).await {
            Err(CallError::Refused(refusal @ Refusal::TokenWorthless { .. })) => {
                return Err(worthless(&refusal));
            }
            // It was forgotten meanwhile.
            Err(CallError::Refused(Refusal::NotFound { kind: ObjectKind::Token, .. })) => {
                return Err(AdmitError::Token);
            }
            Err(CallError::Refused(Refusal::KeyTaken)) => return Err(AdmitError::KeyTaken),
            admitted => admitted?,
        };
        // Another call with the same key may have come first: the node is that one then.
        let id = admitted.objects.first().map_or(id, |id| NodeId::from(*id));
        tracing::info!(node = %id, ?role, token = further.map(tracing::field::display), "a node joined");
        Ok(id)
    }

    /// Gives a node that proved itself with `proven` a certificate over a new key, for the role that its record
    /// says. The record allows these two keys from then on.
    pub async fn renew(
        &self,
        id: NodeId,
        proven: KeyPin,
        request: &[u8],
    ) -> Result<NodeId, AdmitError> {
        let public = csr::read(request)?;
        let view = self.read().await?;
        let cluster = view.state.cluster().ok_or(AdmitError::NoCluster)?;
        let node = view.state.node(id).ok_or_else(|| not_found(id))?;
        let pin = KeyPin(*public.digest().bytes());
        match view.state.node_with_key(pin) {
            Some(other) if other.id != id => return Err(AdmitError::KeyTaken),
            _ => {}
        }
        let mut issued = self.issue(cluster, id, node.role, &public)?;
        if node.engine.is_some() {
            issued.request = request.to_vec();
        }
        self.act(Action::RenewNode(id, issued, Some(proven))).await?;
        Ok(id)
    }

    /// When the root certificate ends: seconds since 1970; 0 if it does not read.
    pub fn root_end_secs(&self) -> u64 {
        pki::root::end_secs(&self.tls.roots()).unwrap_or(0)
    }

    /// Makes a new standing token: the old one opens nothing from then on.
    pub async fn rotate_token(&self, role: Role) -> Result<u64, AdmitError> {
        let kind = token_kind(role);
        let secret = TokenSecret::new(entropy::random());
        for tries_left in (0..SEAL_TRIES).rev() {
            let view = self.read().await?;
            let cluster = view.state.cluster().ok_or(AdmitError::NoCluster)?;
            let value = Plaintext::new(secret.expose().to_vec());
            let (ring, place) = (self.keys.ring(), Cluster::place(cluster.id, kind));
            let key = ring.in_use(view.state.key_in_use());
            let sealed = seal(key, &place, entropy::random(), &value);
            match self.act(Action::RotateToken(role, sealed)).await {
                Err(CallError::Refused(Refusal::OldKey)) if tries_left > 0 => {}
                other => return Ok(other?.index),
            }
        }
        Err(CallError::from(Refusal::OldKey).into())
    }

    /// A view in which no token waits to be changed because somebody knew it who went.
    pub async fn settled(&self) -> Result<View, CallError> {
        let mut views = self.consensus.views();
        // A view of this manager may be behind: whoever went may have gone since.
        let view = self.read().await?;
        if view.state.duties().manager_token.is_none() {
            return Ok(view);
        }
        let settled = async {
            let is_settled = |view: &View| view.state.duties().manager_token.is_none();
            views.wait_for(is_settled).await.is_ok()
        };
        match timeout(SETTLE_PATIENCE, settled).await {
            Ok(true) => self.read().await,
            Ok(false) => Err(ProposeError::Stopped.into()),
            Err(_) => Err(Refusal::TokenChanges.into()),
        }
    }

    /// What a token stands for. All are compared, whichever fits. One that was revoked is none, even for whom it let
    /// in; of others that ended, whoever asks again may still be told who it is.
    fn shown(&self, view: &View, cluster: &Arc<Cluster>, text: &str) -> Result<Shown, AdmitError> {
        let token = JoinToken::parse(text.trim()).map_err(|_| AdmitError::Token)?;
        let worker = self.open_own(cluster, Kind::WorkerToken)?;
        let manager = self.open_own(cluster, Kind::ManagerToken)?;
        let is_worker = token.secret.equals(worker.expose());
        let is_manager = token.secret.equals(manager.expose());
        let digest = TokenDigest(token.secret.digest(cluster.id.as_str()));
        let further = view.state.tokens().with_digest(&digest);
        if token.root != RootDigest::of(&cluster.root_certificate) {
            return Err(AdmitError::Token);
        }
        let standing = |role| Ok(Shown { role, further: None });
        match (is_manager, is_worker, further) {
            (true, ..) => standing(Role::Manager),
            (false, true, _) => standing(Role::Worker),
            (false, false, None) => Err(AdmitError::Token),
            (false, false, Some(token)) if token.revoked_at.is_some() => {
                let (id, standing) = (token.id, Standing::Revoked);
                Err(worthless(&Refusal::TokenWorthless { id, standing }))
            }
            (false, false, Some(token)) => Ok(Shown { role: token.role, further: Some(token.id) }),
        }
    }

    fn issue(
        &self,
        cluster: &Cluster,
        node: NodeId,
        role: Role,
        public: &PublicKey,
    ) -> Result<Issued, AdmitError> {
        let root_key = self.open_root(cluster, cluster.signer().generation)?;
        Ok(issue(cluster, root_key.expose(), node, role, public)?)
    }
}

/// The kind of a role's standing token.
fn token_kind(role: Role) -> Kind {
    match role {
        Role::Worker => Kind::WorkerToken,
        Role::Manager => Kind::ManagerToken,
    }
}

fn not_found(id: NodeId) -> CallError {
    let kind = ObjectKind::Node;
    CallError::Refused(Refusal::NotFound { kind, reference: id.to_string() })
}
