//! The messages of the wire and of the disk, generated from `proto/`. No rule lives here but how much memory
//! one may take.
//!
//! Named only at the edges: `vault/src/rpc`, `vault/src/raft`, `ctl/src/client.rs`, `ctl/src/codec.rs`.

pub mod bound;
pub mod codec;

/// What `coffer` and `cofferd` say to each other.
pub mod v1 {
    tonic::include_proto!("coffer.v1");
}

/// What stands in the log and in snapshots, below the seal.
pub mod stored {
    pub use v1::*;

    /// Where other messages look for them.
    pub mod v1 {
        tonic::include_proto!("coffer.stored.v1");
    }
}

/// How nodes speak to managers, as every Docker Engine does.
pub mod swarmkit {
    tonic::include_proto!("docker.swarmkit.v1");
}
