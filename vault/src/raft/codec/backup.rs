//! Scheduled backups, stored.

use proto::stored;
use proto::stored::command::Action as Stored;
use vault_core::backups::{Asked, Backups, Failed, Made, Schedule, Step};
use vault_core::id::NodeId;
use vault_core::time::Timestamp;

use super::CodecError;

fn schedule_to(schedule: &Schedule) -> stored::BackupSchedule {
    let Schedule { every_secs, keep, recipients, dir } = schedule.clone();
    stored::BackupSchedule { every_secs, keep, recipients, dir }
}

fn schedule_from(schedule: stored::BackupSchedule) -> Result<Schedule, CodecError> {
    let stored::BackupSchedule { every_secs, keep, recipients, dir } = schedule;
    let schedule = Schedule { every_secs, keep, recipients, dir };
    schedule.parse().map_err(|_| CodecError::Range { field: "schedule of backups" })
}

fn asked_to(asked: Asked) -> stored::BackupAsked {
    stored::BackupAsked { node: asked.node.to_string(), at: asked.at.nanos() }
}

fn asked_from(asked: stored::BackupAsked) -> Result<Asked, CodecError> {
    Ok(Asked { node: NodeId::parse(&asked.node)?, at: Timestamp::from_nanos(asked.at) })
}

fn made_to(made: Made) -> stored::BackupMade {
    let Made { node, at, index, bytes } = made;
    stored::BackupMade { node: node.to_string(), at: at.nanos(), index, bytes }
}

fn made_from(made: stored::BackupMade) -> Result<Made, CodecError> {
    let (node, at) = (NodeId::parse(&made.node)?, Timestamp::from_nanos(made.at));
    Ok(Made { node, at, index: made.index, bytes: made.bytes })
}

fn failed_to(failed: &Failed) -> stored::BackupFailed {
    let Failed { node, at, reason, in_a_row } = failed.clone();
    stored::BackupFailed { node: node.to_string(), at: at.nanos(), reason, in_a_row }
}

fn failed_from(failed: stored::BackupFailed) -> Result<Failed, CodecError> {
    let stored::BackupFailed { node, at, reason, in_a_row } = failed;
    let (node, at) = (NodeId::parse(&node)?, Timestamp::from_nanos(at));
    Ok(Failed { node, at, reason, in_a_row })
}

/// Nothing where nobody ever asked for one: such a cluster is stored as it always was.
pub(super) fn backups_to(backups: &Backups) -> Option<stored::Backups> {
    (*backups != Backups::default()).then(|| stored::Backups {
        schedule: backups.schedule.as_ref().map(schedule_to),
        set_at: backups.set_at.nanos(),
        asked: backups.asked.map(asked_to),
        made: backups.made.map(made_to),
        failed: backups.failed.as_ref().map(failed_to),
    })
}

pub(super) fn backups_from(backups: stored::Backups) -> Result<Backups, CodecError> {
    Ok(Backups {
        schedule: backups.schedule.map(schedule_from).transpose()?,
        set_at: Timestamp::from_nanos(backups.set_at),
        asked: backups.asked.map(asked_from).transpose()?,
        made: backups.made.map(made_from).transpose()?,
        failed: backups.failed.map(failed_from).transpose()?,
    })
}

pub(super) fn step_to(step: &Step) -> Stored {
    match step {
        Step::Set(schedule) => {
            Stored::SetBackups(stored::SetBackups { schedule: schedule.as_ref().map(schedule_to) })
        }
        Step::Ask(node) => Stored::AskBackup(node.to_string()),
        Step::Report(asked, outcome) => {
            use stored::report_backup::Outcome;
            let outcome = match outcome {
                Ok((index, bytes)) => {
                    let (index, bytes) = (*index, *bytes);
                    Outcome::Made(stored::BackupMade { index, bytes, ..Default::default() })
                }
                Err(reason) => Outcome::Failed(reason.clone()),
            };
            let (asked, outcome) = (Some(asked_to(*asked)), Some(outcome));
            Stored::ReportBackup(stored::ReportBackup { asked, outcome })
        }
    }
}

pub(super) fn set_from(set: stored::SetBackups) -> Result<Step, CodecError> {
    Ok(Step::Set(set.schedule.map(schedule_from).transpose()?))
}

pub(super) fn ask_from(node: &str) -> Result<Step, CodecError> {
    Ok(Step::Ask(NodeId::parse(node)?))
}

pub(super) fn report_from(report: stored::ReportBackup) -> Result<Step, CodecError> {
    use stored::report_backup::Outcome;
    let asked = report.asked.ok_or(CodecError::Missing { field: "which backup" })?;
    let outcome = match report.outcome {
        Some(Outcome::Made(made)) => Ok((made.index, made.bytes)),
        Some(Outcome::Failed(reason)) => Err(reason),
        None => return Err(CodecError::Missing { field: "what came of a backup" }),
    };
    Ok(Step::Report(asked_from(asked)?, outcome))
}
