//! On the leader: brings Raft's membership in step with the records of the managers, and says which nodes
//! are heard of. On every manager: others are called where their records say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use vault_core::command::Action;
use vault_core::id::NodeId;
use vault_core::limits::{DIAL_MS_MAX, MANAGER_SILENT_MS};
use vault_core::node::NodeStatus;
use vault_core::roster::{Member, Roster, Step, Wanted, steps};
use vault_core::state::State;

use crate::manager::Manager;
use crate::raft::{MemberChangeError, Standing};
use crate::rpc;

/// How often the leader looks, even if nothing is heard.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The same while somebody catches up or something failed.
const LOOK_SOON: Duration = Duration::from_millis(100);

/// Runs until consensus ends.
pub(crate) async fn keep_roster(manager: Arc<Manager>) {
    let mut views = manager.consensus().views();
    let mut leads = manager.consensus().leads();
    let mut leads_since = Instant::now();
    let mut places = BTreeMap::new();
    loop {
        let view = views.borrow_and_update().clone();
        follow_places(&manager, &view.state, &mut places);
        let standing = manager.consensus().standing();
        let mut pause = LOOK_EVERY;
        if !standing.is_leader {
            leads_since = Instant::now();
        }
        if standing.is_leader && view.state.cluster().is_some() {
            let wanted = wanted(&view.state);
            for step in steps(&roster(&manager, &standing), &wanted) {
                pause = LOOK_SOON;
                match take(&manager, step.clone()).await {
                    Ok(()) => break,
                    Err(error) => tracing::debug!(?step, %error, "a change of the managers waits"),
                }
            }
            if standing.members.iter().any(|member| !member.is_voter) {
                pause = LOOK_SOON;
            }
            report(&manager, &view.state, &standing, leads_since.elapsed()).await;
        }
        let seen = view.state.workload_index();
        let changed = views.wait_for(|view| view.state.workload_index() != seen);
        tokio::select! {
            changed = changed => if changed.is_err() { return },
            changed = leads.changed() => if changed.is_err() { return },
            () = sleep(pause) => {}
        }
    }
}

/// Each manager is called where its record says, from when that has changed: what it said of itself meanwhile may
/// be newer than a record that stays as it was.
fn follow_places(manager: &Manager, state: &State, places: &mut BTreeMap<NodeId, String>) {
    for node in state.managers().filter(|node| !node.addr.is_empty()) {
        if places.get(&node.id) != Some(&node.addr) {
            manager.dialer().place(node.id.as_str(), &node.addr);
            places.insert(node.id, node.addr.clone());
        }
    }
    places.retain(|id, _| state.node(*id).is_some());
}

fn wanted(state: &State) -> Vec<Wanted> {
    let wanted = state.managers().filter_map(|node| {
        let (node_id, addr) = (node.id.to_string(), node.addr.clone());
        Some(Wanted { raft_id: node.raft_id?, node_id, addr })
    });
    wanted.collect()
}

fn roster(manager: &Manager, standing: &Standing) -> Roster {
    let members = standing.members.iter().map(|member| Member {
        raft_id: member.raft_id,
        addr: member.addr.clone(),
        is_voter: member.is_voter,
        matched: member.matched,
    });
    Roster {
        own: manager.membership().raft_id,
        last_index: standing.last_index,
        is_changing: standing.is_changing,
        members: members.collect(),
    }
}

async fn take(manager: &Manager, step: Step) -> Result<(), MemberChangeError> {
    let consensus = manager.consensus();
    match step {
        Step::Vote(voters) => {
            tracing::info!(?voters, "these managers vote from now on");
            consensus.set_voters(voters).await
        }
        Step::HandOver => {
            consensus.hand_over().await;
            Ok(())
        }
        Step::Learn(one) => {
            // Raft must not wait for somebody who is not there.
            let call = rpc::peers::hello(manager.dialer(), &one.addr, &one.node_id);
            let patience = Duration::from_millis(DIAL_MS_MAX);
            match timeout(patience, call).await {
                Ok(Ok(_)) => {}
                Ok(Err(status)) => {
                    return Err(MemberChangeError::Failed(status.message().to_owned()));
                }
                Err(_) => return Err(MemberChangeError::Failed("no answer in time".to_owned())),
            }
            tracing::info!(node = one.node_id, addr = one.addr, "a manager follows the log");
            consensus.add_learner(one.raft_id, &one.node_id, &one.addr).await
        }
        Step::Move(one) => consensus.move_member(one.raft_id, &one.node_id, &one.addr).await,
        Step::Leave(members) => consensus.remove_learners(members).await,
    }
}

/// Says which managers are heard of. What is said of workers is not the leader's own to know.
/// Who has not been heard yet by a new leader is silent since then.
async fn report(manager: &Manager, state: &State, standing: &Standing, leads_for: Duration) {
    let leads_for = u64::try_from(leads_for.as_millis()).unwrap_or(u64::MAX);
    let own = manager.node_id();
    let heard = |id: NodeId| {
        let member = standing.of_node(id.as_str())?;
        let silent = member.silent_millis.unwrap_or(leads_for);
        Some(if id == own || silent < MANAGER_SILENT_MS {
            NodeStatus::Ready
        } else {
            NodeStatus::Down
        })
    };
    let changed: Vec<_> = state
        .managers()
        .filter_map(|node| Some((node.id, node.status, heard(node.id)?)))
        .filter(|(_, before, now)| before != now)
        .map(|(id, _, now)| (id, now))
        .collect();
    if changed.is_empty() {
        return;
    }
    if let Err(error) = manager.act(Action::ReportNodes(changed)).await {
        tracing::debug!(%error, "what is heard of nodes waits");
    }
}
