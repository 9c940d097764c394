//! What nodes say of themselves in the log.

use vault_core::command::{Issued, ManagerPlace};
use vault_core::feature::Level;
use vault_core::node::{Described, Engine, Machine, Node, Role};

use super::{issued, labels, whole_node};

fn machine() -> Machine {
    Machine {
        os: "linux".into(),
        architecture: "x86_64".into(),
        nano_cpus: 2_000_000_000,
        memory_bytes: 4 << 30,
        labels: labels(),
    }
}

pub(super) fn engine() -> Node {
    let engine = Some(Engine { request: b"csr".to_vec() });
    Node { role: Role::Worker, raft_id: None, machine: machine(), engine, ..whole_node() }
}

pub(super) fn described() -> Described {
    Described {
        hostname: "host".into(),
        engine_version: "20.10.24".into(),
        level: Level(2),
        machine: machine(),
    }
}

pub(super) fn issued_to_engine() -> Issued {
    Issued { request: b"csr".to_vec(), ..issued() }
}

pub(super) fn place() -> ManagerPlace {
    ManagerPlace {
        addr: "192.0.2.2:2377".into(),
        hostname: "host".into(),
        engine_version: "0.2.0".into(),
        level: Level(2),
    }
}
