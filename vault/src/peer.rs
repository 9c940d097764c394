//! Who is at the other end of a connection to the node port.

use pki::identity::Claim;

/// What the other side proved, by its certificate: `None` if it showed none.
#[derive(Clone, Debug)]
pub struct Proven(pub Option<Claim>);
