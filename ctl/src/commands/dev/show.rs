//! The way of one secret, step by step, with the commands that anybody could type.

use std::time::Duration;

use tokio::time::Instant;
use tokio::time::sleep;

use crate::chance;
use crate::client::CallError;
use crate::client::Client;
use crate::commands::dev::DevError;
use crate::commands::logs::Look;
use crate::commands::versioned::rotate;
use crate::exit::Failure;
use crate::limits::POLL_EVERY;
use crate::objects::Class;
use crate::objects::Grant;
use crate::objects::Labels;
use crate::objects::LogLine;
use crate::objects::Rotation;
use crate::objects::ServiceSpec;
use crate::objects::Task;
use crate::objects::TaskState;
use crate::out;
use crate::plaintext::Plaintext;

const SECRET: &str = "first-secret";
const SERVICE: &str = "first-service";

/// What the task does, as it is typed and as it is shown. It has no single quote.
const SCRIPT: &str = "
       f=/run/secrets/first-secret; old=$(cat $f)
       echo \"$old\"; ls -l /run/secrets; echo \"(the task waits for a new value)\"
       until new=$(cat $f) && [ \"$new\" != \"$old\" ]; do sleep 0.1; done
       echo \"$new\"; echo \"(the task now sleeps)\"; exec sleep infinity";

/// Something that the task says once it has come so far.
struct Milestone {
    line: &'static str,
    /// What did not happen if the line does not come.
    missed: &'static str,
    secs_max: u64,
}

const FIRST_READ: Milestone = Milestone {
    line: "(the task waits for a new value)",
    missed: "did not show its secret",
    secs_max: 30,
};

const SECOND_READ: Milestone =
    Milestone { line: "(the task now sleeps)", missed: "did not read the new value", secs_max: 10 };

/// Goes the whole way once.
pub(super) async fn run(client: &Client) -> Result<(), Failure> {
    step("1. This node becomes the first manager of a new cluster.", "coffer swarm init")?;
    let made = client.init(String::new(), false).await?;
    answer(&format!("Swarm initialized: current node ({}) is now a manager.", made.node_id))?;

    let secret_id = create_secret(client).await?;
    let service_id = create_service(client, secret_id).await?;

    let typed = format!("coffer service logs {SERVICE}");
    step("4. What the task saw, inside its own namespaces; the file exists for it alone.", &typed)?;
    answer_lines(&output_until(client, &service_id, &FIRST_READ).await?)?;

    if !has_fuse() {
        answer("(/dev/fuse cannot be opened here: secrets are files in memory, and a new value")?;
        answer("reaches a task when it is started again. As root it reaches it at once.)")?;
        return Ok(out::line("")?);
    }
    rotate_secret(client).await?;

    let typed = format!("coffer service logs --tail 2 {SERVICE}");
    step("6. The same task, which was not restarted: it opened the file again.", &typed)?;
    let lines = output_until(client, &service_id, &SECOND_READ).await?;
    let is_before = |line: &&LogLine| line.line != FIRST_READ.line.as_bytes();
    let behind: Vec<_> = lines.iter().skip_while(is_before).skip(1).cloned().collect();
    answer_lines(&behind)?;
    Ok(out::line("")?)
}

/// Whether the daemon that was started here can change the files of a running task.
fn has_fuse() -> bool {
    std::fs::File::options().read(true).write(true).open("/dev/fuse").is_ok()
}

async fn create_secret(client: &Client) -> Result<String, Failure> {
    let sample = format!("hello from coffer {}", chance::hex::<4>());
    let typed = format!("echo '{sample}' | coffer secret create {SECRET} -");
    step("2. A first secret. It is sealed before it is kept.", &typed)?;
    let value = (SECRET.to_owned(), Plaintext::sample(&format!("{sample}\n")));
    let ids = client.create_values(Class::Secret, vec![value], &Labels::new(), None).await?;
    let id = ids.into_iter().next().expect("there is an ID for every secret");
    answer(&id)?;
    Ok(id)
}

async fn create_service(client: &Client, secret_id: String) -> Result<String, Failure> {
    let typed =
        format!("coffer service create --name {SERVICE} --secret {SECRET} -- sh -c '{SCRIPT}'");
    step(
        "3. A service that may read it: its task prints the file, and again once it is new.",
        &typed,
    )?;
    let id = client.create_service(spec(secret_id)).await?;
    answer(&id)?;
    Ok(id)
}

async fn rotate_secret(client: &Client) -> Result<(), Failure> {
    let sample = format!("hello again from coffer {}", chance::hex::<4>());
    let typed = format!("echo '{sample}' | coffer secret rotate {SECRET} -");
    step("5. A new value for it, while the task runs.", &typed)?;
    let value = (SECRET.to_owned(), Plaintext::sample(&format!("{sample}\n")));
    let rotation = Rotation { is_active: true, label: String::new(), expected: None };
    let numbers = client.rotate_values(Class::Secret, vec![value], rotation).await?;
    numbers.into_iter().try_for_each(|number| answer(rotate::line(SECRET, number).trim_end()))
}

fn step(words: &str, command: &str) -> Result<(), Failure> {
    out::line(words)?;
    Ok(out::line(format_args!("   $ {command}"))?)
}

/// The blank line comes with the answer, so that each step is shown as it happens.
fn answer(text: &str) -> Result<(), Failure> {
    Ok(out::line(format_args!("   {text}"))?)
}

fn answer_lines(lines: &[LogLine]) -> Result<(), Failure> {
    let look =
        Look { service: SERVICE.to_owned(), widest_slot: 1, with_ids: true, timestamps: false };
    lines.iter().try_for_each(|line| {
        answer(&format!("{}{}", look.prefix(line), String::from_utf8_lossy(&line.line)))
    })
}

fn spec(secret_id: String) -> ServiceSpec {
    let grant = Grant {
        secret_id,
        secret_name: SECRET.to_owned(),
        target: SECRET.to_owned(),
        uid: "0".to_owned(),
        gid: "0".to_owned(),
        mode: 0o444,
        version: String::new(),
    };
    ServiceSpec {
        name: SERVICE.to_owned(),
        labels: Labels::new(),
        command: ["sh", "-c", SCRIPT].map(str::to_owned).into(),
        env: Vec::new(),
        grants: vec![grant],
        replicas: 1,
    }
}

/// Waits until the task has come so far; notices if it fails.
async fn output_until(
    client: &Client,
    service_id: &str,
    milestone: &Milestone,
) -> Result<Vec<LogLine>, Failure> {
    let started = Instant::now();
    loop {
        let lines = lines_of(client, service_id).await?;
        if lines.iter().any(|line| line.line == milestone.line.as_bytes()) {
            return Ok(lines);
        }
        let tasks = client.tasks(service_id).await?.tasks;
        if let Some(failed) = tasks.iter().find(|task| task.state >= TaskState::Failed) {
            return Err(DevError::Task(describe(failed, &lines)).into());
        }
        if started.elapsed() > Duration::from_secs(milestone.secs_max) {
            let state = tasks.first().map_or("not there", |task| task.state.word());
            let (state, secs) = (state.to_lowercase(), milestone.secs_max);
            return Err(DevError::NoOutput { missed: milestone.missed, secs, state }.into());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_can_be_typed_and_says_what_is_waited_for() {
        assert!(!SCRIPT.contains('\''));
        assert!(SCRIPT.contains(&format!("/run/secrets/{SECRET};")));
        for milestone in [FIRST_READ, SECOND_READ] {
            assert!(SCRIPT.contains(&format!("echo \"{}\"", milestone.line)), "{}", milestone.line);
        }
    }
}
