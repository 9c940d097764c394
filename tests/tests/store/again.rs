//! Calls that are sent again because their answer was lost, and calls that come together.

use prost::Message;
use tests::messages::{NewVersion, RotateValuesRequest, RotateValuesResponse};
use tests::{Node, Wire};

use super::{pair, versions_of};

/// So many rotate one secret at one time.
const TOGETHER: usize = 5;

fn rotation(request: u8, value: &[u8]) -> Vec<u8> {
    let one = NewVersion { reference: "db".to_owned(), value: value.to_vec(), expected: 0 };
    let request_id = vec![request; 16];
    RotateValuesRequest { versions: vec![one], request_id, ..Default::default() }.encode_to_vec()
}

fn rotate(wire: &Wire, request: u8, value: &[u8]) -> Vec<u32> {
    let answer = wire.call("/coffer.v1.Secrets/Rotate", rotation(request, value));
    RotateValuesResponse::decode(&answer.expect("it is taken")[..]).unwrap().numbers
}

#[test]
fn a_rotation_that_is_sent_again_tells_its_own_number() {
    let test = "a_rotation_that_is_sent_again_tells_its_own_number";
    let Some(node) = Node::for_test(test) else { return };
    let daemon = node.start_cluster();
    node.secret("db", b"one");
    let wire = Wire::of(&node);
    assert_eq!(rotate(&wire, 1, b"two"), [2]);
    assert_eq!(rotate(&wire, 2, b"three"), [3]);
    assert_eq!(rotate(&wire, 1, b"two"), [2], "the answer that was lost");
    let expected = [pair("3", "current"), pair("2", "previous"), pair("1", "")];
    assert_eq!(versions_of(&node, "db"), expected);
    // Also once the secret is gone, and after a start.
    node.coffer(&["secret", "rm", "db"]).said();
    assert_eq!(rotate(&wire, 2, b"three"), [3]);
    daemon.kill();
    let daemon = node.start();
    assert_eq!(rotate(&Wire::of(&node), 1, b"two"), [2]);
    daemon.end();
}

#[test]
fn rotations_that_come_together_all_succeed() {
    let Some(node) = Node::for_test("rotations_that_come_together_all_succeed") else { return };
    let daemon = node.start_cluster();
    node.secret("db", b"one");
    for round in 0..4 {
        let mut numbers: Vec<u32> = std::thread::scope(|scope| {
            let all = (0..TOGETHER).map(|one| {
                let request = u8::try_from(1 + round * TOGETHER + one).unwrap();
                let node = &node;
                scope.spawn(move || rotate(&Wire::of(node), request, b"next"))
            });
            let all: Vec<_> = all.collect();
            all.into_iter().flat_map(|one| one.join().unwrap()).collect()
        });
        numbers.sort_unstable();
        let first = u32::try_from(2 + round * TOGETHER).unwrap();
        let last = first + u32::try_from(TOGETHER).unwrap();
        assert_eq!(numbers, (first..last).collect::<Vec<_>>());
    }
    daemon.end();
}
