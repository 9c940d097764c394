//! Failures as gRPC statuses: the one place where they are translated.

use tonic::{Code, Status};
use vault_core::command::{ObjectKind, Refusal};
use vault_core::filter::FilterError;
use vault_core::labels::LabelsError;
use vault_core::name::{NameError, TargetError};
use vault_core::root::RootRefusal;
use vault_core::service::SpecError;
use vault_core::versioned::VersionLabelError;

use super::convert::RequestError;
use crate::backup::{OpenError, SaveError};
use crate::daemon::{CallError, ForceError, InitError, LeaveError, UnlockError};
use crate::join::JoinError;
use crate::manager::{self, FoundError, LockingError, RestoreError};
use crate::raft::ProposeError;

pub(super) fn of_refusal(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::ClusterExists
        | Refusal::LastManager
        | Refusal::QuorumLoss
        | Refusal::NodeIsManager { .. }
        | Refusal::NodeIsNotDown { .. }
        | Refusal::NodeIsEngine { .. }
        | Refusal::RoleChanged { .. }
        | Refusal::KeyEnded { .. }
        | Refusal::TokenWorthless { .. }
        | Refusal::NoCluster
        | Refusal::NoPrevious { .. }
        | Refusal::VersionNeeded { .. }
        | Refusal::VersionHeld { .. }
        | Refusal::LabelsTooMany { .. }
        | Refusal::Root(
            RootRefusal::Running
            | RootRefusal::Exhausted
            | RootRefusal::Nothing
            | RootRefusal::OutOfStep
            | RootRefusal::TooLate
            | RootRefusal::TakenBack
            | RootRefusal::Compromised,
        ) => Code::FailedPrecondition,
        Refusal::NameTaken { .. } => Code::AlreadyExists,
        Refusal::NotFound { .. } | Refusal::NoVersion { .. } => Code::NotFound,
        // Swarm's code for a stale index is "unknown".
        Refusal::OutOfSequence => Code::Unknown,
        Refusal::OldKey
        | Refusal::NumberTaken
        | Refusal::TokenChanges
        | Refusal::Root(RootRefusal::Signer) => Code::Unavailable,
        Refusal::NodesTooMany { .. } | Refusal::TokensTooMany { .. } => Code::ResourceExhausted,
        Refusal::Ambiguous { .. }
        | Refusal::NoLabel { .. }
        | Refusal::KeyTaken
        | Refusal::InUse { .. }
        | Refusal::NamedTwice { .. }
        | Refusal::GrantedSecretsMissing { .. } => Code::InvalidArgument,
    };
    let text = match refusal {
        // Swarm's text for services differs from the one for secrets.
        Refusal::NameTaken { kind: ObjectKind::Service, .. } => {
            format!("name conflicts with an existing object: {refusal}")
        }
        _ => refusal.to_string(),
    };
    Status::new(code, text)
}

fn of_propose(error: &ProposeError) -> Status {
    let code = match error {
        ProposeError::NoLeader
        | ProposeError::Stopped
        | ProposeError::DiskHangs { .. }
        | ProposeError::Behind { .. } => Code::Unavailable,
        ProposeError::Unknown => Code::DeadlineExceeded,
    };
    Status::new(code, error.to_string())
}

pub(super) fn of_manager_call(error: &manager::CallError) -> Status {
    match error {
        manager::CallError::Refused(refusal) => of_refusal(refusal),
        manager::CallError::Propose(error) => of_propose(error),
        manager::CallError::MemoryBudget { .. } | manager::CallError::DiskFull { .. } => {
            Status::new(Code::ResourceExhausted, error.to_string())
        }
        manager::CallError::Level(error) => {
            Status::new(Code::FailedPrecondition, error.to_string())
        }
        manager::CallError::Labels(error) => Status::new(Code::InvalidArgument, error.to_string()),
        manager::CallError::Keys(error) => Status::new(Code::Internal, chain(error)),
    }
}

pub(super) fn of_call(error: &CallError) -> Status {
    match error {
        CallError::NotInACluster | CallError::Locked | CallError::Worker => {
            Status::new(Code::FailedPrecondition, error.to_string())
        }
        CallError::Manager(error) => of_manager_call(error),
        CallError::Value(_) => Status::new(Code::Internal, error.to_string()),
    }
}

