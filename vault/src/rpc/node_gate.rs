//! The gate of the node port: the certificate proves a key, the node's record decides what it may do, on
//! every call.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pki::identity::Claim;
use pki::leaf;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};
use vault_core::access::{Call, Caller, may};
use vault_core::id::NodeId;
use vault_core::node::{KeyPin, Role};
#[cfg(planted)]
use vault_core::planted::{self, Bug};
use vault_core::state::State;

use crate::clock;
use crate::daemon::Daemon;
use crate::peer::Proven;

/// Puts the gate before services.
#[derive(Clone)]
pub(super) struct NodeGateLayer(pub Arc<Daemon>);

impl<S> Layer<S> for NodeGateLayer {
    type Service = NodeGate<S>;

    fn layer(&self, inner: S) -> NodeGate<S> {
        NodeGate { inner, daemon: Arc::clone(&self.0) }
    }
}

/// The gate.
#[derive(Clone)]
pub(super) struct NodeGate<S> {
    inner: S,
    daemon: Arc<Daemon>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for NodeGate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let refused = match Call::from_path(request.uri().path()) {
            None => Some(Status::unimplemented("this version has no such call")),
            Some(call) => {
                let claim = request.extensions().get::<Proven>();
                let claim = claim.and_then(|proven| proven.0.as_ref());
                let caller = self.daemon.manager().map_or(Caller::Stranger, |manager| {
                    caller(claim, &manager.consensus().view().state, clock::now().secs())
                });
                (!may(caller, call)).then(|| refusal(claim))
            }
        };
        if let Some(refused) = refused {
            return Box::pin(async move { Ok(refused.into_http()) });
        }
        Box::pin(self.inner.call(request))
    }
}

fn refusal(claim: Option<&Claim>) -> Status {
    Status::permission_denied(match claim {
        None => "this call needs a certificate of this cluster".to_owned(),
        Some(claim) => format!("node {} may not make this call", claim.node),
    })
}

/// What a connection's other side is, by its record. A manager whose record is not here yet, because this
/// manager is behind, is believed by its certificate: Raft itself decides what its word is worth, and calls
/// that give anything away look at a newer view.
pub(super) fn caller(claim: Option<&Claim>, state: &State, now_secs: u64) -> Caller {
    let Some(claim) = claim.filter(|claim| claim.not_after_secs >= now_secs) else {
        return Caller::Stranger;
    };
    let Ok(id) = NodeId::parse(&claim.node) else { return Caller::Stranger };
    let was_removed = state.was_removed(id);
    #[cfg(planted)]
    let was_removed = was_removed && !planted::on(Bug::RemovedMemberBelieved);
    if was_removed {
        return Caller::Stranger;
    }
    let is_certified = claim.role == leaf::Role::Manager;
    match state.node(id) {
        Some(node) if !node.is_proven_by(KeyPin(*claim.key.bytes())) => Caller::Stranger,
        #[cfg(planted)]
        Some(_) if is_certified && planted::on(Bug::DemotedMemberBelieved) => Caller::Manager,
        Some(node) if node.role == Role::Manager && is_certified => Caller::Manager,
        Some(_) => Caller::Worker,
        None if is_certified => Caller::Manager,
        None => Caller::Stranger,
    }
}

#[cfg(test)]
mod tests {
    use pki::public::KeyDigest;
    use vault_core::access::CALLS;
    use vault_core::feature::Level;
    use vault_core::labels::Labels;
    use vault_core::node::{Availability, Machine, Node, NodeStatus};
    use vault_core::root::NodeTrust;
    use vault_core::state::Restoring;
    use vault_core::time::Timestamp;
    use vault_core::versioned::Meta;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn id(n: u8) -> NodeId {
        NodeId::from_entropy([n; 17])
    }

    fn node(n: u8, role: Role, pins: &[u8]) -> Node {
        let at = Timestamp::default();
        Node {
            id: id(n),
            meta: Meta { version_index: 1, created_at: at, updated_at: at },
            hostname: String::new(),
            role,
            availability: Availability::Active,
            addr: String::new(),
            engine_version: String::new(),
            level: Level::FIRST,
            labels: Labels::default(),
            status: NodeStatus::Ready,
            raft_id: None,
            pins: pins.iter().map(|pin| KeyPin([*pin; 32])).collect(),
            certificate: String::new(),
            certificate_end_secs: 0,
            token: None,
            machine: Machine::default(),
            engine: None,
            trust: NodeTrust::default(),
        }
    }

    fn claim(n: u8, role: leaf::Role, key: u8) -> Claim {
        Claim {
            cluster: "c".to_owned(),
            node: id(n).to_string(),
            role,
            key: KeyDigest::from_bytes([key; 32]),
            not_before_secs: NOW - 3_600,
            not_after_secs: NOW,
        }
    }

    /// 1 is a manager, 2 a worker, 3 a manager that was demoted, 4 was removed, 5 is not known.
    fn state() -> State {
        let mut parts = Restoring::default();
        parts.node(node(1, Role::Manager, &[10, 11]));
        parts.node(node(2, Role::Worker, &[20]));
        parts.node(node(3, Role::Worker, &[30]));
        parts.removed_node(id(4), NOW + 1);
        parts.finish()
    }

    #[test]
    fn case_c24_c25_c35_c37_the_record_decides_what_a_caller_is_on_every_call() {
        use leaf::Role::{Manager, Worker};
        let state = state();
        for (n, role, key, now, expected) in [
            (1, Manager, 10, NOW, Caller::Manager),
            (1, Manager, 11, NOW, Caller::Manager),
            // Its end came while the connection was open.
            (1, Manager, 10, NOW + 1, Caller::Stranger),
            // Signed by the root's key, and none of the record's: by whoever stole that.
            (1, Manager, 12, NOW, Caller::Stranger),
            (1, Worker, 10, NOW, Caller::Worker),
            (2, Worker, 20, NOW, Caller::Worker),
            (2, Manager, 20, NOW, Caller::Worker),
            (2, Manager, 10, NOW, Caller::Stranger),
            (3, Manager, 30, NOW, Caller::Worker),
            (4, Manager, 40, NOW, Caller::Stranger),
            (4, Worker, 40, NOW, Caller::Stranger),
            (5, Worker, 50, NOW, Caller::Stranger),
        ] {
            let claim = claim(n, role, key);
            assert_eq!(caller(Some(&claim), &state, now), expected, "{n} {role:?} {key} {now}");
        }
        let malformed = Claim { node: "manager".to_owned(), ..claim(1, Manager, 10) };
        assert_eq!(caller(Some(&malformed), &state, NOW), Caller::Stranger);
    }

    #[test]
    fn case_c38_without_a_certificate_only_the_root_and_a_certificate_can_be_asked_for() {
        let nobody = caller(None, &state(), NOW);
        let may = CALLS.iter().filter(|(call, ..)| may(nobody, *call)).map(|(_, _, path, _)| *path);
        assert_eq!(
            may.collect::<Vec<_>>(),
            [
                "/docker.swarmkit.v1.CA/GetRootCACertificate",
                "/docker.swarmkit.v1.NodeCA/IssueNodeCertificate",
                "/docker.swarmkit.v1.NodeCA/NodeCertificateStatus",
            ]
        );
    }
}
