//! The same from a daemon that is root of a user namespace with a single user in it, and nothing
//! outside.

use std::time::Duration;

use crate::cases::cases;
use crate::fixture::{
    Case, DYNAMIC, REFUSED, ROOT, SECRET, mark, program, said, secrets, seen, shell, spec, start,
};
use crate::look::{children, descriptors, field, kill, parent_of, processes_with, until};
use vault::runner::{LaunchError, LaunchSpec, TaskExit, TaskUser, launch};

const USER: TaskUser = TaskUser::Rootless;

pub(crate) const CASES: &[(&str, Case)] = cases![
    a_task_ends_as_its_command_does,
    the_task_has_no_power,
    case_4_the_secrets_are_alone_in_run,
    nothing_can_be_unmounted,
    the_daemons_directories_are_hidden,
    the_daemon_is_out_of_reach,
    a_stop_reaches_the_task,
    a_killed_helper_loses_the_task,
    another_user_is_refused_clearly,
    many_tasks_leave_nothing_behind,
];

pub(crate) const WITHOUT_PRIVILEGE: &[(&str, Case)] = cases![a_daemon_without_privilege_is_told];

async fn a_task_ends_as_its_command_does() {
    assert_eq!(seen(shell(USER, "exit 7")).await.exit, TaskExit::Exited(7));
    assert_eq!(seen(shell(USER, "kill -9 $$")).await.exit, TaskExit::Signalled(9));
}

async fn the_task_has_no_power() {
    let status = said(spec(USER, &["cat", "/proc/self/status"])).await;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    assert_eq!(field(&status, "NoNewPrivs"), "1");
    let map = said(spec(USER, &["cat", "/proc/self/uid_map"])).await;
    let numbers: Vec<&str> = map.split_whitespace().collect();
    assert_eq!(numbers[0], "0");
    assert_eq!(numbers[2], "1");
    let own = std::fs::read_link("/proc/self/ns/user").unwrap();
    let theirs = said(spec(USER, &["readlink", "/proc/self/ns/user"])).await;
    assert_ne!(theirs.trim_end(), own.to_str().unwrap());
}

async fn case_4_the_secrets_are_alone_in_run() {
    let out = said(shell(USER, "ls -A /run; cat /run/secrets/s")).await;
    assert_eq!(out, format!("secrets\n{SECRET}"));
}

async fn nothing_can_be_unmounted() {
    let attempts = [
        "umount /run/secrets",
        "umount -l /run",
        "umount /tmp",
        "mount -o remount,bind,rw /run/secrets",
        "touch /run/secrets/x",
        "chmod 777 /run/secrets/s",
    ];
    for attempt in attempts {
        let end = seen(shell(USER, attempt)).await;
        assert!(!matches!(end.exit, TaskExit::Exited(0 | 127)), "{attempt}");
    }
    assert_eq!(said(spec(USER, &[program(), "attack"])).await, REFUSED);
}

async fn the_daemons_directories_are_hidden() {
    // Whose it is does not matter, only that there is something in it.
    let path = "/usr/share";
    let hide = vec![path.into()];
    let shown = said(LaunchSpec { hide, ..spec(USER, &["ls", "-A", path]) }).await;
    assert_eq!(shown, "");
    let hide = vec![path.into()];
    let out = said(LaunchSpec { hide, ..spec(USER, &[program(), "attack", path]) }).await;
    assert_eq!(out, format!("{REFUSED}umount {path}: 22\n"));
}

async fn the_daemon_is_out_of_reach() {
    let out =
        said(shell(USER, "ls /proc > /tmp/p; grep -cE '^[0-9]+$' /tmp/p; kill -9 1; echo here"))
            .await;
    assert_eq!(out, "3\nhere\n");
    for file in ["environ", "maps", "exe", "fd/0", "mem", "root/etc/passwd"] {
        for prefix in ["", "unshare -Ur "] {
            let end = seen(shell(USER, &format!("{prefix}head -c1 /proc/1/{file}"))).await;
            assert_eq!(end.exit, TaskExit::Exited(1), "{file}: {}", end.err);
        }
    }
}

async fn a_stop_reaches_the_task() {
    let mut task = start(&spec(USER, &["sleep", "1000"])).await.unwrap();
    task.stop_handle().stop(15, Duration::from_secs(9)).await.unwrap();
    assert_eq!(task.wait().await, TaskExit::Signalled(15));
}

async fn a_killed_helper_loses_the_task() {
    let mark = mark();
    let mut task = start(&shell(USER, &format!("sleep {mark} & wait"))).await.unwrap();
    kill(parent_of(task.init_pid()));
    assert!(matches!(task.wait().await, TaskExit::Lost(_)));
    until("all are gone", || processes_with(&mark).is_empty()).await;
}

async fn another_user_is_refused_clearly() {
    let mut other = spec(USER, &["true"]);
    other.user = DYNAMIC;
    let secrets = secrets(USER);
    let error = launch(&other, secrets).await.err().unwrap();
    assert!(matches!(error, LaunchError::Step { .. }), "{error}");
}

async fn many_tasks_leave_nothing_behind() {
    drop(seen(shell(USER, "true")).await);
    let before = descriptors();
    for _ in 0..20 {
        assert_eq!(said(shell(USER, "echo x")).await, "x\n");
    }
    until("all are reaped", || children() == 0).await;
    until("all descriptors are closed", || descriptors() == before).await;
}

async fn a_daemon_without_privilege_is_told() {
    for user in [USER, DYNAMIC, ROOT] {
        let nothing = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let error = launch(&spec(user, &["true"]), nothing).await.err().unwrap();
        assert_eq!(
            error.to_string(),
            "making PID and IPC namespaces: unshare: Operation not permitted (os error 1)"
        );
    }
    until("all are reaped", || children() == 0).await;
}
