//! Managers that come back at another address.

use prost::Message;
use tests::cluster::{form, id, leader, listed, nodes, status, text, voters};
use tests::node::own_address;
use tests::{Daemon, Impostor, Node, wait_until};
use tonic::Code;

/// What a manager says of itself.
#[derive(Clone, PartialEq, Message)]
struct AdmitRequest {
    #[prost(string, tag = "1")]
    addr: String,
    #[prost(string, tag = "2")]
    hostname: String,
    #[prost(string, tag = "3")]
    engine_version: String,
}

/// Three managers that vote.
fn cluster(nodes: &[Node; 3]) -> [Option<Daemon<'_>>; 3] {
    let daemons: Vec<_> = form(nodes).into_iter().map(Some).collect();
    for node in nodes {
        wait_until("all vote", || voters(node) == 3);
    }
    daemons.try_into().unwrap_or_else(|_| unreachable!("there are three"))
}

/// Where a node's record says that it is.
fn recorded(by: &Node, id: &str) -> String {
    by.coffer(&["node", "inspect", id, "--format", "{{.Status.Addr}}"]).stdout.trim().to_owned()
}

/// Where Raft calls a node, as `coffer status` shows it.
fn shown(by: &Node, id: &str) -> String {
    let status = status(by).unwrap_or_default();
    let managers = status["Managers"].as_array().cloned().unwrap_or_default();
    let one = managers.iter().find(|one| text(one, "NodeID") == id);
    one.map(|one| text(one, "Addr")).unwrap_or_default()
}

/// Everybody knows a node to be there, and it is reached.
#[track_caller]
fn wait_known(by: &[&Node], id: &str, addr: &str) {
    for node in by {
        wait_until("its record says where it is", || recorded(node, id) == addr);
        wait_until("it is called there", || shown(node, id) == addr);
    }
    wait_until("it is heard", || listed(by[0], id).starts_with("Ready"));
}

fn names(node: &Node) -> String {
    node.coffer(&["secret", "ls", "--format", "{{.Name}}"]).stdout
}

#[test]
fn a_follower_that_comes_back_elsewhere_is_reached_there_and_counts() {
    let test = "a_follower_that_comes_back_elsewhere_is_reached_there_and_counts";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons = cluster(&nodes);
    let lead = leader(&nodes.each_ref());
    let (moved, third) = ((lead + 1) % 3, (lead + 2) % 3);
    let (node, own) = (&nodes[moved], id(&nodes[moved]));
    daemons[moved].take().unwrap().kill();
    nodes[lead].secret("meanwhile", b"value");
    let there = own_address();
    daemons[moved] = Some(Daemon::start(node, node.cofferd_moved_to(&there)));
    wait_until("it reads what it missed", || names(node) == "meanwhile\n");
    wait_known(&[&nodes[lead], &nodes[third], node], &own, &there);
    node.secret("from-there", b"value");
    // With the third one gone, the two are a majority.
    daemons[third].take().unwrap().kill();
    nodes[lead].secret("two-of-three", b"value");
    wait_until("it follows", || names(node) == "from-there\nmeanwhile\ntwo-of-three\n");
}

#[test]
fn the_leader_comes_back_elsewhere_after_a_restart_of_all_and_then_another_one() {
    let test = "the_leader_comes_back_elsewhere_after_a_restart_of_all_and_then_another_one";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons = cluster(&nodes);
    let first = leader(&nodes.each_ref());
    let [second, third] = [1, 2].map(|next| (first + next) % 3);
    let ids = nodes.each_ref().map(id);
    nodes[first].secret("before", b"value");
    daemons.iter_mut().for_each(|daemon| daemon.take().unwrap().kill());
    let theirs = [own_address(), own_address()];
    for (place, node) in nodes.iter().enumerate() {
        let command =
            if place == first { node.cofferd_moved_to(&theirs[0]) } else { node.cofferd() };
        daemons[place] = Some(Daemon::start(node, command));
    }
    wait_known(&nodes.each_ref(), &ids[first], &theirs[0]);
    // The next one knows the first by its new address alone, or not at all.
    daemons[second].take().unwrap().kill();
    nodes[first].secret("between", b"value");
    let node = &nodes[second];
    daemons[second] = Some(Daemon::start(node, node.cofferd_moved_to(&theirs[1])));
    wait_known(&nodes.each_ref(), &ids[second], &theirs[1]);
    daemons[third].take().unwrap().kill();
    nodes[first].secret("two-that-moved", b"value");
    wait_until("it follows", || names(node) == "before\nbetween\ntwo-that-moved\n");
}

