//! A node's keys, read from its files as its daemon reads them: so that a test can look for them elsewhere.

use std::fs;

use vault::disk::diskkey::{self, DiskKey};
use vault::disk::keyring::{self, Keyring};
use vault::disk::node::{self, Membership};

use crate::node::Node;

/// The disk key and the data keys of a node.
pub struct KeyFiles {
    pub disk_key: DiskKey,
    pub keyring: Keyring,
}

impl KeyFiles {
    /// Reads them from the state directory.
    pub fn of(node: &Node) -> Self {
        let read =
            |name| fs::read(node.state_dir().join("cluster").join(name)).expect("it is there");
        let disk_key = DiskKey::parse(&read(diskkey::NAME)).expect("it is not locked");
        let own = Membership::parse(disk_key.expose(), &read(node::NAME)).expect("it is whole");
        let file = read(keyring::NAME);
        let keyring = Keyring::parse(disk_key.expose(), &own.context(), &file);
        Self { keyring: keyring.expect("it is whole"), disk_key }
    }
}
