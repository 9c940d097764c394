//! How a task starts, what it is given, and how its end and its output come back.

use std::time::Duration;

use vault::runner::{LaunchError, LaunchSpec, StopError, TaskExit, launch};

use crate::fixture::{Case, DYNAMIC, ROOT, said, seen, shell, spec, start};
use crate::look::{children, lives, until};

/// A table of cases by their names.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), || Box::pin($name()))),*]
    };
}
pub(crate) use cases;

pub(crate) const CASES: &[(&str, Case)] = cases![
    a_task_ends_as_its_command_does,
    the_first_process_ends_as_the_command_does,
    only_three_descriptors_are_inherited,
    nothing_of_the_daemon_is_inherited,
    the_environment_is_what_was_given,
    a_command_that_cannot_start_is_told,
    a_missing_directory_is_told,
    a_mebibyte_of_output_arrives,
    a_long_environment_arrives,
];

async fn a_task_ends_as_its_command_does() {
    let rows = [
        ("exit 0", TaskExit::Exited(0)),
        ("exit 7", TaskExit::Exited(7)),
        ("exit 255", TaskExit::Exited(255)),
        ("kill -TERM $$", TaskExit::Signalled(15)),
        ("kill -KILL $$", TaskExit::Signalled(9)),
    ];
    for user in [DYNAMIC, ROOT] {
        for (script, expected) in &rows {
            assert_eq!(&seen(shell(user, script)).await.exit, expected, "{script}");
        }
    }
}

async fn the_first_process_ends_as_the_command_does() {
    let mut task = start(&shell(DYNAMIC, "exit 3")).await.unwrap();
    let handle = task.stop_handle();
    assert_eq!(task.wait().await, TaskExit::Exited(3));
    assert_eq!(task.wait().await, TaskExit::Exited(3));
    assert_eq!(handle.signal(1).await, Err(StopError::Ended));
    assert!(!lives(task.init_pid()));
}

async fn only_three_descriptors_are_inherited() {
    // Left open for children on purpose, as a careless library might.
    let open = rustix::fs::OFlags::RDONLY;
    let leaked = rustix::fs::open("/etc/passwd", open, rustix::fs::Mode::empty()).unwrap();
    for user in [DYNAMIC, ROOT] {
        let listed = said(shell(user, "ls -l /proc/self/fd | grep -v /proc/")).await;
        let ends: Vec<&str> = listed.lines().filter_map(|l| l.split(' ').next_back()).collect();
        assert_eq!(ends.len(), 4, "{listed}");
        assert!(ends[1] == "/dev/null" && ends[2].starts_with("pipe:"), "{listed}");
    }
    drop(leaked);
}

async fn nothing_of_the_daemon_is_inherited() {
    let script = "umask; ulimit -c; ulimit -Hc; pwd; cat /proc/self/oom_score_adj; \
                  ps -o sid= -p $$ | tr -d ' '; grep -E 'Sig(Blk|Ign)' /proc/self/status";
    let out = said(LaunchSpec { workdir: "/usr".into(), ..shell(DYNAMIC, script) }).await;
    let none = "0000000000000000";
    assert_eq!(out, format!("0022\n0\n0\n/usr\n0\n1\nSigBlk:\t{none}\nSigIgn:\t{none}\n"));
    // A session keyring of its own is the only one that it holds, where the kernel has keyrings at
    // all.
    let rings = said(shell(DYNAMIC, "cat /proc/keys || true")).await;
    assert!(!rings.contains("_uid"), "{rings}");
}

async fn the_environment_is_what_was_given() {
    let env = ["A=1", "B=x=y", "A=2"].map(str::to_owned).to_vec();
    let out = said(LaunchSpec { env, ..spec(DYNAMIC, &["env"]) }).await;
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(lines, ["A=2", "B=x=y", "HOME=/", path]);
    let env = ["PATH=/bin", "HOME=/tmp"].map(str::to_owned).to_vec();
    let out = said(LaunchSpec { env, ..shell(DYNAMIC, "echo $PATH $HOME") }).await;
    assert_eq!(out, "/bin /tmp\n");
}

async fn a_command_that_cannot_start_is_told() {
    let rows = [
        ("no-such-thing", 127, "exec: \"no-such-thing\": not found in the PATH of the task"),
        ("/no/such", 127, "exec: \"/no/such\": no such file, or its interpreter is missing"),
        (
            "/etc/passwd/x",
            127,
            "exec: \"/etc/passwd/x\": no such file, or its interpreter is missing",
        ),
        ("/usr", 126, "exec: \"/usr\": not an executable file, or out of the task's reach"),
        (
            "/etc/passwd",
            126,
            "exec: \"/etc/passwd\": not an executable file, or out of the task's reach",
        ),
    ];
    for (command, code, text) in rows {
        let error = start(&spec(DYNAMIC, &[command])).await.err().unwrap();
        assert_eq!((error.exit_code(), error.to_string().as_str()), (code, text));
    }
    let with_path = LaunchSpec { env: vec!["PATH=/nowhere".into()], ..spec(DYNAMIC, &["true"]) };
    assert!(matches!(start(&with_path).await, Err(LaunchError::CommandNotFound { .. })));
    until("the helpers are reaped", || children() == 0).await;
}

async fn a_missing_directory_is_told() {
    let missing = LaunchSpec { workdir: "/no/such".into(), ..spec(DYNAMIC, &["true"]) };
    let error = start(&missing).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "working directory \"/no/such\": No such file or directory (os error 2)"
    );
    let closed = LaunchSpec { workdir: "/root".into(), ..spec(DYNAMIC, &["true"]) };
    let error = start(&closed).await.err().unwrap();
    assert!(matches!(error, LaunchError::WorkingDirectory { .. }), "{error}");
    let file = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let error = launch(&spec(DYNAMIC, &["true"]), file).await.err().unwrap();
    assert!(error.to_string().starts_with("mounting the secrets: /run/secrets:"), "{error}");
}

async fn a_mebibyte_of_output_arrives() {
    let script = "head -c 1048576 /dev/zero; head -c 1048576 /dev/zero >&2";
    let end = seen(shell(DYNAMIC, script)).await;
    assert_eq!((end.out.len(), end.err.len()), (1 << 20, 1 << 20));
    // Unread, and larger than the pipe: the task waits, and can still be stopped.
    let mut task = start(&spec(DYNAMIC, &["yes"])).await.unwrap();
    task.stop_handle().stop(15, Duration::from_secs(9)).await.unwrap();
    assert_eq!(task.wait().await, TaskExit::Signalled(15));
    let mut task = start(&spec(DYNAMIC, &["yes"])).await.unwrap();
    drop(task.take_output());
    assert_eq!(task.wait().await, TaskExit::Signalled(13), "told by SIGPIPE");
}

async fn a_long_environment_arrives() {
    let env: Vec<String> = (0..20).map(|n| format!("V{n}={}", "x".repeat(50_000))).collect();
    let out = said(LaunchSpec { env, ..shell(DYNAMIC, "env | wc -c") }).await;
    assert!(out.trim().parse::<usize>().unwrap() > 1_000_000, "{out}");
    let too_long =
        LaunchSpec { env: vec![format!("A={}", "x".repeat(300_000))], ..spec(DYNAMIC, &["true"]) };
    let error = start(&too_long).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "starting the command: true: Argument list too long (os error 7)"
    );
}
