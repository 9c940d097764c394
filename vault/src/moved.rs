//! Managers that are reached elsewhere than before: such a one says so at its start to all that it knows, about
//! itself alone; and what another one says of itself is believed once it answers there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};
use vault_core::command::{Action, ManagerPlace};
use vault_core::id::NodeId;
use vault_core::limits::{DIAL_MS_MAX, FORWARD_MS_MAX};
use vault_core::state::PlaceProof;

use crate::address;
use crate::manager::{CallError, Manager};
use crate::raft::ProposeError;
use crate::rpc;
use crate::tls::Lane;

/// Between two tries to tell the others.
const AGAIN: Duration = Duration::from_millis(500);
/// The name that every manager's certificate has, whoever leads: for one of whom only the address is known.
const ANY_MANAGER: &str = "swarm-ca";

/// Tells the others once after a start what changed about this manager: another address, if the place names one, a
/// newer program, another host name.
pub(crate) async fn announce(
    manager: Arc<Manager>,
    mut place: ManagerPlace,
    others: Vec<SocketAddr>,
) {
    if !place.addr.is_empty() {
        let mut views = manager.consensus().views();
        tokio::select! {
            () = tell(&manager, &place, &others) => {}
            // Nothing is waited for but the end of the views.
            _ = views.wait_for(|_| false) => return,
        }
    }
    let id = manager.node_id();
    loop {
        let known = match manager.read().await {
            Ok(view) => view.state.node(id).cloned(),
            Err(CallError::Propose(ProposeError::Stopped)) => return,
            Err(_) => {
                sleep(AGAIN).await;
                continue;
            }
        };
        let Some(node) = known else { return };
        if place.addr.is_empty() {
            place.addr.clone_from(&node.addr);
        }
        if place.is_known_of(&node)
            || manager.act(Action::PlaceManager(id, place.clone())).await.is_ok()
        {
            return;
        }
        sleep(AGAIN).await;
    }
}

/// Returns once another manager has it written where this one is. Who leads cannot call this one before, so that
/// this one cannot know either; and it may take this very manager's vote for anybody to lead.
async fn tell(manager: &Arc<Manager>, place: &ManagerPlace, given: &[SocketAddr]) {
    let mut said = String::new();
    loop {
        let others = others(manager, given);
        if others.is_empty() {
            return;
        }
        match tell_all(manager, place, others).await {
            Ok(()) => {
                tracing::info!(addr = place.addr, "the other managers know where this one is");
                return;
            }
            Err(error) if error == said => {}
            Err(error) => {
                tracing::warn!(addr = place.addr, "this manager cannot say where it is: {error}");
                said = error;
            }
        }
        sleep(AGAIN).await;
    }
}

/// Addresses and names of those who are to be told.
fn others(manager: &Manager, given: &[SocketAddr]) -> Vec<(String, String)> {
    let view = manager.consensus().view();
    let known = view.state.managers().filter(|node| node.id != manager.node_id());
    let known = known.map(|node| (node.addr.clone(), node.id.to_string()));
    let given = given.iter().map(|addr| (addr.to_string(), ANY_MANAGER.to_owned()));
    known.chain(given).collect()
}

/// Tells all of them at one time, until one has it written. What one says who refuses goes before the silence of
/// others.
async fn tell_all(
    manager: &Manager,
    place: &ManagerPlace,
    others: Vec<(String, String)>,
) -> Result<(), String> {
    let mut calls = JoinSet::new();
    for (addr, name) in others {
        let (channel, place) = (manager.dialer().channel(&addr, &name, Lane::Calls), place.clone());
        calls.spawn(async move {
            let call = rpc::peers::admit(channel, &place);
            let late = |_| Status::deadline_exceeded("no answer in time");
            timeout(Duration::from_millis(FORWARD_MS_MAX), call).await.map_err(late).flatten()
        });
    }
    let (mut refused, mut heard_by_some) = (None, false);
    while let Some(told) = calls.join_next().await {
        match told.map_err(|error| Status::internal(error.to_string())).flatten() {
            Ok(_) => return Ok(()),
            Err(status) => match status.code() {
                Code::InvalidArgument | Code::FailedPrecondition | Code::PermissionDenied => {
                    refused = Some(status.message().to_owned());
                }
                // It waits for a majority.
                Code::DeadlineExceeded => heard_by_some = true,
                _ => {}
            },
        }
    }
    let nothing = if heard_by_some {
        "too few managers are online, or too few know of each other"
    } else {
        "no manager answers where it was before. If they moved, too, start this one with --manager-addr IP:PORT of one of them"
    };
    Err(refused.unwrap_or_else(|| nothing.to_owned()))
}

/// Calls a manager where it says that it is from here on, if that can be seen to be so.
pub(crate) async fn believe(manager: &Manager, id: NodeId, addr: &str) -> Result<(), Status> {
    let view = manager.consensus().view();
    let find = async |node: NodeId| {
        let finding = manager.dialer().find(addr, node.as_str());
        timeout(Duration::from_millis(DIAL_MS_MAX), finding).await.is_ok_and(|found| found.is_ok())
    };
    match view.state.place_proof(id, addr) {
        None => return Ok(()),
        Some(PlaceProof::Nothing) => {}
        Some(PlaceProof::Answer) if find(id).await => {}
        Some(PlaceProof::SilenceOf(other)) if !find(other).await => {}
        Some(PlaceProof::Answer | PlaceProof::SilenceOf(_)) => {
            return Err(Status::failed_precondition(match view.state.manager_at(id, addr) {
                Some(other) => format!(
                    "{addr} is the address of manager {other}. Give each manager an --advertise-addr of its own"
                ),
                None => format!(
                    "node {id} does not answer at {addr}. Look at its --advertise-addr, and whether its port is open to the other managers"
                ),
            }));
        }
    }
    manager.dialer().place(id.as_str(), addr);
    Ok(())
}

/// Warns if others call this manager at an address that no interface here has.
pub(crate) fn warn_of_a_place_elsewhere(manager: &Manager) {
    let view = manager.consensus().view();
    let addr = view.state.node(manager.node_id()).and_then(|own| own.addr.parse().ok());
    if let Some(addr) = addr.filter(|addr: &SocketAddr| !address::is_here(addr.ip())) {
        tracing::warn!(
            %addr,
            "other managers call this one at an address that this machine does not have. If it moved, start it with --advertise-addr"
        );
    }
}
