//! How tasks are stopped, and that nothing of them is left however they or the daemon end.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use vault::runner::{LaunchError, StopError, TaskExit, launch};

use crate::cases::cases;
use crate::fixture::{Case, DYNAMIC, ROOT, mark, program, said, secrets, seen, shell, spec, start};
use crate::look::{children, descriptors, kill, lives, parent_of, processes_with, until};

/// A user without rights, who need not have a name.
const SOMEBODY: u32 = 61_236;

pub(crate) const CASES: &[(&str, Case)] = cases![
    orphans_are_buried,
    grandchildren_end_with_the_command,
    a_stop_is_graceful_first,
    a_stop_kills_when_the_grace_is_over,
    a_stop_that_comes_too_late_changes_nothing,
    a_signal_alone_ends_nothing,
    a_task_that_is_dropped_ends,
    a_prepared_task_that_is_dropped_ends,
    a_cancelled_launch_leaves_nothing,
    a_killed_helper_loses_the_task,
    a_killed_first_process_is_told,
    a_killed_daemon_takes_everything_along,
    many_tasks_leave_nothing_behind,
    rootless_daemons_have_their_own_tests,
];

async fn orphans_are_buried() {
    let script =
        "for i in 1 2 3 4 5; do (sleep 0.01 &) ; done; sleep 0.3; ps -eo stat= | grep -c Z";
    assert_eq!(seen(shell(DYNAMIC, script)).await.out, "0\n");
}

async fn grandchildren_end_with_the_command() {
    let mark = mark();
    let script = format!(
        "trap 'exit 0' USR1; sleep {mark} & \
         (setsid nohup sh -c 'trap \"\" TERM HUP; sleep {mark}; true' > /dev/null 2>&1 &); \
         while :; do sleep 0.01; done"
    );
    let mut task = start(&shell(DYNAMIC, &script)).await.unwrap();
    until("the shells and what they started run", || processes_with(&mark).len() >= 4).await;
    task.stop_handle().signal(10).await.unwrap();
    assert_eq!(task.wait().await, TaskExit::Exited(0));
    assert!(processes_with(&mark).is_empty());
}

async fn ready(script: &str) -> (vault::runner::RunningTask, vault::runner::TaskOutput) {
    let mut task = start(&shell(DYNAMIC, script)).await.unwrap();
    let mut output = task.take_output().unwrap();
    let mut line = [0; 6];
    output.stdout.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"ready\n");
    (task, output)
}

async fn a_stop_is_graceful_first() {
    let script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let (mut task, _output) = ready(script).await;
    let grace = Duration::from_secs(30);
    task.stop_handle().stop(15, grace).await.unwrap();
    assert_eq!(task.wait().await, TaskExit::Exited(3));
}

async fn a_stop_kills_when_the_grace_is_over() {
    let script = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let (mut task, _output) = ready(script).await;
    let start = Instant::now();
    task.stop_handle().stop(15, Duration::from_secs(30)).await.unwrap();
    task.stop_handle().stop(15, Duration::from_millis(200)).await.unwrap();
    assert_eq!(task.wait().await, TaskExit::Signalled(9));
    let took = start.elapsed();
    // Not by the first, longer grace. How much later is up to how busy the machine is.
    assert!((200..25_000).contains(&took.as_millis()), "{took:?}");
}

async fn a_stop_that_comes_too_late_changes_nothing() {
    for micros in (0..1500).step_by(50) {
        let mut task = start(&shell(DYNAMIC, "trap '' TERM; exit 4")).await.unwrap();
        tokio::time::sleep(Duration::from_micros(micros)).await;
        let stopped = task.stop_handle().stop(15, Duration::from_secs(5)).await;
        let exit = task.wait().await;
        let ends = [TaskExit::Exited(4), TaskExit::Signalled(15)];
        assert!(ends.contains(&exit), "{micros} us: {exit:?}, {stopped:?}");
    }
}

async fn a_signal_alone_ends_nothing() {
    let script = "trap 'echo hangup' HUP; trap 'exit 5' USR1; echo ready; \
                  while :; do sleep 0.01; done";
    let (mut task, mut output) = ready(script).await;
    let handle = task.stop_handle();
    assert_eq!(handle.signal(0).await, Err(StopError::NoSuchSignal(0)));
    assert_eq!(handle.signal(65).await, Err(StopError::NoSuchSignal(65)));
    handle.signal(1).await.unwrap();
    let mut line = [0; 7];
    output.stdout.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"hangup\n");
    handle.signal(10).await.unwrap();
    assert_eq!(task.wait().await, TaskExit::Exited(5));
    let (mut task, _output) = ready("echo ready; exec sleep 100").await;
    task.stop_handle().signal(37).await.unwrap();
    assert_eq!(task.wait().await, TaskExit::Signalled(37), "a real-time signal");
}

