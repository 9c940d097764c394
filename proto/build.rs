//! Compiles the `.proto` files with protox: a fresh machine needs no `protoc`. Writes down the shape of each
//! message (see `src/bound.rs`) as well.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use tonic_prost_build::FileDescriptorSet;

const FILES: &[&str] = &[
    "proto/coffer/v1/control.proto",
    "proto/coffer/v1/peers.proto",
    "proto/coffer/v1/stored.proto",
    "proto/docker/swarmkit/v1/ca.proto",
    "proto/docker/swarmkit/v1/dispatcher.proto",
];

/// Packages, and the modules of `src/lib.rs` that they stand in.
const MODULES: &[(&str, &str)] = &[
    ("coffer.v1", "crate::v1"),
    ("coffer.stored.v1", "crate::stored::v1"),
    ("docker.swarmkit.v1", "crate::swarmkit"),
];

fn main() {
    println!("cargo:rerun-if-changed=proto");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = FILES.iter().map(|file| root.join(file));
    let set = protox::compile(files, [root.join("proto")]).expect("the .proto files compile");
    let out = std::env::var_os("OUT_DIR").expect("cargo names a folder");
    std::fs::write(Path::new(&out).join("shapes.rs"), shapes(&set)).expect("it can be written");
    tonic_prost_build::configure()
        .btree_map(".")
        // Sealed text is shared on its way into the log and out of another manager's message, not copied.
        .bytes(".coffer.stored.v1.Sealed.text")
        .bytes(".coffer.v1.RaftEntry.payload")
        .codec_path("crate::codec::MessageCodec")
        .compile_fds(set)
        .expect("code is generated from a checked descriptor");
}

// Numbers of descriptor.proto.
const REPEATED: i32 = 3;
const STRING: i32 = 9;
const GROUP: i32 = 10;
const MESSAGE: i32 = 11;
const BYTES: i32 = 12;

/// A field of a message, as far as its memory goes.
struct Field {
    number: i32,
    kind: i32,
    is_list: bool,
    /// The message's name, where it is one.
    of: String,
}

macro_rules! fields {
    ($message:expr) => {
        $message.field.iter().map(|field| Field {
            number: field.number(),
            kind: field.r#type.expect("a field has a type"),
            is_list: field.label == Some(REPEATED),
            of: field.type_name().to_owned(),
        })
    };
}

/// `impl Bounded` for each message: its size, and its fields that take memory of their own.
fn shapes(set: &FileDescriptorSet) -> String {
    let mut code = String::new();
    for file in &set.file {
        let is_for_peers = file.name().ends_with("/peers.proto");
        let most = if is_for_peers { "STORED" } else { "MESSAGE" };
        for message in &file.message_type {
            let name = format!(".{}.{}", file.package(), message.name());
            let path = rust_path(&name);
            let maps = message.nested_type.iter().map(|entry| {
                let fields: Vec<Field> = fields!(entry).collect();
                (format!("{name}.{}", entry.name()), map_of(&fields))
            });
            let maps: BTreeMap<String, String> = maps.collect();
            let fields: String =
                fields!(message).filter_map(|field| field_of(&field, &maps)).collect();
            writeln!(
                code,
                "impl Bounded for {path} {{ const MEMORY_BYTES_MAX: usize = {most}_MEMORY_BYTES_MAX; \
                 const SHAPE: &'static Shape = \
                 &Shape {{ bytes: size_of::<{path}>(), fields: &[{fields}] }}; }}"
            )
            .expect("it is a string");
        }
    }
    code
}

/// A field that takes memory of its own, with its number.
fn field_of(field: &Field, maps: &BTreeMap<String, String>) -> Option<String> {
    let kind = match field.kind {
        GROUP => panic!("groups are not used"),
        MESSAGE => match maps.get(&field.of) {
            Some(map) => format!("Map({map})"),
            None if field.is_list => format!("List({})", shape_of(field)),
            None => format!("One({})", shape_of(field)),
        },
        STRING | BYTES if field.is_list => "Texts".to_owned(),
        STRING | BYTES => "Text".to_owned(),
        _ if field.is_list => "Numbers".to_owned(),
        _ => return None,
    };
    Some(format!("({}, Kind::{kind}),", field.number))
}

/// The shape of a map's entry, which no message of ours stands for.
fn map_of(entry: &[Field]) -> String {
    let bytes = entry.iter().map(|field| match field.kind {
        MESSAGE => format!("{}.bytes", shape_of(field)),
        STRING | BYTES => "size_of::<String>()".to_owned(),
        _ => "size_of::<u64>()".to_owned(),
    });
    let bytes = bytes.collect::<Vec<_>>().join(" + ");
    let none = BTreeMap::new();
    let fields: String = entry.iter().filter_map(|field| field_of(field, &none)).collect();
    format!("&Shape {{ bytes: {bytes}, fields: &[{fields}] }}")
}

fn shape_of(field: &Field) -> String {
    format!("<{} as Bounded>::SHAPE", rust_path(&field.of))
}

/// Where the generated struct stands. A name that prost writes in another way does not compile.
fn rust_path(name: &str) -> String {
    let (package, name) = name[1..].rsplit_once('.').expect("a name stands in a package");
    let module = MODULES.iter().find(|(known, _)| *known == package);
    let (_, module) = module.expect("each package has a module");
    format!("{module}::{}", name.replace("CAC", "CaC"))
}
