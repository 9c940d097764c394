//! The rotation of the root in the state: every step is a compare and set on which rotation goes on, and where it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use pki::root::key_digest;
use pki::rotation::{
    AbortError, Ack, BeginError, Finish, Generation, Outlook, Phase, Rank, Rotation, Standing,
};

use super::{Stamp, State};
use crate::cluster::Cluster;
use crate::command::{ObjectKind, Outcome, Refusal};
use crate::event::EventAction;
use crate::id::NodeId;
use crate::node::{KeyPin, Node, NodeStatus, Role};
use crate::root::{
    Begin, Change, DENIED_MAX, LINKS_MAX, NodeTrust, RootRefusal, Roots, Step, Told,
};
use crate::seal::{Epoch, Sealed};

impl From<AbortError> for RootRefusal {
    fn from(error: AbortError) -> Self {
        match error {
            AbortError::Other => Self::OutOfStep,
            AbortError::TooLate => Self::TooLate,
            AbortError::TakenBack => Self::TakenBack,
            AbortError::Compromised => Self::Compromised,
        }
    }
}

impl State {
    pub(super) fn root_step(&mut self, stamp: &mut Stamp, step: Step) -> Result<Outcome, Refusal> {
        // Whoever follows or leads it watches for this.
        self.workload_index = stamp.index;
        match step {
            Step::Begin(begin) => self.begin_root(stamp, *begin)?,
            Step::Enter(id, phase) => {
                let change = self.change_of(id)?;
                let entered = change.rotation.enter(id, phase, stamp.at.secs());
                change.rotation = entered.map_err(|_| RootRefusal::OutOfStep)?;
            }
            Step::Ask(id, nodes) => {
                self.change_of(id)?;
                return Ok(self.ask(stamp, &nodes));
            }
            Step::Acknowledge(node, ack) => return self.acknowledge(node, ack),
            Step::Abort(id) => self.abort_root(stamp, id)?,
            Step::Finish(id, phase, tokens) => {
                self.finish_root((id, phase), tokens.map(|tokens| *tokens))?;
            }
        }
        let cluster = self.cluster_mut()?;
        cluster.meta.version_index = stamp.index;
        cluster.meta.updated_at = stamp.at;
        let id = cluster.id.object();
        stamp.event(ObjectKind::Cluster, EventAction::Update, id, "root");
        Ok(Outcome::Done)
    }

    fn cluster_mut(&mut self) -> Result<&mut Cluster, Refusal> {
        Ok(Arc::make_mut(self.cluster.as_mut().ok_or(Refusal::NoCluster)?))
    }

    /// The rotation of this ID, if it is the one that goes on.
    fn change_of(&mut self, id: u64) -> Result<&mut Change, Refusal> {
        let change = self.cluster_mut()?.roots.change.as_deref_mut();
        let change = change.ok_or(RootRefusal::Nothing)?;
        if change.rotation.id == id { Ok(change) } else { Err(RootRefusal::OutOfStep.into()) }
    }

    fn begin_root(&mut self, stamp: &Stamp, begin: Begin) -> Result<(), Refusal> {
        self.refuse_old_keys([&begin.key].into_iter())?;
        let roots = &mut self.cluster_mut()?.roots;
        let running = roots.change.as_ref().map(|change| &change.rotation);
        let of = (roots.generation, roots.last_used);
        let begun = Rotation::begin(running, begin.id, of, begin.manner, stamp.at.secs());
        let rotation = begun.map_err(|error| match error {
            BeginError::Running { .. } => RootRefusal::Running,
            BeginError::Exhausted => RootRefusal::Exhausted,
        })?;
        if (begin.id, begin.to) != (roots.last_rotation.saturating_add(1), rotation.to) {
            return Err(RootRefusal::OutOfStep.into());
        }
        let Begin { id, to, options, certificate, key, link, back_link, lifetime_secs, .. } = begin;
        (roots.last_used, roots.last_rotation) = (to, id);
        roots.lifetime_secs = lifetime_secs.or(roots.lifetime_secs);
        let generation = to;
        let change = Change { rotation, options, generation, certificate, key, link, back_link };
        let issued = [&change.certificate, &change.link, &change.back_link].map(String::clone);
        roots.change = Some(Box::new(change));
        for certificate in issued.iter().filter(|pem| !pem.is_empty()) {
            self.record_issued(stamp.at, certificate);
        }
        Ok(())
    }

    fn ask(&mut self, stamp: &Stamp, nodes: &[NodeId]) -> Outcome {
        for id in nodes {
            let asked_secs = Some(stamp.at.secs());
            self.set_trust(*id, |trust| NodeTrust { asked_secs, ..trust });
        }
        Outcome::Done
    }

    /// No new version index: an operator's change must not fail because a node follows a rotation.
    fn set_trust(&mut self, id: NodeId, set: impl FnOnce(NodeTrust) -> NodeTrust) {
        if let Some(node) = self.nodes.get(&id) {
            let trust = set(node.trust);
            self.nodes.insert(Node { trust, ..Node::clone(node) });
        }
    }

    /// The greatest counts, of the rotation that goes on: late, doubled and early ones change nothing.
    fn acknowledge(&mut self, id: NodeId, ack: Ack) -> Result<Outcome, Refusal> {
        let rotation = self.change_of(ack.rotation)?.rotation;
        if Some(ack) > rotation.turn() {
            return Err(RootRefusal::OutOfStep.into());
        }
        self.set_trust(id, |trust| NodeTrust { ack: trust.ack.max(Some(ack)), ..trust });
        Ok(Outcome::Done)
    }

