//! A new cluster that is forced out of what one manager holds.

use tests::cluster::{form, id, join, leader, listed, nodes, token, voters};
use tests::{Daemon, wait_until};

#[test]
fn case_48_what_one_manager_holds_becomes_a_cluster_and_those_of_before_are_fenced_off() {
    let test =
        "case_48_what_one_manager_holds_becomes_a_cluster_and_those_of_before_are_fenced_off";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    let left = (leader(&nodes.each_ref()) + 1) % 3;
    let others = [(left + 1) % 3, (left + 2) % 3];
    nodes[left].secret("kept", b"value");
    let old = id(&nodes[others[0]]);
    for other in others {
        daemons[other].take().unwrap().kill();
    }
    let left = &nodes[left];
    let asked = left.coffer(&["swarm", "init", "--force-new-cluster"]);
    assert!(asked.code == Some(1) && asked.stderr.contains("give -y"), "{asked:?}");
    assert!(asked.stdout.contains("1 secrets"), "what it holds is shown: {asked:?}");
    let forced = left.coffer(&["swarm", "init", "--force-new-cluster", "--yes"]).said();
    assert!(forced.contains("is now a manager"), "{forced}");
    let names = || left.coffer(&["secret", "ls", "--format", "{{.Name}}"]).said();
    assert_eq!(names(), "kept\n");
    left.secret("new", b"value");
    assert_eq!(voters(left), 1);
    // One of before is back: alone it is no majority, and nobody here hears it.
    let back = &nodes[others[0]];
    daemons[others[0]] = Some(back.start());
    wait_until("it has no leader", || back.coffer(&["status"]).code == Some(2));
    assert!(listed(left, &old).starts_with("Down"), "{}", listed(left, &old));
    assert_eq!(voters(left), 1);
    assert_eq!(back.coffer(&["swarm", "leave", "--force"]).word(), "Node left the swarm.");
    let said = join(back, left, &token(left, "manager")).word();
    assert_eq!(said, "This node joined a swarm as a manager.");
    assert_ne!(id(back), old);
    assert_eq!(back.coffer(&["secret", "ls", "--format", "{{.Name}}"]).said(), "kept\nnew\n");
    assert!(left.coffer(&["audit", "verify"]).said().contains("chain whole"));
    daemons.into_iter().flatten().for_each(Daemon::end);
}
