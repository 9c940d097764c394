//! Compiles the `.proto` files with protox: a fresh machine needs no `protoc`.

use std::path::Path;

const FILES: &[&str] = &[
    "proto/coffer/v1/control.proto",
    "proto/coffer/v1/peers.proto",
    "proto/coffer/v1/stored.proto",
    "proto/docker/swarmkit/v1/ca.proto",
];

fn main() {
    println!("cargo:rerun-if-changed=proto");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = FILES.iter().map(|file| root.join(file));
    let set = protox::compile(files, [root.join("proto")]).expect("the .proto files compile");
    tonic_prost_build::configure()
        .btree_map(".")
        // Sealed text is shared on its way into the log, not copied.
        .bytes(".coffer.stored.v1.Sealed.text")
        .codec_path("crate::codec::MessageCodec")
        .compile_fds(set)
        .expect("code is generated from a checked descriptor");
}
