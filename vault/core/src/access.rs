//! Who may call what: every call and every kind of caller, in one table.

/// A call that this daemon answers. The numbers stand in the audit and are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    SwarmInit,
    SwarmInspect,
    SwarmJoinTokens,
    SwarmRotateKeys,
    SwarmKeyStatus,
    NodesList,
    SecretsCreate,
    SecretsList,
    SecretsInspect,
    SecretsRemove,
    SecretsRotate,
    SecretsActivate,
    SecretsRollback,
    SecretsDestroy,
    SecretsUpdate,
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
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody whom the socket's mode let in: root, or a member of the group `coffer`.
    Operator,
    /// Anybody else.
    Stranger,
}

/// All calls: number, path on the wire, and whether an operator may make it. A stranger may make none.
pub const CALLS: &[(Call, u16, &str, bool)] = &[
    (Call::SwarmInit, 1, "/coffer.v1.Swarm/Init", true),
    (Call::SwarmInspect, 2, "/coffer.v1.Swarm/Inspect", true),
    (Call::SwarmJoinTokens, 3, "/coffer.v1.Swarm/JoinTokens", true),
    (Call::SwarmRotateKeys, 4, "/coffer.v1.Swarm/RotateKeys", true),
    (Call::SwarmKeyStatus, 5, "/coffer.v1.Swarm/KeyStatus", true),
    (Call::NodesList, 10, "/coffer.v1.Nodes/List", true),
    (Call::SecretsCreate, 20, "/coffer.v1.Secrets/Create", true),
    (Call::SecretsList, 21, "/coffer.v1.Secrets/List", true),
    (Call::SecretsInspect, 22, "/coffer.v1.Secrets/Inspect", true),
    (Call::SecretsRemove, 23, "/coffer.v1.Secrets/Remove", true),
    (Call::SecretsRotate, 24, "/coffer.v1.Secrets/Rotate", true),
    (Call::SecretsActivate, 25, "/coffer.v1.Secrets/Activate", true),
    (Call::SecretsRollback, 26, "/coffer.v1.Secrets/Rollback", true),
    (Call::SecretsDestroy, 27, "/coffer.v1.Secrets/Destroy", true),
    (Call::SecretsUpdate, 28, "/coffer.v1.Secrets/Update", true),
    (Call::ConfigsCreate, 40, "/coffer.v1.Configs/Create", true),
    (Call::ConfigsList, 41, "/coffer.v1.Configs/List", true),
    (Call::ConfigsInspect, 42, "/coffer.v1.Configs/Inspect", true),
    (Call::ConfigsRemove, 43, "/coffer.v1.Configs/Remove", true),
    (Call::ConfigsRotate, 44, "/coffer.v1.Configs/Rotate", true),
    (Call::ConfigsActivate, 45, "/coffer.v1.Configs/Activate", true),
    (Call::ConfigsRollback, 46, "/coffer.v1.Configs/Rollback", true),
    (Call::ConfigsDestroy, 47, "/coffer.v1.Configs/Destroy", true),
    (Call::ConfigsUpdate, 48, "/coffer.v1.Configs/Update", true),
    (Call::ServicesCreate, 60, "/coffer.v1.Services/Create", true),
    (Call::ServicesList, 61, "/coffer.v1.Services/List", true),
    (Call::ServicesInspect, 62, "/coffer.v1.Services/Inspect", true),
    (Call::ServicesTasks, 63, "/coffer.v1.Services/Tasks", true),
    (Call::ServicesRemove, 64, "/coffer.v1.Services/Remove", true),
    (Call::ServicesLogs, 65, "/coffer.v1.Services/Logs", true),
    (Call::EventsWatch, 80, "/coffer.v1.Events/Watch", true),
    (Call::AuditTail, 90, "/coffer.v1.Audit/Tail", true),
    (Call::AuditVerify, 91, "/coffer.v1.Audit/Verify", true),
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
    match caller {
        Caller::Operator => entry.is_some_and(|(_, _, _, operator)| *operator),
        Caller::Stranger => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_a_number_and_a_path_of_its_own() {
        for (call, number, path, _) in CALLS {
            assert_eq!(Call::from_number(*number), Some(*call));
            assert_eq!(Call::from_path(path), Some(*call));
            assert_eq!((call.number(), call.path()), (*number, *path));
        }
    }

    #[test]
    fn a_stranger_may_call_nothing() {
        for (call, ..) in CALLS {
            assert!(!may(Caller::Stranger, *call), "{call:?}");
        }
        assert_eq!(Call::from_path("/coffer.v1.Secrets/Reveal"), None);
    }
}
