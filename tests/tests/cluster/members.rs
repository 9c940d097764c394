//! Managers that go: demoted, removed, leaving by themselves.

use std::time::{Duration, Instant};

use tests::cluster::{
    form, id, join, leader, listed, nodes, token, voters, wait_for_newer_key, wait_listed,
};
use tests::{Daemon, Node, wait_until};

fn demoting(test: &str, is_leader: bool, is_by_itself: bool) {
    let Some(nodes) = nodes::<3>(test) else { return };
    let _daemons = form(&nodes);
    nodes[0].coffer_reading(&["config", "create", "c", "-"], b"shown").said();
    let old_token = token(&nodes[0], "manager");
    let first = leader(&nodes.each_ref());
    let gone = if is_leader { first } else { (first + 1) % 3 };
    let stays = [(gone + 1) % 3, (gone + 2) % 3].map(|one| &nodes[one]);
    for node in &nodes {
        wait_until("all vote", || voters(node) == 3);
    }
    let gone = &nodes[gone];
    let gone_id = id(gone);
    for node in stays {
        let own = id(node);
        wait_until("all are ready", || listed(stays[0], &own).starts_with("Ready"));
    }
    wait_until("all are ready", || listed(stays[0], &gone_id).starts_with("Ready"));
    let by = if is_by_itself { gone } else { stays[0] };
    let start = Instant::now();
    let said = by.coffer(&["node", "demote", &gone_id]).word();
    assert_eq!(said, format!("Manager {gone_id} demoted in the swarm."));
    stays[1].secret("right-after", b"value");
    println!("{test}: demoted, and the next write taken, after {:?}", start.elapsed());
    for node in stays {
        wait_until("two vote", || voters(node) == 2);
    }
    // What it knew is worth nothing: the token is another one, the data key is changed.
    wait_until("the token is another one", || token(stays[0], "manager") != old_token);
    wait_for_newer_key(&stays, 1);
    // It cannot read or write any more, and asks nobody for the new key.
    let refused = gone.coffer_reading(&["secret", "create", "by-the-demoted", "-"], b"value");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let names = stays[0].coffer(&["secret", "ls", "--format", "{{.Name}}"]).said();
    assert_eq!(names, "right-after\n");

    wait_listed(stays[0], &gone_id, "Down");
    assert_eq!(stays[0].coffer(&["node", "rm", &gone_id]).word(), gone_id);
    assert!(!stays[0].coffer(&["node", "ls", "-q"]).said().contains(&gone_id));
}

#[test]
fn case_47_a_demoted_follower_loses_its_rights() {
    demoting("case_47_a_demoted_follower_loses_its_rights", false, false);
}

#[test]
fn case_47_a_leader_is_demoted_by_another_manager() {
    demoting("case_47_a_leader_is_demoted_by_another_manager", true, false);
}

#[test]
fn case_47_a_leader_demotes_itself() {
    demoting("case_47_a_leader_demotes_itself", true, true);
}

#[test]
fn case_47_a_manager_leaves_and_joins_again_as_somebody_new() {
    let test = "case_47_a_manager_leaves_and_joins_again_as_somebody_new";
    let Some(nodes) = nodes::<3>(test) else { return };
    let daemons = form(&nodes);
    nodes[0].secret("kept", b"value");
    let leaving = leader(&nodes.each_ref());
    let stays = [(leaving + 1) % 3, (leaving + 2) % 3].map(|one| &nodes[one]);
    let leaving = &nodes[leaving];
    let old = id(leaving);
    for node in stays {
        wait_until("all vote", || voters(node) == 3);
    }
    for node in &nodes {
        let own = id(node);
        wait_until("all are ready", || listed(stays[0], &own).starts_with("Ready"));
    }
    let refused = leaving.coffer(&["swarm", "leave"]);
    assert!(refused.stderr.contains("participating as a manager"), "{refused:?}");
    let start = Instant::now();
    assert_eq!(leaving.coffer(&["swarm", "leave", "--force"]).word(), "Node left the swarm.");
    println!("left after {:?}", start.elapsed());
    assert!(!leaving.state_dir().join("cluster").exists());
    assert!(leaving.coffer(&["secret", "ls"]).stderr.contains("not a swarm manager"));
    for node in stays {
        wait_until("two vote", || voters(node) == 2);
    }
    wait_listed(stays[0], &old, "Down");
    let said = join(leaving, stays[1], &token(stays[1], "manager")).word();
    assert_eq!(said, "This node joined a swarm as a manager.");
    assert_ne!(id(leaving), old);
    let names = leaving.coffer(&["secret", "ls", "--format", "{{.Name}}"]).said();
    assert_eq!(names, "kept\n");
    assert_eq!(stays[0].coffer(&["node", "rm", &old]).word(), old);
    daemons.into_iter().for_each(Daemon::end);
}

