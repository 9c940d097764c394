//! The root and its rotation, stored.

use pki::rotation::{Ack, Generation, Manner, Options, Phase, Rotation};
use proto::stored;
use proto::stored::root_step::Step as Stored;
use vault_core::command::Refusal;
use vault_core::id::NodeId;
use vault_core::root::{Begin, Change, NodeTrust, RootRefusal, Roots, Step};

use super::node::pin_from;
use super::object::{sealed_from, sealed_to};
use super::{CodecError, needed};

/// What has a number on disk.
fn number<T: Copy + PartialEq>(all: &[(T, u32)], one: T) -> u32 {
    let found = all.iter().find(|(known, _)| *known == one);
    found.expect("each has a number").1
}

fn numbered<T: Copy>(field: &'static str, all: &[(T, u32)], number: u32) -> Result<T, CodecError> {
    let found = all.iter().find(|(_, known)| *known == number);
    found.map(|(one, _)| *one).ok_or(CodecError::Range { field })
}

const MANNERS: [(Manner, u32); 3] =
    [(Manner::Careful, 0), (Manner::Compromised, 1), (Manner::Reversed, 2)];
const PHASES: [(Phase, u32); 5] = [
    (Phase::Prepared, 0),
    (Phase::Trusting, 1),
    (Phase::Reissuing, 2),
    (Phase::Retiring, 3),
    (Phase::Withdrawing, 4),
];
const REFUSALS: [(RootRefusal, u32); 8] = [
    (RootRefusal::Running, 1),
    (RootRefusal::Exhausted, 2),
    (RootRefusal::Nothing, 3),
    (RootRefusal::OutOfStep, 4),
    (RootRefusal::TooLate, 5),
    (RootRefusal::TakenBack, 6),
    (RootRefusal::Compromised, 7),
    (RootRefusal::Signer, 8),
];

/// A generation of a root; what was written before there were later ones is the first.
pub(super) fn generation_from(stored: u32) -> Generation {
    Generation(stored.max(1))
}

/// The first is not written, so that older bytes mean the same.
pub(super) fn generation_to(Generation(generation): Generation) -> u32 {
    if generation == 1 { 0 } else { generation }
}

fn ack_to(Ack { rotation, turn }: Ack) -> stored::RootAck {
    stored::RootAck { rotation, turn }
}

fn ack_from(stored::RootAck { rotation, turn }: stored::RootAck) -> Ack {
    Ack { rotation, turn }
}

/// Nothing for a node that never was told of another root.
pub(super) fn trust_to(trust: NodeTrust) -> Option<stored::NodeTrust> {
    let NodeTrust { issuer, asked_secs, ack, heard_secs } = trust;
    let ack = ack.map(ack_to);
    let issuer = generation_to(issuer);
    (trust != NodeTrust::default()).then_some(stored::NodeTrust {
        issuer,
        asked_secs,
        ack,
        heard_secs,
    })
}

pub(super) fn trust_from(trust: stored::NodeTrust) -> NodeTrust {
    let stored::NodeTrust { issuer, asked_secs, ack, heard_secs } = trust;
    let issuer = generation_from(issuer);
    NodeTrust { issuer, asked_secs, ack: ack.map(ack_from), heard_secs }
}

fn change_to(change: &Change) -> stored::RootChange {
    let Rotation { id, from, to, manner, phase, since_secs } = change.rotation;
    stored::RootChange {
        id,
        from: from.0,
        to: to.0,
        manner: number(&MANNERS, manner),
        phase: number(&PHASES, phase),
        since_secs,
        grace_secs: change.options.grace_secs,
        for_all: change.options.is_for_all,
        generation: change.generation.0,
        certificate: change.certificate.clone(),
        key: Some(sealed_to(&change.key)),
        link: change.link.clone(),
        back_link: change.back_link.clone(),
    }
}

fn change_from(change: stored::RootChange) -> Result<Change, CodecError> {
    let rotation = Rotation {
        id: change.id,
        from: Generation(change.from),
        to: Generation(change.to),
        manner: numbered("manner", &MANNERS, change.manner)?,
        phase: numbered("phase", &PHASES, change.phase)?,
        since_secs: change.since_secs,
    };
    Ok(Change {
        rotation,
        options: Options { grace_secs: change.grace_secs, is_for_all: change.for_all },
        generation: Generation(change.generation),
        certificate: change.certificate,
        key: sealed_from(change.key)?,
        link: change.link,
        back_link: change.back_link,
    })
}

/// Nothing where the root was never changed: such a cluster is stored as it always was.
pub(super) fn roots_to(roots: &Roots) -> Option<stored::Roots> {
    (*roots != Roots::default()).then(|| stored::Roots {
        generation: roots.generation.0,
        last_used: roots.last_used.0,
        last_rotation: roots.last_rotation,
        change: roots.change.as_deref().map(change_to),
        links: roots.links.clone(),
        denied: roots.denied.iter().map(|pin| pin.0.to_vec()).collect(),
        lifetime_secs: roots.lifetime_secs,
    })
}

