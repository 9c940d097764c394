//! One manager with many secrets: how fast they are made, what they take, how long a restart lasts, what
//! a page costs, how long a snapshot keeps writes waiting; and `State::apply` by itself.

#[path = "bench/applying.rs"]
mod applying;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/creates.rs"]
mod creates;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/daemon.rs"]
mod daemon;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/figures.rs"]
mod figures;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/machine.rs"]
mod machine;
#[path = "bench/wire.rs"]
mod wire;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::wire::Wire;
use clap::Parser;
use creates::Creator;
use daemon::{Daemon, sibling};
use figures::{Latencies, Table};
use machine::Meter;
use proto::v1::ListValuesRequest;
use proto::v1::secrets_client::SecretsClient;
use rustix::process::Signal;
use serde_json::{Value, json};

/// Pages that are asked for.
const PAGES: usize = 500;
/// Idle before memory is read.
const SETTLE: Duration = Duration::from_secs(2);
const MIB: f64 = 1_048_576.0;

/// Measures one manager with many secrets.
#[derive(Parser)]
struct Args {
    /// How many secrets
    #[arg(long, default_value_t = 100_000)]
    secrets: usize,
    /// Bytes of one value
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Secrets of one request
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// Clients that make them at once
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Snapshots that are waited for while one client creates
    #[arg(long, default_value_t = 2)]
    snapshots: usize,
    /// The longest that they are waited for, in seconds
    #[arg(long, default_value_t = 40.0)]
    patience: f64,
    /// The daemon's program, if it is not beside this one
    #[arg(long)]
    cofferd: Option<PathBuf>,
    /// Where folders are made
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[arg(long)]
    json: bool,
}

/// Figures under their names.
struct Report(Table);

impl Report {
    fn add(&mut self, what: &str, figure: Value, unit: &str) {
        self.0.row(vec![json!(what), figure, json!(unit)]);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let mut report = Report(Table::new(&["what", "figure", "unit"]));
    let meter = Meter::start(&[]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&args, &mut report))?;
    drop(runtime);
    let own = meter.used().own;
    let applied = applying::measure(args.secrets, args.size)?;
    let ns = |time: Duration| json!(time.as_nanos());
    report.add("State::apply of a create", ns(applied.alone), "ns");
    report.add("the same, a view every 16", ns(applied.published), "ns");
    report.add("pause for a snapshot, longest", ns(applied.pause), "ns");
    report.add("CPU time of the client", json!(own.as_secs_f64()), "s");
    report.0.print(args.json);
    Ok(())
}

async fn measure(args: &Args, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let program = args.cofferd.clone().unwrap_or_else(|| sibling("cofferd"));
    let mut manager = Daemon::found(&program, &std::path::absolute(&args.dir)?).await?;
    tokio::time::sleep(SETTLE).await;
    memory(report, &manager, "idle");
    let meter = Meter::start(&[manager.pid()]);
    fill(args, &manager, report).await?;
    report.add("neighbours meanwhile", json!(meter.used().neighbours * 100.0), "%");
    report.add("CPU of the daemon", json!(meter.used().servers[0].as_secs_f64()), "s");
    memory(report, &manager, "just filled");
    tokio::time::sleep(SETTLE).await;
    memory(report, &manager, "filled");
    pages(&manager, report).await?;
    for (signal, what) in [(Signal::TERM, "SIGTERM"), (Signal::KILL, "SIGKILL")] {
        let ended = Instant::now();
        manager.restart(signal)?;
        let started = Instant::now();
        let first = list(&mut SecretsClient::new(manager.connect().await?)).await?;
        assert!(first, "the secrets are there again");
        let name = format!("end by {what}");
        report.add(&name, json!((started - ended).as_secs_f64() * 1e3), "ms");
        let name = format!("start to first page after {what}");
        report.add(&name, json!(started.elapsed().as_secs_f64() * 1e3), "ms");
        memory(report, &manager, "restarted");
    }
    pauses(args, &manager, report).await
}

