//! Lengths that are not true: of nothing, of gigabytes, beyond the end. They are refused, in little memory.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use tests::node::clean;
use tests::{Daemon, Node, wait_until};

use crate::{assert_names, cluster, ended_cluster, read};

/// What the daemon may have of address space, in KiB: several times what it takes. A length of gigabytes
/// that were believed would not fit.
const MEMORY_KIB: u32 = 3 << 20;

const LENGTHS: [u32; 5] = [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX];

fn with_little_memory(node: &Node) -> Command {
    let daemon = node.cofferd();
    let mut shell = clean(Path::new("sh"));
    shell.args(["-c", &format!("ulimit -v {MEMORY_KIB} && exec \"$0\" \"$@\"")]);
    shell.arg(daemon.get_program()).args(daemon.get_args());
    shell
}

/// The newest file of a folder with this end.
fn newest(node: &Node, folder: &str, end: &str) -> String {
    let names = fs::read_dir(cluster(node).join(folder)).unwrap().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let newest = names.filter(|name| name.ends_with(end)).max();
    format!("{folder}/{}", newest.expect("there is one"))
}

#[test]
fn case_31_lengths_of_gigabytes_are_refused_in_little_memory() {
    let test = "case_31_lengths_of_gigabytes_are_refused_in_little_memory";
    let Some(node) = ended_cluster(test) else { return };
    let daemon = Daemon::start(&node, with_little_memory(&node));
    // A rotation of the data key ends with a snapshot.
    let before = read(&node, "keyring");
    node.coffer(&["swarm", "rotate-keys", "-d"]).said();
    wait_until("the data key is another one", || {
        let now = read(&node, "keyring");
        now != before && now.len() == before.len()
    });
    daemon.end();
    let first = "log/0000000000000001.seg";
    let snapshot = newest(&node, "snapshots", ".snap");
    for (name, at) in
        [("keyring", 12), ("node", 12), (first, 4096 + 4), (first, 8), (&snapshot, 48)]
    {
        let path = cluster(&node).join(name);
        let file = fs::File::options().read(true).write(true).open(path).unwrap();
        let mut true_length = [0; 4];
        file.read_exact_at(&mut true_length, at).unwrap();
        for length in LENGTHS {
            let case = format!("{name}, offset {at}: {length}");
            if length.to_le_bytes() == true_length {
                continue;
            }
            file.write_all_at(&length.to_le_bytes(), at).unwrap();
            let ended = Daemon::try_start(&node, with_little_memory(&node)).err();
            let ended = ended.unwrap_or_else(|| panic!("{case}: it started"));
            assert_eq!(ended.status.code(), Some(1), "{case}: {}", ended.log);
            let said = ended.log.lines().rfind(|line| line.contains("ERROR")).unwrap_or_default();
            assert_names(said, name.rsplit('/').next().unwrap(), &case);
        }
        file.write_all_at(&true_length, at).unwrap();
    }
    Daemon::start(&node, with_little_memory(&node)).end();
}
