//! The software of one node: founds, joins or goes on from its disk, serves, and has clients.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;
use vault::agent::Delivery;
use vault::daemon::{Config, Daemon};
use vault::disk::folder::Folder;
use vault::disk::log;
use vault::join::{Joined, Joining, join_in};
use vault::manager::{Files, Founding, Limits, Manager, found_in};
use vault::space::Space;
use vault_core::command::ManagerPlace;
use vault_core::feature::Level;
use vault_core::node::Availability;

use crate::clients;
use crate::disk::Told;
use crate::stage::{below, lock, stage};
use crate::trouble;

/// Where managers listen.
const PORT: u16 = 2377;
/// Between two tries to join.
const AGAIN: Duration = Duration::from_millis(200);

/// The name of a node in the simulated network.
pub fn host(node: usize) -> String {
    format!("m{node}")
}

/// Where others reach a node.
fn addr(node: usize) -> String {
    format!("{}:{PORT}", turmoil::lookup(host(node)))
}

fn limits() -> io::Result<Limits> {
    // Small, so that segments are changed and snapshots taken all the time.
    let log = log::Options { segment_bytes: 96 << 10, batch_bytes: 32 << 10, keep_bytes: 16 << 10 };
    let space = Space::watch(PathBuf::from("/"))?;
    Ok(Limits { memory_budget: 64 << 20, space, log, meters: Arc::default() })
}

/// Lives until the node is crashed.
pub async fn live(node: usize) -> turmoil::Result {
    let spot = &stage().spots[node];
    if spot.is_away.load(Ordering::Relaxed) {
        return std::future::pending().await;
    }
    match open(node).await {
        Ok(manager) => serve(node, manager).await,
        Err(error) if spot.is_disk_bad.load(Ordering::Relaxed) => {
            stage().note(|| format!("does not start: {error}"));
            spot.has_ended.store(true, Ordering::Relaxed);
        }
        Err(error) => stage().wrong(format!("node {node} does not start: {error}")),
    }
    std::future::pending().await
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text += &format!(": {next}");
        cause = next.source();
    }
    text
}

fn folder(node: usize) -> Arc<dyn Folder> {
    let disk = lock(&stage().spots[node].disk).clone();
    Arc::new(Told { name: String::new(), inner: Arc::new(disk) })
}

async fn open(node: usize) -> Result<Manager, String> {
    let spot = &stage().spots[node];
    let limits = || limits().map_err(|error| chain(&error));
    if !spot.is_new.load(Ordering::Relaxed) {
        let files = Files::read_in(folder(node), None).map_err(|error| chain(&error))?;
        return Manager::start(files, limits()?).await.map_err(|error| chain(&error));
    }
    let manager = if node == 0 && lock(&stage().token).is_none() {
        let founding = Founding { hostname: host(node), addr: addr(node), autolock: false };
        let found = found_in(folder(node), founding, limits()?).await;
        found.map_err(|error| chain(&error))?
    } else {
        join(node, limits).await?
    };
    spot.is_new.store(false, Ordering::Relaxed);
    Ok(manager)
}

/// Tries until it is in. Each try has an empty disk: it comes as somebody new.
async fn join(node: usize, limits: impl Fn() -> Result<Limits, String>) -> Result<Manager, String> {
    loop {
        sleep(AGAIN).await;
        let Some(token) = lock(&stage().token).clone() else { continue };
        let by = usize::try_from(below(stage().count() as u64 - 1)).expect("it is small");
        let other = (stage().after(node) + by) % stage().count();
        *lock(&stage().spots[node].disk) = tests::disk::FaultyDisk::default();
        let place = ManagerPlace {
            addr: addr(node),
            hostname: host(node),
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
            level: Level::known(),
        };
        let joining = Joining {
            remote: addr(other),
            token: token.into(),
            availability: Availability::Active,
            place,
        };
        match join_in(folder(node), joining, limits()?).await {
            Ok(Joined::Manager(manager)) => return Ok(*manager),
            Ok(Joined::Worker(_)) => stage().note(|| "joins as a worker".to_owned()),
            Err(error) => stage().note(|| format!("does not join: {}", chain(&error))),
        }
    }
}

async fn serve(node: usize, manager: Manager) {
    let limits = limits().expect("the disk is there");
    let config = Config {
        state_dir: PathBuf::from("/nowhere"),
        run_dir: PathBuf::from("/nowhere"),
        listen: ([0, 0, 0, 0], PORT).into(),
        advertise: None,
        managers: vec![],
        limits,
        is_rootless: false,
    };
    let daemon = match Daemon::start_with(config, Delivery::Memory, manager).await {
        Ok(daemon) => daemon,
        Err(error) => {
            return stage().wrong(format!("node {node} does not serve: {}", chain(&error)));
        }
    };
    let manager = daemon.manager().expect("it has one");
    *lock(&stage().spots[node].daemon) = Some(Arc::clone(&daemon));
    stage().note(|| "serves".to_owned());
    let is_first = lock(&stage().token).is_none();
    if is_first && let Err(error) = clients::create(&manager).await {
        return stage().wrong(error);
    }
    clients::start(&manager, node);
    // The token changes whenever a manager goes.
    loop {
        trouble::operate(&daemon, node).await;
        if let Ok(tokens) = daemon.join_tokens().await {
            *lock(&stage().token) = Some(tokens.manager.to_string());
        }
        sleep(5 * AGAIN).await;
    }
}
