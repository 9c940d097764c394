//! One word for each refusal, for those who count them. Names no object.

use crate::command::Refusal;

/// The word.
pub fn of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::ClusterExists => "cluster_exists",
        Refusal::NoCluster => "no_cluster",
        Refusal::NameTaken { .. } => "name_taken",
        Refusal::NotFound { .. } => "not_found",
        Refusal::Ambiguous { .. } => "ambiguous",
        Refusal::InUse { .. } => "in_use",
        Refusal::GrantedSecretsMissing { .. } => "granted_secrets_missing",
        Refusal::OutOfSequence => "out_of_sequence",
        Refusal::OldKey => "old_key",
        Refusal::NumberTaken => "number_taken",
        Refusal::NoVersion { .. } => "no_version",
        Refusal::NoPrevious { .. } => "no_previous",
        Refusal::VersionNeeded { .. } => "version_needed",
        Refusal::VersionHeld { .. } => "version_held",
        Refusal::LabelsTooMany { .. } => "labels_too_many",
        Refusal::NamedTwice { .. } => "named_twice",
        Refusal::LastManager => "last_manager",
        Refusal::QuorumLoss => "quorum_loss",
        Refusal::NoLabel { .. } => "no_label",
        Refusal::NodeIsManager { .. } => "node_is_manager",
        Refusal::NodeIsNotDown { .. } => "node_is_not_down",
        Refusal::NodesTooMany { .. } => "nodes_too_many",
        Refusal::RoleChanged { .. } => "role_changed",
        Refusal::TokenChanges => "token_changes",
    }
}
