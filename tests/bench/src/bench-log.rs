//! The log alone: durable appends of sealed records by 1, 8, 64, 256 callers, beside a bare loop of
//! write and flush on a file of zeros in the same run.

#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/figures.rs"]
mod figures;
#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "bench/machine.rs"]
mod machine;

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use figures::{Latencies, Table, median};
use machine::Meter;
use serde_json::json;
use tokio::runtime::Runtime;
use vault::disk::diskkey::DiskKey;
use vault::disk::folder::RealFolder;
use vault::disk::log::{self, LogKey, LogWriter, Position, Record, Submission};
use vault::entropy;

/// Bytes of the bare loop's file; it goes round.
const BARE_BYTES: u64 = 64 << 20;
/// Each write of the bare loop starts a block of its own, as each batch of the log does.
const BLOCK: u64 = 4096;
/// Entries behind this many are purged, so that segments are used again as in the daemon.
const KEPT: u64 = 65_536;

/// Measures the log alone.
#[derive(Parser)]
struct Args {
    /// Seconds of each cell
    #[arg(long, default_value_t = 2.0)]
    secs: f64,
    /// Rounds; the best and the median of each cell are shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Bytes of one record
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Numbers of callers
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64, 256])]
    callers: Vec<usize>,
    /// Threads that the callers share
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Where the files are made
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[arg(long)]
    json: bool,
}

/// One cell of one round.
struct Cell {
    per_second: f64,
    latencies: [f64; 2],
    neighbours: f64,
}

impl Cell {
    fn of(mut latencies: Latencies, took: Duration, meter: &Meter) -> Self {
        Self {
            per_second: latencies.count() as f64 / took.as_secs_f64(),
            latencies: latencies.percentiles([0.5, 0.99]),
            neighbours: meter.used().neighbours,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.threads)
        .enable_all()
        .build()?;
    let home = args.dir.join(format!("coffer-bench-{}-log", std::process::id()));
    std::fs::create_dir(&home)?;
    let measured = measure(&args, &runtime, &home);
    std::fs::remove_dir_all(&home)?;
    measured?.print(args.json);
    Ok(())
}

fn measure(args: &Args, runtime: &Runtime, home: &Path) -> Result<Table, Box<dyn Error>> {
    let bare_file = zeroed(&home.join("bare"))?;
    let mut bare = Vec::new();
    let mut cells: Vec<Vec<Cell>> = args.callers.iter().map(|_| Vec::new()).collect();
    let secs = Duration::from_secs_f64(args.secs);
    for _ in 0..args.rounds {
        for (callers, cells) in args.callers.iter().zip(&mut cells) {
            bare.push(bare_loop(&bare_file, args.size, secs)?);
            cells.push(log_cell(runtime, home, *callers, args.size, secs)?);
        }
    }
    let headings = [
        "what",
        "callers",
        "ops/s best",
        "ops/s median",
        "p50 us",
        "p99 us",
        "x bare best",
        "x bare median",
        "neighbours %",
    ];
    let mut table = Table::new(&headings);
    let base = (best(&bare).per_second, median(bare.iter().map(|cell| cell.per_second)));
    add(&mut table, "bare write+flush", 1, &bare, base);
    for (callers, cells) in args.callers.iter().zip(&cells) {
        add(&mut table, "log", *callers, cells, base);
    }
    Ok(table)
}

fn best(cells: &[Cell]) -> &Cell {
    let by_rate = |a: &&Cell, b: &&Cell| a.per_second.total_cmp(&b.per_second);
    cells.iter().max_by(by_rate).expect("there is a round")
}

fn add(table: &mut Table, what: &str, callers: usize, cells: &[Cell], base: (f64, f64)) {
    let best = best(cells);
    let middle = median(cells.iter().map(|cell| cell.per_second));
    let neighbours = median(cells.iter().map(|cell| cell.neighbours)) * 100.0;
    let [p50, p99] = best.latencies;
    table.row(vec![
        json!(what),
        json!(callers),
        json!(best.per_second.round()),
        json!(middle.round()),
        json!(p50),
        json!(p99),
        json!(best.per_second / base.0),
        json!(middle / base.1),
        json!(neighbours),
    ]);
}

/// A file whose blocks are all written.
fn zeroed(path: &Path) -> std::io::Result<File> {
    let file = File::create_new(path)?;
    let zeros = vec![0; 1 << 20];
    for offset in (0..BARE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, offset)?;
    }
    file.sync_all()?;
    Ok(file)
}