fn memory(report: &mut Report, manager: &Daemon, when: &str) {
    for (name, what) in [("VmRSS", "resident"), ("VmHWM", "resident at most")] {
        let bytes = manager.memory(name) as f64 / MIB;
        report.add(&format!("{what}, {when}"), json!(bytes), "MiB");
    }
}

async fn fill(args: &Args, manager: &Daemon, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let requests = args.secrets.div_ceil(args.batch);
    let start = Instant::now();
    let mut filling = Vec::new();
    for number in 0..args.clients {
        let channel = manager.connect().await?;
        let mut creator = Creator::new(channel, format!("s{number}"), args.batch, args.size);
        let share = requests / args.clients + usize::from(number < requests % args.clients);
        filling.push(tokio::spawn(async move {
            for _ in 0..share {
                creator.create().await?;
            }
            Ok::<_, tonic::Status>(())
        }));
    }
    for filled in filling {
        filled.await??;
    }
    let secrets = (requests * args.batch) as f64;
    report.add("secrets", json!(secrets), "");
    report.add("made", json!(secrets / start.elapsed().as_secs_f64()), "1/s");
    Ok(())
}

/// Asks for the first page; true if it is full.
async fn list(client: &mut SecretsClient<Wire>) -> Result<bool, tonic::Status> {
    let request = ListValuesRequest { limit: 100, ..ListValuesRequest::default() };
    Ok(client.list(request).await?.into_inner().values.len() == 100)
}

async fn pages(manager: &Daemon, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let mut client = SecretsClient::new(manager.connect().await?);
    let mut latencies = Latencies::default();
    for _ in 0..PAGES {
        let asked = Instant::now();
        assert!(list(&mut client).await?, "the first page is full");
        latencies.push(asked.elapsed());
    }
    let [p50, p99] = latencies.percentiles([0.5, 0.99]);
    report.add("first page of 100, p50", json!(p50), "us");
    report.add("first page of 100, p99", json!(p99), "us");
    Ok(())
}

/// The names of snapshots: the newest finished one, and one that is being written.
fn snapshots(folder: &Path) -> (Option<String>, bool) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let finished = names.iter().filter(|name| name.ends_with(".snap")).max().cloned();
    (finished, names.iter().any(|name| name.ends_with(".new")))
}

/// One client creates, steadily; a creation during which a snapshot was being written counts apart.
async fn pauses(args: &Args, manager: &Daemon, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let folder = manager.state_dir().join("cluster").join("snapshots");
    // Larger values than usual, so that the log fills up while one client creates.
    let mut creator = Creator::new(manager.connect().await?, "p".to_owned(), 1, 16 * 1024);
    let (mut apart, mut during) = (Latencies::default(), Latencies::default());
    let (mut last, _) = snapshots(&folder);
    let (mut seen, start) = (0, Instant::now());
    while seen < args.snapshots && start.elapsed().as_secs_f64() < args.patience {
        let (_, before) = snapshots(&folder);
        let asked = Instant::now();
        creator.create().await?;
        let took = asked.elapsed();
        let (newest, after) = snapshots(&folder);
        if before || after || newest != last { &mut during } else { &mut apart }.push(took);
        seen += usize::from(newest != last);
        last = newest;
    }
    report.add("snapshots while creating 16 KiB", json!(seen), "");
    for (latencies, what) in [(&mut apart, "between"), (&mut during, "during")] {
        report.add(&format!("creations {what} snapshots"), json!(latencies.count()), "");
        let [p50, p99, longest] = latencies.percentiles([0.5, 0.99, 1.0]);
        for (figure, name) in [(p50, "p50"), (p99, "p99"), (longest, "longest")] {
            report.add(&format!("creation {what} snapshots, {name}"), json!(figure), "us");
        }
    }
    Ok(())
}
