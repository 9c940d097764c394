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
        Refusal::NodeIsEngine { .. } => "node_is_engine",
        Refusal::NodesTooMany { .. } => "nodes_too_many",
        Refusal::RoleChanged { .. } => "role_changed",
        Refusal::KeyEnded { .. } => "key_ended",
        Refusal::KeyTaken => "key_taken",
        Refusal::TokenWorthless { .. } => "token_worthless",
        Refusal::TokensTooMany { .. } => "tokens_too_many",
        Refusal::TokenChanges => "token_changes",
        Refusal::Root(_) => "root_rotation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ObjectKind;
    use crate::id::{NodeId, TokenId};
    use crate::name::SecretName;
    use crate::root::RootRefusal;
    use crate::token::Standing;
    use crate::versioned::VersionRef;

    fn refusals() -> [Refusal; 29] {
        let (kind, name) = (ObjectKind::Secret, SecretName::parse("a").unwrap());
        let (id, number) = (NodeId::from_entropy([1; 17]), 1);
        let (text, token) = (String::new, TokenId::from_entropy([1; 17]));
        let named = || name.clone();
        [
            Refusal::ClusterExists,
            Refusal::NoCluster,
            Refusal::NameTaken { kind, name: text() },
            Refusal::NotFound { kind, reference: text() },
            Refusal::Ambiguous { kind, reference: text(), matches: 2 },
            Refusal::InUse { kind, name: named(), services: vec![] },
            Refusal::GrantedSecretsMissing { names: vec![] },
            Refusal::OutOfSequence,
            Refusal::OldKey,
            Refusal::NumberTaken,
            Refusal::NoVersion { kind, name: named(), version: VersionRef::Number(1) },
            Refusal::NoPrevious { kind, name: named() },
            Refusal::VersionNeeded { kind, name: named(), number, why: text() },
            Refusal::VersionHeld { kind, name: named(), number, holders: vec![], others: 0 },
            Refusal::LabelsTooMany { kind, name: named() },
            Refusal::NamedTwice { kind, name: named() },
            Refusal::LastManager,
            Refusal::QuorumLoss,
            Refusal::NoLabel { key: text() },
            Refusal::NodeIsManager { id },
            Refusal::NodeIsNotDown { id },
            Refusal::NodeIsEngine { id },
            Refusal::NodesTooMany { max: 1 },
            Refusal::RoleChanged { id },
            Refusal::KeyEnded { id },
            Refusal::KeyTaken,
            Refusal::TokenWorthless { id: token, standing: Standing::UsedUp },
            Refusal::TokensTooMany { max: 1 },
            Refusal::TokenChanges,
        ]
    }

    #[test]
    fn the_word_of_a_refusal_is_its_name() {
        for refusal in refusals() {
            let shown = format!("{refusal:?}");
            let name = shown.split(' ').next().unwrap();
            let parts = name.chars().flat_map(|letter| {
                let gap = letter.is_uppercase().then_some('_');
                gap.into_iter().chain([letter.to_ascii_lowercase()])
            });
            let words: String = parts.collect();
            assert_eq!(of(&refusal), words.trim_start_matches('_'));
        }
        assert_eq!(of(&Refusal::Root(RootRefusal::Running)), "root_rotation");
    }
}
