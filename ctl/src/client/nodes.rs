//! Calls about nodes, and about how the cluster stands.

use proto::v1;
use proto::v1::nodes_client::NodesClient;

use super::CallError;
use super::Channel;
use super::Client;
use super::convert;
use super::filled;
use crate::limits::JOIN_DEADLINE;
use crate::objects::Backups;
use crate::objects::Initialized;
use crate::objects::JoinTokens;
use crate::objects::Joined;
use crate::objects::ManagerState;
use crate::objects::Node;
use crate::objects::NodeChange;
use crate::objects::Status;
use crate::objects::Warning;

fn availability(word: &str) -> v1::Availability {
    match word {
        "pause" => v1::Availability::Pause,
        "drain" => v1::Availability::Drain,
        _ => v1::Availability::Active,
    }
}

pub(super) fn role(word: &str) -> v1::NodeRole {
    if word == "manager" { v1::NodeRole::Manager } else { v1::NodeRole::Worker }
}

impl Client {
    fn nodes_client(&self) -> NodesClient<Channel> {
        NodesClient::new(self.channel.clone())
    }

    pub(crate) async fn join(
        &self,
        remote: String,
        token: String,
        advertise_addr: String,
        state: &str,
    ) -> Result<Joined, CallError> {
        let availability = availability(state).into();
        let request = v1::JoinRequest { remote, token, advertise_addr, availability };
        let mut swarm = self.swarm();
        let answer = self.ask_within(JOIN_DEADLINE, swarm.join(request)).await?;
        let role = match answer.role() {
            v1::NodeRole::Worker => "worker",
            v1::NodeRole::Manager => "manager",
        };
        Ok(Joined { role, is_done: answer.done })
    }

    pub(crate) async fn force_new_cluster(&self) -> Result<Initialized, CallError> {
        let request = v1::InitRequest { force_new_cluster: true, ..v1::InitRequest::default() };
        let mut swarm = self.swarm();
        let answer = self.ask_within(JOIN_DEADLINE, swarm.init(request)).await?;
        Ok(Initialized {
            node_id: filled(answer.node_id, "the node's ID")?,
            worker_token: filled(answer.worker_token, "the worker token")?,
            address: filled(answer.advertise_addr, "the manager's address")?,
            unlock_key: None,
        })
    }

    pub(crate) async fn leave(&self, force: bool) -> Result<(), CallError> {
        let mut swarm = self.swarm();
        self.ask_within(JOIN_DEADLINE, swarm.leave(v1::LeaveRequest { force })).await?;
        Ok(())
    }

    pub(crate) async fn rotate_token(&self, of_role: &str) -> Result<JoinTokens, CallError> {
        let request = v1::RotateTokenRequest { role: role(of_role).into() };
        let answer = self.ask(self.swarm().rotate_token(request)).await?;
        Ok(JoinTokens {
            worker: filled(answer.worker, "the worker token")?,
            manager: filled(answer.manager, "the manager token")?,
            address: filled(answer.advertise_addr, "the manager's address")?,
        })
    }

    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, CallError> {
        let answer = self.ask(self.nodes_client().list(v1::ListNodesRequest {})).await?;
        answer.nodes.into_iter().map(|wire| convert::node(wire, &answer.self_id)).collect()
    }

    pub(crate) async fn inspect_node(&self, reference: &str) -> Result<Node, CallError> {
        let request = v1::InspectNodeRequest { reference: reference.to_owned() };
        let answer = self.ask(self.nodes_client().inspect(request)).await?;
        let node = answer.node.ok_or_else(|| super::not_understood("the node is missing"))?;
        convert::node(node, "")
    }

    pub(crate) async fn update_node(
        &self,
        reference: &str,
        change: NodeChange,
    ) -> Result<(), CallError> {
        let request = v1::UpdateNodeRequest {
            reference: reference.to_owned(),
            role: change.role.map(|word| role(&word).into()),
            availability: change.availability.map(|word| availability(&word).into()),
            label_add: change.label_add,
            label_rm: change.label_rm,
            expected: None,
        };
        self.ask(self.nodes_client().update(request)).await?;
        Ok(())
    }

    pub(crate) async fn remove_node(&self, reference: &str, force: bool) -> Result<(), CallError> {
        let request = v1::RemoveNodeRequest { reference: reference.to_owned(), force };
        self.ask(self.nodes_client().remove(request)).await?;
        Ok(())
    }

    /// How the cluster stands, as this daemon sees it.
    pub(crate) async fn status(&self) -> Result<Status, CallError> {
        let wire = self.ask(self.swarm().status(v1::StatusRequest {})).await?;
        let manager = |one: v1::ManagerState| ManagerState {
            node_id: one.node_id,
            hostname: one.hostname,
            addr: one.addr,
            is_leader: one.leader,
            is_voter: one.voter,
            matched: one.matched,
            silent_ms: one.silent_ms,
            certificate_end: one.certificate_end,
            clock_ahead_ms: one.clock_ahead_ms,
            clock_within_ms: one.clock_within_ms,
        };
        let warning =
            |one: v1::Warning| Warning { text: one.text, cure: one.cure, is_urgent: one.urgent };
        Ok(Status {
            cluster_id: wire.cluster_id,
            node_id: wire.node_id,
            version: wire.version,
            term: wire.term,
            leader_id: wire.leader_id,
            applied: wire.applied,
            last: wire.last,
            snapshot: wire.snapshot,
            managers: wire.managers.into_iter().map(manager).collect(),
            warnings: wire.warnings.into_iter().map(warning).collect(),
            disk_free: wire.disk_free,
            memory_used: wire.memory_used,
            memory_budget: wire.memory_budget,
            certificate_end: wire.certificate_end,
            root_end: wire.root_end,
            key_epoch: wire.key_epoch,
            secrets: wire.secrets,
            configs: wire.configs,
            services: wire.services,
            nodes: wire.nodes,
            is_locked: wire.locked,
            works_through: wire.worker.map(|worker| worker.manager_addr),
            has_autolock: wire.autolock,
            disk_reserve: wire.disk_reserve,
            disk_hangs_ms: wire.disk_hangs_ms,
            level: wire.level,
            backups: backups(wire.backups.unwrap_or_default()),
        })
    }
}

fn backups(wire: v1::BackupState) -> Backups {
    Backups {
        every_secs: wire.every_secs,
        keep: wire.keep,
        dir: wire.dir,
        recipients: wire.recipients,
        verified_at: wire.verified_at,
        verified_node_id: wire.verified_node_id,
        verified_index: wire.verified_index,
        verified_bytes: wire.verified_bytes,
        failed_at: wire.failed_at,
        failed_node_id: wire.failed_node_id,
        failure: wire.failure,
        failed_in_a_row: wire.failed_in_a_row,
    }
}
