//! Managers beside Docker Swarm, three of each: durable creations of secrets at the leader, small ones by 1 and by
//! 64 clients, large ones by 4, in one run, alternating. Both start anew in each round. Needs root, for Swarm's
//! engines live in network namespaces.

#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/creates.rs"]
mod creates;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/daemon.rs"]
mod daemon;
#[path = "bench/engine.rs"]
mod engine;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/figures.rs"]
mod figures;
#[path = "bench/load.rs"]
mod load;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/machine.rs"]
mod machine;
#[path = "bench/packages.rs"]
mod packages;
#[path = "bench/swarm.rs"]
mod swarm;
#[path = "bench/wire.rs"]
mod wire;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use creates::Creator;
use daemon::{Daemon, Scratch, sibling};
use figures::{Table, median};
use load::{Cell, Client, connections, load};
use serde_json::{Value, json};
use swarm::Swarm;
use tonic::Status;

/// Clients, and the bytes of each value.
const CELLS: [(usize, usize); 3] = [(1, 1_024), (64, 1_024), (4, 500_000)];

/// Measures managers beside Docker Swarm.
#[derive(Parser)]
struct Args {
    /// Seconds of each cell
    #[arg(long, default_value_t = 2.0)]
    secs: f64,
    /// Rounds; the best and the median of each cell are shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Managers of each cluster
    #[arg(long, default_value_t = 3)]
    servers: u16,
    /// The daemon's program, if it is not beside this one
    #[arg(long)]
    cofferd: Option<PathBuf>,
    /// A folder with Debian's packages unpacked; they are downloaded if there is none
    #[arg(long)]
    engines: Option<PathBuf>,
    /// Where folders are made
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[arg(long)]
    json: bool,
}

impl Client for Creator {
    async fn ask(&mut self) -> Result<(), Status> {
        self.create().await
    }
}

impl Client for swarm::Creator {
    async fn ask(&mut self) -> Result<(), Status> {
        self.create().await
    }
}

/// All rounds of one number of clients.
#[derive(Default)]
struct Rounds {
    coffer: Vec<Cell>,
    swarm: Vec<Cell>,
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
    let unpacked = Scratch::new(&dir, "packages")?;
    let engines = match &args.engines {
        Some(folder) => std::path::absolute(folder)?,
        None => swarm::programs(unpacked.path())?,
    };
    let mut rounds: [Rounds; CELLS.len()] = Default::default();
    for round in 0..args.rounds {
        measure_round(args, &cofferd, &engines, &dir, round, &mut rounds).await?;
        eprint!("\r{} of {}", round + 1, args.rounds);
    }
    eprintln!();
    table(&rounds).print(args.json);
    Ok(())
}

async fn measure_round(
    args: &Args,
    cofferd: &Path,
    engines: &Path,
    dir: &Path,
    round: usize,
    rounds: &mut [Rounds],
) -> Result<(), Box<dyn Error>> {
    let managers = Daemon::cluster(cofferd, dir, args.servers).await?;
    let swarm = Swarm::start(engines, dir, args.servers).await?;
    for (cell, (clients, bytes)) in rounds.iter_mut().zip(CELLS) {
        // Who comes first changes with every round.
        for turn in 0..2 {
            if (turn + round) % 2 == 0 {
                cell.coffer.push(ours(args, &managers, &swarm, clients, bytes).await?);
            } else {
                cell.swarm.push(theirs(args, &swarm, &managers, clients, bytes).await?);
            }
        }
    }
    Ok(())
}

fn pids(managers: &[Daemon]) -> Vec<u32> {
    managers.iter().map(Daemon::pid).collect()
}

async fn ours(
    args: &Args,
    managers: &[Daemon],
    idle: &Swarm,
    clients: usize,
    bytes: usize,
) -> Result<Cell, Box<dyn Error>> {
    let mut channels = Vec::new();
    for _ in 0..connections(clients) {
        channels.push(managers[0].connect().await?);
    }
    let client = |number: usize| {
        let channel = channels[number % channels.len()].clone();
        Creator::new(channel, format!("c{clients}-{bytes}-{number}"), 1, bytes)
    };
    let secs = Duration::from_secs_f64(args.secs);
    let clients = (0..clients).map(client).collect();
    Ok(load(clients, secs, &pids(managers), &idle.pids()).await?)
}

async fn theirs(
    args: &Args,
    swarm: &Swarm,
    idle: &[Daemon],
    clients: usize,
    bytes: usize,
) -> Result<Cell, Box<dyn Error>> {
    let mut creators = Vec::new();
    for number in 0..clients {
        creators.push(swarm.creator(format!("c{clients}-{bytes}-{number}"), bytes).await?);
    }
    let secs = Duration::from_secs_f64(args.secs);
    Ok(load(creators, secs, &swarm.pids(), &pids(idle)).await?)
}

fn table(rounds: &[Rounds]) -> Table {
    let mut table = Table::new(&[
        "server",
        "clients",
        "bytes",
        "secrets/s best",
        "secrets/s median",
        "p50 ms",
        "p99 ms",
        "server us/secret",
        "ratio best",
        "ratio median",
        "neighbours %",
    ]);
    for (Rounds { coffer, swarm }, shape) in rounds.iter().zip(CELLS) {
        let each = coffer.iter().zip(swarm).map(|(a, b)| a.per_second / b.per_second);
        let ratios = [best(coffer).per_second / best(swarm).per_second, median(each)];
        table.row(row("coffer", shape, coffer, Some(ratios)));
        table.row(row("swarm", shape, swarm, None));
    }
    table
}

fn best(cells: &[Cell]) -> &Cell {
    let by_rate = |a: &&Cell, b: &&Cell| a.per_second.total_cmp(&b.per_second);
    cells.iter().max_by(by_rate).expect("there is a round")
}

fn row(
    server: &str,
    (clients, bytes): (usize, usize),
    cells: &[Cell],
    ratios: Option<[f64; 2]>,
) -> Vec<Value> {
    let best = best(cells);
    let [p50, p99] = best.latencies;
    vec![
        json!(server),
        json!(clients),
        json!(bytes),
        json!(best.per_second.round()),
        json!(median(cells.iter().map(|cell| cell.per_second)).round()),
        json!(p50 / 1e3),
        json!(p99 / 1e3),
        json!(best.server_us),
        json!(ratios.map(|[best, _]| best)),
        json!(ratios.map(|[_, median]| median)),
        json!(median(cells.iter().map(|cell| cell.neighbours)) * 100.0),
    ]
}
