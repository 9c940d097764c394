//! Managers beside etcd with TLS, one of each or a cluster of each: durable creations of 1 KiB by 1, 64, 256
//! clients, or reads, in one run, alternating. Both start anew in each round.

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
#[path = "bench/load.rs"]
mod load;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/machine.rs"]
mod machine;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/packages.rs"]
mod packages;
#[path = "bench/wire.rs"]
mod wire;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use creates::{Creator, Reader};
use daemon::{Daemon, Scratch, sibling};
use etcd::{Etcd, Getter, Putter};
use figures::{Table, median};
use load::{Cell, Client, connections, load};
use serde_json::{Value, json};
use tonic::Status;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Durable creations, at the leader
    Create,
    /// Linearizable reads, at the leader
    Read,
    /// Linearizable reads, at another node
    ReadFollower,
}

/// Measures managers beside etcd.
#[derive(Parser)]
struct Args {
    /// Seconds of each cell
    #[arg(long, default_value_t = 3.0)]
    secs: f64,
    /// Rounds; the best and the median of each cell are shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Bytes of one value
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Managers, and nodes of etcd
    #[arg(long, default_value_t = 1)]
    servers: u16,
    /// What is asked
    #[arg(long, value_enum, default_value_t = What::Create)]
    what: What,
    /// Numbers of clients
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 256])]
    clients: Vec<usize>,
    /// Secrets of one request; above 1, etcd stands aside
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Threads of this program
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// The daemon's program, if it is not beside this one
    #[arg(long)]
    cofferd: Option<PathBuf>,
    /// etcd's program, if it is not in PATH; Debian's package is unpacked if there is none
    #[arg(long)]
    etcd: Option<PathBuf>,
    /// Measures the manager alone
    #[arg(long)]
    alone: bool,
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

impl Client for Reader {
    async fn ask(&mut self) -> Result<(), Status> {
        self.read().await
    }
}

impl Client for Getter {
    async fn ask(&mut self) -> Result<(), Status> {
        self.get().await
    }
}

impl Client for Putter {
    async fn ask(&mut self) -> Result<(), Status> {
        self.put().await
    }
}

/// All rounds of one number of clients.
struct Cells {
    clients: usize,
    coffer: Vec<Cell>,
    etcd: Vec<Cell>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.threads)
        .enable_all()
        .build()?;
    runtime.block_on(measure(&args))
}

async fn measure(args: &Args) -> Result<(), Box<dyn Error>> {
    let cofferd = args.cofferd.clone().unwrap_or_else(|| sibling("cofferd"));
    let dir = std::path::absolute(&args.dir)?;
    let unpacked = Scratch::new(&dir, "package")?;
    let with_etcd = args.batch == 1 && !args.alone;
    let program =
        with_etcd.then(|| etcd::program(args.etcd.as_deref(), unpacked.path())).transpose()?;
    let of = |clients: &usize| Cells { clients: *clients, coffer: vec![], etcd: vec![] };
    let mut cells: Vec<Cells> = args.clients.iter().map(of).collect();
    for round in 0..args.rounds {
        let managers = Daemon::cluster(&cofferd, &dir, args.servers).await?;
        Reader::new(managers[0].connect().await?, READ).make(args.size).await?;
        let etcd = match &program {
            Some(program) => Some(Etcd::start(program, &dir, args.servers).await?),
            None => None,
        };
        for cells in &mut cells {
            // Who comes first changes with every round.
            if round % 2 == 0 {
                cells.coffer.push(ours(args, &managers, etcd.as_ref(), cells.clients).await?);
            }
            if let Some(etcd) = &etcd {
                cells.etcd.push(theirs(args, etcd, &managers, cells.clients).await?);
            }
            if round % 2 == 1 {
                cells.coffer.push(ours(args, &managers, etcd.as_ref(), cells.clients).await?);
            }
        }
    }
    table(args, &cells).print(args.json);
    Ok(())
}

/// What is read.
const READ: &str = "read";

fn pids(managers: &[Daemon]) -> Vec<u32> {
    managers.iter().map(Daemon::pid).collect()
}

