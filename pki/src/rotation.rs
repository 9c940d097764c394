//! The rotation of a cluster's root: who signs, whom nodes trust, what stands beside a certificate, and what comes next.
//!
//! New trust is spread before anything is signed anew, and roots vouch for each other: either alone would do, so that a
//! node that is late breaks no connection. A node that is not heard of blocks nothing. The record of a rotation changes
//! by compare and set alone, so that any leader goes on where another one was lost.

use std::collections::BTreeMap;

/// A generation of the root, counted from 1. None is used twice, not even after it was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u32);

/// Where a rotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The new root is there, and nobody was told.
    Prepared,
    /// Nodes are told to trust both roots. The old one signs.
    Trusting,
    /// Nodes are given new certificates, by the new root.
    Reissuing,
    /// Nodes are told to trust the new root alone.
    Retiring,
    /// It is taken back before anything was signed: nodes are told to trust the old root alone.
    Withdrawing,
}

/// Why roots are changed, and so how much is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// No connection may break.
    Careful,
    /// Somebody has the old key: it vouches for nothing, and nobody is waited for long.
    Compromised,
    /// A rotation that had begun to sign is taken back.
    Reversed,
}

/// A rotation that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Rises with each rotation: what nodes acknowledge names it.
    pub id: u64,
    /// Who signed before it.
    pub from: Generation,
    /// Who signs after it.
    pub to: Generation,
    pub manner: Manner,
    pub phase: Phase,
    /// When the phase began: seconds since 1970.
    pub since_secs: u64,
}

/// What a node said that it has on its disk: the trust of that turn of that rotation. Later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ack {
    pub rotation: u64,
    pub turn: u32,
}

/// How a node counts when certificates are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Manager,
    Worker,
    /// The last: while it changes, nobody drives the rotation.
    Leader,
}

/// What is known of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub rank: Rank,
    /// When it was heard of: seconds since 1970.
    pub seen_secs: u64,
    /// Whose certificate it has.
    pub issuer: Generation,
    /// When it was asked to take a new one.
    pub asked_secs: Option<u64>,
    /// The greatest that it sent; late and doubled ones change nothing.
    pub ack: Option<Ack>,
}

/// What an operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A node that was not heard of for so long is not waited for.
    pub grace_secs: u64,
    /// Every node is waited for, as in Swarm.
    pub is_for_all: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<N> {
    /// This phase begins.
    Enter(Phase),
    /// These are asked to take new certificates now.
    Renew(Vec<N>),
    /// Nodes that are missing are waited for.
    Wait,
    /// Nothing is left to do.
    Finish(Finish),
}

/// What holds from the end of a rotation on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish {
    /// Who signs, and is trusted alone.
    pub signer: Generation,
    /// Whose key is destroyed.
    pub dropped: Generation,
    /// Whether what the dropped one signed, certificates and roots alike, is refused from now on, whoever vouches for it.
    pub is_denied: bool,
}

/// How far a rotation is, and what comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook<N> {
    pub step: Step<N>,
    /// Nodes that are waited for, and of these: with the trust that is given now, and with a certificate of the signer.
    pub counted: usize,
    pub trusting: usize,
    pub certified: usize,
    /// Nodes that are not waited for, and come back by themselves later.
    pub stale: Vec<N>,
}

/// A rotation that does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    #[error("a rotation to root {} goes on; wait for its end, or take it back", .to.0)]
    Running { to: Generation },
    #[error("every generation of the root was used")]
    Exhausted,
}

/// A rotation that is not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbortError {
    #[error("another rotation goes on by now")]
    Other,
    #[error("nodes trust the new root alone already: rotate again instead")]
    TooLate,
    #[error("it is being taken back already")]
    TakenBack,
    #[error("the old root's key is in other hands: rotate again instead")]
    Compromised,
}

/// A step that does not fit where a rotation is by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rotation went on meanwhile")]
pub struct OutOfStep;

/// Seconds that nodes are waited for before they are given certificates that they may know by a cross certificate alone.
const TRUST_PATIENCE_SECS: u64 = 600;
/// The same, and for each later phase, if the old key is in other hands: all of it takes less than a minute.
const HARSH_PATIENCE_SECS: u64 = 15;
/// Nodes that change their certificates at one time. Swarm's number.
pub const RENEW_AT_ONCE: usize = 30;
/// Seconds after which a node that was asked is asked again.
const ASK_AGAIN_SECS: u64 = 60;

