//! How long a cluster acknowledges nothing when its leader is killed, or is asked to end: managers beside etcd.
//!
//! Clients at the other nodes write all the time, each write given up and made anew after a moment. What counts
//! is the time from the signal to the first acknowledgement after it (killed), or the longest time without any
//! (asked to end).

#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/creates.rs"]
mod creates;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/daemon.rs"]
mod daemon;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/etcd.rs"]
mod etcd;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/figures.rs"]
mod figures;
#[path = "bench/office.rs"]
mod office;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/packages.rs"]
mod packages;
#[path = "bench/probes.rs"]
mod probes;
#[path = "bench/wire.rs"]
mod wire;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use daemon::{Daemon, Scratch, sibling};
use etcd::Etcd;
use figures::{Table, median};
use office::Office;
use rustix::process::Signal;
use serde_json::json;

/// Measures changes of the leader
#[derive(Parser)]
struct Args {
    /// How often the leader goes, for each cluster
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    /// Asks the leader to end (SIGTERM) instead of killing it
    #[arg(long)]
    planned: bool,
    /// Managers, and nodes of etcd
    #[arg(long, default_value_t = 3)]
    servers: u16,
    /// Clients at each node
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// The daemon's program, if it is not beside this one
    #[arg(long)]
    cofferd: Option<PathBuf>,
    /// etcd's program, if it is not in PATH; Debian's package is unpacked if there is none
    #[arg(long)]
    etcd: Option<PathBuf>,
    /// Measures the managers alone
    #[arg(long)]
    alone: bool,
    /// Where folders are made
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[arg(long)]
    json: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(&args))
}

async fn measure(args: &Args) -> Result<(), Box<dyn Error>> {
    let cofferd = args.cofferd.clone().unwrap_or_else(|| sibling("cofferd"));
    let dir = std::path::absolute(&args.dir)?;
    let unpacked = Scratch::new(&dir, "package")?;
    let mut managers = Daemon::cluster(&cofferd, &dir, args.servers).await?;
    let mut etcd = match args.alone {
        true => None,
        false => {
            let program = etcd::program(args.etcd.as_deref(), unpacked.path())?;
            Some(Etcd::start(&program, &dir, args.servers).await?)
        }
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        ours.push(change(args, &mut managers, round).await?);
        if let Some(etcd) = &mut etcd {
            theirs.push(change(args, etcd, round).await?);
        }
        eprint!("\r{} of {}", round + 1, args.rounds);
    }
    eprintln!();
    let mut table = Table::new(&["server", "changes", "best ms", "median ms", "worst ms"]);
    row(&mut table, "coffer", &ours);
    if etcd.is_some() {
        row(&mut table, "etcd TLS", &theirs);
    }
    table.print(args.json);
    Ok(())
}

/// Has the leader go once, and waits until all nodes serve again.
async fn change<O: Office>(args: &Args, nodes: &mut O, round: usize) -> io::Result<Duration> {
    let leader = office::leader(nodes).await?;
    let writers = probes::start(nodes, leader, args.clients, round).await?;
    let signal = if args.planned { Signal::TERM } else { Signal::KILL };
    let at = writers.settled().await?;
    nodes.end(leader, signal)?;
    let gap =
        if args.planned { writers.longest_gap(at).await? } else { writers.first_after(at).await? };
    drop(writers);
    nodes.start_again(leader).await?;
    probes::all_serve(nodes, round).await?;
    Ok(gap)
}

fn row(table: &mut Table, server: &str, gaps: &[Duration]) {
    let ms: Vec<f64> = gaps.iter().map(|gap| gap.as_secs_f64() * 1e3).collect();
    let best = ms.iter().copied().fold(f64::INFINITY, f64::min);
    let worst = ms.iter().copied().fold(0.0, f64::max);
    table.row(vec![json!(server), json!(ms.len()), json!(best), json!(median(ms)), json!(worst)]);
}