pub(super) fn roots_from(roots: stored::Roots) -> Result<Roots, CodecError> {
    let denied = roots.denied.iter().map(|pin| pin_from(pin));
    Ok(Roots {
        generation: generation_from(roots.generation),
        last_used: generation_from(roots.last_used),
        last_rotation: roots.last_rotation,
        change: roots.change.map(change_from).transpose()?.map(Box::new),
        links: roots.links,
        denied: denied.collect::<Result<_, _>>()?,
        lifetime_secs: roots.lifetime_secs,
    })
}

fn begin_to(begin: &Begin) -> stored::BeginRoot {
    stored::BeginRoot {
        id: begin.id,
        to: begin.to.0,
        manner: number(&MANNERS, begin.manner),
        grace_secs: begin.options.grace_secs,
        for_all: begin.options.is_for_all,
        certificate: begin.certificate.clone(),
        key: Some(sealed_to(&begin.key)),
        link: begin.link.clone(),
        back_link: begin.back_link.clone(),
        lifetime_secs: begin.lifetime_secs,
    }
}

pub(super) fn step_from(stored: stored::RootStep) -> Result<Step, CodecError> {
    match stored.step.ok_or(CodecError::UnknownAction)? {
        Stored::Begin(begin) => begin_from(begin),
        Stored::Enter(enter) => Ok(Step::Enter(enter.id, numbered("phase", &PHASES, enter.phase)?)),
        Stored::Ask(ask) => ask_from(&ask),
        Stored::Acknowledge(said) => acknowledge_from(said),
        Stored::Abort(id) => Ok(Step::Abort(id)),
        Stored::Finish(finish) => finish_from(finish),
    }
}

fn begin_from(begin: stored::BeginRoot) -> Result<Step, CodecError> {
    Ok(Step::Begin(Box::new(Begin {
        id: begin.id,
        to: Generation(begin.to),
        manner: numbered("manner", &MANNERS, begin.manner)?,
        options: Options { grace_secs: begin.grace_secs, is_for_all: begin.for_all },
        certificate: begin.certificate,
        key: sealed_from(begin.key)?,
        link: begin.link,
        back_link: begin.back_link,
        lifetime_secs: begin.lifetime_secs,
    })))
}

pub(super) fn step_to(step: &Step) -> stored::RootStep {
    let step = match step {
        Step::Begin(begin) => Stored::Begin(begin_to(begin)),
        Step::Enter(id, phase) => {
            let (id, phase) = (*id, number(&PHASES, *phase));
            Stored::Enter(stored::EnterRoot { id, phase })
        }
        Step::Ask(id, nodes) => {
            let nodes = nodes.iter().map(NodeId::to_string).collect();
            Stored::Ask(stored::AskRoot { id: *id, nodes })
        }
        Step::Acknowledge(node, ack) => {
            let (node, ack) = (node.to_string(), Some(ack_to(*ack)));
            Stored::Acknowledge(stored::AcknowledgeRoot { node, ack })
        }
        Step::Abort(id) => Stored::Abort(*id),
        Step::Finish(id, phase, tokens) => {
            let (id, phase) = (*id, number(&PHASES, *phase));
            let token = |at: usize| tokens.as_ref().map(|tokens| sealed_to(&tokens[at]));
            let (worker_token, manager_token) = (token(0), token(1));
            Stored::Finish(stored::FinishRoot { id, phase, worker_token, manager_token })
        }
    };
    stored::RootStep { step: Some(step) }
}

fn ask_from(ask: &stored::AskRoot) -> Result<Step, CodecError> {
    let nodes: Result<_, _> = ask.nodes.iter().map(|id| NodeId::parse(id)).collect();
    Ok(Step::Ask(ask.id, nodes?))
}

fn acknowledge_from(said: stored::AcknowledgeRoot) -> Result<Step, CodecError> {
    let ack = ack_from(needed("acknowledgement", said.ack)?);
    Ok(Step::Acknowledge(NodeId::parse(&said.node)?, ack))
}

fn finish_from(finish: stored::FinishRoot) -> Result<Step, CodecError> {
    let tokens = match (finish.worker_token, finish.manager_token) {
        (None, None) => None,
        (worker, manager) => Some(Box::new([sealed_from(worker)?, sealed_from(manager)?])),
    };
    let phase = numbered("phase", &PHASES, finish.phase)?;
    Ok(Step::Finish(finish.id, phase, tokens))
}

pub(super) fn refusal_to(refusal: RootRefusal) -> u32 {
    number(&REFUSALS, refusal)
}

pub(super) fn refusal_from(number: u32) -> Result<Refusal, CodecError> {
    Ok(Refusal::Root(numbered("refusal", &REFUSALS, number)?))
}
