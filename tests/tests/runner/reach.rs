//! What a task can see and reach, and what it cannot take away.

use std::io::Write;
use std::process::Command;

use tokio::io::AsyncReadExt;
use vault::runner::{LaunchSpec, TaskExit, launch};

use crate::cases::cases;
use crate::fixture::{
    BASE, Case, DYNAMIC, GID, REFUSED, ROOT, SECRET, UID, mark, program, said, secrets, seen,
    shell, silent_mount, spec, start,
};
use crate::look::field;

pub(crate) const CASES: &[(&str, Case)] = cases![
    a_dynamic_user_has_no_power,
    root_of_a_namespace_is_nobody_outside,
    case_4_the_secrets_are_alone_in_run,
    secrets_cannot_be_taken_away_or_written,
    setting_up_asks_nothing_of_the_secrets,
    a_resolver_below_run_is_kept,
    the_task_sees_its_own_processes_only,
    case_37_the_first_process_is_out_of_the_tasks_reach,
    shared_places_are_its_own,
    hidden_directories_are_empty,
    no_mount_reaches_the_host,
];

async fn a_dynamic_user_has_no_power() {
    let status = said(spec(DYNAMIC, &["cat", "/proc/self/status"])).await;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    let ids = |id: u32| [id; 4].map(|id| id.to_string()).join("\t");
    assert_eq!(field(&status, "Uid"), ids(UID));
    assert_eq!(field(&status, "Gid"), ids(GID));
    assert_eq!(field(&status, "Groups"), "");
    assert_eq!(field(&status, "NoNewPrivs"), "1");
}

async fn root_of_a_namespace_is_nobody_outside() {
    let mut task = start(&shell(ROOT, "cat /proc/self/status; exec sleep 1000")).await.unwrap();
    let mut output = task.take_output().unwrap().stdout;
    let mut bytes = vec![0; 4096];
    let read = output.read(&mut bytes).await.unwrap();
    let status = String::from_utf8_lossy(&bytes[..read]).into_owned();
    assert_eq!(field(&status, "Uid"), "0\t0\t0\t0");
    assert_eq!(field(&status, "Gid"), "0\t0\t0\t0");
    assert_eq!(field(&status, "Groups"), "");
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(field(&status, set), "00000000000000fb", "{set}");
    }
    let init = std::fs::read_to_string(format!("/proc/{}/status", task.init_pid())).unwrap();
    assert!(field(&init, "Uid").starts_with(&BASE.to_string()), "{init}");
    assert_eq!(field(&init, "NoNewPrivs"), "1");
    let script = "stat -c %u /run/secrets/s; setpriv --reuid 5 --regid 5 --clear-groups id -u";
    assert_eq!(said(shell(ROOT, script)).await, "0\n5\n");
}

async fn case_4_the_secrets_are_alone_in_run() {
    // What the host has mounted there stays underneath, out of reach, and is told by its device.
    let device = |line: &str| line.split(' ').nth(2).map(str::to_owned);
    let host = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let host: Vec<_> = host.lines().map(device).collect();
    for user in [DYNAMIC, ROOT] {
        let out = said(shell(user, "ls -A /run /run/secrets; cat /run/secrets/s")).await;
        assert_eq!(out, format!("/run:\nsecrets\n\n/run/secrets:\ns\n{SECRET}"));
        let flags = said(shell(user, "grep ' /run' /proc/self/mountinfo")).await;
        let own: Vec<_> = flags.lines().filter(|line| !host.contains(&device(line))).collect();
        for line in &own {
            let options = line.split(' ').nth(5).unwrap();
            assert!(options.starts_with("ro,nosuid,nodev,noexec"), "{line}");
        }
        assert_eq!(own.len(), 2, "{flags}");
    }
}

async fn secrets_cannot_be_taken_away_or_written() {
    let attempts = [
        "umount /run/secrets",
        "umount -l /run/secrets",
        "umount /run",
        "umount /proc",
        "mount -o remount,rw /run/secrets",
        "mount -o remount,bind,rw /run/secrets",
        "mount -t tmpfs none /run/secrets",
        "mount --bind /tmp /run/secrets",
        "touch /run/x",
        "touch /run/secrets/x",
        "echo x >> /run/secrets/s",
        "chmod 777 /run/secrets/s",
        "rm -f /run/secrets/s",
    ];
    for user in [DYNAMIC, ROOT] {
        for attempt in attempts {
            let end = seen(shell(user, attempt)).await;
            assert!(!matches!(end.exit, TaskExit::Exited(0 | 127)), "{user:?} {attempt}");
        }
        assert_eq!(said(spec(user, &[program(), "attack"])).await, REFUSED);
    }
}

async fn setting_up_asks_nothing_of_the_secrets() {
    let Some((mount, device)) = silent_mount() else {
        tests::skipped("setting_up_asks_nothing_of_the_secrets", "there is no /dev/fuse");
        return;
    };
    let prepared = launch(&shell(DYNAMIC, "exit 9"), mount).await.unwrap();
    let mut task = prepared.go().await.unwrap();
    assert_eq!(task.wait().await, TaskExit::Exited(9));
    drop(device);
}

