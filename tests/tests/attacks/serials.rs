//! Serial numbers of certificates, over leaders that go and a cluster that comes back from a backup.

use std::collections::BTreeSet;
use std::fs;

use pki::pem::pem_to_der;
use tests::cluster::{form, join, leader, nodes, token};
use tests::impostor::credentials;
use tests::{Node, wait_until};

use super::settled;

/// Throw-away keys of age, of this test alone.
const IDENTITY: &str = "AGE-SECRET-KEY-1QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSKMP32K";
const RECIPIENT: &str = "age1zwlyl6h27gzv0lfntr7fcqrjrzqazap8sy5zylkxwneh7llf0dksu37mwt";

/// What is inside a value of DER, and what stands behind it.
fn opened(der: &[u8]) -> (&[u8], &[u8]) {
    let (start, length) = match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
        short => (2, usize::from(short)),
    };
    (&der[start..start + length], &der[start + length..])
}

/// The serial numbers of a node's certificate and of what it was issued by.
fn serials(node: &Node) -> [Vec<u8>; 2] {
    let credentials = credentials(node);
    [&credentials.chain, &credentials.roots].map(|pem| {
        let der = pem_to_der(pem).expect("it is PEM").remove(0);
        let (version, rest) = opened(opened(opened(&der).0).0);
        assert_eq!(version, [2, 1, 2], "a certificate of version 3");
        assert_eq!(rest[0], 2, "a number");
        opened(rest).0.to_vec()
    })
}

/// Two clusters go on from one state, and whoever counts on in it would give the same number twice.
#[test]
fn case_23_no_serial_number_comes_twice_over_leaders_and_a_restore() {
    let test = "case_23_no_serial_number_comes_twice_over_leaders_and_a_restore";
    let Some(nodes) = nodes::<6>(test) else { return };
    let [first, second, third, late, restored, later] = &nodes;
    let mut daemons: Vec<_> = form(&nodes[..3]).into_iter().map(Some).collect();
    settled(&nodes[..3]);
    let backup = first.scratch().path("cluster.age").to_str().unwrap().to_owned();
    let key = first.scratch().path("key.txt").to_str().unwrap().to_owned();
    fs::write(&key, IDENTITY).unwrap();
    first.coffer(&["backup", "save", "-r", RECIPIENT, &backup]).said();
    let old = leader(&[first, second, third]);
    daemons[old].take().unwrap().kill();
    let left = [&nodes[(old + 1) % 3], &nodes[(old + 2) % 3]];
    let _late = late.start();
    let by = left[leader(&left)];
    wait_until("one more joins", || join(late, by, &token(by, "manager")).code == Some(0));
    let _restored = restored.start();
    restored.coffer(&["backup", "restore", "-i", &key, &backup]).said();
    let _later = later.start();
    join(later, restored, &token(restored, "manager")).said();

    let all = nodes.each_ref().map(serials);
    let roots: BTreeSet<_> = all.iter().map(|[_, root]| root.clone()).collect();
    let leaves: BTreeSet<_> = all.iter().map(|[leaf, _]| leaf.clone()).collect();
    assert_eq!((roots.len(), leaves.len()), (1, nodes.len()), "{all:?}");
    assert!(roots.is_disjoint(&leaves));
    for serial in leaves {
        assert!(serial.len() > 12 && serial.len() <= 20 && serial[0] < 0x80, "{serial:?}");
    }
}
