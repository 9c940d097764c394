//! Who may call what: every call and every kind of caller, in one table.

/// A call that this daemon answers. The numbers stand in the audit and are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    SwarmInit,
    SwarmInspect,
    SwarmJoinTokens,
    SwarmRotateKeys,
    SwarmKeyStatus,
    SwarmJoin,
    SwarmLeave,
    SwarmRotateToken,
    SwarmStatus,
    SwarmUpdate,
    SwarmUnlockKey,
    SwarmUnlock,
    SwarmAwaitLock,
    NodesList,
    NodesInspect,
    NodesUpdate,
    NodesRemove,
    SecretsCreate,
    SecretsList,
    SecretsInspect,
    SecretsRemove,
    SecretsRotate,
    SecretsActivate,
    SecretsRollback,
    SecretsDestroy,
    SecretsUpdate,
    TokensCreate,
    TokensList,
    TokensRevoke,
    CertificatesLog,
    CertificatesVerifyLog,
    CertificatesCrl,
    RootsRotate,
    RootsStatus,
    RootsAbort,
    ConfigsCreate,
    ConfigsList,
    ConfigsInspect,
    ConfigsRemove,
    ConfigsRotate,
    ConfigsActivate,
    ConfigsRollback,
    ConfigsDestroy,
    ConfigsUpdate,
    ServicesCreate,
    ServicesList,
    ServicesInspect,
    ServicesTasks,
    ServicesRemove,
    ServicesLogs,
    EventsWatch,
    AuditTail,
    AuditVerify,
    BackupSave,
    BackupInspect,
    BackupVerify,
    BackupRestore,
    BackupSchedule,
    RaftVote,
    RaftHeartbeat,
    RaftAppend,
    RaftSnapshot,
    RaftHandOver,
    RaftReadIndex,
    RaftPropose,
    ManagersAdmit,
    ManagersKeyring,
    ManagersKeepKeys,
    ManagersHello,
    CaRoot,
    CaUnlockKey,
    CaIssue,
    CaStatus,
    DispatcherSession,
    DispatcherHeartbeat,
    DispatcherTaskStatus,
    DispatcherAssignments,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The user whom the daemon runs as: root, or for a rootless daemon its own user.
    Root,
    /// Somebody else whom the socket's mode let in: a member of the group `coffer`.
    Operator,
    /// A node that proved itself, and whose record says that it is a manager.
    Manager,
    /// A node that proved itself, and whose record says that it is a worker.
    Worker,
    /// Anybody else.
    Stranger,
}

/// Who may make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Root alone: what the call gives away, or puts in place, is the whole cluster.
    Root,
    /// Those whom the socket let in.
    Operators,
    Managers,
    /// Every node of the cluster.
    Nodes,
    /// Everybody who reaches the node port: the call itself asks for a token, or tells nothing secret.
    Anybody,
}