impl Rotation {
    /// Begins a rotation to a root that was never there before.
    pub fn begin(
        running: Option<&Self>,
        id: u64,
        (from, last_used): (Generation, Generation),
        manner: Manner,
        now_secs: u64,
    ) -> Result<Self, BeginError> {
        if let Some(running) = running {
            return Err(BeginError::Running { to: running.to });
        }
        let to = last_used.0.checked_add(1).map(Generation).ok_or(BeginError::Exhausted)?;
        Ok(Self { id, from, to, manner, phase: Phase::Prepared, since_secs: now_secs })
    }

    /// Who signs certificates now.
    pub fn signer(&self) -> Generation {
        match self.phase {
            Phase::Prepared | Phase::Trusting | Phase::Withdrawing => self.from,
            Phase::Reissuing | Phase::Retiring => self.to,
        }
    }

    /// Whom nodes are to trust now: the old root, the new one, or both.
    pub fn trusted(&self) -> (bool, bool) {
        match self.phase {
            Phase::Prepared | Phase::Withdrawing => (true, false),
            Phase::Trusting | Phase::Reissuing => (true, true),
            Phase::Retiring => (false, true),
        }
    }

    /// Whether nodes are to trust this root now.
    pub fn trusts(&self, generation: Generation) -> bool {
        let (old, new) = self.trusted();
        (old && generation == self.from) || (new && generation == self.to)
    }

    /// Who vouches for a root beside the certificates that it signed: one of the two for the other, or nobody.
    pub fn voucher(&self, generation: Generation) -> Option<Generation> {
        match self.manner {
            Manner::Compromised => None,
            Manner::Careful => (generation == self.to).then_some(self.from),
            Manner::Reversed if generation == self.to => Some(self.from),
            Manner::Reversed => (generation == self.from).then_some(self.to),
        }
    }

    /// What nodes acknowledge when they have the trust of now on their disks. Nothing is asked for before they are told.
    pub fn turn(&self) -> Option<Ack> {
        let turn = match self.phase {
            Phase::Prepared => return None,
            Phase::Trusting | Phase::Reissuing => 1,
            Phase::Retiring | Phase::Withdrawing => 2,
        };
        Some(Ack { rotation: self.id, turn })
    }

    /// The next phase begins, unless somebody else was first.
    pub fn enter(&self, id: u64, phase: Phase, now_secs: u64) -> Result<Self, OutOfStep> {
        let next = match self.phase {
            Phase::Prepared => Phase::Trusting,
            Phase::Trusting => Phase::Reissuing,
            Phase::Reissuing => Phase::Retiring,
            Phase::Retiring | Phase::Withdrawing => return Err(OutOfStep),
        };
        if id != self.id || phase != next {
            return Err(OutOfStep);
        }
        Ok(Self { phase, since_secs: now_secs.max(self.since_secs), ..*self })
    }

    /// Takes a rotation back, under a new ID. `None` if nothing of it is left to undo.
    pub fn abort(&self, id: u64, new_id: u64, now_secs: u64) -> Result<Option<Self>, AbortError> {
        if id != self.id {
            return Err(AbortError::Other);
        }
        let since_secs = now_secs.max(self.since_secs);
        match (self.manner, self.phase) {
            (Manner::Reversed, _) | (_, Phase::Withdrawing) => Err(AbortError::TakenBack),
            (_, Phase::Prepared) => Ok(None),
            (Manner::Compromised, _) => Err(AbortError::Compromised),
            (Manner::Careful, Phase::Trusting) => {
                Ok(Some(Self { id: new_id, phase: Phase::Withdrawing, since_secs, ..*self }))
            }
            (Manner::Careful, Phase::Reissuing) => {
                let (from, to, manner) = (self.to, self.from, Manner::Reversed);
                Ok(Some(Self { id: new_id, from, to, manner, phase: self.phase, since_secs }))
            }
            (Manner::Careful, Phase::Retiring) => Err(AbortError::TooLate),
        }
    }