async fn a_task_that_is_dropped_ends() {
    let mark = mark();
    let task = start(&shell(DYNAMIC, &format!("sleep {mark} & wait"))).await.unwrap();
    let handle = task.stop_handle();
    until("the command runs", || processes_with(&mark).len() >= 2).await;
    drop(task);
    until("all are gone", || processes_with(&mark).is_empty() && children() == 0).await;
    assert_eq!(handle.signal(1).await, Err(StopError::Ended));
}

async fn a_prepared_task_that_is_dropped_ends() {
    let prepared = launch(&spec(DYNAMIC, &["true"]), secrets(DYNAMIC)).await.unwrap();
    let init = prepared.init_pid();
    assert!(lives(init));
    drop(prepared);
    until("all are gone", || !lives(init) && children() == 0).await;
}

async fn a_cancelled_launch_leaves_nothing() {
    let mark = mark();
    for micros in [0, 200, 500, 1000, 1500, 2000, 3000] {
        let spec = shell(DYNAMIC, &format!("sleep {mark}"));
        let started = tokio::time::timeout(Duration::from_micros(micros), start(&spec)).await;
        drop(started);
    }
    until("all are gone", || children() == 0 && processes_with(&mark).is_empty()).await;
}

async fn a_killed_helper_loses_the_task() {
    let mark = mark();
    for user in [DYNAMIC, ROOT] {
        let mut task = start(&shell(user, &format!("sleep {mark} & wait"))).await.unwrap();
        until("the command runs", || processes_with(&mark).len() >= 2).await;
        kill(parent_of(task.init_pid()));
        assert!(matches!(task.wait().await, TaskExit::Lost(_)));
        until("all are gone", || processes_with(&mark).is_empty()).await;
        until("the helper is reaped", || children() == 0).await;
    }
    let prepared = launch(&spec(DYNAMIC, &["true"]), secrets(DYNAMIC)).await.unwrap();
    let init = prepared.init_pid();
    kill(parent_of(init));
    assert_eq!(prepared.go().await.err(), Some(LaunchError::HelperLost));
    until("all are gone", || !lives(init)).await;
}

async fn a_killed_first_process_is_told() {
    let mark = mark();
    let mut task = start(&shell(DYNAMIC, &format!("sleep {mark} & wait"))).await.unwrap();
    kill(task.init_pid());
    assert_eq!(task.wait().await, TaskExit::Signalled(9));
    assert!(processes_with(&mark).is_empty());
    let prepared = launch(&spec(DYNAMIC, &["true"]), secrets(DYNAMIC)).await.unwrap();
    kill(prepared.init_pid());
    // Either it is dead before it is told to go, or just then.
    assert!(prepared.go().await.is_err());
}

async fn a_killed_daemon_takes_everything_along() {
    let mark = mark();
    let mut daemon = Command::new("/proc/self/exe")
        .args(["daemon-to-kill", &mark])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(daemon.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let init = line.trim().parse().unwrap();
    let helper = parent_of(init);
    until("the command runs", || processes_with(&mark).len() >= 3).await;
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    until("all are gone", || processes_with(&mark).is_empty()).await;
    until("the helpers are gone", || !lives(init) && !lives(helper)).await;
}

async fn many_tasks_leave_nothing_behind() {
    drop(seen(shell(DYNAMIC, "true")).await);
    let before = descriptors();
    for _ in 0..4 {
        let tasks = (0..10).map(|_| tokio::spawn(async { said(shell(DYNAMIC, "echo x")).await }));
        for task in tasks.collect::<Vec<_>>() {
            assert_eq!(task.await.unwrap(), "x\n");
        }
    }
    assert!(start(&spec(DYNAMIC, &["no-such-thing"])).await.is_err());
    until("all are reaped", || children() == 0).await;
    until("all descriptors are closed", || descriptors() == before).await;
}

async fn rootless_daemons_have_their_own_tests() {
    let as_somebody = |command: &mut Command| {
        command.uid(SOMEBODY).gid(SOMEBODY);
    };
    if !tests::node::has_user_namespaces(as_somebody) {
        let reason = "user namespaces are not allowed for users";
        return tests::skipped("rootless_daemons_have_their_own_tests", reason);
    }
    let somebody = SOMEBODY.to_string();
    let namespaces: &[&str] = &["unshare", "--user", "--map-root-user", "--mount"];
    for (prefix, table) in [(namespaces, "inside-user-namespace"), (&[], "without-privilege")] {
        let output = Command::new("setpriv")
            .args(["--reuid", &somebody, "--regid", &somebody, "--clear-groups"])
            .args(prefix)
            .args([program(), table])
            .current_dir("/")
            .output()
            .unwrap();
        println!("{}", String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