/// All calls: number, path on the wire, and who may make them.
pub const CALLS: &[(Call, u16, &str, Who)] = &[
    (Call::SwarmInit, 1, "/coffer.v1.Swarm/Init", Who::Operators),
    (Call::SwarmInspect, 2, "/coffer.v1.Swarm/Inspect", Who::Operators),
    (Call::SwarmJoinTokens, 3, "/coffer.v1.Swarm/JoinTokens", Who::Operators),
    (Call::SwarmRotateKeys, 4, "/coffer.v1.Swarm/RotateKeys", Who::Operators),
    (Call::SwarmKeyStatus, 5, "/coffer.v1.Swarm/KeyStatus", Who::Operators),
    (Call::SwarmJoin, 6, "/coffer.v1.Swarm/Join", Who::Operators),
    (Call::SwarmLeave, 7, "/coffer.v1.Swarm/Leave", Who::Operators),
    (Call::SwarmRotateToken, 8, "/coffer.v1.Swarm/RotateToken", Who::Operators),
    (Call::SwarmStatus, 9, "/coffer.v1.Swarm/Status", Who::Operators),
    (Call::SwarmUpdate, 16, "/coffer.v1.Swarm/Update", Who::Operators),
    (Call::SwarmUnlockKey, 17, "/coffer.v1.Swarm/UnlockKey", Who::Operators),
    (Call::SwarmUnlock, 18, "/coffer.v1.Swarm/Unlock", Who::Operators),
    (Call::SwarmAwaitLock, 19, "/coffer.v1.Swarm/AwaitLock", Who::Operators),
    (Call::NodesList, 10, "/coffer.v1.Nodes/List", Who::Operators),
    (Call::NodesInspect, 11, "/coffer.v1.Nodes/Inspect", Who::Operators),
    (Call::NodesUpdate, 12, "/coffer.v1.Nodes/Update", Who::Operators),
    (Call::NodesRemove, 13, "/coffer.v1.Nodes/Remove", Who::Operators),
    (Call::SecretsCreate, 20, "/coffer.v1.Secrets/Create", Who::Operators),
    (Call::SecretsList, 21, "/coffer.v1.Secrets/List", Who::Operators),
    (Call::SecretsInspect, 22, "/coffer.v1.Secrets/Inspect", Who::Operators),
    (Call::SecretsRemove, 23, "/coffer.v1.Secrets/Remove", Who::Operators),
    (Call::SecretsRotate, 24, "/coffer.v1.Secrets/Rotate", Who::Operators),
    (Call::SecretsActivate, 25, "/coffer.v1.Secrets/Activate", Who::Operators),
    (Call::SecretsRollback, 26, "/coffer.v1.Secrets/Rollback", Who::Operators),
    (Call::SecretsDestroy, 27, "/coffer.v1.Secrets/Destroy", Who::Operators),
    (Call::SecretsUpdate, 28, "/coffer.v1.Secrets/Update", Who::Operators),
    (Call::TokensCreate, 30, "/coffer.v1.Tokens/Create", Who::Operators),
    (Call::TokensList, 31, "/coffer.v1.Tokens/List", Who::Operators),
    (Call::TokensRevoke, 32, "/coffer.v1.Tokens/Revoke", Who::Operators),
    (Call::CertificatesLog, 33, "/coffer.v1.Certificates/Log", Who::Operators),
    (Call::CertificatesVerifyLog, 34, "/coffer.v1.Certificates/VerifyLog", Who::Operators),
    (Call::CertificatesCrl, 35, "/coffer.v1.Certificates/Crl", Who::Operators),
    (Call::RootsRotate, 36, "/coffer.v1.Roots/Rotate", Who::Operators),
    (Call::RootsStatus, 37, "/coffer.v1.Roots/Status", Who::Operators),
    (Call::RootsAbort, 38, "/coffer.v1.Roots/Abort", Who::Operators),
    (Call::ConfigsCreate, 40, "/coffer.v1.Configs/Create", Who::Operators),
    (Call::ConfigsList, 41, "/coffer.v1.Configs/List", Who::Operators),
    (Call::ConfigsInspect, 42, "/coffer.v1.Configs/Inspect", Who::Operators),
    (Call::ConfigsRemove, 43, "/coffer.v1.Configs/Remove", Who::Operators),
    (Call::ConfigsRotate, 44, "/coffer.v1.Configs/Rotate", Who::Operators),
    (Call::ConfigsActivate, 45, "/coffer.v1.Configs/Activate", Who::Operators),
    (Call::ConfigsRollback, 46, "/coffer.v1.Configs/Rollback", Who::Operators),
    (Call::ConfigsDestroy, 47, "/coffer.v1.Configs/Destroy", Who::Operators),
    (Call::ConfigsUpdate, 48, "/coffer.v1.Configs/Update", Who::Operators),
    (Call::ServicesCreate, 60, "/coffer.v1.Services/Create", Who::Operators),
    (Call::ServicesList, 61, "/coffer.v1.Services/List", Who::Operators),
    (Call::ServicesInspect, 62, "/coffer.v1.Services/Inspect", Who::Operators),
    (Call::ServicesTasks, 63, "/coffer.v1.Services/Tasks", Who::Operators),
    (Call::ServicesRemove, 64, "/coffer.v1.Services/Remove", Who::Operators),
    (Call::ServicesLogs, 65, "/coffer.v1.Services/Logs", Who::Operators),
    (Call::EventsWatch, 80, "/coffer.v1.Events/Watch", Who::Operators),
    (Call::AuditTail, 90, "/coffer.v1.Audit/Tail", Who::Operators),
    (Call::AuditVerify, 91, "/coffer.v1.Audit/Verify", Who::Operators),
    (Call::BackupSave, 100, "/coffer.v1.Backup/Save", Who::Root),
    (Call::BackupInspect, 101, "/coffer.v1.Backup/Inspect", Who::Operators),
    (Call::BackupVerify, 102, "/coffer.v1.Backup/Verify", Who::Operators),
    (Call::BackupRestore, 103, "/coffer.v1.Backup/Restore", Who::Root),
    (Call::BackupSchedule, 104, "/coffer.v1.Backup/Schedule", Who::Root),
    (Call::RaftVote, 200, "/coffer.v1.Raft/Vote", Who::Managers),
    (Call::RaftHeartbeat, 201, "/coffer.v1.Raft/Heartbeat", Who::Managers),
    (Call::RaftAppend, 202, "/coffer.v1.Raft/Append", Who::Managers),
    (Call::RaftSnapshot, 203, "/coffer.v1.Raft/Snapshot", Who::Managers),
    (Call::RaftHandOver, 204, "/coffer.v1.Raft/HandOver", Who::Managers),
    (Call::RaftReadIndex, 205, "/coffer.v1.Raft/ReadIndex", Who::Managers),
    (Call::RaftPropose, 206, "/coffer.v1.Raft/Propose", Who::Managers),
    (Call::ManagersAdmit, 210, "/coffer.v1.Managers/Admit", Who::Managers),
    (Call::ManagersKeyring, 211, "/coffer.v1.Managers/Keyring", Who::Managers),
    (Call::ManagersKeepKeys, 212, "/coffer.v1.Managers/KeepKeys", Who::Managers),
    (Call::ManagersHello, 213, "/coffer.v1.Managers/Hello", Who::Nodes),
    (Call::CaRoot, 220, "/docker.swarmkit.v1.CA/GetRootCACertificate", Who::Anybody),
    (Call::CaUnlockKey, 221, "/docker.swarmkit.v1.CA/GetUnlockKey", Who::Managers),
    (Call::CaIssue, 222, "/docker.swarmkit.v1.NodeCA/IssueNodeCertificate", Who::Anybody),
    (Call::CaStatus, 223, "/docker.swarmkit.v1.NodeCA/NodeCertificateStatus", Who::Anybody),
    (Call::DispatcherSession, 230, "/docker.swarmkit.v1.Dispatcher/Session", Who::Nodes),
    (Call::DispatcherHeartbeat, 231, "/docker.swarmkit.v1.Dispatcher/Heartbeat", Who::Nodes),
    (
        Call::DispatcherTaskStatus,
        232,
        "/docker.swarmkit.v1.Dispatcher/UpdateTaskStatus",
        Who::Nodes,
    ),
    (Call::DispatcherAssignments, 233, "/docker.swarmkit.v1.Dispatcher/Assignments", Who::Nodes),
];

