//! Join tokens that end: what they let in, and what whoever shows one is told.

use std::collections::BTreeSet;
use std::thread;

use pki::csr;
use pki::key::{KeyDocument, SigningKey};
use prost::Message;
use tests::cluster::{form, leader, nodes, token};
use tests::{Impostor, Node, wait_until};
use tonic::{Code, Status};

use super::settled;

const ISSUE: &str = "/docker.swarmkit.v1.NodeCA/IssueNodeCertificate";
const NO_TOKEN: &str = "A valid join token is necessary to join this cluster";
/// Uses of the token that everybody wants at one time, and those who want it.
const USES: usize = 5;
const KEYS: usize = 12;

#[derive(Clone, PartialEq, Message)]
struct IssueRequest {
    #[prost(bytes = "vec", tag = "2")]
    csr: Vec<u8>,
    #[prost(string, tag = "3")]
    token: String,
    /// Of a node that runs `cofferd`.
    #[prost(uint32, tag = "1000")]
    coffer_level: u32,
}

#[derive(Clone, PartialEq, Message)]
struct IssueResponse {
    #[prost(string, tag = "1")]
    node_id: String,
}

/// A request for a certificate over a new key.
fn request() -> Vec<u8> {
    let random = vault::entropy::source();
    let document = KeyDocument::generate(&random).unwrap();
    csr::make(&SigningKey::parse(document.expose(), &random).unwrap()).unwrap().into_bytes()
}

/// Asks a manager for a node of that key. The caller's own certificate means nothing then.
fn ask(by: &Impostor, manager: &Node, csr: &[u8], token: &str) -> Result<String, Status> {
    let asked = IssueRequest { csr: csr.to_vec(), token: token.to_owned(), coffer_level: 1 };
    let answer = by.call(manager, ISSUE, &asked)?;
    Ok(IssueResponse::decode(&answer[..]).expect("it reads").node_id)
}

fn create(node: &Node, more: &[&str]) -> String {
    let args = ["swarm", "join-token", "create", "--role", "manager", "-q"];
    node.coffer(&[&args[..], more].concat()).word()
}

fn listed(node: &Node, format: &str) -> String {
    node.coffer(&["swarm", "join-token", "ls", "--format", format]).said().trim().to_owned()
}

fn assert_no_token(answer: Result<String, Status>, why: &str) {
    let refused = answer.expect_err(why);
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, NO_TOKEN), "{why}");
}

/// Each key asks both managers at one time, as a node does whose first answer is late.
#[test]
fn case_c49_c50_a_token_lets_in_as_often_as_was_said_however_it_is_asked() {
    let test = "case_c49_c50_a_token_lets_in_as_often_as_was_said_however_it_is_asked";
    let Some(nodes) = nodes::<2>(test) else { return };
    let _daemons = form(&nodes);
    settled(&nodes);
    let token = create(&nodes[0], &["--uses", &USES.to_string()]);
    let keys: Vec<_> = (0..KEYS).map(|_| request()).collect();
    let answers: Vec<_> = thread::scope(|scope| {
        let token = &token;
        let calls = keys.iter().flat_map(|csr| nodes.iter().map(move |node| (csr, node)));
        let calls = calls
            .map(|(csr, node)| scope.spawn(move || ask(&Impostor::of(node), node, csr, token)));
        let calls: Vec<_> = calls.collect();
        calls.into_iter().map(|call| call.join().expect("no panic")).collect()
    });
    let by = Impostor::of(&nodes[1]);
    let mut let_in = BTreeSet::new();
    for (csr, answers) in keys.iter().zip(answers.chunks(2)) {
        // The same again, long after the last use.
        let again = ask(&by, &nodes[0], csr, &token);
        let Ok(id) = &again else {
            assert_no_token(again, "one too many");
            continue;
        };
        for answer in answers {
            assert_eq!(answer.as_ref().ok(), Some(id), "one key is one node: {answer:?}");
        }
        assert!(let_in.insert(id.clone()), "one node for each key");
    }
    assert_eq!(let_in.len(), USES);
    assert_eq!(listed(&nodes[1], "{{.Status}} {{.Uses}}"), "used up 5/5");
    let known = nodes[0].coffer(&["node", "ls", "-q"]).said();
    assert_eq!(known.lines().count(), USES + 2);
}

#[test]
fn case_20_c44_whoever_shows_a_token_that_ended_hears_what_a_stranger_hears() {
    let test = "case_20_c44_whoever_shows_a_token_that_ended_hears_what_a_stranger_hears";
    let Some(nodes) = nodes::<1>(test) else { return };
    let [node] = &nodes;
    let daemon = node.start_cluster();
    let by = Impostor::of(node);
    let shown = |text: &str, why| assert_no_token(ask(&by, node, &request(), text), why);
    let lasting = token(node, "manager");
    let (end, other) = lasting.split_at(lasting.len() - 25);
    shown(&format!("{end}{}", other.chars().rev().collect::<String>()), "another secret");
    shown(&format!("SWMTKN-1-{}-{other}", "1".repeat(50)), "another root");
    shown(&lasting.to_uppercase(), "in capitals");
    shown(&lasting[..lasting.len() - 1], "cut");

    let short = create(node, &["--ttl", "1s"]);
    wait_until("it ends", || listed(node, "{{.Status}}") == "expired");
    shown(&short, "expired");
    let revoked = create(node, &["--ttl", "0"]);
    let csr = request();
    let first = ask(&by, node, &csr, &revoked).expect("it is good");
    let format = "{{.ID}} {{.Status}}";
    let good =
        listed(node, format).lines().find_map(|line| line.strip_suffix(" good").map(str::to_owned));
    node.coffer(&["swarm", "join-token", "revoke", &good.expect("it is listed")]).said();
    shown(&revoked, "revoked");
    assert_no_token(ask(&by, node, &csr, &revoked), "revoked, for whom it let in, too");
    assert!(node.coffer(&["node", "ls", "-q"]).said().contains(&first), "who stays");
    let log = daemon.log();
    for why in ["is expired", "is revoked"] {
        assert!(log.contains(why), "the operator is told: {log}");
    }
    for text in [&short, &revoked] {
        assert!(!log.contains(text.rsplit('-').next().unwrap()), "{log}");
    }
}

/// Whoever led can sign, and nobody believes it before the others have it on their disks.
#[test]
fn case_c19_c20_without_a_majority_no_certificate_is_given_out() {
    let test = "case_c19_c20_without_a_majority_no_certificate_is_given_out";
    let Some(nodes) = nodes::<3>(test) else { return };
    let mut daemons: Vec<_> = form(&nodes).into_iter().map(Some).collect();
    settled(&nodes);
    let token = token(&nodes[0], "manager");
    let led = leader(&nodes.each_ref());
    let (by, csr) = (Impostor::of(&nodes[led]), request());
    let others = [(led + 1) % 3, (led + 2) % 3];
    for other in others {
        daemons[other].take().expect("it was started").kill();
    }
    let refused = ask(&by, &nodes[led], &csr, &token).expect_err("nobody else has it");
    let codes = [Code::Unavailable, Code::DeadlineExceeded];
    assert!(codes.contains(&refused.code()), "{refused:?}");
    let known = nodes[led].coffer(&["node", "ls", "-q", "--stale"]).said();
    assert_eq!(known.lines().count(), 3, "and no record of it");
    let _again = others.map(|other| nodes[other].start());
    wait_until("it is given out", || ask(&by, &nodes[led], &csr, &token).is_ok());
    let known = nodes[led].coffer(&["node", "ls", "-q"]).said();
    assert_eq!(known.lines().count(), 4, "once, however often it was asked for");
}
