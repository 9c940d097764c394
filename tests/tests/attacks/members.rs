//! Managers who are none any more, who were cut off by force, or who run another version.

use tests::cluster::{
    form, id, join, leader, listed, nodes, status, token, voters, wait_for_newer_key, wait_listed,
};
use tests::wire::{field, number};
use tests::{Daemon, Impostor, Node, wait_until};
use tonic::Code;

use super::{Empty, go_on, settled};

const NO_TOKEN: &str = "A valid join token is necessary to join this cluster";
const READ_INDEX: &str = "/coffer.v1.Raft/ReadIndex";

fn names(node: &Node) -> String {
    node.coffer(&["secret", "ls", "--format", "{{.Name}}"]).stdout
}

#[test]
fn case_47_who_was_removed_comes_back_with_his_disk_and_the_old_token_as_nobody() {
    let test = "case_47_who_was_removed_comes_back_with_his_disk_and_the_old_token_as_nobody";
    let Some(nodes) = nodes::<4>(test) else { return };
    let mut daemons: Vec<_> = form(&nodes[..3]).into_iter().map(Some).collect();
    settled(&nodes[..3]);
    nodes[0].secret("before", b"value");
    let (gone, stays) = (&nodes[2], [&nodes[0], &nodes[1]]);
    let (gone_id, old_token) = (id(gone), token(gone, "manager"));
    let impostor = Impostor::of(gone);
    daemons[2].take().unwrap().kill();
    wait_listed(stays[0], &gone_id, "Down Unreachable");
    stays[0].coffer(&["node", "demote", &gone_id]).said();
    wait_until("two vote", || voters(stays[0]) == 2);
    wait_for_newer_key(&stays, 1);
    // The token that it knew lets nobody in, and its certificate opens nothing that a manager may.
    let _other = nodes[3].start();
    let refused = join(&nodes[3], stays[0], &old_token);
    assert!(refused.stderr.contains(NO_TOKEN), "{refused:?}");
    for path in ["Managers/Keyring", "Managers/Admit", "Raft/Append", "Raft/Vote"] {
        for node in stays {
            // Read first, so that the change is known there.
            listed(node, &gone_id);
            let answer = impostor.call(node, &format!("/coffer.v1.{path}"), &Empty {});
            assert_eq!(answer.unwrap_err().code(), Code::PermissionDenied, "{path}");
        }
    }
    stays[0].coffer(&["node", "rm", &gone_id]).said();
    // Its disk comes back, and stands for elections that nobody hears of.
    daemons[2] = Some(gone.start());
    wait_until("it has no leader", || gone.coffer(&["status"]).code == Some(2));
    stays[1].secret("after", b"value");
    let refused = gone.coffer_reading(&["secret", "create", "no", "-"], b"value");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(gone.coffer(&["secret", "ls"]).code, Some(1), "nor does it read");
    assert_eq!(names(stays[0]), "after\nbefore\n");
    assert_eq!((voters(stays[0]), listed(stays[0], &gone_id)), (2, String::new()));
    // It is welcome as somebody else.
    gone.coffer(&["swarm", "leave", "--force"]).said();
    join(gone, stays[1], &token(stays[1], "manager")).said();
    assert_ne!(id(gone), gone_id);
    wait_until("it reads", || names(gone) == "after\nbefore\n");
}

