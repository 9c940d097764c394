//! What commands name, and the words of refusals.

use super::*;
use crate::service::tests::spec;
use crate::state::tests::create_cluster;

#[test]
fn refusals_speak_swarms_words() {
    let name = SecretName::parse("N").unwrap();
    let kind = ObjectKind::Secret;
    let in_use = |services: &[&str]| Refusal::InUse {
        kind,
        name: name.clone(),
        services: services.iter().map(ToString::to_string).collect(),
    };
    let held = |holders: &[(&str, u64)], others| {
        let holder = |(service, tasks): &(&str, u64)| HolderName {
            service: (*service).to_owned(),
            tasks: *tasks,
        };
        let (name, holders) = (name.clone(), holders.iter().map(holder).collect());
        Refusal::VersionHeld { kind, name, number: 2, holders, others }
    };
    let missing = |names: &[&str]| Refusal::GrantedSecretsMissing {
        names: names.iter().map(ToString::to_string).collect(),
    };
    for (refusal, text) in [
        (in_use(&["web"]), "secret 'N' is in use by the following service: web"),
        (in_use(&["a", "b"]), "secret 'N' is in use by the following services: a, b"),
        (missing(&["n"]), "secret not found: n"),
        (missing(&["a", "b"]), "secrets not found: a, b"),
        (Refusal::NameTaken { kind, name: "N".into() }, "secret N already exists"),
        (Refusal::lookup(Class::Config, "X", LookupError::NotFound), "config X not found"),
        (
            Refusal::lookup(kind, "X", LookupError::Ambiguous(2)),
            "secret X is ambiguous (2 matches found)",
        ),
        (Refusal::OutOfSequence, "update out of sequence"),
        (
            held(&[("web", 1)], 0),
            "version 2 of secret 'N' is held by 1 task: web (1). Wait until they have switched, \
             or destroy it with --force: they keep what they have",
        ),
        (
            held(&[("a", 1), ("b", 2)], 7),
            "version 2 of secret 'N' is held by 3 tasks of a (1), b (2), and by 7 services more. \
             Wait until they have switched, or destroy it with --force: they keep what they have",
        ),
    ] {
        assert_eq!(refusal.to_string(), text);
    }
}

fn id(n: u8) -> ObjectId {
    ObjectId::from_entropy([n; 17])
}

fn sealed() -> Sealed {
    Sealed { epoch: Epoch(1), nonce: [0; 24], text: [0; 20][..].into() }
}

fn new_object(n: u8) -> NewObject {
    let (name, labels) = (SecretName::parse("a").unwrap(), Labels::default());
    NewObject { id: id(n), name, labels, limit: VersionLimit::default(), sealed: sealed() }
}

fn new_version(n: u8) -> NewVersion {
    let sealed = sealed();
    NewVersion { id: id(n), number: 2, sealed, activate: true, label: None, expected: None }
}

#[test]
fn an_action_names_what_it_acts_on_for_the_audit() {
    let node = NodeId::from(id(1));
    let destroyed = DestroyVersion { id: id(1), number: 1, is_forced: false };
    let updated = UpdateObject { id: id(1), expected: None, labels: None, limit: None };
    let node_updated =
        NodeUpdate { id: node, expected: None, role: None, availability: None, labels: None };
    let class = Class::Config;
    let targets = [1, 2].map(|n| (id(n), VersionRef::Number(1)));
    for (action, objects) in [
        (create_cluster(), &[1][..]),
        (Action::Create(class, vec![new_object(1), new_object(2)]), &[1, 2]),
        (Action::Rotate(class, vec![new_version(1), new_version(2)]), &[1, 2]),
        (Action::Activate(class, targets.into()), &[1, 2]),
        (Action::Rollback(class, vec![id(1), id(2)]), &[1, 2]),
        (Action::Remove(class, id(1)), &[1]),
        (Action::DestroyVersion(class, destroyed), &[1]),
        (Action::Update(class, updated), &[1]),
        (Action::CreateService(id(1).into(), Box::new(spec("web"))), &[1]),
        (Action::RemoveService(id(1).into()), &[1]),
        (Action::UpdateNode(node_updated), &[1]),
        (Action::RemoveNode(node, true), &[1]),
        (Action::RevokeToken(TokenId::from(id(1))), &[1]),
        (Action::StandAlone(node), &[1]),
        (Action::ReportNodes(vec![(node, NodeStatus::Ready)]), &[]),
        (Action::WantEpochAfter(Epoch(1)), &[]),
    ] {
        let expected: Vec<_> = objects.iter().map(|n| id(*n)).collect();
        assert_eq!(action.objects(), expected, "{action:?}");
    }
}
