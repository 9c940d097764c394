//! A rotation of the root, as operators ask for it, and its last step.

use pki::cross::{CrossError, CrossPlan, cross_sign};
use pki::import::{Import, ImportError, import};
use pki::key::{KeyDocument, KeyError, SigningKey};
use pki::leaf::LIFETIME_MIN_SECS;
use pki::root::{RootPlan, issue_root};
use pki::rotation::{Finish, Generation, Manner, Options, Phase};
use pki::token::TokenSecret;
use vault_core::cluster::Cluster;
use vault_core::command::{Action, Refusal};
use vault_core::limits::{CERTIFICATE_LIFETIME_SECS_MAX, ROOT_GRACE_SECS};
use vault_core::root::{Begin, RootRefusal, Step};
use vault_core::seal::{Kind, Plaintext, Sealed, seal};
use zeroize::Zeroizing;

use super::{Asked, CallError, Manager, SEAL_TRIES, ValueError};
use crate::raft::View;
use crate::{clock, entropy};

/// What an operator wants of a rotation.
#[derive(Default)]
pub struct RootWanted {
    /// A root of the operator's own, with its key: PEM. Otherwise one is made.
    pub brought: Option<(String, Zeroizing<String>)>,
    /// How long certificates live from now on, if that changes.
    pub lifetime_secs: Option<u64>,
    /// Nodes that are down are waited for, too.
    pub is_for_all: bool,
    /// Somebody has the old key.
    pub is_compromised: bool,
}

