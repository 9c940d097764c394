//! Checks of several managers.

use std::time::Duration;

use prost::Message;
use tests::cluster::{form, leader};
use tests::messages::{InspectValueRequest, InspectValueResponse, NewVersion, RotateValuesRequest};
use tests::proxy::Proxies;
use tests::{Daemon, Node, Wire, wait_until};

use super::{Planted, Verdict, proves};

/// How long one that is cut off may take to say that it knows nothing.
const ANSWER: Duration = Duration::from_secs(4);

fn config(node: &Node, patience: Duration) -> Option<InspectValueResponse> {
    let request = InspectValueRequest { reference: "c".to_owned() };
    let path = "/coffer.v1.Configs/Inspect";
    let answer = Wire::lazy(node).call_within(patience, path, request.encode_to_vec())?.ok()?;
    InspectValueResponse::decode(&answer[..]).ok()
}

fn version(node: &Node, patience: Duration) -> Option<u32> {
    Some(config(node, patience)?.value?.current)
}

/// Managers behind doors of their own.
fn behind(planted: &Planted) -> [Node; 3] {
    planted.nodes::<3>().map(|node| node.behind(&tests::node::own_address()))
}

fn rotate(node: &Node) {
    let version = NewVersion { reference: "c".to_owned(), value: b"two".to_vec(), expected: 0 };
    let request = RotateValuesRequest {
        versions: vec![version],
        keep_pending: false,
        label: String::new(),
        request_id: vec![9; 16],
    };
    wait_until("the others write", || {
        let path = "/coffer.v1.Configs/Rotate";
        let answer = Wire::lazy(node).call_within(ANSWER, path, request.encode_to_vec());
        answer.is_some_and(|answer| answer.is_ok())
    });
}

/// First the leader, then a follower: nobody hears it and it hears nobody, while the others write.
#[test]
fn a_manager_that_is_cut_off_reads_nothing_old() {
    let check = "a_manager_that_is_cut_off_reads_nothing_old";
    let bugs = ["stale-read-by-old-leader", "stale-read-by-follower"];
    proves(check, &bugs, |planted| {
        for is_leader in [true, false] {
            cut_off(planted, is_leader)?;
        }
        Ok(())
    });
}

fn cut_off(planted: &Planted, is_leader: bool) -> Verdict {
    let nodes = behind(planted);
    let doors = nodes.each_ref().map(|node| {
        let own = |address: Option<&str>| address.expect("it has one").to_owned();
        (own(node.advertised()), own(node.address()))
    });
    let proxies = Proxies::start(&doors);
    let mut daemons = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let started = Daemon::spawn(node, node.cofferd());
        proxies.runs(at, Some(started.pid()));
        daemons.push(started.ready());
        if at == 0 {
            node.coffer(&["swarm", "init"]).said();
            continue;
        }
        let token = tests::cluster::token(&nodes[0], "manager");
        let door = nodes[0].advertised().expect("it has one");
        node.coffer(&["swarm", "join", "--token", &token, door]).said();
    }
    nodes[0].coffer_reading(&["config", "create", "c", "-"], b"one").said();
    for node in &nodes {
        wait_until("everybody has it", || version(node, ANSWER) == Some(1));
        wait_until("all vote", || tests::cluster::voters(node) == 3);
    }
    let first = leader(&nodes.each_ref());
    let (cut, rest) = if is_leader { (first, (first + 1) % 3) } else { ((first + 1) % 3, first) };
    proxies.change(|rules| {
        for other in (0..3).filter(|other| *other != cut) {
            rules[cut][other].is_held = true;
            rules[other][cut].is_held = true;
        }
    });
    rotate(&nodes[rest]);
    let read = version(&nodes[cut], ANSWER);
    proxies.heal();
    match read {
        Some(1) => Err(format!(
            "it reads what was replaced (it {} lead)",
            if is_leader { "did" } else { "did not" }
        )),
        _ => Ok(()),
    }
}

#[test]
fn all_managers_hold_the_same() {
    proves("all_managers_hold_the_same", &["apply-differs-by-node"], |planted| {
        let nodes = planted.nodes::<3>();
        let _daemons = form(&nodes);
        nodes[0].coffer_reading(&["config", "create", "c", "-"], b"one").said();
        let shown = nodes.each_ref().map(|node| {
            let mut shown = String::new();
            wait_until("everybody reads", || {
                let run = node.coffer(&["config", "inspect", "c"]);
                shown = run.stdout;
                run.code == Some(0)
            });
            shown
        });
        if shown.iter().all(|one| *one == shown[0]) { Ok(()) } else { Err(format!("{shown:?}")) }
    });
}