    fn abort_root(&mut self, stamp: &Stamp, id: u64) -> Result<(), Refusal> {
        let next = self.cluster_mut()?.roots.last_rotation.saturating_add(1);
        let change = self.change_of(id)?;
        let aborted =
            change.rotation.abort(id, next, stamp.at.secs()).map_err(RootRefusal::from)?;
        if let Some(rotation) = aborted {
            change.rotation = rotation;
            self.cluster_mut()?.roots.last_rotation = next;
        } else {
            self.drop_next()?;
        }
        Ok(())
    }

    /// The root in use stays. The other one was vouched for, and is refused for ever.
    fn drop_next(&mut self) -> Result<(), Refusal> {
        let cluster = self.cluster_mut()?;
        if let Some(change) = cluster.roots.change.take() {
            deny(&mut cluster.roots, &change.certificate);
        }
        self.forget_root_key();
        Ok(())
    }

    fn finish_root(
        &mut self,
        (id, phase): (u64, Phase),
        tokens: Option<[Sealed; 2]>,
    ) -> Result<(), Refusal> {
        let change = self.change_of(id)?;
        let finish = change.rotation.finish().filter(|_| change.rotation.phase == phase);
        let Finish { signer, is_denied, .. } = finish.ok_or(RootRefusal::OutOfStep)?;
        if signer != change.generation {
            return self.drop_next();
        }
        let tokens = tokens.ok_or(RootRefusal::OutOfStep)?;
        self.refuse_old_keys(tokens.iter())?;
        let cluster = self.cluster_mut()?;
        let change = cluster.roots.change.take().ok_or(RootRefusal::Nothing)?;
        let old = std::mem::replace(&mut cluster.root_certificate, change.certificate);
        cluster.root_key = change.key;
        [cluster.worker_token, cluster.manager_token] = tokens;
        cluster.roots.generation = signer;
        if is_denied {
            deny(&mut cluster.roots, &old);
        }
        // Whoever is away gets from the last root that it knew to this one.
        if change.link.is_empty() {
            cluster.roots.links.clear();
        } else {
            cluster.roots.links.insert(0, change.link);
            cluster.roots.links.truncate(LINKS_MAX);
        }
        self.duties.token_changed();
        self.forget_root_key();
        Ok(())
    }

    /// What the key was sealed under goes: no log, no snapshot and no file of a manager opens it then.
    fn forget_root_key(&mut self) {
        self.wanted_epoch = self.wanted_epoch.max(Epoch(self.epoch.0.saturating_add(1)));
    }

    /// A certificate counts only if the root that signs by now signed it.
    pub(super) fn refuse_signer(&self, issuer: Generation) -> Result<(), Refusal> {
        let cluster = self.cluster.as_ref().ok_or(Refusal::NoCluster)?;
        if cluster.signer().generation == issuer { Ok(()) } else { Err(RootRefusal::Signer.into()) }
    }

    /// What a node is to trust and to do now. `None` if there is no such node.
    pub fn told(&self, id: NodeId) -> Option<Told> {
        let (cluster, node) = (self.cluster.as_ref()?, self.nodes.get(&id)?);
        let turn = cluster.roots.change.as_ref().and_then(|change| change.rotation.turn());
        let ack = node.trust.ack;
        Some(Told {
            bundle: cluster.bundle(),
            ack: turn.filter(|turn| ack < Some(*turn)),
            is_to_renew: self.is_to_renew(node),
        })
    }

    /// Whether a node is to take a new certificate now: it was asked to, or nobody trusts the root of the one that it
    /// has.
    pub fn is_to_renew(&self, node: &Node) -> bool {
        let NodeTrust { issuer, asked_secs, .. } = node.trust;
        let is_trusted = self.cluster.as_ref().is_none_or(|cluster| cluster.trusts(issuer));
        asked_secs.is_some() || !is_trusted
    }

    /// How far the rotation of the root is that goes on, and what comes next.
    pub fn root_outlook(&self, leader: Option<NodeId>, now_secs: u64) -> Option<Outlook<NodeId>> {
        let change = self.cluster.as_ref()?.roots.change.as_ref()?;
        let standing = |node: &Arc<Node>| {
            let rank = match node.role {
                Role::Manager if Some(node.id) == leader => Rank::Leader,
                Role::Manager => Rank::Manager,
                Role::Worker => Rank::Worker,
            };
            let is_here = node.status == NodeStatus::Ready || Some(node.id) == leader;
            let NodeTrust { issuer, asked_secs, ack, heard_secs } = node.trust;
            let seen_secs = if is_here { now_secs } else { heard_secs };
            (node.id, Standing { rank, seen_secs, issuer, asked_secs, ack })
        };
        let nodes: BTreeMap<_, _> = self.nodes.values().map(standing).collect();
        Some(change.rotation.look(&nodes, &change.options, now_secs))
    }
}

fn deny(roots: &mut Roots, certificate: &str) {
    let Some(digest) = key_digest(certificate) else { return };
    roots.denied.push(KeyPin(*digest.bytes()));
    let surplus = roots.denied.len().saturating_sub(DENIED_MAX);
    roots.denied.drain(..surplus);
}
