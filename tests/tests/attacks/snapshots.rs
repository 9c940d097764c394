//! Snapshots that no sound manager sends.

use std::collections::HashMap;
use std::fs;

use prost::Message;
use tests::cluster::{form, nodes};
use tests::peers::{LogId, SnapshotHead, SnapshotPiece, Vote};
use tests::{Impostor, Node};

use super::{FAR_TERM, go_on, settled};

const SNAPSHOT: &str = "/coffer.v1.Raft/Snapshot";

#[derive(Clone, PartialEq, Message)]
struct Membership {
    #[prost(message, repeated, tag = "1")]
    configs: Vec<VoterSet>,
    #[prost(map = "uint64, message", tag = "2")]
    members: HashMap<u64, Member>,
}

#[derive(Clone, PartialEq, Message)]
struct VoterSet {
    #[prost(uint64, repeated, tag = "1")]
    ids: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct Member {
    #[prost(string, tag = "1")]
    node_id: String,
    #[prost(string, tag = "2")]
    addr: String,
}

/// The newest snapshot of a node.
fn newest(node: &Node) -> Vec<u8> {
    let folder = node.state_dir().join("cluster/snapshots");
    let files = fs::read_dir(folder).expect("it is there").flatten().map(|entry| entry.path());
    let newest = files.filter(|path| path.extension().is_some_and(|end| end == "snap")).max();
    fs::read(newest.expect("there is one")).expect("it is there")
}

fn drafts(node: &Node) -> usize {
    let folder = node.state_dir().join("cluster/snapshots");
    let names = fs::read_dir(folder).expect("it is there").flatten();
    names.filter(|entry| entry.file_name().to_string_lossy().contains("incoming")).count()
}

/// A head that would make whoever takes it up forget all that he has.
fn head(impostor: &Impostor, nodes: &[Node]) -> SnapshotPiece {
    let owns = nodes.iter().map(tests::impostor::membership);
    let members = owns.zip(nodes).map(|(own, node)| {
        let addr = node.address().expect("it has one").to_owned();
        (own.raft_id, Member { node_id: own.node.to_string(), addr })
    });
    let members: HashMap<_, _> = members.collect();
    let configs = vec![VoterSet { ids: members.keys().copied().collect() }];
    let last = LogId { term: FAR_TERM, node: impostor.raft_id(), index: FAR_TERM };
    let head = SnapshotHead {
        vote: Some(Vote { term: FAR_TERM, node: impostor.raft_id(), committed: true }),
        last: Some(last),
        membership_at: Some(last),
        membership: Some(Membership { configs, members }.encode_to_vec()),
    };
    SnapshotPiece { head: Some(head), bytes: None }
}

fn bytes(part: &[u8]) -> SnapshotPiece {
    SnapshotPiece { head: None, bytes: Some(part.to_vec()) }
}

/// Of another cluster, of this one in another order, short, changed, longer, without its head, with two.
#[test]
fn case_41_42_snapshots_that_are_foreign_or_not_whole_are_refused_and_nobody_stops() {
    let test = "case_41_42_snapshots_that_are_foreign_or_not_whole_are_refused_and_nobody_stops";
    let Some(nodes) = nodes::<3>(test) else { return };
    let Some(foreign) = Node::for_test(test) else { return };
    let mut daemons = form(&nodes);
    settled(&nodes);
    // Each writes a snapshot after it.
    nodes[0].coffer_reading(&["config", "create", "before", "-"], b"value").said();
    nodes[0].coffer(&["swarm", "rotate-keys"]).said();
    let foreign_daemon = foreign.start_cluster();
    foreign.coffer(&["swarm", "rotate-keys"]).said();
    let (own, foreign) = (newest(&nodes[2]), newest(&foreign));
    drop(foreign_daemon);
    let impostor = Impostor::of(&nodes[2]);
    daemons.pop().expect("three were started").kill();
    let head = head(&impostor, &nodes);
    let half = own.len() / 2;
    let mut changed = own.clone();
    changed[half] ^= 1;
    let sent: [(&str, Vec<SnapshotPiece>); 8] = [
        ("of another cluster", vec![head.clone(), bytes(&foreign)]),
        ("of another place in the log", vec![head.clone(), bytes(&own)]),
        ("in another order", vec![head.clone(), bytes(&own[half..]), bytes(&own[..half])]),
        ("short", vec![head.clone(), bytes(&own[..half])]),
        ("changed", vec![head.clone(), bytes(&changed)]),
        ("longer", vec![head.clone(), bytes(&own), bytes(b"more")]),
        ("without a head", vec![bytes(&own)]),
        ("with two", vec![head.clone(), bytes(&own[..half]), head.clone(), bytes(&own[half..])]),
    ];
    for (what, pieces) in sent {
        for node in &nodes[..2] {
            let pieces = pieces.iter().map(Message::encode_to_vec).collect();
            let answer = impostor.send(node, SNAPSHOT, pieces);
            println!(
                "{what}: {}",
                answer.as_ref().map_or_else(ToString::to_string, |_| "taken".to_owned())
            );
            assert!(answer.is_err(), "{what}");
        }
        let mut running: Vec<_> = daemons.iter_mut().collect();
        go_on(&[&nodes[0], &nodes[1]], &mut running, "after");
        assert_eq!(drafts(&nodes[0]) + drafts(&nodes[1]), 0, "{what}: it is not kept");
    }
    let mut running: Vec<_> = daemons.iter_mut().collect();
    go_on(&[&nodes[0], &nodes[1]], &mut running, "before");
}
