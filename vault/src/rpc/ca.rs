//! `CA` and `NodeCA`, as every Docker Engine speaks them: the root, and a node's certificate.

use proto::swarmkit;
use proto::swarmkit::ca_client::CaClient;
use proto::swarmkit::ca_server::Ca;
use proto::swarmkit::issuance_status::State;
use proto::swarmkit::node_ca_client::NodeCaClient;
use proto::swarmkit::node_ca_server::NodeCa;
use proto::swarmkit::node_spec;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use vault_core::feature::Level;
use vault_core::id::NodeId;
use vault_core::node::{Availability, KeyPin, Role};
use vault_core::unlock::UnlockKey;
use zeroize::Zeroizing;

use super::status;
use crate::clock;
use crate::daemon::Daemon;
use crate::manager::{AdmitError, Applicant, Locked};
use crate::peer::Proven;

/// A certificate, as the cluster's managers issued it.
pub(crate) struct IssuedCertificate {
    pub node_id: String,
    /// In PEM.
    pub certificate: String,
}

/// What a manager shows to whoever asks.
pub(crate) struct Shown {
    /// The root bundle in PEM.
    pub roots: String,
    /// Its clock: seconds since 1970; `None` if it does not say.
    pub now_secs: Option<u64>,
}

/// Asks a manager for the root bundle.
pub(crate) async fn root(channel: Channel) -> Result<Shown, Status> {
    let asked = swarmkit::GetRootCaCertificateRequest {};
    let answer = CaClient::new(channel).get_root_ca_certificate(asked).await?.into_inner();
    let roots = String::from_utf8(answer.certificate);
    let roots = roots.map_err(|_| Status::internal("the root is not PEM"))?;
    let now_secs = Some(answer.coffer_now_secs).filter(|secs| *secs > 0);
    Ok(Shown { roots, now_secs })
}

/// Asks a manager for a certificate over the key of a request.
pub(crate) async fn issue(
    channel: Channel,
    request: String,
    token: &str,
    availability: Availability,
) -> Result<IssuedCertificate, Status> {
    let mut client = NodeCaClient::new(channel);
    let availability = match availability {
        Availability::Active => node_spec::Availability::Active,
        Availability::Pause => node_spec::Availability::Pause,
        Availability::Drain => node_spec::Availability::Drain,
    };
    let asked = swarmkit::IssueNodeCertificateRequest {
        role: 0,
        csr: request.into_bytes(),
        token: token.to_owned(),
        availability: availability.into(),
        coffer_level: Level::known().0,
    };
    let node_id = client.issue_node_certificate(asked).await?.into_inner().node_id;
    let asked = swarmkit::NodeCertificateStatusRequest { node_id: node_id.clone() };
    let answer = client.node_certificate_status(asked).await?.into_inner();
    let certificate = answer.certificate.unwrap_or_default().certificate;
    let certificate = String::from_utf8(certificate);
    let certificate = certificate.map_err(|_| Status::internal("the certificate is not PEM"))?;
    Ok(IssuedCertificate { node_id, certificate })
}

/// Asks a manager for the unlock key; nothing if autolock is off.
pub(crate) async fn unlock_key(channel: Channel) -> Result<Option<Locked>, Status> {
    let asked = swarmkit::GetUnlockKeyRequest {};
    let answer = CaClient::new(channel).get_unlock_key(asked).await?.into_inner();
    let bytes = Zeroizing::new(answer.unlock_key);
    if bytes.is_empty() {
        return Ok(None);
    }
    let key = bytes.as_slice().try_into();
    let key = UnlockKey::new(key.map_err(|_| Status::internal("not an unlock key"))?);
    let version = u32::try_from(answer.version.unwrap_or_default().index);
    let version = version.map_err(|_| Status::internal("not an unlock key's version"))?;
    Ok(Some(Locked { key, version }))
}

#[tonic::async_trait]
impl Ca for Daemon {
    /// The exact bytes whose digest stands in the tokens.
    async fn get_root_ca_certificate(
        &self,
        _request: Request<swarmkit::GetRootCaCertificateRequest>,
    ) -> Result<Response<swarmkit::GetRootCaCertificateResponse>, Status> {
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        // Whoever asks compares it with a token: while another root comes, it is the old one.
        let view = manager.consensus().view();
        let certificate = view.state.cluster().map_or_else(
            || manager.tls().roots().as_bytes().to_vec(),
            |cluster| cluster.root_certificate.as_bytes().to_vec(),
        );
        let coffer_now_secs = clock::now().secs();
        let answer = swarmkit::GetRootCaCertificateResponse { certificate, coffer_now_secs };
        Ok(Response::new(answer))
    }

