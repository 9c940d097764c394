//! A manager's own certificate: renewed by itself long before it ends, with a new key each time.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pki::csr;
use pki::identity::{Claim, IdentityError};
use pki::key::{KeyDocument, KeyError, SigningKey};
use pki::pem::{PemError, pem_to_der};
use tokio::time::timeout;
use vault_core::limits::{RENEW_LOOK_EVERY, RENEW_RETRY};
use vault_core::node::KeyPin;
use vault_core::renewal::{Verdict, judge};
use zeroize::Zeroizing;

use crate::disk::seal::FileError;
use crate::manager::{AdmitError, CallError, Manager};
use crate::tls::{Credentials, Tls, TlsError};
use crate::{clock, entropy, world};

/// Why a certificate was not renewed. The one that is in use stays.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    #[error("cannot write this manager's files")]
    Io(#[from] io::Error),
    #[error("this manager's identity does not read")]
    File(#[from] FileError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("no certificate was issued")]
    Admit(#[from] AdmitError),
    #[error("cannot make a key")]
    Key(#[from] KeyError),
    #[error("cannot make a certificate request")]
    Request(#[from] csr::MakeError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the certificate in use is not PEM")]
    Pem(#[from] PemError),
    #[error("the certificate in use does not read")]
    Identity(#[from] IdentityError),
    #[error("stopped")]
    Stopped,
}

/// Runs until consensus ends.
pub(crate) async fn keep_certificate(manager: Arc<Manager>) {
    // Managers that were founded together do not come back together.
    let draw = u32::from_le_bytes(entropy::random());
    let mut leads = manager.consensus().leads();
    loop {
        let pause = match look(&manager, draw).await {
            Ok(pause) => pause,
            Err(RenewError::Stopped) => return,
            Err(error) => {
                let error = crate::lock::chain(&error);
                tracing::warn!(
                    error,
                    "this manager's certificate was not renewed; it is tried again"
                );
                RENEW_RETRY
            }
        };
        let ended = async { while leads.changed().await.is_ok() {} };
        if timeout(pause, ended).await.is_ok() {
            return;
        }
    }
}

/// One look. Gives when to look again: never long, since clocks are set and machines sleep.
async fn look(manager: &Arc<Manager>, draw: u32) -> Result<Duration, RenewError> {
    // What is in use decides, not what the record says: a crash may have come between the two.
    let due_secs = pki::renewal::due(&in_use(manager)?, draw);
    let own = manager.node_id().to_string();
    let members = manager.consensus().standing().members;
    let clocks = &manager.meters().clocks;
    let others = members.iter().filter(|member| member.node_id != own);
    let known =
        others.filter_map(|member| Some((member.node_id.clone(), clocks.of(&member.node_id)?)));
    let known: BTreeMap<_, _> = known.collect();
    match judge(clock::now().secs(), due_secs, members.len() <= 1, &known) {
        Verdict::Later(secs) => Ok(Duration::from_secs(secs).min(RENEW_LOOK_EVERY)),
        Verdict::ClocksUnknown => Ok(RENEW_RETRY),
        Verdict::ClockAhead(ns) => {
            tracing::warn!(
                ahead_secs = Duration::from_nanos(ns).as_secs(),
                "this manager's certificate is to be renewed, and its clock is ahead of the others': set the clock"
            );
            Ok(RENEW_LOOK_EVERY.min(Duration::from_mins(1)))
        }
        Verdict::Now => {
            renew(manager).await?;
            tracing::info!("this manager has a new certificate");
            Ok(RENEW_RETRY)
        }
    }
}

/// What the certificate says that this manager proves itself with.
fn in_use(manager: &Manager) -> Result<Claim, RenewError> {
    let chain = pem_to_der(&manager.tls().chain())?;
    Ok(Claim::of(chain.first().map_or(&[], Vec::as_slice))?)
}

/// A new key and a certificate for it. A crash before the file is replaced leaves the old pair, which the record
/// still knows, however often that happens: it keeps the key in use beside the newest one. Where the file cannot be
/// written, the same pair is tried again.
pub(crate) async fn renew(manager: &Arc<Manager>) -> Result<(), RenewError> {
    let mut unwritten = manager.locking().renewing.lock().await;
    let credentials = match unwritten.take() {
        Some(credentials) => credentials,
        None => Arc::new(issue(manager).await?),
    };
    *unwritten = Some(Arc::clone(&credentials));
    take_up(manager, credentials).await?;
    *unwritten = None;
    Ok(())
}

/// A new key, and the certificate that the record has for it from now on.
async fn issue(manager: &Manager) -> Result<Credentials, RenewError> {
    let own = KeyDocument::generate(&entropy::source())?;
    let request = {
        let random = entropy::source();
        csr::make(&SigningKey::parse(own.expose(), &random)?)?
    };
    let id = manager.node_id();
    manager.renew(id, KeyPin(*in_use(manager)?.key.bytes()), request.as_bytes()).await?;
    let view = manager.read().await?;
    let chain = view.state.node(id).map(|node| node.certificate.clone()).unwrap_or_default();
    let key = Zeroizing::new(own.expose().to_vec());
    let roots = manager.tls().roots().to_string();
    Ok(Credentials { chain, key, roots })
}

/// These roots are believed from now on, and no others: on the disk first. Connections that are there stay.
pub(crate) async fn retrust(manager: &Arc<Manager>, roots: String) -> Result<(), RenewError> {
    let mut unwritten = manager.locking().renewing.lock().await;
    let with_roots = |of: &Credentials| {
        let (chain, key) = (of.chain.clone(), Zeroizing::new(of.key.to_vec()));
        Arc::new(Credentials { chain, key, roots: roots.clone() })
    };
    *unwritten = unwritten.as_deref().map(with_roots);
    let in_file = manager.locking().read_identity()?;
    write(manager, with_roots(&in_file)).await
}

async fn take_up(manager: &Arc<Manager>, credentials: Arc<Credentials>) -> Result<(), RenewError> {
    write(manager, credentials).await?;
    manager.dialer().renewed();
    Ok(())
}

async fn write(manager: &Arc<Manager>, credentials: Arc<Credentials>) -> Result<(), RenewError> {
    let manager = Arc::clone(manager);
    let written = world::blocking(move || {
        // Refused here if certificate and key do not fit each other: the old ones stay then.
        Tls::new(&credentials)?;
        manager.locking().write_identity(&credentials)?;
        manager.tls().exchange(&credentials)?;
        Ok(())
    });
    written.await.map_err(|_| RenewError::Stopped)?
}