fn bare_loop(file: &File, size: usize, secs: Duration) -> std::io::Result<Cell> {
    let record = vec![0xa5; size];
    let step = u64::try_from(size).unwrap_or(BLOCK).next_multiple_of(BLOCK);
    let mut latencies = Latencies::default();
    let meter = Meter::start(&[]);
    let start = Instant::now();
    let mut offset = 0;
    while start.elapsed() < secs {
        let asked = Instant::now();
        file.write_all_at(&record, offset)?;
        file.sync_data()?;
        latencies.push(asked.elapsed());
        offset = (offset + step) % (BARE_BYTES - step);
    }
    Ok(Cell::of(latencies, start.elapsed(), &meter))
}

/// The log and the place of its next entry: entries are handed over in their order.
struct Tail {
    writer: LogWriter,
    next: u64,
}

fn log_cell(
    runtime: &Runtime,
    home: &Path,
    callers: usize,
    size: usize,
    secs: Duration,
) -> Result<Cell, Box<dyn Error>> {
    let path = home.join("log");
    std::fs::create_dir(&path)?;
    let disk_key = DiskKey::filled(entropy::fill)?;
    let key = LogKey { context: b"bench".to_vec(), disk_key: Arc::new(disk_key) };
    let fault = Box::new(|fault: log::Fault| {
        let cause = fault.source().map_or_else(String::new, ToString::to_string);
        eprintln!("{fault}: {cause}");
        std::process::exit(1);
    });
    let folder = Arc::new(RealFolder::open(&path)?);
    let salts = Box::new(entropy::random::<32>);
    let (_, writer) = log::open(folder, key, log::Options::default(), salts, fault)?;
    let tail = Arc::new(Mutex::new(Tail { writer, next: 1 }));
    // What is counted starts when segments have begun to be used again.
    runtime.block_on(all(&tail, callers, size, secs.div_f64(4.0)));
    let (meter, start) = (Meter::start(&[]), Instant::now());
    let latencies = runtime.block_on(all(&tail, callers, size, secs));
    let cell = Cell::of(latencies, start.elapsed(), &meter);
    drop(tail);
    std::fs::remove_dir_all(&path)?;
    Ok(cell)
}

/// All callers at once, each with one record under way.
async fn all(tail: &Arc<Mutex<Tail>>, callers: usize, size: usize, secs: Duration) -> Latencies {
    let end = Instant::now() + secs;
    let callers: Vec<_> =
        (0..callers).map(|_| tokio::spawn(caller(Arc::clone(tail), size, end))).collect();
    let mut latencies = Latencies::default();
    for caller in callers {
        latencies.merge(caller.await.expect("a caller does not panic"));
    }
    latencies
}

async fn caller(tail: Arc<Mutex<Tail>>, size: usize, end: Instant) -> Latencies {
    let payload = vec![0xa5; size];
    let mut latencies = Latencies::default();
    loop {
        let asked = Instant::now();
        if asked >= end {
            return latencies;
        }
        let (sender, flushed) = tokio::sync::oneshot::channel();
        let done = Box::new(move |result: std::io::Result<()>| {
            sender.send(result.is_ok()).ok();
        });
        let payload = payload.clone();
        {
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            let index = tail.next;
            let at = |index| Position { term: 1, node: 1, index };
            let mut records = vec![Record::Entry(at(index), payload)];
            if index.is_multiple_of(KEPT) && index > KEPT {
                records.push(Record::Purge(at(index - KEPT)));
            }
            tail.next += 1;
            tail.writer.submit(Submission { records, done: Some(done) });
        }
        assert!(flushed.await.unwrap_or(false), "the log failed");
        latencies.push(asked.elapsed());
    }
}
