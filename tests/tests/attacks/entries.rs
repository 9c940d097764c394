//! Entries that no sound manager sends.

use prost::Message;
use tests::cluster::{form, nodes};
use tests::peers::{AppendRequest, AppendResponse, Entry, LogId, Vote};
use tests::{Daemon, Impostor, Node};
use tonic::{Code, Status};

use super::{FAR_TERM, go_on, settled};

const HEARTBEAT: &str = "/coffer.v1.Raft/Heartbeat";
const APPEND: &str = "/coffer.v1.Raft/Append";

fn at(impostor: &Impostor, term: u64, index: u64) -> LogId {
    LogId { term, node: impostor.raft_id(), index }
}

fn append(impostor: &Impostor, term: u64, payloads: &[&[u8]]) -> AppendRequest {
    let entry = |(index, payload): (u64, &&[u8])| Entry {
        id: Some(at(impostor, term, index)),
        payload: payload.to_vec(),
    };
    AppendRequest {
        vote: Some(Vote { term, node: impostor.raft_id(), committed: true }),
        previous: Some(at(impostor, term, 99_999)),
        entries: (100_000..).zip(payloads).map(entry).collect(),
        committed: None,
    }
}

fn send(impostor: &Impostor, to: &Node, request: &AppendRequest) -> Result<AppendResponse, Status> {
    let answer = impostor.call(to, HEARTBEAT, request)?;
    AppendResponse::decode(&answer[..]).map_err(|error| Status::data_loss(error.to_string()))
}

/// Three managers, one of which is gone and in other hands.
fn taken_over<'a>(nodes: &'a [Node; 3]) -> (Impostor, Vec<Daemon<'a>>) {
    let mut daemons = form(nodes);
    settled(nodes);
    nodes[0].coffer_reading(&["config", "create", "before", "-"], b"value").said();
    let impostor = Impostor::of(&nodes[2]);
    daemons.pop().expect("three were started").kill();
    (impostor, daemons)
}

fn all_go_on(nodes: &[Node; 3], daemons: &mut [Daemon], name: &str) {
    go_on(&[&nodes[0], &nodes[1]], &mut daemons.iter_mut().collect::<Vec<_>>(), name);
    go_on(&[&nodes[1], &nodes[0]], &mut daemons.iter_mut().collect::<Vec<_>>(), "before");
}

/// An entry of no known kind is refused before it is in any log: nobody stops on it, now or after a restart.
#[test]
fn case_40_an_entry_that_does_not_read_is_refused_before_it_is_kept() {
    let test = "case_40_an_entry_that_does_not_read_is_refused_before_it_is_kept";
    let Some(nodes) = nodes::<3>(test) else { return };
    let (impostor, mut daemons) = taken_over(&nodes);
    // An unknown action (field 999 of a command), a higher feature level than there is, no payload at all,
    // and what is not even a message.
    let unknown: &[u8] = &[0x12, 0x05, 0xba, 0x3e, 0x02, 0x08, 0x01];
    let level: &[u8] = &[0x12, 0x06, 0x20, 0xff, 0xff, 0xff, 0xff, 0x0f];
    for payload in [unknown, level, b"".as_slice(), b"\xff\xff\xff".as_slice()] {
        for node in &nodes[..2] {
            let answer = send(&impostor, node, &append(&impostor, FAR_TERM, &[payload]));
            let code = answer.expect_err("it is refused").code();
            assert_eq!(code, Code::InvalidArgument, "{payload:?}");
            let stream = vec![append(&impostor, FAR_TERM, &[payload]).encode_to_vec()];
            let answers = impostor.exchange(node, APPEND, stream);
            assert!(answers.is_ok_and(|answers| answers.is_empty()), "{payload:?}");
        }
    }
    all_go_on(&nodes, &mut daemons, "after");
    daemons.into_iter().for_each(Daemon::kill);
    let mut daemons: Vec<_> = nodes[..2].iter().map(Node::start).collect();
    all_go_on(&nodes, &mut daemons, "after-a-restart");
}

#[test]
fn case_41_entries_out_of_place_of_an_old_term_or_too_long_change_nothing() {
    let test = "case_41_entries_out_of_place_of_an_old_term_or_too_long_change_nothing";
    let Some(nodes) = nodes::<3>(test) else { return };
    let (impostor, mut daemons) = taken_over(&nodes);
    // A blank entry.
    let blank: &[u8] = &[0x0a, 0x00];
    for node in &nodes[..2] {
        let old = send(&impostor, node, &append(&impostor, 0, &[blank]));
        let old = old.expect("it answers");
        assert!(old.higher_vote.is_some() && old.kept.is_none(), "of an old term: {old:?}");
        let gap = send(&impostor, node, &append(&impostor, FAR_TERM, &[blank]));
        let gap = gap.expect("it answers");
        assert!(gap.kept.is_none(), "behind a gap: {gap:?}");
        let mut holes = append(&impostor, FAR_TERM, &[blank, blank]);
        holes.entries[1].id = Some(at(&impostor, FAR_TERM, u64::MAX));
        let holes = send(&impostor, node, &holes);
        assert!(holes.is_err() || holes.is_ok_and(|answer| answer.kept.is_none()), "with a hole");
        let long = vec![b'x'; 80 << 20];
        let long = send(&impostor, node, &append(&impostor, FAR_TERM, &[&long]));
        assert!(long.is_err(), "80 MiB");
        let nothing = send(&impostor, node, &AppendRequest::default());
        assert_eq!(nothing.expect_err("it is refused").code(), Code::InvalidArgument);
    }
    all_go_on(&nodes, &mut daemons, "after");
}
