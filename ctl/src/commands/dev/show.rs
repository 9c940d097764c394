//! The way of one secret, step by step, with the commands that anybody could type.

use std::time::Duration;

use tokio::time::Instant;
use tokio::time::sleep;

use crate::chance;
use crate::client::CallError;
use crate::client::Client;
use crate::commands::dev::DevError;
use crate::commands::logs::Look;
use crate::exit::Failure;
use crate::limits::POLL_EVERY;
use crate::objects::Grant;
use crate::objects::Labels;
use crate::objects::LogLine;
use crate::objects::ServiceSpec;
use crate::objects::Task;
use crate::objects::TaskState;
use crate::out;
use crate::plaintext::Plaintext;

const SECRET: &str = "first-secret";
const SERVICE: &str = "first-service";

/// What the task says last: all before it is the show.
const LAST_LINE: &str = "(the task now sleeps)";

/// How long the task may take until it has said everything.
const OUTPUT_SECS: u64 = 30;

/// Goes the whole way once.
pub(super) async fn run(client: &Client) -> Result<(), Failure> {
    step("1. This node becomes the first manager of a new cluster.", "coffer swarm init")?;
    let made = client.init(String::new()).await?;
    answer(&format!("Swarm initialized: current node ({}) is now a manager.", made.node_id))?;

    let sample = format!("hello from coffer {}", chance::hex::<4>());
    let typed = format!("echo '{sample}' | coffer secret create {SECRET} -");
    step("2. A first secret. It is sealed before it is kept.", &typed)?;
    let value = Plaintext::sample(&format!("{sample}\n"));
    let secret_id = client.create_secret(SECRET, Labels::new(), value).await?;
    answer(&secret_id)?;

    let script = format!(
        "cat /run/secrets/{SECRET} && ls -l /run/secrets && echo '{LAST_LINE}' && exec sleep infinity"
    );
    let typed = format!(
        "coffer service create --name {SERVICE} --secret {SECRET} -- \\\n       sh -c \"{script}\""
    );
    step("3. A service that may read it: its task prints the file and lists the folder.", &typed)?;
    let service_id = client.create_service(spec(secret_id, script)).await?;
    answer(&service_id)?;

    let typed = format!("coffer service logs {SERVICE}");
    step("4. What the task saw, inside its own namespaces; the file exists for it alone.", &typed)?;
    let look =
        Look { service: SERVICE.to_owned(), widest_slot: 1, with_ids: true, timestamps: false };
    for line in task_output(client, &service_id).await? {
        answer(&format!("{}{}", look.prefix(&line), String::from_utf8_lossy(&line.line)))?;
    }
    Ok(out::line("")?)
}

fn step(words: &str, command: &str) -> Result<(), Failure> {
    out::line(words)?;
    Ok(out::line(format_args!("   $ {command}"))?)
}

/// The blank line comes with the answer, so that each step is shown as it happens.
fn answer(text: &str) -> Result<(), Failure> {
    Ok(out::line(format_args!("   {text}"))?)
}

fn spec(secret_id: String, script: String) -> ServiceSpec {
    let grant = Grant {
        secret_id,
        secret_name: SECRET.to_owned(),
        target: SECRET.to_owned(),
        uid: "0".to_owned(),
        gid: "0".to_owned(),
        mode: 0o444,
    };
    ServiceSpec {
        name: SERVICE.to_owned(),
        labels: Labels::new(),
        command: vec!["sh".to_owned(), "-c".to_owned(), script],
        env: Vec::new(),
        grants: vec![grant],
        replicas: 1,
    }
}

/// Waits until the task has said everything; notices if it fails.
async fn task_output(client: &Client, service_id: &str) -> Result<Vec<LogLine>, Failure> {
    let started = Instant::now();
    loop {
        let lines = lines_of(client, service_id).await?;
        if lines.iter().any(|line| line.line == LAST_LINE.as_bytes()) {
            return Ok(lines);
        }
        let tasks = client.tasks(service_id).await?.tasks;
        if let Some(failed) = tasks.iter().find(|task| task.state >= TaskState::Failed) {
            return Err(DevError::Task(describe(failed, &lines)).into());
        }
        if started.elapsed() > Duration::from_secs(OUTPUT_SECS) {
            let state = tasks.first().map_or("not there", |task| task.state.word());
            let state = state.to_lowercase();
            return Err(DevError::NoOutput { secs: OUTPUT_SECS, state }.into());
        }
        sleep(POLL_EVERY).await;
    }
}

async fn lines_of(client: &Client, service_id: &str) -> Result<Vec<LogLine>, CallError> {
    let mut logs = client.logs(service_id, false, None).await?;
    let mut lines = Vec::new();
    while let Some(line) = logs.next().await? {
        lines.push(line);
    }
    Ok(lines)
}

fn describe(task: &Task, lines: &[LogLine]) -> String {
    let error = match task.error.as_str() {
        "" => format!("it is {}", task.state.word().to_lowercase()),
        error => error.to_owned(),
    };
    let said = lines.iter().map(|line| format!("\n{}", String::from_utf8_lossy(&line.line)));
    error + &said.collect::<String>()
}
