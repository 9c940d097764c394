//! `coffer doctor` on this machine, whatever it is like: it needs no daemon and no right.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

/// What it says of one thing, and how it ended.
fn doctor(args: &[&str]) -> (Value, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
    command.env_remove("COFFER_HOST").args(["-H", "unix:///nowhere/coffer.sock", "doctor"]);
    let output = command.args(["--format", "json"]).args(args).output().expect("it starts");
    assert!(output.stderr.is_empty(), "{output:?}");
    let said = serde_json::from_slice(&output.stdout).expect("it is JSON");
    (said, output.status.code())
}

fn finding<'a>(said: &'a Value, what: &str) -> &'a Value {
    let all = said["Findings"].as_array().expect("a list");
    all.iter().find(|one| one["What"] == what).unwrap_or_else(|| panic!("{what}: {said}"))
}

#[test]
fn the_doctor_names_each_thing_and_its_cure_and_ends_with_what_it_found() {
    let name = format!("coffer-doctor-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder).unwrap();
    let state_dir = folder.join("state");
    let path = state_dir.to_str().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = port.local_addr().unwrap().to_string();
    drop(port);
    let args = ["--state-dir", path, "--listen-addr", &addr];
    let (said, code) = doctor(&args);
    let all = said["Findings"].as_array().unwrap();
    for one in all {
        let is_fine = one["Grade"] == "fine";
        assert_eq!(one["Cure"] == "", is_fine, "a cure where one is due: {one}");
        assert_ne!(one["Found"], "", "{one}");
    }
    for what in
        ["kernel", "FUSE", "locked memory", "descriptors", "swap", "core dumps", "clock", "flush"]
    {
        finding(&said, what);
    }
    assert_eq!(finding(&said, "state")["Grade"], "fine", "{said}");
    assert_eq!(finding(&said, "node port")["Grade"], "fine", "{said}");
    assert_eq!(finding(&said, "socket")["Grade"], "fine", "{said}");
    let is_bad =
        |said: &Value| said["Findings"].as_array().unwrap().iter().any(|one| one["Grade"] == "bad");
    assert_eq!(code, Some(i32::from(is_bad(&said))), "{said}");
    assert_eq!(said["Healthy"], !is_bad(&said));

    fs::create_dir(&state_dir).unwrap();
    fs::set_permissions(&state_dir, fs::Permissions::from_mode(0o755)).unwrap();
    let (said, code) = doctor(&args);
    assert_eq!((code, &said["Healthy"]), (Some(1), &false.into()), "{said}");
    let state = finding(&said, "state");
    assert_eq!(state["Grade"], "bad");
    assert_eq!(state["Cure"], format!("chmod 0700 {path}"));
    assert!(fs::read_dir(&state_dir).unwrap().next().is_none(), "nothing is left behind");
    fs::remove_dir_all(&folder).unwrap();
}
