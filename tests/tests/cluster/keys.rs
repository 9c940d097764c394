//! The data key, between managers.

use tests::cluster::{form, leader, nodes, wait_for_newer_key};
use tests::{Daemon, Node};

fn shown(node: &Node) -> String {
    node.coffer(&["config", "inspect", "--format", "{{.Spec.Data}}", "c"]).stdout
}

#[test]
fn a_rotation_of_the_data_key_reaches_every_manager_and_old_keys_go() {
    let test = "a_rotation_of_the_data_key_reaches_every_manager_and_old_keys_go";
    let Some(nodes) = nodes::<3>(test) else { return };
    let daemons = form(&nodes);
    nodes[0].coffer_reading(&["config", "create", "c", "-"], b"shown").said();
    let mut before = 1;
    for by in &nodes {
        let said = by.coffer(&["swarm", "rotate-keys"]).said();
        assert!(said.trim_end().ends_with("the older keys are gone."), "{said}");
        before = wait_for_newer_key(&nodes.each_ref(), before);
        for node in &nodes {
            assert_eq!(shown(node), "c2hvd24=\n");
        }
    }
    daemons.into_iter().for_each(Daemon::end);
}

#[test]
fn case_33_a_manager_that_was_down_during_a_rotation_fetches_the_key() {
    let test = "case_33_a_manager_that_was_down_during_a_rotation_fetches_the_key";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    nodes[0].coffer_reading(&["config", "create", "c", "-"], b"shown").said();
    let away = (leader(&nodes.each_ref()) + 1) % 3;
    daemons[away].take().unwrap().kill();
    let here = [(away + 1) % 3, (away + 2) % 3];
    nodes[here[0]].coffer(&["swarm", "rotate-keys", "-d"]).said();
    let newer = wait_for_newer_key(&here.map(|one| &nodes[one]), 1);
    daemons[away] = Some(nodes[away].start());
    assert_eq!(wait_for_newer_key(&nodes.each_ref(), 1), newer);
    assert_eq!(shown(&nodes[away]), "c2hvd24=\n");
    nodes[away].secret("after", b"value");
}

/// The leader dies again and again while keys are rotated: every value opens on every manager afterwards.
#[test]
fn case_33_rotations_whose_leaders_are_killed_end_with_one_key_everywhere() {
    let test = "case_33_rotations_whose_leaders_are_killed_end_with_one_key_everywhere";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    nodes[0].coffer_reading(&["config", "create", "c", "-"], b"shown").said();
    let mut before = 1;
    for round in 0..4 {
        let old = leader(&nodes.each_ref());
        nodes[old].coffer(&["swarm", "rotate-keys", "-d"]).said();
        daemons[old].take().unwrap().kill();
        let name = format!("c{round}");
        nodes[(old + 1) % 3].coffer_reading(&["config", "create", &name, "-"], b"shown").said();
        daemons[old] = Some(nodes[old].start());
        before = wait_for_newer_key(&nodes.each_ref(), before);
        for node in &nodes {
            let args = ["config", "inspect", "--format", "{{.Spec.Data}}", &name];
            assert_eq!(
                (shown(node), node.coffer(&args).word()),
                ("c2hvd24=\n".into(), "c2hvd24=".into())
            );
        }
    }
}