#[test]
fn all_managers_at_other_addresses_find_each_other_by_one_that_is_given() {
    let test = "all_managers_at_other_addresses_find_each_other_by_one_that_is_given";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons = cluster(&nodes);
    let ids = nodes.each_ref().map(id);
    nodes[0].secret("before", b"value");
    daemons.iter_mut().for_each(|daemon| daemon.take().unwrap().kill());
    let theirs = [own_address(), own_address(), own_address()];
    for (place, node) in nodes.iter().enumerate() {
        let mut command = node.cofferd_moved_to(&theirs[place]);
        if place == 2 {
            // Alone they do not find each other, and say what to do.
            let first = daemons[0].as_ref().unwrap();
            wait_until("it says so", || first.log().contains("--manager-addr IP:PORT"));
        }
        if place > 0 {
            command.args(["--manager-addr", &theirs[0]]);
        }
        daemons[place] = Some(Daemon::start(node, command));
    }
    for (id, addr) in ids.iter().zip(&theirs) {
        wait_known(&nodes.each_ref(), id, addr);
    }
    wait_until("they go on", || names(&nodes[1]) == "before\n");
    nodes[2].secret("after", b"value");
}

#[test]
fn a_lone_manager_that_moved_says_so_in_its_own_record() {
    let test = "a_lone_manager_that_moved_says_so_in_its_own_record";
    let Some([node]) = nodes::<1>(test) else { return };
    let daemon = node.start_cluster();
    daemon.kill();
    let there = own_address();
    let _daemon = Daemon::start(&node, node.cofferd_moved_to(&there));
    wait_known(&[&node], &id(&node), &there);
    let command = node.coffer(&["swarm", "join-token", "manager"]).said();
    assert!(command.contains(&there), "{command}");
}

#[test]
fn a_managers_address_is_its_own_word_about_itself_and_nobody_elses_address() {
    let test = "a_managers_address_is_its_own_word_about_itself_and_nobody_elses_address";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons = cluster(&nodes);
    let ids = nodes.each_ref().map(id);
    let addresses = nodes.each_ref().map(|node| node.address().unwrap().to_owned());
    daemons[2].take().unwrap().kill();
    // Whoever has its files speaks for it alone, and cannot say that it is where another one answers, or nobody.
    let impostor = Impostor::of(&nodes[2]);
    for addr in [&addresses[1], &own_address()] {
        let place = AdmitRequest {
            addr: addr.clone(),
            hostname: "host".to_owned(),
            engine_version: "0".to_owned(),
        };
        let refused = impostor.call(&nodes[0], "/coffer.v1.Managers/Admit", &place).unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{addr}: {refused:?}");
    }
    // The same from a real one: it says what is wrong, and is still heard at the old address.
    let mut command = nodes[2].cofferd();
    command.args(["--advertise-addr", &addresses[1]]);
    let wrong = Daemon::start(&nodes[2], command);
    let text = format!("{} is the address of manager {}", addresses[1], ids[1]);
    wait_until("it is told so", || wrong.log().contains(&text));
    for node in &nodes {
        for (id, addr) in ids.iter().zip(&addresses) {
            assert_eq!((&recorded(node, id), &shown(node, id)), (addr, addr));
        }
    }
    nodes[2].secret("from-the-third", b"value");
    wrong.end();
    let there = own_address();
    daemons[2] = Some(Daemon::start(&nodes[2], nodes[2].cofferd_moved_to(&there)));
    wait_known(&nodes.each_ref(), &ids[2], &there);
}