    /// Looks at all nodes, and says how far it is and what comes next.
    pub fn look<N: Clone + Ord>(
        &self,
        nodes: &BTreeMap<N, Standing>,
        options: &Options,
        now_secs: u64,
    ) -> Outlook<N> {
        let is_counted = |node: &Standing| {
            let silent_secs = now_secs.saturating_sub(node.seen_secs);
            options.is_for_all || silent_secs <= options.grace_secs
        };
        let (counted, stale): (Vec<_>, Vec<_>) =
            nodes.iter().partition(|(_, node)| is_counted(node));
        let has_trust = |node: &Standing| node.ack >= self.turn();
        let trusting = counted.iter().filter(|(_, node)| has_trust(node)).count();
        let signer = self.signer();
        let certified = counted.iter().filter(|(_, node)| node.issuer == signer).count();
        let step = self.step(&counted, (trusting, certified), now_secs);
        let stale = stale.into_iter().map(|(id, _)| id.clone()).collect();
        Outlook { step, counted: counted.len(), trusting, certified, stale }
    }

    fn step<N: Clone + Ord>(
        &self,
        counted: &[(&N, &Standing)],
        (trusting, certified): (usize, usize),
        now_secs: u64,
    ) -> Step<N> {
        let all = counted.len();
        let is_over = self.is_patience_over(now_secs);
        match self.phase {
            Phase::Prepared => Step::Enter(Phase::Trusting),
            Phase::Trusting if trusting == all || is_over => Step::Enter(Phase::Reissuing),
            Phase::Reissuing if certified == all || is_over => Step::Enter(Phase::Retiring),
            // Who comes back in the meantime has a certificate of the old root.
            Phase::Reissuing | Phase::Retiring if certified < all && !is_over => {
                self.renewals(counted, now_secs)
            }
            Phase::Retiring if trusting == all || is_over => self.last_step(),
            Phase::Withdrawing if trusting == all => self.last_step(),
            Phase::Trusting | Phase::Reissuing | Phase::Retiring | Phase::Withdrawing => Step::Wait,
        }
    }

    fn last_step<N>(&self) -> Step<N> {
        self.finish().map_or(Step::Wait, Step::Finish)
    }

    /// What holds once nobody is waited for any more; `None` in phases that others follow.
    pub fn finish(&self) -> Option<Finish> {
        match self.phase {
            Phase::Prepared | Phase::Trusting | Phase::Reissuing => None,
            Phase::Retiring => {
                let is_denied = self.manner != Manner::Careful;
                Some(Finish { signer: self.to, dropped: self.from, is_denied })
            }
            Phase::Withdrawing => {
                Some(Finish { signer: self.from, dropped: self.to, is_denied: false })
            }
        }
    }

    fn is_patience_over(&self, now_secs: u64) -> bool {
        let patience_secs = match (self.manner, self.phase) {
            (Manner::Compromised, _) => HARSH_PATIENCE_SECS,
            // The cross certificates are there for who is late.
            (Manner::Careful, Phase::Trusting) => TRUST_PATIENCE_SECS,
            (Manner::Careful | Manner::Reversed, _) => return false,
        };
        now_secs.saturating_sub(self.since_secs) >= patience_secs
    }

    /// The next nodes to be asked: managers first, whoever leads last and alone, and so many at one time.
    fn renewals<N: Clone + Ord>(&self, counted: &[(&N, &Standing)], now_secs: u64) -> Step<N> {
        let left = counted.iter().filter(|(_, node)| node.issuer != self.to);
        let is_asked = |node: &Standing| {
            node.asked_secs.is_some_and(|at| now_secs.saturating_sub(at) < ASK_AGAIN_SECS)
        };
        let (asked, mut next): (Vec<_>, Vec<_>) = left.partition(|(_, node)| is_asked(node));
        let is_harsh = self.manner == Manner::Compromised;
        if !is_harsh && (!asked.is_empty() || next.iter().any(|(_, one)| one.rank != Rank::Leader))
        {
            next.retain(|(_, one)| one.rank != Rank::Leader);
        }
        next.sort_by_key(|(id, one)| (one.rank, *id));
        if !is_harsh {
            next.truncate(RENEW_AT_ONCE.saturating_sub(asked.len()));
        }
        if next.is_empty() {
            return Step::Wait;
        }
        Step::Renew(next.into_iter().map(|(id, _)| (*id).clone()).collect())
    }
}

#[cfg(test)]
mod tests;