async fn ours(
    args: &Args,
    managers: &[Daemon],
    idle: Option<&Etcd>,
    clients: usize,
) -> Result<Cell, Box<dyn Error>> {
    let asked = usize::from(args.what == What::ReadFollower && managers.len() > 1);
    let mut channels = Vec::new();
    for _ in 0..connections(clients) {
        channels.push(managers[asked].connect().await?);
    }
    let channel = |number: usize| channels[number % channels.len()].clone();
    let idle = idle.map_or_else(Vec::new, Etcd::pids);
    let secs = Duration::from_secs_f64(args.secs);
    let own = pids(managers);
    Ok(if args.what == What::Create {
        let client = |number: usize| {
            let prefix = format!("c{clients}-{number}");
            Creator::new(channel(number), prefix, args.batch, args.size)
        };
        load((0..clients).map(client).collect(), secs, &own, &idle).await?
    } else {
        let client = |number: usize| Reader::new(channel(number), READ);
        load((0..clients).map(client).collect(), secs, &own, &idle).await?
    })
}

async fn theirs(
    args: &Args,
    etcd: &Etcd,
    idle: &[Daemon],
    clients: usize,
) -> Result<Cell, Box<dyn Error>> {
    let to_follower = args.what == What::ReadFollower && idle.len() > 1;
    let mut channels = Vec::new();
    for _ in 0..connections(clients) {
        channels.push(match to_follower {
            true => etcd.connect_to_follower().await?,
            false => etcd.connect().await?,
        });
    }
    let channel = |number: usize| channels[number % channels.len()].clone();
    let secs = Duration::from_secs_f64(args.secs);
    let (own, idle) = (etcd.pids(), pids(idle));
    Ok(if args.what == What::Create {
        let client =
            |number: usize| Putter::new(channel(number), format!("c{clients}-{number}"), args.size);
        load((0..clients).map(client).collect(), secs, &own, &idle).await?
    } else {
        Putter::new(channel(0), READ.to_owned(), args.size).put().await?;
        let key = format!("{READ}-0");
        let client = |number: usize| Getter::new(channel(number), &key);
        load((0..clients).map(client).collect(), secs, &own, &idle).await?
    })
}

fn table(args: &Args, cells: &[Cells]) -> Table {
    let headings = [
        "server",
        "clients",
        "batch",
        "values/s best",
        "values/s median",
        "p50 ms",
        "p99 ms",
        "server us/value",
        "ratio best",
        "ratio median",
        "neighbours %",
    ];
    let mut table = Table::new(&headings);
    for cells in cells {
        let Cells { clients, coffer, etcd } = cells;
        let ratios = (!etcd.is_empty()).then(|| ratios(coffer, etcd));
        table.row(row("coffer", *clients, args.batch, coffer, ratios));
        if !etcd.is_empty() {
            table.row(row("etcd TLS", *clients, 1, etcd, None));
        }
    }
    table
}

/// Best to best, and the median of each round's ratio.
fn ratios(coffer: &[Cell], etcd: &[Cell]) -> [f64; 2] {
    let rounds = coffer.iter().zip(etcd).map(|(ours, theirs)| ours.per_second / theirs.per_second);
    [best(coffer).per_second / best(etcd).per_second, median(rounds)]
}

fn best(cells: &[Cell]) -> &Cell {
    let by_rate = |a: &&Cell, b: &&Cell| a.per_second.total_cmp(&b.per_second);
    cells.iter().max_by(by_rate).expect("there is a round")
}

fn row(
    server: &str,
    clients: usize,
    batch: usize,
    cells: &[Cell],
    ratios: Option<[f64; 2]>,
) -> Vec<Value> {
    let each = batch as f64;
    let best = best(cells);
    let middle = median(cells.iter().map(|cell| cell.per_second));
    let neighbours = median(cells.iter().map(|cell| cell.neighbours)) * 100.0;
    let [p50, p99] = best.latencies;
    vec![
        json!(server),
        json!(clients),
        json!(batch),
        json!((best.per_second * each).round()),
        json!((middle * each).round()),
        json!(p50 / 1e3),
        json!(p99 / 1e3),
        json!(best.server_us / each),
        json!(ratios.map(|[best, _]| best)),
        json!(ratios.map(|[_, median]| median)),
        json!(neighbours),
    ]
}