#[test]
fn case_47_what_would_lose_the_majority_is_refused() {
    let Some(nodes) = nodes::<3>("case_47_what_would_lose_the_majority_is_refused") else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    let ids: Vec<_> = nodes.iter().map(id).collect();
    let first = leader(&nodes.each_ref());
    let (down, other) = ((first + 1) % 3, (first + 2) % 3);
    daemons[down].take().unwrap().kill();
    let by: &Node = &nodes[first];
    wait_until("it is seen to be down", || listed(by, &ids[down]) == "Down Unreachable");
    assert_eq!(by.coffer(&["status"]).code, Some(2), "a manager is missing");
    let refused = by.coffer(&["node", "demote", &ids[other]]);
    assert!(refused.stderr.contains("this would result in a loss of quorum"), "{refused:?}");
    let refused = nodes[other].coffer(&["swarm", "leave"]);
    let text = "Removing this node leaves 1 managers out of 3.";
    assert!(refused.stderr.contains(text), "{refused:?}");
    let refused = by.coffer(&["node", "rm", &ids[down]]);
    assert!(refused.stderr.contains("must be demoted to worker before removal"), "{refused:?}");
    // The one that is down may go: the others are the majority of what is left.
    by.coffer(&["node", "demote", &ids[down]]).said();
    by.coffer(&["node", "rm", &ids[down]]).said();
    wait_until("two vote", || voters(by) == 2);
    // Its disk comes back: it is nobody any more.
    daemons[down] = Some(nodes[down].start());
    let start = Instant::now();
    let refused = nodes[down].coffer_reading(&["secret", "create", "no", "-"], b"value");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    by.secret("yes", b"value");
    let alone = by.coffer(&["node", "demote", &ids[other]]).word();
    assert_eq!(alone, format!("Manager {} demoted in the swarm.", ids[other]));
    wait_until("one votes", || voters(by) == 1);
    by.secret("alone", b"value");
    by.coffer(&["node", "demote", &ids[first]])
        .refused_by_daemon("attempting to demote the last manager of the swarm");
}

/// The leader dies at once: what a demoted manager knew is exchanged by whoever leads next.
#[test]
fn what_a_demoted_manager_knew_is_exchanged_though_the_leader_dies() {
    let test = "what_a_demoted_manager_knew_is_exchanged_though_the_leader_dies";
    let Some(nodes) = nodes::<4>(test) else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    nodes[0].coffer_reading(&["config", "create", "c", "-"], b"shown").said();
    for node in &nodes {
        wait_until("all vote", || voters(node) == 4);
    }
    let first = leader(&nodes.each_ref());
    let own_ids: Vec<_> = nodes.iter().map(id).collect();
    for own in &own_ids {
        wait_until("all are ready", || listed(&nodes[first], own).starts_with("Ready"));
    }
    let gone = (first + 1) % 4;
    let stays = [(first + 2) % 4, (first + 3) % 4];
    let old_token = token(&nodes[0], "manager");
    nodes[first].coffer(&["node", "demote", &own_ids[gone]]).said();
    assert_eq!(voters(&nodes[first]), 3, "it is out of Raft by then");
    daemons[first].take().unwrap().kill();
    let left = stays.map(|one| &nodes[one]);
    wait_for_newer_key(&left, 1);
    assert_ne!(token(left[0], "manager"), old_token);
    assert_eq!(voters(left[0]), 3);
    daemons[first] = Some(nodes[first].start());
    wait_for_newer_key(&[left[0], left[1], &nodes[first]], 1);
}