async fn a_resolver_below_run_is_kept() {
    let script = "mount -t tmpfs none /mnt && cp -a /etc /mnt && mount -t tmpfs none /run \
                  && mkdir -p /run/names/below && echo resolver > /run/names/below/file \
                  && ln -sf ../run/names/below/file /mnt/etc/resolv.conf \
                  && mount --bind /mnt/etc /etc && exec $0 resolver";
    let program = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(&program)
        .output()
        .unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) const RESOLVER: &[(&str, Case)] = cases![the_resolver_is_there_and_read_only];

async fn the_resolver_is_there_and_read_only() {
    let script =
        "cat /etc/resolv.conf; find /run | sort; (echo x >> /run/names/below/file) 2> /dev/null";
    for user in [DYNAMIC, ROOT] {
        let end = seen(shell(user, script)).await;
        let found = "/run\n/run/names\n/run/names/below\n/run/names/below/file\n";
        let secrets = "/run/secrets\n/run/secrets/s\n";
        assert_eq!(end.out, format!("resolver\n{found}{secrets}"));
        assert_ne!(end.exit, TaskExit::Exited(0));
    }
}

async fn the_task_sees_its_own_processes_only() {
    let out = said(shell(DYNAMIC, "ls /proc > /tmp/p; grep -cE '^[0-9]+$' /tmp/p; echo $$")).await;
    assert_eq!(out, "3\n2\n", "first process, shell, ls");
    for kind in ["pid", "mnt", "ipc"] {
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        let theirs = said(spec(DYNAMIC, &["readlink", &format!("/proc/self/ns/{kind}")])).await;
        assert_ne!(theirs.trim_end(), own.to_str().unwrap(), "{kind}");
    }
    let prepared = launch(&spec(DYNAMIC, &["true"]), secrets(DYNAMIC)).await.unwrap();
    let path = format!("/proc/{}/ns/pid", prepared.init_pid());
    let announced = std::fs::read_link(path).unwrap();
    assert_ne!(announced, std::fs::read_link("/proc/self/ns/pid").unwrap());
    drop(prepared);
}

async fn case_37_the_first_process_is_out_of_the_tasks_reach() {
    for user in [DYNAMIC, ROOT] {
        let out = said(shell(user, "kill -9 1; sleep 0.05; kill -TERM 1; echo here")).await;
        assert_eq!(out, "here\n");
        for file in ["environ", "maps", "exe", "fd/0", "mem", "root/etc/passwd"] {
            let end = seen(shell(user, &format!("head -c1 /proc/1/{file}"))).await;
            assert_eq!(end.exit, TaskExit::Exited(1), "{file}: {}", end.err);
        }
    }
}

async fn shared_places_are_its_own() {
    for place in ["/tmp", "/var/tmp", "/dev/shm"] {
        let marker = format!("{place}/coffer-runner-{}", mark());
        std::fs::File::create(&marker).unwrap().write_all(b"host").unwrap();
        let script = format!("ls -A {place}; echo x > {place}/from-task; cat {place}/from-task");
        assert_eq!(said(shell(DYNAMIC, &script)).await, "x\n", "{place}");
        std::fs::remove_file(&marker).unwrap();
        assert!(!std::path::Path::new(place).join("from-task").exists());
    }
    assert_eq!(said(shell(DYNAMIC, "ls -A /dev/pts")).await, "ptmx\n");
    assert_eq!(said(shell(DYNAMIC, "echo x > /dev/null; ls /sys > /dev/null")).await, "");
    let full = seen(shell(DYNAMIC, "head -c 100m /dev/zero > /tmp/full")).await;
    assert_eq!(full.exit, TaskExit::Exited(1), "{}", full.err);
}

async fn hidden_directories_are_empty() {
    let directory = std::path::PathBuf::from(format!("{}-hidden", program()));
    std::fs::create_dir_all(directory.join("below")).unwrap();
    let script = format!("ls -A {0}; touch {0}/x 2>&1 || echo refused", directory.display());
    let hide = vec![directory.clone()];
    let out = said(LaunchSpec { hide: hide.clone(), ..shell(ROOT, &script) }).await;
    assert!(out.contains("Read-only") && out.ends_with("refused\n"), "{out}");
    for user in [DYNAMIC, ROOT] {
        let attack = spec(user, &[program(), "attack", directory.to_str().unwrap()]);
        let out = said(LaunchSpec { hide: hide.clone(), ..attack }).await;
        assert_eq!(out, format!("{REFUSED}umount {}: 22\n", directory.display()));
    }
    std::fs::remove_dir_all(&directory).unwrap();
    let gone = start(&LaunchSpec { hide: vec![directory.clone()], ..shell(DYNAMIC, "true") }).await;
    let text = gone.err().unwrap().to_string();
    let expected = format!(
        "hiding a directory: {}: No such file or directory (os error 2)",
        directory.display()
    );
    assert_eq!(text, expected);
}

async fn no_mount_reaches_the_host() {
    let before = tests::processes::mounts();
    let task = start(&spec(DYNAMIC, &["sleep", "1000"])).await.unwrap();
    assert_eq!(tests::processes::mounts(), before);
    drop(task);
}
