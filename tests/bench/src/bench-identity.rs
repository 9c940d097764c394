//! What identity costs: signing a certificate beside the bare signatures, certificates of a cluster of three, and whole
//! handshakes beside those of bare rustls.

#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/daemon.rs"]
mod daemon;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/figures.rs"]
mod figures;
#[path = "bench/handshakes.rs"]
mod handshakes;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/machine.rs"]
mod machine;
#[path = "bench/nodes.rs"]
mod nodes;
#[path = "bench/signing.rs"]
mod signing;
#[path = "bench/wire.rs"]
mod wire;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use daemon::{Daemon, sibling};
use figures::{Table, median};
use nodes::Client;
use serde_json::{Value, json};

type Failure = Box<dyn Error + Send + Sync>;

/// Measures what identity costs
#[derive(Parser)]
struct Args {
    /// Seconds of each cell
    #[arg(long, default_value_t = 2.0)]
    secs: f64,
    /// Rounds; the best and the median of each cell are shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Managers
    #[arg(long, default_value_t = 3)]
    servers: u16,
    /// Nodes that stand connected, and clients that shake hands at one time
    #[arg(long, default_value_t = 64)]
    nodes: usize,
    /// Threads of this program
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// The daemon's program, if it is not beside this one
    #[arg(long)]
    cofferd: Option<PathBuf>,
    /// Where folders are made
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[arg(long)]
    json: bool,
    /// Serves bare TLS with the keys of a file: this program starts itself so
    #[arg(long, hide = true)]
    bare: Option<PathBuf>,
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    if let Some(file) = &args.bare {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        return runtime.block_on(handshakes::serve(file));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.threads)
        .enable_all()
        .build()?;
    let table = runtime.block_on(measure(&args))?;
    table.print(args.json);
    Ok(())
}

/// Figures of one cell, round by round.
#[derive(Default)]
struct Cell(Vec<f64>);

impl Cell {
    fn best(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    fn median(&self) -> f64 {
        median(self.0.iter().copied())
    }

    fn row(&self, what: &str, besides: Option<&Self>) -> Vec<Value> {
        let ratio = |ours: f64, other: fn(&Self) -> f64| besides.map(|cell| ours / other(cell));
        vec![
            json!(what),
            json!(self.best()),
            json!(self.median()),
            json!(ratio(self.best(), Self::best)),
            json!(ratio(self.median(), Self::median)),
        ]
    }
}

async fn measure(args: &Args) -> Result<Table, Failure> {
    let secs = Duration::from_secs_f64(args.secs);
    let headings = ["what", "a second, best", "a second, median", "ratio, best", "ratio, median"];
    let mut table = Table::new(&headings);

    let [mut ours, mut opened, mut bare] = [const { Cell(Vec::new()) }; 3];
    for _ in 0..args.rounds {
        let signed = tokio::task::spawn_blocking(move || signing::measure(secs)).await??;
        ours.0.push(signed.certificates);
        opened.0.push(signed.opened);
        bare.0.push(signed.bare);
    }
    table.row(ours.row("request to certificate, one thread", Some(&bare)));
    table.row(opened.row("the same, root key opened for each", Some(&bare)));
    table.row(bare.row("one verification and one signature", None));

    let program = args.cofferd.clone().unwrap_or_else(|| sibling("cofferd"));
    let managers = Daemon::cluster(&program, &args.dir, args.servers).await?;
    let joined = nodes::join(&managers, args.nodes).await?;
    let mut issued = Cell::default();
    let mut used = Vec::new();
    for _ in 0..args.rounds {
        let meter = machine::Meter::start(&managers.iter().map(Daemon::pid).collect::<Vec<_>>());
        let renewed = nodes::renew(&joined, secs).await?;
        issued.0.push(renewed as f64 / secs.as_secs_f64());
        let servers: Duration = meter.used().servers.iter().sum();
        used.push(servers.as_secs_f64() * 1e6 / (renewed as f64).max(1.0));
    }
    let what = format!("certificates, {} managers, {} nodes", args.servers, args.nodes);
    table.row(issued.row(&what, None));
    table.row(vec![
        json!("CPU of all managers for one, us"),
        json!(null),
        json!(median(used)),
        json!(null),
        json!(null),
    ]);
    let mut join = joined.joins;
    let [middle, slowest] = join.percentiles([0.5, 1.0]);
    table.row(vec![
        json!("join, ms: median, slowest"),
        json!(middle / 1e3),
        json!(slowest / 1e3),
        json!(null),
        json!(null),
    ]);

    let [mut ours, mut bare] = [Cell::default(), Cell::default()];
    let client: &Client = &joined.nodes[0].client;
    let bare_server = handshakes::Bare::start(&args.dir)?;
    for _ in 0..args.rounds {
        let shaken = |client, addr| handshakes::count(client, addr, args.nodes, secs);
        ours.0.push(shaken(client, managers[0].addr()).await? / secs.as_secs_f64());
        let other = shaken(&bare_server.client, bare_server.addr.clone()).await?;
        bare.0.push(other / secs.as_secs_f64());
    }
    table.row(ours.row("handshakes, both sides' certificates", Some(&bare)));
    table.row(bare.row("the same, bare rustls", None));
    Ok(table)
}