/// Why no rotation begins, or ends.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    #[error(
        "certificates cannot live for {asked_secs} s: {LIFETIME_MIN_SECS} s to {CERTIFICATE_LIFETIME_SECS_MAX} s can be asked for"
    )]
    Lifetime { asked_secs: u64 },
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Swarm's text, and what it is about.
    #[error("unable to generate a cross-signed certificate for root rotation: {0}")]
    Cross(#[from] CrossError),
    #[error("the root's key does not read")]
    Key(#[from] KeyError),
    #[error(transparent)]
    Root(#[from] pki::root::RootError),
    #[error(transparent)]
    Value(#[from] ValueError),
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<Refusal> for RootError {
    fn from(refusal: Refusal) -> Self {
        Self::Call(refusal.into())
    }
}

/// A root that is not in the state yet.
struct NewRoot {
    certificate: String,
    key: KeyDocument,
}

impl Manager {
    /// Begins a rotation. The leader does the rest. Gives its ID.
    pub async fn rotate_root(&self, asked: Asked, wanted: &RootWanted) -> Result<u64, RootError> {
        let lifetimes = LIFETIME_MIN_SECS..=CERTIFICATE_LIFETIME_SECS_MAX;
        if let Some(asked_secs) = wanted.lifetime_secs.filter(|secs| !lifetimes.contains(secs)) {
            return Err(RootError::Lifetime { asked_secs });
        }
        let mut tries_left = SEAL_TRIES;
        loop {
            let begin = self.plan_root(&self.read().await?, wanted)?;
            let id = begin.id;
            let acted =
                self.act_for(asked.clone(), Action::Root(Step::Begin(Box::new(begin)))).await;
            tries_left -= 1;
            match acted {
                Err(CallError::Refused(
                    Refusal::OldKey | Refusal::Root(RootRefusal::OutOfStep),
                )) if tries_left > 0 => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(id),
            }
        }
    }

    fn plan_root(&self, view: &View, wanted: &RootWanted) -> Result<Begin, RootError> {
        let cluster = view.state.cluster().ok_or(Refusal::NoCluster)?;
        let roots = &cluster.roots;
        if roots.change.is_some() {
            return Err(Refusal::from(RootRefusal::Running).into());
        }
        let next = roots.last_used.0.checked_add(1);
        let to = Generation(next.ok_or_else(|| Refusal::from(RootRefusal::Exhausted))?);
        let new = new_root(cluster, to, wanted)?;
        let (link, back_link) =
            if wanted.is_compromised { Default::default() } else { self.cross(cluster, &new)? };
        let place = Cluster::root_place(cluster.id, to);
        let key = self.seal_new(view, &place, new.key.expose());
        let manner = if wanted.is_compromised { Manner::Compromised } else { Manner::Careful };
        Ok(Begin {
            id: roots.last_rotation.saturating_add(1),
            to,
            manner,
            options: Options { grace_secs: ROOT_GRACE_SECS, is_for_all: wanted.is_for_all },
            certificate: new.certificate,
            key,
            link,
            back_link,
            lifetime_secs: wanted.lifetime_secs,
        })
    }

    /// Each of the two roots, signed by the other.
    fn cross(&self, cluster: &Cluster, new: &NewRoot) -> Result<(String, String), RootError> {
        let random = entropy::source();
        let (old_pem, new_pem) = (cluster.root_certificate.as_str(), new.certificate.as_str());
        let old_document = self.open_root(cluster, cluster.roots.generation)?;
        let old_key = SigningKey::parse(old_document.expose(), &random)?;
        let new_key = SigningKey::parse(new.key.expose(), &random)?;
        let now_secs = clock::now().secs();
        let of = |subject_pem, issuer_pem, key: &SigningKey<'_>| {
            let serial = entropy::random();
            cross_sign(&CrossPlan { subject_pem, issuer_pem, now_secs, serial }, key)
        };
        Ok((of(new_pem, old_pem, &old_key)?, of(old_pem, new_pem, &new_key)?))
    }

    /// Takes the rotation back that goes on. Gives the ID under which that is done.
    pub async fn abort_root(&self, asked: Asked) -> Result<u64, CallError> {
        let view = self.read().await?;
        let cluster = view.state.cluster().ok_or(Refusal::NoCluster)?;
        let change = cluster.roots.change.as_ref();
        let id = change.ok_or_else(|| Refusal::from(RootRefusal::Nothing))?.rotation.id;
        self.act_for(asked, Action::Root(Step::Abort(id))).await?;
        Ok(id)
    }

    /// Ends a rotation: the old key goes from the state, and the tokens are other ones if the root is.
    pub(crate) async fn finish_root(
        &self,
        (id, phase): (u64, Phase),
        finish: Finish,
    ) -> Result<(), CallError> {
        let mut tries_left = SEAL_TRIES;
        loop {
            let view = self.read().await?;
            let cluster = view.state.cluster().ok_or(Refusal::NoCluster)?;
            let is_changed = finish.signer != cluster.roots.generation;
            let tokens = is_changed.then(|| Box::new(self.new_tokens(&view, cluster)));
            tries_left -= 1;
            match self.act(Action::Root(Step::Finish(id, phase, tokens))).await {
                Err(CallError::Refused(Refusal::OldKey)) if tries_left > 0 => {}
                other => return other.map(drop),
            }
        }
    }

    /// The standing tokens of workers and managers, under the new root.
    fn new_tokens(&self, view: &View, cluster: &Cluster) -> [Sealed; 2] {
        [Kind::WorkerToken, Kind::ManagerToken].map(|kind| {
            let secret = TokenSecret::new(entropy::random());
            self.seal_new(view, &Cluster::place(cluster.id, kind), secret.expose())
        })
    }

    fn seal_new(&self, view: &View, place: &vault_core::seal::Place, value: &[u8]) -> Sealed {
        let ring = self.keys.ring();
        let key = ring.in_use(view.state.key_in_use());
        seal(key, place, entropy::random(), &Plaintext::new(value.to_vec()))
    }
}

fn new_root(
    cluster: &Cluster,
    generation: Generation,
    wanted: &RootWanted,
) -> Result<NewRoot, RootError> {
    let random = entropy::source();
    let now_secs = clock::now().secs();
    if let Some((certificate_pem, key_pem)) = &wanted.brought {
        let current_pem = cluster.root_certificate.as_str();
        let key_pem = Some(key_pem.as_str());
        let brought = Import { certificate_pem, key_pem, current_pem, now_secs };
        let key = import(&brought, &random)?.ok_or(ImportError::Key)?;
        return Ok(NewRoot { certificate: certificate_pem.clone(), key });
    }
    let document = KeyDocument::generate(&random)?;
    let key = SigningKey::parse(document.expose(), &random)?;
    let plan = RootPlan {
        cluster: cluster.id.as_str(),
        generation: generation.0,
        now_secs,
        serial: entropy::random(),
    };
    let certificate = issue_root(&plan, &key)?;
    Ok(NewRoot { certificate, key: document })
}