    async fn get_unlock_key(
        &self,
        request: Request<swarmkit::GetUnlockKeyRequest>,
    ) -> Result<Response<swarmkit::GetUnlockKeyResponse>, Status> {
        let claim = request.extensions().get::<Proven>().and_then(|proven| proven.0.as_ref());
        let id = claim.and_then(|claim| NodeId::parse(&claim.node).ok());
        // No older view may speak for a manager that was demoted or removed meanwhile.
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        let node = id.and_then(|id| view.state.node(id));
        if node.is_none_or(|node| node.role != Role::Manager) {
            return Err(Status::permission_denied("this node is no manager"));
        }
        let cluster = view.state.cluster().ok_or_else(|| Status::unavailable("no cluster yet"))?;
        let locked = manager.lock_of(cluster);
        let locked = locked.map_err(|error| status::of_call(&error.into()))?;
        // No key: autolock is off.
        Ok(Response::new(locked.map_or_else(Default::default, |locked| {
            tracing::info!("the unlock key goes to a manager");
            let index = u64::from(locked.version);
            swarmkit::GetUnlockKeyResponse {
                unlock_key: locked.key.expose().to_vec(),
                version: Some(swarmkit::Version { index }),
            }
        })))
    }
}

#[tonic::async_trait]
impl NodeCa for Daemon {
    async fn issue_node_certificate(
        &self,
        request: Request<swarmkit::IssueNodeCertificateRequest>,
    ) -> Result<Response<swarmkit::IssueNodeCertificateResponse>, Status> {
        let claim = request.extensions().get::<Proven>().and_then(|proven| proven.0.clone());
        let asked = request.into_inner();
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let availability = match node_spec::Availability::try_from(asked.availability) {
            Ok(node_spec::Availability::Active) => Availability::Active,
            Ok(node_spec::Availability::Pause) => Availability::Pause,
            Ok(node_spec::Availability::Drain) => Availability::Drain,
            Err(_) => return Err(Status::invalid_argument("unknown availability")),
        };
        let proven = claim.and_then(|claim| Some((NodeId::parse(&claim.node).ok()?, claim.key)));
        let issued = match proven {
            Some((id, key)) if asked.token.is_empty() => {
                manager.renew(id, KeyPin(*key.bytes()), &asked.csr).await
            }
            _ => {
                let level = Some(Level(asked.coffer_level)).filter(|level| *level >= Level::FIRST);
                let (request, token) = (asked.csr.as_slice(), asked.token.as_str());
                manager.admit(Applicant { request, token, availability, level }).await
            }
        };
        let id = issued.map_err(|error| of_admit(&error))?;
        Ok(Response::new(swarmkit::IssueNodeCertificateResponse {
            node_id: id.to_string(),
            node_membership: node_spec::Membership::Accepted.into(),
        }))
    }

    async fn node_certificate_status(
        &self,
        request: Request<swarmkit::NodeCertificateStatusRequest>,
    ) -> Result<Response<swarmkit::NodeCertificateStatusResponse>, Status> {
        let text = request.into_inner().node_id;
        let (_, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        let id = NodeId::parse(&text).ok();
        let node = id.and_then(|id| view.state.node(id));
        let node = node.ok_or_else(|| Status::not_found(format!("node {text} not found")))?;
        let state = || swarmkit::IssuanceStatus { state: State::Issued.into(), err: String::new() };
        let role = match node.role {
            Role::Worker => swarmkit::NodeRole::Worker,
            Role::Manager => swarmkit::NodeRole::Manager,
        };
        Ok(Response::new(swarmkit::NodeCertificateStatusResponse {
            status: Some(state()),
            certificate: Some(swarmkit::Certificate {
                role: role.into(),
                // A stock engine takes no certificate but for the request that it made.
                csr: node.engine.as_ref().map_or_else(Vec::new, |engine| engine.request.clone()),
                status: Some(state()),
                certificate: node.certificate.clone().into_bytes(),
                cn: node.id.to_string(),
            }),
        }))
    }
}

pub(super) fn of_admit(error: &AdmitError) -> Status {
    match error {
        AdmitError::Token | AdmitError::Csr(_) | AdmitError::KeyTaken => {
            Status::invalid_argument(error.to_string())
        }
        AdmitError::NoCluster | AdmitError::Engine => {
            Status::failed_precondition(error.to_string())
        }
        AdmitError::Call(error) => status::of_manager_call(error),
        AdmitError::Value(_) | AdmitError::Issue(_) => Status::internal(error.to_string()),
    }
}
