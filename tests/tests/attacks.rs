//! Attacks on managers by number, as `docs/attacks.md` lists them: by somebody who holds a manager's files, and
//! by whoever reaches the node port.

#[path = "attacks/audit.rs"]
mod audit;
#[path = "attacks/certificates.rs"]
mod certificates;
#[path = "attacks/doors.rs"]
mod doors;
#[path = "attacks/entries.rs"]
mod entries;
#[path = "attacks/frames.rs"]
mod frames;
#[path = "attacks/identity.rs"]
mod identity;
#[path = "attacks/members.rs"]
mod members;
#[path = "attacks/open.rs"]
mod open;
#[path = "attacks/reads.rs"]
mod reads;
#[path = "attacks/serials.rs"]
mod serials;
#[path = "attacks/snapshots.rs"]
mod snapshots;
#[path = "attacks/strangers.rs"]
mod strangers;
#[path = "attacks/tokens.rs"]
mod tokens;

use prost::Message;
use tests::cluster::{id, listed, voters};
use tests::{Daemon, Node, wait_until};

/// A term that no election of a test comes near.
const FAR_TERM: u64 = 1_000_000;

/// Nothing is asked for.
#[derive(Clone, PartialEq, Message)]
struct Empty {}

/// All vote and are known to be there.
fn settled(nodes: &[Node]) {
    for node in nodes {
        let own = id(node);
        wait_until("all vote", || voters(node) == nodes.len());
        wait_until("all are ready", || listed(&nodes[0], &own).starts_with("Ready"));
    }
}

/// These go on with what they had, and take more.
fn go_on(nodes: &[&Node], daemons: &mut [&mut Daemon], name: &str) {
    for daemon in daemons {
        assert!(!daemon.has_ended(), "a manager ended:\n{}", daemon.log());
    }
    wait_until("a write is taken", || {
        let run = nodes[0].coffer_reading(&["config", "create", name, "-"], b"value");
        run.code == Some(0) || run.stderr.contains("already exists")
    });
    for node in nodes {
        wait_until("everybody reads it", || {
            node.coffer(&["config", "inspect", name]).code == Some(0)
        });
    }
}