impl Call {
    /// The call with this path on the wire.
    pub fn from_path(path: &str) -> Option<Self> {
        CALLS.iter().find(|(_, _, known, _)| *known == path).map(|(call, ..)| *call)
    }

    /// The call with this number in the audit.
    pub fn from_number(number: u16) -> Option<Self> {
        CALLS.iter().find(|(_, known, ..)| *known == number).map(|(call, ..)| *call)
    }

    /// The number in the audit.
    pub fn number(self) -> u16 {
        CALLS.iter().find(|(call, ..)| *call == self).map_or(0, |(_, number, ..)| *number)
    }

    /// The path on the wire.
    pub fn path(self) -> &'static str {
        CALLS.iter().find(|(call, ..)| *call == self).map_or("", |(_, _, path, _)| path)
    }
}

/// Whether this caller may make this call. Without an entry in the table nobody may.
pub fn may(caller: Caller, call: Call) -> bool {
    let entry = CALLS.iter().find(|(known, ..)| *known == call);
    let Some((_, _, _, who)) = entry else { return false };
    match who {
        Who::Root => caller == Caller::Root,
        Who::Operators => matches!(caller, Caller::Root | Caller::Operator),
        Who::Managers => caller == Caller::Manager,
        Who::Nodes => matches!(caller, Caller::Manager | Caller::Worker),
        Who::Anybody => matches!(caller, Caller::Manager | Caller::Worker | Caller::Stranger),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_8_every_entry_has_a_number_and_a_path_of_its_own() {
        for (call, number, path, _) in CALLS {
            assert_eq!(Call::from_number(*number), Some(*call));
            assert_eq!(Call::from_path(path), Some(*call));
            assert_eq!((call.number(), call.path()), (*number, *path));
        }
    }

    #[test]
    fn callers_may_make_the_calls_of_their_kind_alone() {
        for (call, _, _, who) in CALLS {
            let (root, operator, manager, worker, stranger) = match who {
                Who::Root => (true, false, false, false, false),
                Who::Operators => (true, true, false, false, false),
                Who::Managers => (false, false, true, false, false),
                Who::Nodes => (false, false, true, true, false),
                Who::Anybody => (false, false, true, true, true),
            };
            for (caller, expected) in [
                (Caller::Root, root),
                (Caller::Operator, operator),
                (Caller::Manager, manager),
                (Caller::Worker, worker),
                (Caller::Stranger, stranger),
            ] {
                assert_eq!(may(caller, *call), expected, "{caller:?} {call:?}");
            }
        }
    }

    #[test]
    fn case_70_root_alone_saves_and_restores_the_whole_cluster_and_says_who_else_may_read_it() {
        let refused = CALLS.iter().filter(|(call, _, _, who)| {
            *who != Who::Managers && may(Caller::Root, *call) && !may(Caller::Operator, *call)
        });
        let refused: Vec<_> = refused.map(|(call, ..)| *call).collect();
        assert_eq!(refused, [Call::BackupSave, Call::BackupRestore, Call::BackupSchedule]);
    }

    #[test]
    fn case_8_a_stranger_may_ask_for_the_root_and_for_a_certificate_and_no_more() {
        let open = CALLS.iter().filter(|(call, ..)| may(Caller::Stranger, *call));
        let open: Vec<_> = open.map(|(call, ..)| *call).collect();
        assert_eq!(open, [Call::CaRoot, Call::CaIssue, Call::CaStatus]);
        assert_eq!(Call::from_path("/coffer.v1.Secrets/Reveal"), None);
    }
}
