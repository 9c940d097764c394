//! TLS of the node port: version 1.3 alone, both sides with certificates of the cluster, nothing resumed
//! (a resumed session would skip the check of the certificate), and credentials that are exchanged live.

mod dial;

use std::sync::{Arc, PoisonError, RwLock};

use pki::identity::{Role, judge};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use zeroize::Zeroizing;

pub use dial::{Dialer, Lane, dial_once};

/// gRPC speaks HTTP/2.
const ALPN: &[u8] = b"h2";

/// What a node proves itself with, and what it believes.
pub struct Credentials {
    /// The node's certificate in PEM, and what leads from it to the root.
    pub chain: String,
    /// The node's key: PKCS #8 in DER.
    pub key: Zeroizing<Vec<u8>>,
    /// The root bundle in PEM.
    pub roots: String,
}

/// Credentials that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("a certificate in PEM does not read")]
    Pem,
    #[error("certificate and key cannot be used")]
    Rustls(#[from] rustls::Error),
    #[error("the root bundle cannot be used")]
    Roots,
}

/// TLS as this node speaks it now.
pub struct Tls {
    current: RwLock<Current>,
}

#[derive(Clone)]
struct Current {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    roots: Arc<str>,
    chain: Arc<str>,
}

impl Tls {
    /// Takes a node's credentials up.
    pub fn new(credentials: &Credentials) -> Result<Self, TlsError> {
        Ok(Self { current: RwLock::new(Current::new(credentials)?) })
    }

    /// New credentials, for every connection from now on.
    pub fn exchange(&self, credentials: &Credentials) -> Result<(), TlsError> {
        let next = Current::new(credentials)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// For the next connection that comes in.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.current().server
    }

    /// For the next connection that goes out.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.current().client
    }

    /// The root bundle in PEM.
    pub fn roots(&self) -> Arc<str> {
        self.current().roots
    }

    /// This node's certificate in PEM, and what leads from it to the root.
    pub fn chain(&self) -> Arc<str> {
        self.current().chain
    }

    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Current {
    fn new(credentials: &Credentials) -> Result<Self, TlsError> {
        let chain = certificates(&credentials.chain)?;
        let roots = Arc::new(root_store(&credentials.roots)?);
        let key = || PrivateKeyDer::from(PrivatePkcs8KeyDer::from(credentials.key.to_vec()));
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
            // Whoever joins has no certificate yet. What may be called without one is the gate's to say.
            .allow_unauthenticated()
            .build()
            .map_err(|_| TlsError::Roots)?;
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key())?;
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.alpn_protocols = vec![ALPN.to_vec()];
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Judged::new(&credentials.roots)?)
            .with_client_auth_cert(chain, key())?;
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![ALPN.to_vec()];
        let roots = credentials.roots.as_str().into();
        let chain = credentials.chain.as_str().into();
        Ok(Self { server: Arc::new(server), client: Arc::new(client), roots, chain })
    }
}

/// A client without a certificate that believes a root: for whoever joins.
pub fn joining(roots: &str) -> Result<Arc<ClientConfig>, TlsError> {
    unproven(Judged::new(roots)?)
}

/// A client that believes whoever answers: for fetching the root, whose digest is then compared with the
/// token's, and for nothing else.
pub fn first_contact() -> Result<Arc<ClientConfig>, TlsError> {
    unproven(Arc::new(BelieveAll))
}

fn unproven(verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    client.resumption = Resumption::disabled();
    client.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(client))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    read.ok().filter(|read| !read.is_empty()).ok_or(TlsError::Pem)
}

fn root_store(pem: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in certificates(pem)? {
        roots.add(root).map_err(|_| TlsError::Roots)?;
    }
    Ok(roots)
}

/// Believes a manager of this cluster alone: what rustls finds good, judged again and in full, since it looks neither at
/// the root's end nor at what a certificate is for.
#[derive(Debug)]
struct Judged {
    found_good: Arc<WebPkiServerVerifier>,
    roots: String,
}

