//! The gate by itself: what it does not know, and who it does not know, goes no further, and is recorded.

use std::future::ready;

use tower::{ServiceExt, service_fn};

use super::*;
use crate::agent::Delivery;
use crate::daemon::Config;
use crate::disk::log;
use crate::manager::Limits;
use crate::space::Space;
use crate::testing::{self, TestFolder};

const PEER: Peer = Peer { uid: 1000, pid: Some(77) };

async fn daemon() -> (TestFolder, Arc<Daemon>) {
    let folder = testing::folder();
    let space = Space::watch(folder.path().to_owned()).unwrap();
    let log = log::Options { segment_bytes: 1 << 20, ..log::Options::default() };
    let config = Config {
        state_dir: folder.path().to_owned(),
        run_dir: folder.path().to_owned(),
        listen: "127.0.0.1:2377".parse().unwrap(),
        advertise: None,
        managers: Vec::new(),
        limits: Limits { memory_budget: 1 << 20, space, log, meters: Arc::default() },
        is_rootless: false,
    };
    let daemon = Daemon::start(config, Delivery::Memory).await.unwrap();
    daemon.init("", false).await.map(drop).unwrap();
    (folder, daemon)
}

/// What a caller hears, and whether the call got behind the gate.
async fn call(daemon: &Arc<Daemon>, path: &str, peer: Option<Peer>) -> (Code, bool) {
    let is_behind = Arc::new(AtomicBool::new(false));
    let behind = Arc::clone(&is_behind);
    let inner = service_fn(move |_: Request<Body>| {
        behind.store(true, Ordering::Relaxed);
        ready(Ok::<_, Infallible>(Response::new(Body::empty())))
    });
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    let gate = GateLayer(Arc::clone(daemon)).layer(inner);
    let response = gate.oneshot(request).await.unwrap();
    (code_of(&response), is_behind.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
async fn case_8_58_70_what_the_table_does_not_allow_goes_no_further_and_is_recorded() {
    let (_folder, daemon) = daemon().await;
    let path = Call::SecretsCreate.path();
    let unknown = [
        "/coffer.v1.Secrets/Reveal",
        "/coffer.v1.Secrets/create",
        "/coffer.v1.Secrets/Create/",
        "//coffer.v1.Secrets/Create",
        "/coffer.v1.Secrets%2fCreate",
        "/coffer.v1.Secrets/../Secrets/Create",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/",
    ];
    let mut records_wanted = Vec::new();
    for unknown in unknown {
        assert_eq!(call(&daemon, unknown, Some(PEER)).await, (Code::Unimplemented, false));
        records_wanted.push((1000, 77, 0, 12));
    }
    // Without the kernel's word nobody knows who calls.
    for (call_of, _, path, _) in vault_core::access::CALLS {
        assert_eq!(call(&daemon, path, None).await, (Code::PermissionDenied, false), "{path}");
        records_wanted.push((u32::MAX, 0, call_of.number(), 7));
    }
    assert_eq!(call(&daemon, path, Some(PEER)).await, (Code::Ok, true));
    records_wanted.push((1000, 77, Call::SecretsCreate.number(), 0));
    // The daemon's own user stands for root; the group of the socket does not.
    let own = rustix::process::geteuid().as_raw();
    for (uid, expected) in
        [(own, (Code::Ok, true)), (own.wrapping_add(1), (Code::PermissionDenied, false))]
    {
        let peer = Peer { uid, pid: Some(77) };
        assert_eq!(call(&daemon, Call::BackupSave.path(), Some(peer)).await, expected);
        let outcome = if expected.1 { 0 } else { 7 };
        records_wanted.push((uid, 77, Call::BackupSave.number(), outcome));
    }
    let audit = daemon.manager().unwrap().audit().clone();
    audit.flush().unwrap();
    let records = audit.tail(usize::MAX);
    let seen: Vec<_> = records
        .iter()
        .filter(|record| record.index == 0)
        .map(|record| (record.actor.uid, record.actor.pid, record.actor.call, record.outcome))
        .collect();
    assert_eq!(seen, records_wanted);
    daemon.end().await;
}