/// Both go on, each with what it was told, and neither hears the other.
#[test]
fn case_48_a_cluster_that_is_forced_while_the_majority_lives_takes_nothing_of_it() {
    let test = "case_48_a_cluster_that_is_forced_while_the_majority_lives_takes_nothing_of_it";
    let Some(nodes) = nodes::<3>(test) else { return };
    let _daemons = form(&nodes);
    settled(&nodes);
    nodes[0].secret("before", b"value");
    let lead = leader(&nodes.each_ref());
    let (forced, stays) = (&nodes[(lead + 1) % 3], [&nodes[lead], &nodes[(lead + 2) % 3]]);
    wait_until("it follows", || names(forced) == "before\n");
    let forced_id = id(forced);
    let old = [Impostor::of(forced), Impostor::of(stays[0])];
    forced.coffer(&["swarm", "init", "--force-new-cluster", "--yes"]).said();
    forced.secret("in-the-new", b"value");
    stays[0].secret("in-the-old", b"value");
    stays[1].secret("in-the-old-too", b"value");
    // As itself, as it was before, as one of those whom it left.
    for (impostor, to, code) in [
        (&Impostor::of(forced), stays[0], Code::FailedPrecondition),
        (&old[0], forced, Code::FailedPrecondition),
        (&old[1], forced, Code::PermissionDenied),
    ] {
        let answer = impostor.call(to, READ_INDEX, &Empty {});
        assert_eq!(answer.unwrap_err().code(), code, "by {} to {}", impostor.id(), id(to));
    }
    wait_until("it is missed", || listed(stays[0], &forced_id).starts_with("Down"));
    assert_eq!((voters(forced), voters(stays[0])), (1, 3));
    assert_eq!(names(forced), "before\nin-the-new\n");
    assert_eq!(names(stays[1]), "before\nin-the-old\nin-the-old-too\n");
    stays[0].coffer(&["node", "demote", &forced_id]).said();
    stays[0].coffer(&["node", "rm", &forced_id]).said();
    stays[1].secret("without-it", b"value");
    assert_eq!(names(forced), "before\nin-the-new\n");
}

/// A newer program among these, whichever of them leads: what it says beyond what they know is passed over,
/// and the level stays at what all know, so that the older one may come back.
#[test]
fn case_49_a_newer_manager_changes_nothing_for_the_others_and_may_become_older_again() {
    let test = "case_49_a_newer_manager_changes_nothing_for_the_others_and_may_become_older_again";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    settled(&nodes);
    let newer_id = id(&nodes[2]);
    let version = |by: &Node| {
        let format = "{{.Description.Engine.EngineVersion}}";
        by.coffer(&["node", "inspect", &newer_id, "--format", format]).stdout.trim().to_owned()
    };
    let level = |by: &Node| status(by).unwrap_or_default()["FeatureLevel"].as_u64();
    let known = version(&nodes[0]);
    let impostor = Impostor::of(&nodes[2]);
    let address = nodes[2].address().unwrap().as_bytes();
    for (to, said) in [(&nodes[0], "98.0.0"), (&nodes[1], "99.0.0")] {
        let parts = [
            field(1, address),
            field(2, b"host"),
            field(3, said.as_bytes()),
            number(4, 9),
            field(900, b"what nobody knows yet"),
        ];
        impostor.send(to, "/coffer.v1.Managers/Admit", vec![parts.concat()]).unwrap();
        wait_until("its version is known", || nodes.iter().all(|node| version(node) == said));
    }
    let lead = leader(&nodes.each_ref());
    let unknown = [field(900, b"new"), number(901, 7)].concat();
    let answer = impostor.send(&nodes[lead], READ_INDEX, vec![unknown]);
    assert!(lead == 2 || answer.is_ok(), "{answer:?}");
    for round in 0..2 {
        let lead = leader(&nodes.each_ref());
        nodes[(lead + 1) % 3].secret(&format!("under-{round}"), b"value");
        daemons[lead].take().unwrap().kill();
        daemons[lead] = Some(nodes[lead].start());
    }
    // It becomes what it was before.
    daemons[2].take().unwrap().kill();
    daemons[2] = Some(nodes[2].start());
    wait_until("its version is known", || nodes.iter().all(|node| version(node) == known));
    assert!(nodes.iter().all(|node| level(node) == Some(2)), "{:?}", level(&nodes[0]));
    let mut daemons: Vec<_> = daemons.iter_mut().flatten().collect::<Vec<&mut Daemon>>();
    go_on(&nodes.each_ref(), &mut daemons, "after");
}
