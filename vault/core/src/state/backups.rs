//! Scheduled backups in the state.

use std::sync::Arc;

use super::{Stamp, State};
use crate::backups::Step;
use crate::command::{ObjectKind, Outcome, Refusal};
use crate::event::EventAction;

impl State {
    pub(super) fn backup(&mut self, stamp: &mut Stamp, step: Step) -> Result<Outcome, Refusal> {
        let event = match &step {
            Step::Set(_) => Some("default"),
            Step::Ask(_) => None,
            Step::Report(_, Ok(_)) => Some("backup made"),
            Step::Report(_, Err(_)) => Some("backup failed"),
        };
        let cluster = Arc::make_mut(self.cluster.as_mut().ok_or(Refusal::NoCluster)?);
        if cluster.backups.step(stamp.at, step)
            && let Some(name) = event
        {
            let id = cluster.id.object();
            stamp.event(ObjectKind::Cluster, EventAction::Update, id, name);
        }
        // Whoever makes one watches for this.
        self.workload_index = stamp.index;
        Ok(Outcome::Done)
    }
}