impl Judged {
    fn new(roots: &str) -> Result<Arc<Self>, TlsError> {
        let store = Arc::new(root_store(roots)?);
        let found_good = WebPkiServerVerifier::builder_with_provider(store, provider());
        let found_good = found_good.build().map_err(|_| TlsError::Roots)?;
        Ok(Arc::new(Self { found_good, roots: roots.to_owned() }))
    }
}

impl ServerCertVerifier for Judged {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = &self.found_good;
        let good = verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        let chain = std::iter::once(end_entity).chain(intermediates);
        let chain: Vec<&[u8]> = chain.map(|certificate| certificate.as_ref()).collect();
        let claim = judge(&chain, &self.roots, now.as_secs());
        let claim = claim.map_err(|error| rustls::Error::General(error.to_string()))?;
        if claim.role == Role::Manager {
            Ok(good)
        } else {
            Err(rustls::Error::General("a worker answers there, and no manager".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.found_good.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.found_good.supported_verify_schemes()
    }
}

/// Takes any certificate; the other side still proves that it holds the key.
#[derive(Debug)]
struct BelieveAll;

impl ServerCertVerifier for BelieveAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::testing::{credentials, credentials_as};

    /// A handshake of a client that asks for a name; whether the server then has a certificate of it.
    async fn shake(server: &Tls, client: Arc<ClientConfig>, name: &'static str) -> Option<bool> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(server.server());
        let accepting = async {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.ok()?;
            Some(stream.get_ref().1.peer_certificates().is_some())
        };
        let connecting = async {
            let stream = TcpStream::connect(addr).await.unwrap();
            let name = ServerName::try_from(name).unwrap();
            TlsConnector::from(client).connect(name, stream).await.ok()
        };
        let (accepted, connected) = tokio::join!(accepting, connecting);
        connected.and(accepted)
    }

    #[tokio::test]
    async fn case_c43_nodes_of_one_cluster_reach_each_other_by_their_ids_alone() {
        let own = credentials("node1");
        let tls = Tls::new(&own).unwrap();
        assert_eq!(shake(&tls, tls.client(), "node1").await, Some(true));
        assert_eq!(shake(&tls, tls.client(), "node2").await, None, "another node answers there");
        assert_eq!(shake(&tls, joining(&own.roots).unwrap(), "swarm-ca").await, Some(false));
        assert_eq!(shake(&tls, first_contact().unwrap(), "swarm-ca").await, Some(false));
    }

    #[tokio::test]
    async fn case_c42_a_worker_is_believed_by_nobody_who_looks_for_a_manager() {
        let worker = credentials_as("node1", Role::Worker);
        let tls = Tls::new(&worker).unwrap();
        assert_eq!(shake(&tls, tls.client(), "node1").await, None, "by its own name");
        assert_eq!(shake(&tls, joining(&worker.roots).unwrap(), "node1").await, None);
        for name in ["swarm-ca", "swarm-manager"] {
            assert_eq!(shake(&tls, joining(&worker.roots).unwrap(), name).await, None, "{name}");
        }
    }

    #[tokio::test]
    async fn nodes_of_another_cluster_are_not_let_in_and_not_believed() {
        let (here, there) = (Tls::new(&credentials("node1")).unwrap(), credentials("node1"));
        let stranger = Tls::new(&there).unwrap();
        assert_eq!(shake(&here, stranger.client(), "node1").await, None);
        assert_eq!(shake(&here, joining(&there.roots).unwrap(), "swarm-ca").await, None);
    }

    #[tokio::test]
    async fn new_credentials_are_used_from_the_next_connection_on() {
        let tls = Tls::new(&credentials("node1")).unwrap();
        let next = credentials("node1");
        tls.exchange(&next).unwrap();
        assert_eq!(shake(&tls, joining(&next.roots).unwrap(), "swarm-ca").await, Some(false));
        assert_eq!(tls.roots().as_ref(), next.roots);
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let own = credentials("node1");
        let broken = Credentials { chain: "no".into(), key: own.key.clone(), roots: own.roots };
        assert!(matches!(Tls::new(&broken), Err(TlsError::Pem)));
        assert!(matches!(joining("no root"), Err(TlsError::Pem)));
    }
}