pub(super) fn of_init(error: &InitError) -> Status {
    match error {
        InitError::Exists => of_refusal(&Refusal::ClusterExists),
        InitError::Address(address) => Status::new(Code::InvalidArgument, address.to_string()),
        InitError::Found(FoundError::Call(error))
        | InitError::Restore(RestoreError::Call(error)) => of_manager_call(error),
        InitError::Port(_) => Status::new(Code::Unavailable, chain(error)),
        InitError::Join(error) => of_join(error),
        InitError::Found(_) | InitError::Restore(_) => Status::new(Code::Internal, chain(error)),
        InitError::Call(error) => of_call(error),
        InitError::Locking(error) => of_locking(error),
    }
}

pub(super) fn of_force(error: &ForceError) -> Status {
    let code = match error {
        ForceError::NotInACluster | ForceError::Locked => Code::FailedPrecondition,
        ForceError::Port(_) | ForceError::Alone(_) | ForceError::Manager(_) => Code::Internal,
    };
    Status::new(code, chain(error))
}

pub(super) fn of_save(error: &SaveError) -> Status {
    match error {
        SaveError::Call(error) => of_manager_call(error),
        SaveError::KeysMissing | SaveError::NoCluster => {
            Status::new(Code::FailedPrecondition, error.to_string())
        }
    }
}

/// Whatever is wrong with a backup, it is what was sent that is wrong.
pub(super) fn of_backup(error: &OpenError) -> Status {
    Status::new(Code::InvalidArgument, error.to_string())
}

pub(super) fn of_leave(error: &LeaveError) -> Status {
    let code = match error {
        LeaveError::NotInACluster
        | LeaveError::LastManager
        | LeaveError::Manager { .. }
        | LeaveError::Locked => Code::FailedPrecondition,
        LeaveError::Io(_) => Code::Internal,
    };
    Status::new(code, chain(error))
}

pub(super) fn of_locking(error: &LockingError) -> Status {
    match error {
        LockingError::Off => Status::new(Code::FailedPrecondition, error.to_string()),
        LockingError::Call(error) => of_manager_call(error),
        LockingError::Value(_) => Status::new(Code::Internal, error.to_string()),
    }
}

pub(super) fn of_unlock(error: &UnlockError) -> Status {
    let code = match error {
        UnlockError::NotInACluster | UnlockError::NotLocked => Code::FailedPrecondition,
        UnlockError::Text(_) => Code::InvalidArgument,
        UnlockError::WrongKey => Code::Unauthenticated,
        UnlockError::TooSoon => Code::ResourceExhausted,
        UnlockError::Port(_) => Code::Unavailable,
        UnlockError::Manager(_) => Code::Internal,
    };
    Status::new(code, chain(error))
}

fn of_join(error: &JoinError) -> Status {
    let code = match error {
        JoinError::Token(_) | JoinError::Refused(_) | JoinError::OtherRoot { .. } => {
            Code::InvalidArgument
        }
        JoinError::Dial { .. } => Code::Unavailable,
        JoinError::Clock { .. } => Code::FailedPrecondition,
        JoinError::Certificate(_)
        | JoinError::Answer(_)
        | JoinError::Key(_)
        | JoinError::Request(_)
        | JoinError::Tls(_)
        | JoinError::Memory(_)
        | JoinError::Io(_)
        | JoinError::Worker(_)
        | JoinError::Manager(_) => Code::Internal,
    };
    Status::new(code, chain(error))
}

pub(super) fn of_request(error: &RequestError) -> Status {
    match error {
        RequestError::Missing { .. }
        | RequestError::Number { .. }
        | RequestError::Request
        | RequestError::Id(_)
        | RequestError::Name(
            NameError::Missing
            | NameError::NotASecretName
            | NameError::ServiceMissing
            | NameError::NotADnsLabel
            | NameError::ServiceTooLong,
        )
        | RequestError::Target(
            TargetError::Missing
            | TargetError::Absolute
            | TargetError::NotAFileName
            | TargetError::TooLong,
        )
        | RequestError::Labels(LabelsError { .. })
        | RequestError::Size(_)
        | RequestError::VersionLabel(VersionLabelError::Form | VersionLabelError::Reserved(_))
        | RequestError::VersionLimit(_)
        | RequestError::Filter(FilterError::Unknown(_) | FilterError::TooMany { .. })
        | RequestError::Batch { .. }
        | RequestError::Spec(
            SpecError::CommandMissing
            | SpecError::CommandTooLong { .. }
            | SpecError::Nul
            | SpecError::Env { .. }
            | SpecError::GrantsTooMany { .. }
            | SpecError::ReplicasTooMany { .. }
            | SpecError::TargetTwice { .. },
        ) => Status::new(Code::InvalidArgument, error.to_string()),
    }
}

/// An error with all its causes, for the one who can do something about them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
