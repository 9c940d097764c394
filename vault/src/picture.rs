//! How the cluster stands, as this manager sees it: gathered once, for the status screen and the metrics.

use vault_core::clocks::Difference;
use vault_core::health::{Facts, ManagerFacts};
use vault_core::id::NodeId;

use crate::clock;
use crate::manager::Manager;
use crate::raft::{Standing, View};
use crate::space::RESERVE_BYTES;

/// One manager.
pub(crate) struct Seen {
    pub node_id: String,
    pub addr: String,
    pub is_leader: bool,
    pub facts: ManagerFacts,
}

/// All of it. Answers without a majority, too.
pub(crate) struct Picture {
    pub view: View,
    pub standing: Standing,
    pub managers: Vec<Seen>,
    pub facts: Facts,
}

impl Picture {
    /// Looks at a manager.
    pub(crate) fn of(manager: &Manager) -> Self {
        let view = manager.consensus().view();
        let standing = manager.consensus().standing();
        let managers = managers(manager, &view, &standing);
        let state = &view.state;
        let facts = Facts {
            now_secs: clock::now().secs(),
            has_leader: standing.leader.is_some() && !standing.has_lost_quorum(),
            last_index: standing.last_index,
            managers: managers.iter().map(|one| one.facts.clone()).collect(),
            root_end_secs: manager.root_end_secs(),
            disk_free: manager.space().free(),
            disk_reserve: RESERVE_BYTES,
            memory_used: state.memory_bytes(),
            memory_budget: manager.memory_budget(),
            is_rotating: state.oldest_epoch() != state.wanted_epoch(),
            founded_secs: state.cluster().map_or(u64::MAX, |one| one.meta.created_at.secs()),
            backups: state.cluster().map(|cluster| cluster.backups.clone()).unwrap_or_default(),
        };
        Self { view, standing, managers, facts }
    }
}

fn managers(manager: &Manager, view: &View, standing: &Standing) -> Vec<Seen> {
    let own = manager.node_id().to_string();
    let record = |node_id: &str| NodeId::parse(node_id).ok().and_then(|id| view.state.node(id));
    let seen = standing.members.iter().map(|member| {
        let record = record(&member.node_id);
        let is_own = member.node_id == own;
        let clock = manager.meters().clocks.of(&member.node_id);
        Seen {
            node_id: member.node_id.clone(),
            addr: member.addr.clone(),
            is_leader: Some(member.raft_id) == standing.leader,
            facts: ManagerFacts {
                hostname: record.map_or_else(String::new, |node| node.hostname.clone()),
                is_voter: member.is_voter,
                matched: if is_own { Some(standing.last_index) } else { member.matched },
                silent_ms: if is_own { Some(0) } else { member.silent_millis },
                certificate_end_secs: record.map_or(0, |node| node.certificate_end_secs),
                clock: if is_own { Some(Difference::default()) } else { clock },
                node: NodeId::parse(&member.node_id).ok(),
            },
        }
    });
    seen.collect()
}
